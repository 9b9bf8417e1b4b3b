//! A row or record as it is written: its text, and where its fields are. Compared by the hundred thousand, so it has two
//! allocations and not one for each field.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

/// An object whose values are kept as they are written.
#[derive(Clone, Default)]
pub(crate) struct Row {
    /// The object, followed by those names that are written with escapes, without them.
    text: String,
    /// Where each name and its value are in the text, ordered by name.
    fields: Vec<(Range<usize>, Range<usize>)>,
}

impl Row {
    /// Parses an object.
    pub(crate) fn parse(text: &str) -> Option<Row> {
        let mut row = Row { text: text.to_owned(), fields: Vec::new() };
        let mut deserializer = serde_json::Deserializer::from_str(text);
        deserializer.deserialize_map(Fields { text, row: &mut row }).ok()?;
        deserializer.end().ok()?;
        let Row { text, fields } = &mut row;
        fields.sort_by(|(one, _), (other, _)| text[one.clone()].cmp(&text[other.clone()]));
        // The last one of a name counts.
        fields.dedup_by(|(later, value), (name, earlier)| {
            let is_same = text[later.clone()] == text[name.clone()];
            if is_same {
                earlier.clone_from(value);
            }
            is_same
        });
        Some(row)
    }

    /// Returns the value of a field as it is written.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let place = self.fields.binary_search_by(|(field, _)| self.text[field.clone()].cmp(name)).ok()?;
        Some(&self.text[self.fields[place].1.clone()])
    }

    /// Returns all fields, ordered by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (&self.text[name.clone()], &self.text[value.clone()]))
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

/// Collects the fields of a row.
struct Fields<'r> {
    text: &'r str,
    row: &'r mut Row,
}

impl Fields<'_> {
    /// Returns where a part of the text is.
    fn place(&self, part: &str) -> Range<usize> {
        let start = part.as_ptr() as usize - self.text.as_ptr() as usize;
        start..start + part.len()
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Name<'de>>()? {
            let name = match name.0 {
                Cow::Borrowed(name) => self.place(name),
                Cow::Owned(name) => {
                    self.row.text.push_str(&name);
                    self.row.text.len() - name.len()..self.row.text.len()
                }
            };
            let value = self.place(map.next_value::<&RawValue>()?.get());
            self.row.fields.push((name, value));
        }
        Ok(())
    }
}

/// A name, borrowed from the text unless it has escapes.
#[derive(serde::Deserialize)]
struct Name<'t>(#[serde(borrow)] Cow<'t, str>);
