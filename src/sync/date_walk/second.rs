//! Reads the rows of one second, where a page is too small for them or cannot be read. Pure.
//!
//! The keys come from short rows, all in one response, and the complete rows from lists of keys. A list that cannot be
//! read is halved until one key is left: the row that the store cannot send.
//!
//! If the short rows cannot be read either, nothing but positions is left. The rows are requested in blocks of
//! positions, and a block that cannot be read is halved. Rows move between positions when others are deleted or added,
//! so the blocks are read again until two passes find the same. A row that cannot be read has a key between those of
//! its neighbours, which lists of the keys between them find.

use std::collections::{HashMap, HashSet};

use super::{Accepted, Answer, Gap, Limits, RowFacts, Step, Unexpected, Window, check_dates};

/// Maximum number of positions in a pass that cannot be read. Where more fail there is another fault than damaged rows.
const MOST_UNREADABLE: usize = 20;

/// Maximum number of passes over the positions. Two are enough unless rows of this very second change meanwhile.
const MOST_PASSES: u32 = 4;

/// A list of keys to request.
#[derive(Debug)]
struct KeyList {
    keys: Vec<i64>,
    /// True if the keys are guesses, so that only rows of the second count.
    is_guess: bool,
    /// True if it is a part of a list that could not be read.
    is_part: bool,
}

/// A block of positions: page `page` with `size` rows per page.
#[derive(Clone, Copy, Debug)]
struct Block {
    size: usize,
    page: u64,
}

/// A pass over the positions of the second.
#[derive(Debug)]
struct Pass {
    /// Blocks to read, the next one last.
    blocks: Vec<Block>,
    /// The last block that is not a part of another one.
    reached: Block,
    /// The keys in their order; `None` for a row that cannot be read.
    found: Vec<Option<i64>>,
}

impl Pass {
    fn new() -> Self {
        // Most seconds have one row, so the first blocks are small.
        let first = Block { size: 1, page: 1 };
        Self { blocks: vec![first], reached: first, found: Vec::new() }
    }

    /// Returns the block after the last one, with twice its size if the positions allow it.
    fn following(&self, most: usize) -> Block {
        let Block { size, page } = self.reached;
        match page {
            2 if size * 2 <= most => Block { size: size * 2, page },
            _ => Block { size, page: page + 1 },
        }
    }

    fn unreadable(&self) -> usize {
        self.found.iter().filter(|key| key.is_none()).count()
    }
}

#[derive(Debug)]
enum Phase {
    /// Requests the keys.
    Short,
    /// Requests lists of keys, the last one first.
    Lists(Vec<KeyList>),
    /// Requests blocks of positions.
    Positions(Pass),
}

/// A read of the rows of one second.
#[derive(Debug)]
pub(super) struct SecondRead {
    window: Window,
    limits: Limits,
    /// Rows of this second that were read.
    seen: HashMap<i64, u64>,
    /// Key of a row before this second.
    key_before: Option<i64>,
    greatest_key: Option<i64>,
    phase: Phase,
    /// Length of the shortest part of the current list that could not be read.
    too_long: Option<usize>,
    /// True if a row of the current list cannot be read.
    has_gap: bool,
    /// The result of the last pass over the positions.
    last_pass: Option<Vec<Option<i64>>>,
    passes: u32,
    /// Number of rows that cannot be read and whose key is not known.
    unnamed: usize,
    is_done: bool,
}

impl SecondRead {
    /// Returns a read of a second of which the rows `seen` have been read. `key_before` is the key of a row before it.
    pub(super) fn new(window: Window, limits: Limits, seen: HashMap<i64, u64>, key_before: Option<i64>) -> Self {
        Self {
            window,
            limits,
            greatest_key: seen.keys().copied().max(),
            seen,
            key_before,
            phase: Phase::Short,
            too_long: None,
            has_gap: false,
            last_pass: None,
            passes: 0,
            unnamed: 0,
            is_done: false,
        }
    }

    /// Returns the second.
    pub(super) fn window(&self) -> Window {
        self.window
    }

    /// Returns true if all rows were read or reported.
    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    /// Returns the greatest key of its rows, if it has any.
    pub(super) fn greatest_key(&self) -> Option<i64> {
        self.greatest_key
    }

