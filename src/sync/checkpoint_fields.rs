//! The parts of a state's JSON, each parsed separately. Parts that are not requested use no memory, and parts that
//! are too large count as absent.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::timestamp::Timestamp;

/// A range of keys that is still to be read: greater than the first, at most the second. `None` means
/// no bound on that side.
pub(super) type Range = (Option<i64>, Option<i64>);

/// Maximum number of separate ranges. A walk leaves one for each of its requests, 32 at most, and one for each row
/// that a store cannot send. Each costs a request, and twice as many of these would take half a day.
const MOST_RANGES: usize = 4_096;

/// Maximum size of a part in bytes: eight times the largest one that any build has written.
const LARGEST_PART: usize = 256 * 1024;

/// Some members of a JSON object, as written in the input.
#[derive(Debug)]
pub(super) struct CheckpointFields<'a>(Vec<(&'a str, &'a RawValue)>);

/// Ranges of keys that do not overlap.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ranges {
    /// The ranges in the order of the input, unless they had to be changed.
    pub list: Vec<Range>,
    /// True if some overlapped.
    pub overlapped: bool,
    /// True if there were too many and some were joined, so that they cover more than the input.
    pub joined: bool,
}

impl<'a> CheckpointFields<'a> {
    /// Returns the members with these names; of equal names, the last one. A value that is not an object has none.
    pub(super) fn of(object: &'a str, names: &'a [&'a str]) -> Self {
        let mut reader = serde_json::Deserializer::from_str(object);
        reader.deserialize_map(Wanted(names)).unwrap_or(Self(Vec::new()))
    }

    /// Returns true if it is an object without members.
    pub(super) fn is_empty_object(object: &str) -> bool {
        object.strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with('}'))
    }

    /// Returns true if the object has any of the members.
    pub(super) fn is_any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Returns a member as written in the input.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.0.iter().rfind(|(known, _)| *known == name).map(|(_, value)| value.get())
    }

    /// Returns a member, unless it is too large.
    pub(super) fn value(&self, name: &str) -> Option<Value> {
        let text = self.text(name).filter(|text| text.len() <= LARGEST_PART)?;
        serde_json::from_str(text).ok()
    }

    /// Returns true if a member is `true`.
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// Returns a member that is a count.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.value(name)?.as_u64()
    }

    /// Returns a member that is a date.
    pub(super) fn date(&self, name: &str) -> Option<Timestamp> {
        Timestamp::parse(self.value(name)?.as_str()?.as_bytes()).ok()
    }

    /// Returns the members about emitted rows, as an object of its own.
    pub(super) fn memory(&self) -> Value {
        let part = |name: &str| Some((name.to_owned(), self.value(name)?));
        Value::Object(["at_cursor", "sent", "recent"].into_iter().filter_map(part).collect::<Map<_, _>>())
    }

    /// Returns a member that is `[[after, end], …]`; `None` if any part is something else.
    pub(super) fn ranges(&self, name: &str) -> Option<Ranges> {
        let (list, joined) = serde_json::Deserializer::from_str(self.text(name)?).deserialize_seq(List).ok()?;
        let (list, overlapped) = apart(list);
        // Joined ranges do not overlap any more.
        Some(Ranges { list, overlapped: overlapped && !joined, joined })
    }
}

/// Collects the members with these names from an object.
struct Wanted<'a>(&'a [&'a str]);

impl<'a> Visitor<'a> for Wanted<'a> {
    type Value = CheckpointFields<'a>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut parts: Vec<(&str, &RawValue)> = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            match self.0.iter().find(|name| **name == key) {
                Some(name) => {
                    let value = map.next_value()?;
                    parts.retain(|(known, _)| known != name);
                    parts.push((name, value));
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(CheckpointFields(parts))
    }
}

/// Collects a list of ranges; joins neighbours whenever there are too many.
struct List;

impl<'de> Visitor<'de> for List {
    type Value = (Vec<Range>, bool);

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("ranges")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let (mut ranges, mut joined) = (Vec::new(), false);
        while let Some(range) = list.next_element::<Range>()? {
            ranges.push(range);
            if ranges.len() >= 2 * MOST_RANGES {
                (ranges, joined) = (halved(ranges), true);
            }
        }
        Ok((ranges, joined))
    }
}

