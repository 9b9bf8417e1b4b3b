//! Limits the memory of the pages in flight. The expected size of a page is reserved before the page is requested;
//! more is reserved while it arrives, if it turns out larger.

use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Memory for pages in flight, in KiB. Enough for two of the largest common pages (1000 products), which keep two
/// processors busy, or for all concurrent requests if their pages are of medium size.
const MEMORY_KIB: u32 = 8300;
/// Memory that is reserved in one step if a page turns out larger than expected, in KiB. Large enough that steps
/// are rare, and small compared with [`MEMORY_KIB`].
const STEP: u32 = 256;

/// The memory that all pages share.
#[derive(Clone, Debug)]
pub(super) struct MemoryBudget {
    free: Arc<Semaphore>,
    /// Permits one page at a time to grow without a limit, so that every page can be completed.
    overflow: Arc<Semaphore>,
}

/// The memory reserved for one page. Dropping it releases the memory.
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

    /// Returns the number of further pages of `bytes` bytes that fit into the free memory.
    pub(super) fn slots(&self, bytes: usize) -> usize {
        self.free.available_permits() / page_kib(bytes).max(1) as usize
    }

    /// Waits for memory for a page with an expected size of `bytes`, and reserves it.
    ///
    /// # Errors
    /// [`AcquireError`] if the semaphore is closed, which never happens.
    pub(super) async fn reserve(&self, bytes: usize) -> Result<MemoryPermit, AcquireError> {
        let reserved = Arc::clone(&self.free).acquire_many_owned(page_kib(bytes)).await?;
        Ok(MemoryPermit { memory_budget: self.clone(), reserved, overflow: None })
    }
}

impl MemoryPermit {
    /// Returns true if the page may use `bytes` bytes in total.
    pub(super) fn fits(&self, bytes: usize) -> bool {
        self.overflow.is_some() || kib(bytes) <= self.kib()
    }

    /// Waits until the page may use `bytes` bytes in total.
    ///
    /// # Errors
    /// [`AcquireError`] if the semaphore is closed, which never happens.
    pub(super) async fn grow(&mut self, bytes: usize) -> Result<(), AcquireError> {
        while !self.fits(bytes) {
            match Arc::clone(&self.memory_budget.free).try_acquire_many_owned(STEP) {
                Ok(more) => self.reserved.merge(more),
                Err(_) => self.overflow = Some(Arc::clone(&self.memory_budget.overflow).acquire_owned().await?),
            }
        }
        Ok(())
    }

    /// Returns the memory that the page may use without a further reservation, in KiB.
    fn kib(&self) -> u32 {
        u32::try_from(self.reserved.num_permits()).unwrap_or(u32::MAX).max(FREE_KIB)
    }
}

/// Size up to which a page needs no reservation, in KiB. A request for a few rows never waits for memory, so it can
/// be sent while another page is kept in memory.
const FREE_KIB: u32 = 64;

/// Returns the memory to reserve for a page of `bytes` bytes, in KiB.
fn page_kib(bytes: usize) -> u32 {
    let kib = kib(bytes);
    // Output lines are a little longer than the rows they contain.
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

    /// Simulates concurrent pages of `size` KiB that are expected to have `expected` KiB. Returns the maximum memory
    /// that they used together, in KiB.
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
        // Each of these pages is smaller than the size that needs a reservation.
        assert!(peak(32, 10, 60).await <= 32 * FREE_KIB as usize);
    }
}
