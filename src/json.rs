//! A validating scanner over JSON: finds the end and the type of each value without building it.
//!
//! Records are copied as bytes, so that no digit of a number changes. Nothing here depends on records, pages or the
//! protocol. Other JSON, such as the configuration, is parsed with `serde_json`.

mod members;

use serde_json::Value;

use members::Unwanted;
pub use members::{MemberNames, write_without};

/// Levels to which arrays and objects may nest: with the message around a record, within the 128 levels at which
/// `serde_json` and others stop.
pub(crate) const MAX_DEPTH: usize = 120;

/// Type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean,
    /// A number without a fraction or an exponent.
    Integer,
    /// A number with a fraction or an exponent.
    Decimal,
    /// A string.
    Text,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// Error: invalid JSON. The field is the offset of the first invalid byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotJson(pub usize);

/// A position in JSON that is known to be UTF-8.
#[derive(Clone, Copy, Debug)]
pub struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    too_deep: bool,
    /// True if the last string had half of a surrogate pair.
    has_lone_surrogate: bool,
    /// True if the last string had an escape.
    has_escape: bool,
}

impl<'a> Scanner<'a> {
    /// Starts at the first byte of `text`, which must be UTF-8.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, too_deep: false, has_lone_surrogate: false, has_escape: false }
    }

    /// Returns the offset of the next byte.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Returns the bytes from `from` to before the next byte.
    pub fn since(&self, from: usize) -> &'a [u8] {
        self.text.get(from..self.at).unwrap_or_default()
    }

    /// Returns the next byte and all after it.
    pub fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Skips `count` bytes, which are known already.
    pub fn pass(&mut self, count: usize) {
        self.at = self.text.len().min(self.at + count);
    }

    /// Returns the next byte without consuming it.
    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Returns the error for the next byte.
    pub fn fault(&self) -> NotJson {
        NotJson(self.at)
    }

    /// Returns true if the scanner stopped at a value that is valid but nests too deep.
    pub fn is_too_deep(&self) -> bool {
        self.too_deep
    }

    /// Returns true if the last string had half of a surrogate pair, such as `\ud800` alone: an escape for no
    /// character, which many parsers refuse. [`write_compact`] replaces it.
    #[inline]
    pub fn had_lone_surrogate(&self) -> bool {
        self.has_lone_surrogate
    }

    /// Skips white space; returns true if there was any.
    pub fn skip_space(&mut self) -> bool {
        let from = self.at;
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
        self.at != from
    }

    /// Consumes the byte if it is the next one.
    pub fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Consumes the byte, which must be the next one.
    pub fn require(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.take(byte) { Ok(()) } else { Err(self.fault()) }
    }

    /// Consumes `bytes` if they are next.
    #[inline]
    pub fn take_all(&mut self, bytes: &[u8]) -> bool {
        let found = self.text.get(self.at..self.at + bytes.len()).is_some_and(|next| same(next, bytes));
        if found {
            self.at += bytes.len();
        }
        found
    }

    /// Reads a string; returns the bytes between its quotes, escapes unchanged.
    ///
    /// # Errors
    /// [`NotJson`] if the next value is not a string.
    #[inline]
    pub fn text(&mut self) -> Result<&'a [u8], NotJson> {
        self.require(b'"')?;
        self.has_lone_surrogate = false;
        self.has_escape = false;
        let from = self.at;
        loop {
            self.skip_plain();
            match self.peek() {
                Some(b'"') => {
                    let inside = self.since(from);
                    self.at += 1;
                    return Ok(inside);
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(self.fault()),
            }
        }
    }

    /// Skips bytes that are neither a quote, a backslash nor a control character, eight at a time.
    #[inline]
    fn skip_plain(&mut self) {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGHS: u64 = 0x8080_8080_8080_8080;
        while let Some(chunk) = self.text.get(self.at..self.at + 8) {
            let mut eight = [0u8; 8];
            eight.copy_from_slice(chunk);
            let word = u64::from_le_bytes(eight);
            // The usual test for a zero byte after XOR, and for a byte below 0x20; bytes of 0x80 and
            // above are masked out so that UTF-8 text stays on the fast path.
            let quote = word ^ (ONES * u64::from(b'"'));
            let slash = word ^ (ONES * u64::from(b'\\'));
            let hit = (quote.wrapping_sub(ONES) & !quote)
                | (slash.wrapping_sub(ONES) & !slash)
                | (word.wrapping_sub(ONES * 0x20) & !word);
            let hit = hit & HIGHS;
            if hit != 0 {
                // A borrow can only cause a false match after the first true match, so the first match is true.
                self.at += (hit.trailing_zeros() / 8) as usize;
                return;
            }
            self.at += 8;
        }
        while let Some(byte) = self.peek() {
            if byte == b'"' || byte == b'\\' || byte < 0x20 {
                return;
            }
            self.at += 1;
        }
    }

    fn escape(&mut self) -> Result<(), NotJson> {
        self.has_escape = true;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                match self.hex()? {
                    0xd800..0xdc00 if self.second_half() => self.at += 6,
                    0xd800..0xe000 => self.has_lone_surrogate = true,
                    _ => {}
                }
            }
            _ => return Err(self.fault()),
        }
        Ok(())
    }

    /// Reads the four digits of an escape.
    fn hex(&mut self) -> Result<u32, NotJson> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.fault())?;
            self.at += 1;
        }
        Ok(code)
    }

    /// Returns true if the second half of a surrogate pair is next.
    fn second_half(&self) -> bool {
        let next = self.text.get(self.at..self.at + 6).unwrap_or_default();
        next.starts_with(b"\\u")
            && matches!(next[2], b'd' | b'D')
            && matches!(next[3].to_ascii_lowercase(), b'c'..=b'f')
            && next[4..].iter().all(u8::is_ascii_hexdigit)
    }

    /// Reads a number.
    fn number(&mut self) -> Result<Kind, NotJson> {
        self.take(b'-');
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.fault()),
        }
        let mut kind = Kind::Integer;
        if self.take(b'.') {
            self.digits()?;
            kind = Kind::Decimal;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
            kind = Kind::Decimal;
        }
        Ok(kind)
    }

    fn digits(&mut self) -> Result<(), NotJson> {
        let from = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == from { Err(self.fault()) } else { Ok(()) }
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<Kind, NotJson> {
        if self.take_all(word) { Ok(kind) } else { Err(self.fault()) }
    }

    /// Reads a value. The second part is true if [`write_compact`] would change it: it has white space outside its
    /// strings, or half of a surrogate pair.
    ///
    /// # Errors
    /// [`NotJson`] if no value is next, or it nests deeper than `MAX_DEPTH`.
    #[inline]
    pub fn value(&mut self) -> Result<(Kind, bool), NotJson> {
        self.value_noting(&mut ())
    }

    /// Reads a value, and notes the members of its objects that are not wanted.
    #[inline]
    fn value_noting(&mut self, unwanted: &mut impl Unwanted) -> Result<(Kind, bool), NotJson> {
        match self.peek() {
            Some(b'"') => {
                self.text()?;
                Ok((Kind::Text, self.had_lone_surrogate()))
            }
            Some(b'-' | b'0'..=b'9') => self.number().map(|kind| (kind, false)),
            Some(b'n') => self.word(b"null", Kind::Null).map(|kind| (kind, false)),
            Some(b't') => self.word(b"true", Kind::Boolean).map(|kind| (kind, false)),
            Some(b'f') => self.word(b"false", Kind::Boolean).map(|kind| (kind, false)),
            Some(b'[') => self.container(0, unwanted).map(|spaced| (Kind::Array, spaced)),
            Some(b'{') => self.container(0, unwanted).map(|spaced| (Kind::Object, spaced)),
            _ => Err(self.fault()),
        }
    }

    /// Reads an array or object; returns true if it has white space outside its strings.
    fn container(&mut self, depth: usize, unwanted: &mut impl Unwanted) -> Result<bool, NotJson> {
        if depth == MAX_DEPTH {
            self.too_deep = true;
            return Err(self.fault());
        }
        let is_object = self.take(b'{');
        if !is_object {
            self.require(b'[')?;
        }
        let close = if is_object { b'}' } else { b']' };
        let mut spaced = self.skip_space();
        if self.take(close) {
            return Ok(spaced);
        }
        loop {
            let (from, noted) = (self.at, unwanted.len());
            let mut is_unwanted = false;
            if is_object {
                let name = self.text()?;
                is_unwanted = unwanted.has(name, self.has_escape);
                spaced |= self.had_lone_surrogate();
                spaced |= self.skip_space();
                self.require(b':')?;
                spaced |= self.skip_space();
            }
            spaced |= match self.peek() {
                Some(b'{' | b'[') => self.container(depth + 1, unwanted)?,
                _ => self.value()?.1,
            };
            if is_unwanted {
                unwanted.note(noted, from..self.at);
            }
            spaced |= self.skip_space();
            if self.take(close) {
                return Ok(spaced);
            }
            self.require(b',')?;
            spaced |= self.skip_space();
        }
    }
}