    /// Returns the next request.
    pub(super) fn next(&self) -> Step {
        match &self.phase {
            Phase::Short => Step::Short(self.window),
            Phase::Lists(lists) => lists.last().map_or(Step::Done, |list| Step::Keys {
                keys: list.keys.clone(),
                window: list.is_guess.then_some(self.window),
            }),
            Phase::Positions(pass) => pass.blocks.last().map_or(Step::Done, |block| Step::Rows {
                window: Some(self.window),
                rows: block.size,
                page: block.page,
            }),
        }
    }

    /// Takes the response to the last request.
    ///
    /// # Errors
    /// [`Unexpected`] if the response has other rows than requested.
    pub(super) fn answered(&mut self, answer: Answer<'_>) -> Result<Accepted, Unexpected> {
        let mut accepted = Accepted::default();
        match &mut self.phase {
            Phase::Short => match answer {
                Answer::Rows { elements, .. } => {
                    check_dates(elements, Some(self.window))?;
                    accepted.is_new = vec![false; elements.len()];
                    self.phase = Phase::Lists(self.lists_of(elements));
                }
                Answer::Unreadable => self.phase = Phase::Positions(Pass::new()),
            },
            Phase::Lists(lists) => {
                if let Some(list) = lists.pop() {
                    self.list_answered(&list, answer, &mut accepted)?;
                    self.shorten_next_list();
                }
            }
            Phase::Positions(_) => self.block_answered(answer, &mut accepted)?,
        }
        if matches!(&self.phase, Phase::Lists(lists) if lists.is_empty()) {
            self.is_done = true;
            accepted.gaps.extend((self.unnamed > 0).then_some(Gap::Second(self.window.from)));
        }
        Ok(accepted)
    }

