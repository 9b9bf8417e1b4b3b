//! What happens in the store between the two reads.

use std::collections::{BTreeMap, BTreeSet};

use fake_store::{Data, FakeStore, resource};

use crate::keys;
use crate::source::Stream;

/// The rows that changed, by resource.
#[derive(Default)]
pub(crate) struct Changes {
    /// Rows with new values.
    pub(crate) touched: BTreeMap<&'static str, Vec<i64>>,
    /// New rows.
    pub(crate) added: BTreeMap<&'static str, Vec<i64>>,
    /// Rows that are no longer there.
    pub(crate) deleted: BTreeMap<&'static str, Vec<i64>>,
}

impl Changes {
    /// Returns the keys that the next read has to return: the changed and the deleted rows, and all rows of a stream
    /// that is read in full each time.
    ///
    /// # Errors
    /// A sentence, if the store lacks a stream.
    pub(crate) fn expected(
        &self,
        store: &FakeStore,
        streams: &[Stream],
    ) -> Result<BTreeMap<String, Vec<String>>, String> {
        let mut expected = BTreeMap::new();
        for Stream { name, incremental, .. } in streams {
            let all = keys(store, name)?;
            let Some(of) = resource(name).filter(|_| *incremental) else {
                expected.insert(name.clone(), all);
                continue;
            };
            let kinds = [&self.touched, &self.added, &self.deleted];
            let changed = kinds.into_iter().filter_map(|rows| rows.get(name.as_str())).flatten();
            expected.insert(name.clone(), changed.map(|id| of.key_json(*id)).collect());
        }
        Ok(expected)
    }

    /// Returns the streams in which something changed.
    pub(crate) fn streams(&self) -> BTreeSet<&'static str> {
        [&self.touched, &self.added, &self.deleted].into_iter().flat_map(BTreeMap::keys).copied().collect()
    }

    /// Describes the changes of one stream: "3 changed, 1 added".
    pub(crate) fn text(&self, stream: &str) -> String {
        let kinds = [("changed", &self.touched), ("added", &self.added), ("deleted", &self.deleted)];
        let parts = kinds.into_iter().filter_map(|(what, rows)| Some(format!("{} {what}", rows.get(stream)?.len())));
        parts.collect::<Vec<_>>().join(", ")
    }

    /// Describes all changes, a line for each stream.
    pub(crate) fn lines(&self) -> String {
        let lines = self.streams().into_iter().map(|stream| format!("  {stream:<16} {}", self.text(stream)));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Makes a minute of business: some rows change, some are added, one is deleted.
pub(crate) fn change(data: &mut Data) -> Changes {
    let mut changes = Changes::default();
    data.tick(60_000);
    for (resource, rows) in
        [("customers", 2), ("orders", 3), ("order_items", 2), ("order_statuses", 1), ("products", 1)]
    {
        let ids = data.ids(resource);
        // Spread over the table: each is the first of an equal part.
        let chosen: Vec<i64> = (0..rows).filter_map(|n| ids.get(n * ids.len() / rows).copied()).collect();
        for id in &chosen {
            data.touch(resource, *id);
        }
        changes.touched.insert(resource, chosen);
    }
    for resource in ["customers", "addresses", "orders", "order_items", "order_payments"] {
        let added = vec![data.add(resource)];
        changes.added.insert(resource, added);
    }
    if let Some(id) = data.ids("order_payments").first().copied() {
        data.delete("order_payments", id);
        changes.deleted.insert("order_payments", vec![id]);
    }
    changes
}
