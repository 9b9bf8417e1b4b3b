//! A record that later ones are compared with: most fields of a store's records hold what they hold in
//! the record before, and what is the same text is the same JSON, fitted the same way.
//!
//! Nothing here reads JSON or knows a schema.

use crate::json::{Scanner, common};

/// Records between two models. Neighbours are alike, so the model should be near; noting one costs about as
/// much as following it saves.
const PERIOD: u32 = 32;

/// The longest record that becomes a model, in bytes: it is kept by every copier.
const LONGEST: usize = 64 * 1024;

/// The shortest field, with its comma: `"":1,`.
const SHORTEST_FIELD: usize = 5;

/// The text of a record and where its fields are.
#[derive(Debug, Default)]
pub(super) struct Template {
    text: Vec<u8>,
    fields: Vec<TemplateField>,
    /// Fields of the record that is to be the next model.
    candidate: Vec<TemplateField>,
    /// Records to come before the next model.
    left: u32,
}

/// One field of the model.
#[derive(Clone, Copy, Debug)]
struct TemplateField {
    /// Where its name begins.
    start: usize,
    /// While it is noted: what was not yet copied when it began. Then: how far from here on all leaves as
    /// it came and tells nothing.
    reach: usize,
    /// Whether it may be passed over where it leaves as it came.
    is_verbatim: bool,
}

impl Template {
    /// Whether the record that begins is to be noted.
    pub(super) fn begin(&mut self) -> bool {
        self.candidate.clear();
        self.left == 0
    }

    /// Passes the fields from `position` on whose text is that of the model; gives the place behind them.
    #[inline]
    pub(super) fn follow(&self, scanner: &mut Scanner<'_>, position: usize) -> usize {
        let Some(first) = self.fields.get(position) else { return position };
        let Some(template) = self.text.get(first.start..first.reach) else { return position };
        let same = first.start + common(scanner.rest(), template);
        let (mut next, mut passed) = (position, first.start);
        // A field has been passed when the name of the next begins: its value ended there in both.
        while let Some(after) = self.fields.get(next + 1).filter(|after| after.start <= same) {
            (next, passed) = (next + 1, after.start);
        }
        scanner.pass(passed - first.start);
        next
    }

    /// Notes a field that begins at `start`, with what is copied from `pending` on. `is_verbatim` if nothing
    /// but the text depends on it.
    pub(super) fn note(&mut self, start: usize, pending: usize, is_verbatim: bool) {
        // More fields than fit into a model belong to a record that will be none.
        if self.candidate.len() < LONGEST / SHORTEST_FIELD {
            self.candidate.push(TemplateField { start, reach: pending, is_verbatim });
        }
    }

    /// Ends a record; `text` is that of one that was noted, which began at `from`.
    pub(super) fn end(&mut self, candidate: Option<(&[u8], usize)>) {
        let Some((text, from)) = candidate else {
            self.left = self.left.saturating_sub(1);
            return;
        };
        self.left = PERIOD;
        self.text.clear();
        self.fields.clear();
        if text.len() > LONGEST {
            return;
        }
        self.text.extend_from_slice(text);
        std::mem::swap(&mut self.fields, &mut self.candidate);
        // From the last field, which nothing follows, to the first.
        let (mut behind, mut reach) = (None, 0);
        for part in self.fields.iter_mut().rev() {
            let pending = part.reach;
            part.start -= from;
            // Where the pending bytes begin where they did, all of the field leaves as it came.
            if !part.is_verbatim || behind != Some(pending) {
                reach = part.start;
            }
            part.reach = reach;
            behind = Some(pending);
        }
    }
}