/// Compares two short slices of the same length, eight bytes at a time and without a call.
#[inline]
fn same(one: &[u8], other: &[u8]) -> bool {
    let (ones, ones_rest) = one.as_chunks::<8>();
    let (others, others_rest) = other.as_chunks::<8>();
    if let (Some(last), Some(other_last)) = (one.last_chunk::<8>(), other.last_chunk::<8>()) {
        // The last eight may overlap with those before.
        return ones.iter().zip(others).all(|(one, other)| u64::from_le_bytes(*one) == u64::from_le_bytes(*other))
            && u64::from_le_bytes(*last) == u64::from_le_bytes(*other_last);
    }
    ones_rest.iter().zip(others_rest).all(|(one, other)| one == other)
}

/// Returns the length of the common beginning, comparing eight bytes at a time.
#[inline]
pub fn common(one: &[u8], other: &[u8]) -> usize {
    let (ones, ones_rest) = one.as_chunks::<8>();
    let (others, others_rest) = other.as_chunks::<8>();
    let mut same = 0;
    for (one, other) in ones.iter().zip(others) {
        let differ = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
        if differ != 0 {
            return same + (differ.trailing_zeros() / 8) as usize;
        }
        same += 8;
    }
    // The shorter has fewer than eight left.
    let (one, other) = (one.get(same..).unwrap_or(ones_rest), other.get(same..).unwrap_or(others_rest));
    same + one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// Appends `value`, which must be valid JSON, on one line: without white space outside its strings, and with U+FFFD
/// instead of each half of a surrogate pair.
pub fn write_compact(value: &[u8], out: &mut Vec<u8>) {
    let mut scanner = Scanner::new(value);
    while let Some(byte) = scanner.peek() {
        let from = scanner.position();
        if byte == b'"' {
            let Ok(inside) = scanner.text() else { return };
            if scanner.had_lone_surrogate() {
                write_repaired(inside, out);
                continue;
            }
        } else if scanner.skip_space() {
            continue;
        } else {
            scanner.take(byte);
        }
        out.extend_from_slice(scanner.since(from));
    }
}

/// Returns the names, as they are written, and the values of a JSON object.
pub fn members(object: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut scanner = Scanner::new(object);
    let mut members = Vec::new();
    scanner.skip_space();
    if !scanner.take(b'{') {
        return members;
    }
    loop {
        scanner.skip_space();
        scanner.take(b',');
        scanner.skip_space();
        let Ok(name) = scanner.text() else { return members };
        scanner.skip_space();
        scanner.take(b':');
        scanner.skip_space();
        let from = scanner.position();
        if scanner.value().is_err() {
            return members;
        }
        members.push((name, scanner.since(from)));
    }
}

/// Returns the value of a member of a JSON object.
pub fn member<'o>(object: &'o [u8], name: &str) -> Option<&'o [u8]> {
    members(object).into_iter().find(|(known, _)| *known == name.as_bytes()).map(|(_, value)| value)
}

/// Appends a string, given without its quotes, with U+FFFD instead of each half of a surrogate pair.
fn write_repaired(inside: &[u8], out: &mut Vec<u8>) {
    let mut scanner = Scanner::new(inside);
    out.push(b'"');
    loop {
        let from = scanner.position();
        scanner.skip_plain();
        out.extend_from_slice(scanner.since(from));
        let from = scanner.position();
        scanner.has_lone_surrogate = false;
        if scanner.peek().is_none() || scanner.escape().is_err() {
            break;
        }
        if scanner.had_lone_surrogate() {
            out.extend_from_slice(b"\\ufffd");
        } else {
            out.extend_from_slice(scanner.since(from));
        }
    }
    out.push(b'"');
}

/// Returns true if `text` is exactly one JSON number.
pub fn is_json_number(text: &[u8]) -> bool {
    let mut scanner = Scanner::new(text);
    scanner.number().is_ok() && scanner.position() == text.len()
}

/// Returns the type of a value with its article, for messages.
pub fn value_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests;
