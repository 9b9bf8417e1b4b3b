//! A table that remembers every version of every changed row.

use std::collections::BTreeMap;

/// A moment in the life of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Number of changes made before.
    pub step: u64,
    /// Time of the store's clock, in UNIX seconds.
    pub at: i64,
}

/// Kinds of changes, as a reader of the API can or cannot see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// Sets the change date of the row.
    Stamped,
    /// Does not set the change date of the row, or the row has none.
    Silent,
    /// Takes over older parts of another row: a cart at sign-in.
    Merged,
}

/// A row from one moment until the next version.
#[derive(Clone, Debug)]
pub struct Version<R> {
    /// Moment of the change; the default for rows that were there from the start.
    pub moment: Moment,
    /// Row, or `None` once it is deleted.
    pub row: Option<R>,
    /// Kind of the change.
    pub note: Note,
}

/// Rows by their keys, and their earlier versions.
#[derive(Clone, Debug)]
pub struct Table<K, R> {
    rows: BTreeMap<K, R>,
    /// Every version, the current one included, of the rows that changed.
    past: BTreeMap<K, Vec<Version<R>>>,
}

impl<K, R> Default for Table<K, R> {
    fn default() -> Table<K, R> {
        Table { rows: BTreeMap::new(), past: BTreeMap::new() }
    }
}

impl<K: Ord + Copy, R: Clone> Table<K, R> {
    /// Returns a row.
    pub fn get(&self, key: K) -> Option<&R> {
        self.rows.get(&key)
    }

    /// Returns all rows in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &R)> {
        self.rows.iter()
    }

    /// Returns all keys in order.
    pub fn keys(&self) -> Vec<K> {
        self.rows.keys().copied().collect()
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns true if there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the greatest key that ever existed.
    pub fn greatest(&self) -> Option<K> {
        let keys = [self.rows.last_key_value().map(|(key, _)| *key), self.past.last_key_value().map(|(key, _)| *key)];
        keys.into_iter().flatten().max()
    }

    /// Returns the keys of all rows that ever existed.
    pub fn all_keys(&self) -> Vec<K> {
        let mut keys: Vec<K> = self.rows.keys().chain(self.past.keys()).copied().collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Returns the versions of a row, oldest first.
    pub fn versions(&self, key: K) -> Vec<Version<R>> {
        if let Some(versions) = self.past.get(&key) {
            return versions.clone();
        }
        let start = |row: &R| Version { moment: Moment::default(), row: Some(row.clone()), note: Note::Stamped };
        self.rows.get(&key).map(start).into_iter().collect()
    }

    /// Returns the number of the change that made the current version; 0 for rows that were there from the start.
    pub fn revision(&self, key: K) -> u64 {
        self.past.get(&key).and_then(|versions| versions.last()).map_or(0, |version| version.moment.step)
    }

    /// Puts a row in without a trace, as if it had always been there.
    pub fn seed(&mut self, key: K, row: R) {
        self.rows.insert(key, row);
        self.past.remove(&key);
    }

    /// Inserts or replaces a row.
    pub fn put(&mut self, key: K, row: R, moment: Moment, note: Note) {
        self.remember(key);
        let version = Version { moment, row: Some(row.clone()), note };
        self.past.entry(key).or_default().push(version);
        self.rows.insert(key, row);
    }

    /// Changes a row. Returns false if there is none.
    pub fn change(&mut self, key: K, moment: Moment, note: Note, change: impl FnOnce(&mut R)) -> bool {
        let Some(mut row) = self.rows.get(&key).cloned() else {
            return false;
        };
        change(&mut row);
        self.put(key, row, moment, note);
        true
    }

    /// Deletes a row. Returns it if there was one.
    pub fn delete(&mut self, key: K, moment: Moment) -> Option<R> {
        self.remember(key);
        let row = self.rows.remove(&key)?;
        self.past.entry(key).or_default().push(Version { moment, row: None, note: Note::Silent });
        Some(row)
    }

    fn remember(&mut self, key: K) {
        if let (Some(row), false) = (self.rows.get(&key), self.past.contains_key(&key)) {
            let first = Version { moment: Moment::default(), row: Some(row.clone()), note: Note::Stamped };
            self.past.insert(key, vec![first]);
        }
    }
}
