//! Records inside a field of a record: the nested collections that `expand` requests.

use super::{FieldIssue, NotARecord, RecordWriter};
use crate::json::{self, NotJson, Scanner};

impl RecordWriter {
    /// Copies a record, or a list of records, in a field.
    pub(super) fn inside(&mut self, scanner: &mut Scanner<'_>, index: usize, out: &mut Vec<u8>) -> Result<(), NotJson> {
        let Some(nested) = self.nested.get_mut(&index) else { return scanner.value().map(drop) };
        if scanner.peek() == Some(b'{') {
            nested.element(scanner, out)?;
        } else {
            scanner.require(b'[')?;
            out.push(b'[');
            scanner.skip_space();
            let mut first = true;
            while !scanner.take(b']') {
                if !std::mem::take(&mut first) {
                    scanner.require(b',')?;
                    out.push(b',');
                    scanner.skip_space();
                }
                nested.element(scanner, out)?;
                scanner.skip_space();
            }
            out.push(b']');
        }
        let issues = std::mem::take(&mut nested.issues);
        if issues.is_empty() {
            return Ok(());
        }
        let outer = self.get(index).name.clone();
        // Only at top level does a platform drop what is not declared.
        self.issues.extend(issues.into_iter().filter_map(|issue| match issue {
            FieldIssue::TypeMismatch(field, declared, came) => {
                Some(FieldIssue::TypeMismatch(format!("{outer}.{field}"), declared, came))
            }
            FieldIssue::PlaceholderDate(field) => Some(FieldIssue::PlaceholderDate(format!("{outer}.{field}"))),
            FieldIssue::Undeclared(_)
            | FieldIssue::Dropped(_)
            | FieldIssue::Further(_)
            | FieldIssue::Filled(_)
            | FieldIssue::Unfilled(_) => None,
        }));
        Ok(())
    }

    /// Notes which of the requested collections the current record has: the API ignores names that it does not know,
    /// and omits collections that a row does not have.
    pub(super) fn note_collections(&mut self) {
        for &index in self.nested.keys() {
            let Some(entry) = self.record_schema.entries.get(&index) else { continue };
            let Some((filled, unfilled)) = self.reported_filled.get_mut(index) else { continue };
            if self.filled.contains(&index) {
                if !std::mem::replace(filled, true) {
                    self.issues.push(FieldIssue::Filled(entry.clone()));
                }
            } else if !std::mem::replace(unfilled, true) {
                self.issues.push(FieldIssue::Unfilled(entry.clone()));
            }
        }
        self.filled.clear();
    }

    /// Copies an element of a nested collection; one that is not an object is copied unchanged.
    fn element(&mut self, scanner: &mut Scanner<'_>, out: &mut Vec<u8>) -> Result<(), NotJson> {
        if scanner.peek() == Some(b'{') {
            return match self.copy(scanner, out) {
                Ok(_) => Ok(()),
                Err(NotARecord::Json(fault)) => Err(fault),
                Err(NotARecord::NotAnObject) => Err(scanner.fault()),
            };
        }
        let from = scanner.position();
        scanner.value()?;
        json::write_compact(scanner.since(from), out);
        Ok(())
    }
}