    /// Returns lists with the keys of rows that were not read yet.
    fn lists_of(&self, elements: &[Option<RowFacts>]) -> Vec<KeyList> {
        let keys = elements.iter().flatten().map(|row| row.key);
        let mut keys: Vec<i64> = keys.filter(|key| !self.seen.contains_key(key)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.chunks(self.limits.keys)
            .rev()
            .map(|keys| KeyList { keys: keys.to_vec(), is_guess: false, is_part: false })
            .collect()
    }

    fn list_answered(&mut self, list: &KeyList, answer: Answer<'_>, accepted: &mut Accepted) -> Result<(), Unexpected> {
        match answer {
            // With fewer rows than keys requested, the list may be cut off.
            Answer::Rows { elements, requested } if requested == 0 || requested >= list.keys.len() => {
                let keys: HashSet<i64> = list.keys.iter().copied().collect();
                if let Some(row) = elements.iter().flatten().find(|row| !keys.contains(&row.key)) {
                    return Err(Unexpected::OtherKey(row.key));
                }
                let window = self.window;
                accepted.is_new = self.take_new(elements, |row| !list.is_guess || window.contains(row.date));
            }
            Answer::Rows { .. } | Answer::Unreadable => {
                let Phase::Lists(lists) = &mut self.phase else { return Ok(()) };
                if let [key] = list.keys[..] {
                    self.unnamed = self.unnamed.saturating_sub(usize::from(list.is_guess));
                    self.greatest_key = self.greatest_key.max(Some(key));
                    self.has_gap = true;
                    accepted.gaps.push(Gap::Row { key, date: self.window.from });
                    return Ok(());
                }
                let (first, second) = list.keys.split_at(list.keys.len() / 2);
                let is_guess = list.is_guess;
                lists.extend([second, first].map(|keys| KeyList { keys: keys.to_vec(), is_guess, is_part: true }));
                let length = list.keys.len();
                self.too_long = Some(self.too_long.map_or(length, |shortest| shortest.min(length)));
            }
        }
        Ok(())
    }

    /// Divides the next list if the last one was too long for the store: all of its rows were read in parts.
    fn shorten_next_list(&mut self) {
        let Phase::Lists(lists) = &mut self.phase else { return };
        if lists.last().is_some_and(|next| next.is_part) {
            return;
        }
        if let Some(length) = self.too_long.take().filter(|_| !self.has_gap) {
            self.limits.keys = length.div_ceil(2);
        }
        self.has_gap = false;
        let most = self.limits.keys;
        if lists.last().is_some_and(|next| next.keys.len() > most)
            && let Some(KeyList { keys, is_guess, is_part }) = lists.pop()
        {
            let (first, rest) = keys.split_at(most);
            lists.extend([rest, first].map(|keys| KeyList { keys: keys.to_vec(), is_guess, is_part }));
        }
    }

    /// Returns for each element if it is a row that did not come before, and remembers these rows.
    fn take_new(&mut self, elements: &[Option<RowFacts>], is_requested: impl Fn(&RowFacts) -> bool) -> Vec<bool> {
        let requested = elements.iter().map(|element| element.filter(&is_requested)).collect::<Vec<_>>();
        let mut is_new = |row: RowFacts| {
            self.greatest_key = self.greatest_key.max(Some(row.key));
            self.seen.insert(row.key, row.hash) != Some(row.hash)
        };
        requested.into_iter().map(|row| row.is_some_and(&mut is_new)).collect()
    }

    fn block_answered(&mut self, answer: Answer<'_>, accepted: &mut Accepted) -> Result<(), Unexpected> {
        let Phase::Positions(pass) = &mut self.phase else { return Ok(()) };
        let Some(block) = pass.blocks.pop() else { return Ok(()) };
        let mut is_end = false;
        match answer {
            Answer::Rows { elements, requested } if requested == 0 || requested >= block.size => {
                check_dates(elements, Some(self.window))?;
                pass.found.extend(elements.iter().flatten().map(|row| Some(row.key)));
                is_end = elements.len() < block.size;
                accepted.is_new = self.take_new(elements, |_| true);
            }
            Answer::Rows { .. } | Answer::Unreadable if block.size > 1 => {
                let (size, page) = (block.size / 2, block.page * 2);
                pass.blocks.extend([Block { size, page }, Block { size, page: page - 1 }]);
            }
            Answer::Rows { .. } | Answer::Unreadable => pass.found.push(None),
        }
        let Phase::Positions(pass) = &mut self.phase else { return Ok(()) };
        if is_end || pass.unreadable() > MOST_UNREADABLE {
            self.end_pass();
        } else if pass.blocks.is_empty() {
            pass.reached = pass.following(self.limits.rows);
            pass.blocks.push(pass.reached);
        }
        Ok(())
    }

    /// Begins another pass, or looks for the keys of the rows that cannot be read if the last two found the same.
    fn end_pass(&mut self) {
        let Phase::Positions(pass) = &mut self.phase else { return };
        let unreadable = pass.unreadable();
        let found = std::mem::take(&mut pass.found);
        self.passes += 1;
        let is_stable = self.last_pass.as_ref() == Some(&found);
        if !is_stable && self.passes < MOST_PASSES && unreadable <= MOST_UNREADABLE {
            self.last_pass = Some(found);
            self.phase = Phase::Positions(Pass::new());
            return;
        }
        // Rows of a second that changes all the time, or of which nothing can be read, may be missing.
        let is_complete = is_stable && unreadable <= MOST_UNREADABLE;
        self.unnamed = if is_complete { unreadable } else { usize::MAX };
        self.phase = Phase::Lists(if is_complete { self.guesses(&found) } else { Vec::new() });
    }

    /// Returns lists of the keys that the rows which cannot be read may have: those between their neighbours.
    fn guesses(&self, found: &[Option<i64>]) -> Vec<KeyList> {
        let most = i64::try_from(self.limits.keys).unwrap_or(i64::MAX);
        let mut lists = Vec::new();
        let mut below = self.key_before;
        for (place, key) in found.iter().enumerate() {
            let is_first = place == 0 || found[place - 1].is_some();
            if key.is_none() && is_first {
                let above = found[place..].iter().flatten().next().copied();
                let (first, last) = match (below, above) {
                    (None, Some(above)) => (above.saturating_sub(most), above.saturating_sub(1)),
                    (below, above) => {
                        // Keys begin at 1.
                        let first = below.unwrap_or(0).saturating_add(1);
                        let end = first.saturating_add(most - 1);
                        (first, above.map_or(end, |above| end.min(above.saturating_sub(1))))
                    }
                };
                lists.push(KeyList { keys: (first..=last).collect(), is_guess: true, is_part: false });
            }
            below = key.or(below);
        }
        lists.retain(|list| !list.keys.is_empty());
        lists
    }
}
