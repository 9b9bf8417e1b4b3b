//! Lines on their way to the output, in blocks of memory that are reused.
//!
//! All blocks have the same size, so that each can be reused for any page: the memory in use depends on the pages in
//! flight, not on the sizes of earlier pages. Nothing here depends on the content of a line.

use crate::buffer_pool::BufferPool;

/// Size of a block in bytes: a page of a megabyte fills four. The allocator keeps blocks of this size separate from
/// small allocations, so that the memory is not fragmented.
pub(super) const BLOCK: usize = 256 * 1024;

/// Bytes at the end of a block in which no line begins, so that most lines fit: a wide record takes a few KiB. Unused
/// pages of memory cost nothing. A longer line makes its block grow.
const MARGIN: usize = 32 * 1024;

/// Complete lines. No line spans two blocks.
#[derive(Default)]
pub struct LineBatch {
    blocks: Vec<Vec<u8>>,
    pool: BufferPool<BLOCK>,
    /// Kept until the lines are written.
    guard: Option<Box<dyn Send + Sync>>,
}

impl LineBatch {
    /// Returns an empty batch with blocks from this pool.
    pub(super) fn new(pool: &BufferPool<BLOCK>) -> Self {
        Self { blocks: Vec::new(), pool: pool.clone(), guard: None }
    }

    /// Keeps a value, such as a permit, until these lines are written or dropped.
    pub fn attach_guard(&mut self, guard: impl Send + Sync + 'static) {
        self.guard = Some(Box::new(guard));
    }

    /// Returns the bytes of all lines.
    pub fn len(&self) -> usize {
        self.blocks.iter().map(Vec::len).sum()
    }

    /// Returns true if there are no lines.
    pub fn is_empty(&self) -> bool {
        self.blocks.iter().all(Vec::is_empty)
    }

    /// Removes all lines.
    pub fn clear(&mut self) {
        for block in self.blocks.drain(..) {
            self.pool.give_back(block);
        }
    }

    /// Returns the index of the block for the next line, and the block.
    pub fn begin_line(&mut self) -> (usize, &mut Vec<u8>) {
        if self.blocks.last().is_none_or(|block| block.len() + MARGIN > BLOCK) {
            self.blocks.push(self.pool.take());
        }
        let last = self.blocks.len() - 1;
        (last, &mut self.blocks[last])
    }

    /// Returns the block of this index; an empty one if there is none.
    pub fn block(&self, index: usize) -> &[u8] {
        self.blocks.get(index).map_or(&[], Vec::as_slice)
    }

    /// Returns the block of this index, to change it.
    pub fn block_mut(&mut self, index: usize) -> Option<&mut Vec<u8>> {
        self.blocks.get_mut(index)
    }

    /// Returns a copy of all lines.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn to_vec(&self) -> Vec<u8> {
        self.blocks.concat()
    }

    /// Appends a line.
    pub(super) fn append(&mut self, line: Vec<u8>) {
        match self.blocks.last_mut() {
            Some(block) if block.len() + line.len() <= block.capacity() => block.extend_from_slice(&line),
            _ => self.blocks.push(line),
        }
    }

    /// Passes the lines to `write`, block by block. Each block is reused as soon as it was written.
    ///
    /// # Errors
    /// The error of `write`; part of the lines may have been written.
    pub fn for_each_block<E>(mut self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        for block in std::mem::take(&mut self.blocks) {
            if !block.is_empty() {
                write(&block)?;
            }
            self.pool.give_back(block);
        }
        Ok(())
    }
}

impl std::fmt::Debug for LineBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes of lines", self.len())
    }
}

impl Drop for LineBatch {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use super::*;

    /// Adds lines of these lengths; returns the expected content.
    fn fill(lines: &mut LineBatch, lengths: &[usize]) -> Vec<u8> {
        let mut expected = Vec::new();
        for (number, &length) in lengths.iter().enumerate() {
            let mut line = vec![b'a' + (number % 26) as u8; length];
            line.push(b'\n');
            lines.begin_line().1.extend_from_slice(&line);
            expected.extend_from_slice(&line);
        }
        expected
    }

    #[test]
    fn lines_are_written_in_order_and_complete_and_their_blocks_are_reused() {
        let pool = BufferPool::default();
        // Longer than the margin, longer than a block, and many.
        for lengths in [&[1, 2, 3][..], &[100_000; 20], &[300_000, 5, 1_000_000, 7], &[2400; 1000]] {
            let mut lines = LineBatch::new(&pool);
            assert!(lines.is_empty());
            let mut expected = fill(&mut lines, lengths);
            assert!(lines.blocks.iter().all(|block| block.ends_with(b"\n")));
            lines.append(b"state\n".to_vec());
            lines.append(vec![b'x'; BLOCK]);
            expected.extend_from_slice(b"state\n");
            expected.extend_from_slice(&vec![b'x'; BLOCK]);
            assert_eq!(lines.len(), expected.len());
            let mut out = Vec::new();
            lines.for_each_block(|block| out.write_all(block)).unwrap();
            assert!(out == expected);
            assert!(pool.idle().iter().all(|block| block.capacity() == BLOCK && block.is_empty()));
        }
        let waiting = pool.idle().len();
        let mut lines = LineBatch::new(&pool);
        fill(&mut lines, &[2400; 1000]);
        assert_eq!(pool.idle().len() + lines.blocks.len(), waiting, "no new block was made");
        drop(lines);
        assert_eq!(pool.idle().len(), waiting);
    }

    #[test]
    fn an_attached_guard_lives_until_the_lines_are_gone() {
        let (mut lines, permit) = (LineBatch::default(), Arc::new(()));
        lines.attach_guard(Arc::clone(&permit));
        lines.clear();
        assert_eq!(Arc::strong_count(&permit), 2);
        lines.for_each_block(|_| Ok::<(), ()>(())).unwrap();
        assert_eq!(Arc::strong_count(&permit), 1);
    }
}
