//! Room in memory for the pages in flight: what a page is expected to take is claimed before it is requested, what
//! it takes beyond that while it arrives.

use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Room for pages in memory, in KiB. Two of the largest pages that are usual (1000 products) fit, which
/// keeps two processors busy, and all requests side by side where pages are of middling size.
const ROOM: u32 = 8300;
/// What is claimed at once when a page turns out to be larger, in KiB: seldom enough to cost nothing, and little
/// compared with the whole.
const STEP: u32 = 256;

/// The room of all pages.
#[derive(Clone, Debug)]
pub(super) struct Rooms {
    free: Arc<Semaphore>,
    /// One page at a time may grow without bound, so that each of them comes to its end.
    beyond: Arc<Semaphore>,
}

/// The room of one page. It is free again when this is dropped.
#[derive(Debug)]
pub struct Room {
    rooms: Rooms,
    claimed: OwnedSemaphorePermit,
    beyond: Option<OwnedSemaphorePermit>,
}

impl Rooms {
    pub(super) fn new() -> Self {
        Self { free: Arc::new(Semaphore::new(ROOM as usize)), beyond: Arc::new(Semaphore::new(1)) }
    }

    /// How many further pages of so many bytes have room.
    pub(super) fn places(&self, bytes: usize) -> usize {
        self.free.available_permits() / claim(bytes).max(1) as usize
    }

    /// Waits for room for a page that is expected to take so many bytes.
    ///
    /// # Errors
    /// [`AcquireError`] never, as long as nothing closes the semaphore.
    pub(super) async fn claim(&self, bytes: usize) -> Result<Room, AcquireError> {
        let claimed = Arc::clone(&self.free).acquire_many_owned(claim(bytes)).await?;
        Ok(Room { rooms: self.clone(), claimed, beyond: None })
    }
}

impl Room {
    /// Returns true if the page may take so many bytes in all.
    pub(super) fn fits(&self, bytes: usize) -> bool {
        self.beyond.is_some() || kib(bytes) <= self.kib()
    }

    /// Waits until the page may take so many bytes in all.
    ///
    /// # Errors
    /// [`AcquireError`] never, as long as nothing closes the semaphore.
    pub(super) async fn grow(&mut self, bytes: usize) -> Result<(), AcquireError> {
        while !self.fits(bytes) {
            match Arc::clone(&self.rooms.free).try_acquire_many_owned(STEP) {
                Ok(more) => self.claimed.merge(more),
                Err(_) => self.beyond = Some(Arc::clone(&self.rooms.beyond).acquire_owned().await?),
            }
        }
        Ok(())
    }

    /// What it may take without a further claim, in KiB.
    fn kib(&self) -> u32 {
        u32::try_from(self.claimed.num_permits()).unwrap_or(u32::MAX).max(FREE)
    }
}

/// A handful of rows never waits, so that a question about a page can be asked while it is held. In KiB.
const FREE: u32 = 64;

/// What is claimed for a page of so many bytes, in KiB.
fn claim(bytes: usize) -> u32 {
    let kib = kib(bytes);
    // Lines are a little longer than the rows they hold.
    if kib < FREE { 0 } else { (kib + kib / 16).min(ROOM) }
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes / 1024).unwrap_or(u32::MAX / 2)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    /// Reads pages side by side that are expected to take little and take much, and gives back the most that they took
    /// together, in KiB.
    async fn peak(pages: usize, expected: usize, size: usize) -> usize {
        let (rooms, now, most) = (Rooms::new(), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..pages {
            let (rooms, now, most) = (rooms.clone(), Arc::clone(&now), Arc::clone(&most));
            tasks.spawn(async move {
                let mut room = rooms.claim(expected * 1024).await.unwrap();
                let mut taken = 0;
                while taken < size {
                    let piece = 64.min(size - taken);
                    room.grow((taken + piece) * 1024).await.unwrap();
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
    async fn first_pages_whose_size_is_not_known_keep_to_the_room_and_one_page() {
        for (pages, size) in [(8, 58_368), (32, 58_368), (8, 9_000), (32, 3_000)] {
            let peak = peak(pages, 1_000, size).await;
            let bound = ROOM as usize + size;
            assert!(peak <= bound, "{pages} pages of {size} KiB: {peak} KiB, bound {bound}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pages_of_a_known_size_keep_to_the_room() {
        assert!(peak(32, 1_000, 1_000).await <= ROOM as usize);
        // Each of these may take a little before it is counted.
        assert!(peak(32, 10, 60).await <= 32 * FREE as usize);
    }
}
