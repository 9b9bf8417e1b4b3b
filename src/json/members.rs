//! Values without some of the members of their objects. Finding these members takes no further pass: the scanner notes
//! them while it reads the value.

use std::ops::Range;

use super::{Kind, NotJson, Scanner, write_compact};

/// Names of members, compared with names as they are written between quotes.
#[derive(Clone, Debug, Default)]
pub struct MemberNames {
    names: Vec<Vec<u8>>,
    /// Bit n is set if a name has n bytes; bit 63 also stands for longer ones. Most other names differ in their length.
    lengths: u64,
}

impl MemberNames {
    /// Adds a name.
    pub fn add(&mut self, name: &[u8]) {
        self.names.push(name.to_vec());
        self.lengths |= length_bit(name);
    }

    /// Returns true if there are no names.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Returns true if a name without escapes is one of these.
    #[inline]
    pub fn contains(&self, name: &[u8]) -> bool {
        self.lengths & length_bit(name) != 0 && self.names.iter().any(|known| known == name)
    }
}

#[inline]
fn length_bit(name: &[u8]) -> u64 {
    1 << name.len().min(63)
}

/// Receives the members of objects while a value is read.
pub(super) trait Unwanted {
    /// Returns true if a member with this name, as it is written between quotes, is not wanted. `has_escape` is true if
    /// the name is written with an escape.
    fn has(&self, name: &[u8], has_escape: bool) -> bool;
    /// Returns the number of unwanted members noted.
    fn len(&self) -> usize;
    /// Notes the bytes of an unwanted member, in place of all noted after the first `kept` ones: they are inside it.
    fn note(&mut self, kept: usize, member: Range<usize>);
}

/// All members are wanted.
impl Unwanted for () {
    #[inline]
    fn has(&self, _: &[u8], _: bool) -> bool {
        false
    }

    #[inline]
    fn len(&self) -> usize {
        0
    }

    #[inline]
    fn note(&mut self, _: usize, _: Range<usize>) {}
}

/// The members with some names.
struct Named<'n> {
    names: &'n MemberNames,
    found: &'n mut Vec<Range<usize>>,
}

impl Unwanted for Named<'_> {
    #[inline]
    fn has(&self, name: &[u8], has_escape: bool) -> bool {
        if has_escape {
            return unescaped(name).is_some_and(|name| self.names.contains(name.as_bytes()));
        }
        self.names.contains(name)
    }

    #[inline]
    fn len(&self) -> usize {
        self.found.len()
    }

    fn note(&mut self, kept: usize, member: Range<usize>) {
        self.found.truncate(kept);
        self.found.push(member);
    }
}

#[cold]
fn unescaped(name: &[u8]) -> Option<String> {
    serde_json::from_slice(&[b"\"", name, b"\""].concat()).ok()
}

impl Scanner<'_> {
    /// Reads a value like [`Scanner::value`], and sets `found` to the members with these names at any depth, in their
    /// order: the bytes from the name to the end of the value. One inside another is not listed.
    ///
    /// # Errors
    /// Those of [`Scanner::value`].
    #[inline]
    pub fn value_with(&mut self, names: &MemberNames, found: &mut Vec<Range<usize>>) -> Result<(Kind, bool), NotJson> {
        found.clear();
        self.value_noting(&mut Named { names, found })
    }
}

/// Appends a value that was read with [`Scanner::value_with`], without the members that it found, on one line. The
/// value begins at `start` of what was scanned. `spaced` is what the scanner returned.
pub fn write_without(
    value: &[u8],
    start: usize,
    spaced: bool,
    names: &MemberNames,
    found: &mut Vec<Range<usize>>,
    out: &mut Vec<u8>,
) {
    if !spaced {
        return write_parts(value, start, found, out);
    }
    let mut compact = Vec::with_capacity(value.len());
    write_compact(value, &mut compact);
    // It was read before, so it is JSON.
    let _read = Scanner::new(&compact).value_with(names, found);
    write_parts(&compact, 0, found, out);
}

/// Appends a value without white space, and without these members and the commas that separate them.
fn write_parts(value: &[u8], start: usize, left_out: &[Range<usize>], out: &mut Vec<u8>) {
    let mut position = 0;
    for member in left_out {
        let (from, to) = (member.start - start, member.end - start);
        out.extend_from_slice(value.get(position..from).unwrap_or_default());
        position = to;
        if out.last() == Some(&b',') {
            out.pop();
        } else if value.get(to) == Some(&b',') {
            position += 1;
        }
    }
    out.extend_from_slice(value.get(position..).unwrap_or_default());
}
