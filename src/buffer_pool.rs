//! A pool of buffers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Buffers of `SIZE` bytes each: memory that was touched once costs nothing the next time, and does not
/// scatter what else is in memory. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct BufferPool<const SIZE: usize>(Arc<Mutex<Vec<Vec<u8>>>>);

impl<const SIZE: usize> BufferPool<SIZE> {
    /// The idle buffers.
    pub(crate) fn idle(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        // Each change to it is one push or pop.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an empty buffer.
    pub(crate) fn take(&self) -> Vec<u8> {
        let pool = self.idle().pop();
        pool.unwrap_or_else(|| Vec::with_capacity(SIZE))
    }

    /// Puts a buffer back, unless it had to grow.
    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() == SIZE {
            buffer.clear();
            self.idle().push(buffer);
        }
    }
}
