//! Room in memory for the pages in flight: what a page is expected to take is claimed before it is requested, what
//! it takes beyond that while it arrives.

use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Room for pages in memory, in KiB. Two of the largest pages that are usual (1000 products) fit, which
/// keeps two processors busy, and all requests side by side where pages are of middling size.
const MEMORY_KIB: u32 = 8300;
/// What is claimed at once when a page turns out to be larger, in KiB: seldom enough to cost nothing, and little
/// compared with the whole.
const STEP: u32 = 256;

/// The room of all pages.
#[derive(Clone, Debug)]
pub(super) struct MemoryBudget {
    free: Arc<Semaphore>,
    /// One page at a time may grow without bound, so that each of them comes to its end.
    overflow: Arc<Semaphore>,
}

/// The room of one page. It is free again when this is dropped.
#[derive(Debug)]
pub struct MemoryPermit {
    memory_budget: MemoryBudget,
    reserved: OwnedSemaphorePermit,
    overflow: Option<OwnedSemaphorePermit>,
}

impl MemoryBudget {
    pub(super) fn new() -> Self {
        Self { free: Arc::new(Semaphore::new(MEMORY_KIB as usize)), overflow: Arc::new(Semaphore::new(1)) }
    }

    /// How many further pages of so many bytes have room.
    pub(super) fn slots(&self, bytes: usize) -> usize {
        self.free.available_permits() / page_kib(bytes).max(1) as usize
    }

    /// Waits for room for a page that is expected to take so many bytes.
    ///
    /// # Errors
    /// [`AcquireError`] never, as long as nothing closes the semaphore.
    pub(super) async fn reserve(&self, bytes: usize) -> Result<MemoryPermit, AcquireError> {
        let reserved = Arc::clone(&self.free).acquire_many_owned(page_kib(bytes)).await?;
        Ok(MemoryPermit { memory_budget: self.clone(), reserved, overflow: None })
    }
}

impl MemoryPermit {
    /// Returns true if the page may take so many bytes in all.
    pub(super) fn fits(&self, bytes: usize) -> bool {
        self.overflow.is_some() || kib(bytes) <= self.kib()
    }

    /// Waits until the page may take so many bytes in all.
    ///
    /// # Errors
    /// [`AcquireError`] never, as long as nothing closes the semaphore.
    pub(super) async fn grow(&mut self, bytes: usize) -> Result<(), AcquireError> {
        while !self.fits(bytes) {
            match Arc::clone(&self.memory_budget.free).try_acquire_many_owned(STEP) {
                Ok(more) => self.reserved.merge(more),
                Err(_) => self.overflow = Some(Arc::clone(&self.memory_budget.overflow).acquire_owned().await?),
            }
        }
        Ok(())
    }

    /// What it may take without a further claim, in KiB.
    fn kib(&self) -> u32 {
        u32::try_from(self.reserved.num_permits()).unwrap_or(u32::MAX).max(FREE_KIB)
    }
}

/// A handful of rows never waits, so that a question about a page can be asked while it is held. In KiB.
const FREE_KIB: u32 = 64;

/// What is claimed for a page of so many bytes, in KiB.
fn page_kib(bytes: usize) -> u32 {
    let kib = kib(bytes);
    // Lines are a little longer than the rows they hold.
    if kib < FREE_KIB { 0 } else { (kib + kib / 16).min(MEMORY_KIB) }
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes / 1024).unwrap_or(u32::MAX / 2)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    /// Reads pages side by side that are expected to take little and take much, and gives back the most that they took
    /// together, in KiB.
    async fn peak(pages: usize, expected: usize, size: usize) -> usize {
        let (memory_budget, now, most) =
            (MemoryBudget::new(), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..pages {
            let (memory_budget, now, most) = (memory_budget.clone(), Arc::clone(&now), Arc::clone(&most));
            tasks.spawn(async move {
                let mut memory = memory_budget.reserve(expected * 1024).await.unwrap();
                let mut taken = 0;
                while taken < size {
                    let piece = 64.min(size - taken);
                    memory.grow((taken + piece) * 1024).await.unwrap();
                    taken += piece;
                    most.fetch_max(now.fetch_add(piece, Ordering::SeqCst) + piece, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
                now.fetch_sub(taken, Ordering::SeqCst);
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        most.load(Ordering::SeqCst)
    }

    #[tokio::test(start_paused = true)]
    async fn first_pages_of_unknown_size_stay_within_the_memory_budget_plus_one_page() {
        for (pages, size) in [(8, 58_368), (32, 58_368), (8, 9_000), (32, 3_000)] {
            let peak = peak(pages, 1_000, size).await;
            let bound = MEMORY_KIB as usize + size;
            assert!(peak <= bound, "{pages} pages of {size} KiB: {peak} KiB, bound {bound}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pages_of_known_size_stay_within_the_memory_budget() {
        assert!(peak(32, 1_000, 1_000).await <= MEMORY_KIB as usize);
        // Each of these may take a little before it is counted.
        assert!(peak(32, 10, 60).await <= 32 * FREE_KIB as usize);
    }
}