/// Returns the greater of two ends, of which `None` is the greatest.
fn later(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    one.zip(other).map(|(one, other)| one.max(other))
}

/// Joins the ranges in pairs of neighbours.
fn halved(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable_by_key(|&(after, _)| after);
    let joined = |pair: &[Range]| match *pair {
        [(after, one), (_, other)] => Some((after, later(one, other))),
        _ => pair.first().copied(),
    };
    ranges.chunks(2).filter_map(joined).collect()
}

/// Removes from each range the keys of an earlier one. Also returns true if any overlapped.
fn apart(ranges: Vec<Range>) -> (Vec<Range>, bool) {
    let mut sorted = ranges.clone();
    sorted.sort_unstable_by_key(|&(after, _)| after);
    let (mut apart, mut overlapped) = (Vec::with_capacity(sorted.len()), false);
    // The end of the ranges so far.
    let mut reached = Some(None);
    for (after, end) in sorted {
        let Some(so_far) = reached else {
            overlapped = true;
            continue;
        };
        let begin = after.max(so_far);
        overlapped |= begin != after;
        match end {
            Some(end) if begin.is_some_and(|begin| begin >= end) => overlapped = true,
            _ => {
                apart.push((begin, end));
                reached = end.map(Some);
            }
        }
    }
    if overlapped { (apart, true) } else { (ranges, false) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(text: &str) -> Option<Ranges> {
        CheckpointFields::of(&format!("{{\"left\":{text}}}"), &["left"]).ranges("left")
    }

    #[test]
    fn ranges_are_made_apart_where_they_overlap_and_left_as_they_are_otherwise() {
        let list = |text: &str| ranges(text).map(|ranges| (ranges.list, ranges.overlapped)).unwrap();
        let some = |(after, end): (i64, i64)| (Some(after), Some(end));
        assert_eq!(list("[[7,9],[null,7]]"), (vec![some((7, 9)), (None, Some(7))], false));
        assert_eq!(list("[[0,9],[3,5],[5,12]]"), (vec![some((0, 9)), some((9, 12))], true));
        assert_eq!(list("[[0,null],[3,5]]"), (vec![(Some(0), None)], true));
        assert_eq!(list("[[null,null],[null,5],[3,null]]"), (vec![(None, None)], true));
        assert_eq!(list("[[1,2],[1,2]]"), (vec![some((1, 2))], true));
        assert_eq!(list("[[9,3]]"), (vec![], true), "a range of nothing");
        for text in ["5", "[5]", "[[1]]", "[[1,2,3]]", "[[1,2.5]]", "[[\"1\",2]]", "[[1,2]"] {
            assert_eq!(ranges(text), None, "{text}");
        }
    }

    #[test]
    fn too_many_ranges_become_fewer_and_cover_all_of_them() {
        let given: Vec<Range> = (0..50_000).map(|n| (Some(10 * n), Some(10 * n + 3))).collect();
        let Ranges { list, joined, .. } = ranges(&serde_json::to_string(&given).unwrap()).unwrap();
        assert!(joined && list.len() < 2 * MOST_RANGES);
        assert!(list.is_sorted() && list.windows(2).all(|pair| pair[0].1 <= pair[1].0), "apart");
        let covers = |&(after, end): &Range| list.iter().any(|range| range.0 <= after && end <= range.1);
        assert!(given.iter().all(covers));
    }

    #[test]
    fn what_is_not_asked_for_or_too_large_is_passed_over() {
        let long = format!("\"{}\"", "x".repeat(LARGEST_PART));
        let text = format!(r#"{{"a":{{"b":[1]}},"c":1,"c":2,"d":{long}}}"#);
        let parts = CheckpointFields::of(&text, &["c", "d"]);
        assert_eq!((parts.text("a"), parts.number("c"), parts.value("d")), (None, Some(2), None));
        assert!(!CheckpointFields::of("[1]", &["c"]).is_any() && !CheckpointFields::of("{\"c\":", &["c"]).is_any());
        assert!(CheckpointFields::is_empty_object("{ }") && !CheckpointFields::is_empty_object("{\"a\":1}"));
    }
}
