//! Stores and their events, for scenarios.

use std::path::PathBuf;

use crate::fake_store::{Data, RecordedRequest, Stamp};
use crate::harness::setup::Chance;
use crate::scenarios::run::at;

/// Returns rows of one resource at random dates within the last two hours, with small gaps between the ids.
pub(crate) fn scattered(resource: &str, rows: u64, seed: u64) -> Data {
    let mut data = Data::empty();
    let mut chance = Chance::new(seed);
    let mut id = 0;
    for _ in 0..rows {
        id += 1 + i64::try_from(chance.below(3)).unwrap();
        let ms = data.now_ms - i64::try_from(chance.below(7_200_000)).unwrap();
        data.insert_lean(resource, id, at(ms), at(ms - 1000));
    }
    data
}

/// Returns the number of rows of a scenario: a few pages of 20.
pub(crate) fn some_rows(seed: u64) -> u64 {
    90 + seed * 7 % 60
}

/// Removes this folder before a request, counted from 1: files can no longer be written there.
pub(crate) fn removing(folder: PathBuf, request: u32) -> impl FnMut(&mut Data, &RecordedRequest) + Send + 'static {
    let mut requests = 0;
    move |_, _| {
        requests += 1;
        if requests == request {
            std::fs::remove_dir_all(&folder).unwrap();
        }
    }
}

/// Lets up to two seconds pass, and updates one to `most` rows.
pub(crate) fn touch_some(data: &mut Data, resource: &str, chance: &mut Chance, most: u64) {
    data.tick(i64::try_from(chance.below(2_000)).unwrap());
    for _ in 0..=chance.below(most) {
        if let Some(id) = chance.pick(&data.ids(resource)) {
            data.touch(resource, id);
        }
    }
}

/// Updates, inserts and deletes rows before a request.
pub(crate) fn churn(resource: &'static str, seed: u64) -> impl FnMut(&mut Data, &RecordedRequest) + Send + 'static {
    let mut chance = Chance::new(seed ^ 0xc0ffee);
    move |data, _| {
        touch_some(data, resource, &mut chance, 3);
        if chance.below(3) == 0 {
            data.add(resource);
        }
        if chance.below(3) == 0
            && let Some(id) = chance.pick(&data.ids(resource))
        {
            data.delete(resource, id);
        }
    }
}

/// Returns the date of the newest row.
pub(crate) fn newest(data: &Data, resource: &str) -> i64 {
    data.rows(resource).iter().filter_map(|row| row.updated_at.ms()).max().unwrap_or(data.now_ms)
}

/// Gives all rows one date.
pub(crate) fn import(data: &mut Data, resource: &str, date: i64) {
    for id in data.ids(resource) {
        data.touch(resource, id);
        data.set_updated_at(resource, id, Stamp::At(date));
    }
}
