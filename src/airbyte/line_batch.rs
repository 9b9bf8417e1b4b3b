//! Whole lines on their way out, in blocks of memory that are used again.
//!
//! All blocks have one size, so that any of them serves any page: memory is what the pages in flight fill,
//! whatever sizes they had before. Nothing here knows what a line says.

use crate::buffer_pool::BufferPool;

/// The size of a block: a page of a megabyte fills four, and blocks of this size lie apart from small
/// things, so that these do not scatter them.
pub(super) const BLOCK: usize = 256 * 1024;

/// What is left free of a block when it is full, so that a line begun in it has room: a wide record takes
/// a few KiB. Memory that is not touched is not there. A longer line makes its block grow.
const MARGIN: usize = 32 * 1024;

/// Whole lines on their way out. No line lies in two blocks.
#[derive(Default)]
pub struct LineBatch {
    blocks: Vec<Vec<u8>>,
    pool: BufferPool<BLOCK>,
    /// What is held until they are written.
    guard: Option<Box<dyn Send + Sync>>,
}

impl LineBatch {
    /// No lines yet, in blocks from here.
    pub(super) fn new(pool: &BufferPool<BLOCK>) -> Self {
        Self { blocks: Vec::new(), pool: pool.clone(), guard: None }
    }

    /// Holds on to something, such as a permit, until these lines are written or dropped.
    pub fn attach_guard(&mut self, guard: impl Send + Sync + 'static) {
        self.guard = Some(Box::new(guard));
    }

    /// Bytes of all lines.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.iter().map(Vec::len).sum()
    }

    /// Whether there is no line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.iter().all(Vec::is_empty)
    }

    /// Drops all lines.
    pub fn clear(&mut self) {
        for block in self.blocks.drain(..) {
            self.pool.give_back(block);
        }
    }

    /// The block that the next line goes to, and its number.
    pub fn begin_line(&mut self) -> (usize, &mut Vec<u8>) {
        if self.blocks.last().is_none_or(|block| block.len() + MARGIN > BLOCK) {
            self.blocks.push(self.pool.take());
        }
        let last = self.blocks.len() - 1;
        (last, &mut self.blocks[last])
    }

    /// A block.
    #[must_use]
    pub fn block(&self, number: usize) -> &[u8] {
        self.blocks.get(number).map_or(&[], Vec::as_slice)
    }

    /// A block, to change it.
    pub fn block_mut(&mut self, number: usize) -> Option<&mut Vec<u8>> {
        self.blocks.get_mut(number)
    }

    /// All lines, one after the other.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn to_vec(&self) -> Vec<u8> {
        self.blocks.concat()
    }

    /// Appends a line.
    pub fn append(&mut self, line: Vec<u8>) {
        match self.blocks.last_mut() {
            Some(block) if block.len() + line.len() <= block.capacity() => block.extend_from_slice(&line),
            _ => self.blocks.push(line),
        }
    }

    /// Hands over the lines, as many as lie together at a time; each block is used again as soon as it was
    /// taken.
    ///
    /// # Errors
    /// What `take` failed with; part of the lines may have been taken.
    pub(super) fn for_each_block<E>(mut self, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        for block in std::mem::take(&mut self.blocks) {
            if !block.is_empty() {
                take(&block)?;
            }
            self.pool.give_back(block);
        }
        Ok(())
    }
}

impl From<Vec<u8>> for LineBatch {
    fn from(line: Vec<u8>) -> Self {
        Self { blocks: vec![line], pool: BufferPool::default(), guard: None }
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
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use super::*;

    /// Adds lines of these lengths; gives what they should read.
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
