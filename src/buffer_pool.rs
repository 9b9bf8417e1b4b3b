//! A pool of reusable buffers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A pool of buffers of `SIZE` bytes each. Reusing them saves allocations and keeps the memory from being fragmented.
/// Clones share the buffers.
#[derive(Clone, Debug, Default)]
pub(crate) struct BufferPool<const SIZE: usize>(Arc<Mutex<Vec<Vec<u8>>>>);

impl<const SIZE: usize> BufferPool<SIZE> {
    /// The idle buffers.
    pub(crate) fn idle(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        // Each change is complete when the lock is released.
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
