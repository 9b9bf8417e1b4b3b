//! Properties of the memory that apply to all rows in any order.

use proptest::prelude::*;

use super::*;

/// Returns the hash of a row with this id and version.
fn hash(id: i64, version: u64) -> u64 {
    let mixed = (id.cast_unsigned() ^ version.rotate_left(40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// Returns pseudo-random numbers, the same for the same seed.
fn shuffled(mut ids: Vec<i64>, seed: u64) -> Vec<i64> {
    ids.sort_by_cached_key(|&id| hash(id, seed));
    ids
}

fn remembered(ids: &[i64]) -> SentHashes {
    let mut sent = SentHashes::default();
    for &id in ids {
        sent.add(id, hash(id, 0));
    }
    sent
}

fn again(sent: &SentHashes) -> SentHashes {
    SentHashes::from_json(&serde_json::from_str(&sent.to_json().unwrap().to_string()).unwrap()).unwrap()
}

type Bounds = (Option<i64>, Option<i64>);

fn changed(sent: &SentHashes, rows: impl Iterator<Item = (i64, u64)>) -> Vec<Bounds> {
    let mut check = sent.check();
    for (id, version) in rows {
        check.add(id, hash(id, version));
    }
    check.changed().0
}

fn is_inside(id: i64, (after, end): &Bounds) -> bool {
    after.is_none_or(|after| id > after) && end.is_none_or(|end| id <= end)
}

/// Returns the first and last id and the number of rows of each range in a state.
fn ranges(sent: &SentHashes) -> Vec<(i64, i64, u64)> {
    let json = sent.to_json().unwrap();
    let range = |range: &Value| (range[0].as_i64().unwrap(), range[1].as_i64().unwrap(), range[2].as_u64().unwrap());
    json["ranges"].as_array().unwrap().iter().map(range).collect()
}

#[test]
fn four_thousand_rows_are_remembered_one_by_one_in_32_kib() {
    let ids: Vec<i64> = (0..4_000).collect();
    let mut sent = remembered(&ids);
    let text = sent.to_json().unwrap().to_string();
    assert!(sent.is_exact() && text.len() <= 32 * 1024, "{}", text.len());
    for sent in [&sent, &again(&sent)] {
        assert!(ids.iter().all(|&id| sent.contains(hash(id, 0)) && !sent.contains(hash(id, 1))));
        assert_eq!(sent.len(), 4_000);
    }
    sent.add(4_000, hash(4_000, 0));
    assert!(!sent.is_exact() && sent.len() == 4_001 && !sent.contains(hash(1, 0)));
    assert_eq!(changed(&sent, (0..4_001).map(|id| (id, 0))), []);
}

#[test]
fn the_text_in_a_state_is_this_for_ever() {
    let mut sent = SentHashes::default();
    assert_eq!((sent.to_json(), sent.is_empty()), (None, true));
    sent.add(7, 0xffff_0102_0304_0506);
    sent.add(8, 5);
    assert_eq!(sent.to_json().unwrap(), json!("AAAAAAAFAQIDBAUG"));
    let sent = remembered(&(0..5_000).collect::<Vec<_>>());
    assert_eq!(sent.to_json().unwrap()["ranges"][0], json!([0, 17, 18, "3e95ff7232d4af1d"]));
}

#[test]
fn repeated_rows_count_once_while_each_is_remembered() {
    let mut sent = remembered(&[1, 2, 3, 1]);
    sent.extend(&again(&remembered(&[3, 4])));
    assert_eq!(sent.len(), 4);
    sent.add(4, hash(4, 0));
    assert_eq!(sent.len(), 4);
}

#[test]
fn rows_of_a_state_give_way_to_new_ones() {
    let mut sent = again(&remembered(&(0..4_000).collect::<Vec<_>>()));
    sent.add(0, hash(0, 0));
    assert_eq!(sent.len(), 4_000);
    sent.add(5_000, hash(5_000, 0));
    assert_eq!((sent.len(), sent.is_exact()), (2, true));
}

#[test]
fn sent_hashes_are_merged_only_if_all_rows_are_exact() {
    let (most, few) = (remembered(&(0..3_990).collect::<Vec<_>>()), remembered(&(3_980..4_000).collect::<Vec<_>>()));
    let mut both = few.clone();
    both.extend(&most);
    assert_eq!((both.len(), both.contains(hash(5, 0)), both.contains(hash(3_999, 0))), (4_000, true, true));
    let mut kept = remembered(&(3_980..4_001).collect::<Vec<_>>());
    kept.extend(&most);
    assert_eq!((kept.len(), kept.contains(hash(5, 0))), (21, false));
    let many = remembered(&(0..5_000).collect::<Vec<_>>());
    kept.extend(&many);
    assert_eq!(kept.len(), 21);
    let mut many = many;
    many.extend(&few);
    assert_eq!(many.len(), 5_000);
}

#[test]
fn a_million_rows_in_any_order_are_shared_out_evenly() {
    // A million rows for the important order; fewer are enough for the others.
    const ROWS: i64 = 60_000;
    let million: Vec<i64> = (0..1_000_000).collect();
    let in_order: Vec<i64> = (0..ROWS).collect();
    let backwards = in_order.iter().rev().copied().collect();
    // The order of four ranges of ids that are read concurrently, with pages of different length.
    let side_by_side = (0..ROWS).map(|turn| turn % 4 * ROWS / 4 + turn / 4).collect();
    let pages = in_order.chunks(900).flat_map(|page| page.iter().map(|id| id % 4 * ROWS / 4 + id / 4));
    let sparse = in_order.iter().map(|id| id * 1_000 + id % 7).collect();
    for (what, ids) in [
        ("in order", million.clone()),
        ("shuffled", shuffled(million, 5)),
        ("backwards", backwards),
        ("side by side", side_by_side),
        ("page by page", pages.collect()),
        ("sparse", sparse),
    ] {
        let sent = remembered(&ids);
        let shares = ranges(&sent);
        let fair = sent.len() / shares.len() as u64;
        let largest = shares.iter().map(|&(_, _, rows)| rows).max().unwrap();
        assert!(
            (125..=250).contains(&shares.len()) && largest <= 4 * fair,
            "{what}: {largest} of {fair} in {}",
            shares.len()
        );
        assert!(sent.to_json().unwrap().to_string().len() <= 32 * 1024);
        assert_eq!(changed(&again(&sent), ids.iter().map(|&id| (id, 0))), [], "{what}");
        let (one, last) = (ids[ids.len() / 3], *ids.iter().max().unwrap());
        let found = changed(&sent, ids.iter().map(|&id| (id, u64::from(id == one))));
        assert!(found.len() == 1 && is_inside(one, &found[0]), "{what}: {one} {found:?}");
        let cost = ids.iter().filter(|&&id| is_inside(id, &found[0])).count() as u64;
        assert!(cost <= largest, "{what}: {cost}");
        let added = ids.iter().copied().chain([last + 10]).map(|id| (id, 0));
        assert_eq!(changed(&sent, added), [(Some(last), None)], "{what}");
    }
}

#[test]
fn what_changed_is_named_with_its_bounds() {
    let range = |first: i64, last: i64, ids: &[i64]| {
        let one = |id: i64| u64::from_str_radix(remembered_sum(id).as_str(), 16).unwrap();
        let sum = ids.iter().fold(0u64, |sum, &id| sum.wrapping_add(one(id)));
        json!([first, last, ids.len(), format!("{sum:016x}")])
    };
    let text = json!({"ranges": [range(10, 20, &[10, 15, 20]), range(21, 30, &[21, 30]), range(40, 41, &[40, 41])]});
    let sent = SentHashes::from_json(&text).unwrap();
    assert_eq!(sent.to_json(), Some(text));
    let same = [10, 15, 20, 21, 30, 40, 41];
    let rows = |more: &[i64], less: &[i64]| -> Vec<(i64, u64)> {
        same.iter().chain(more).filter(|id| !less.contains(id)).map(|&id| (id, 0)).collect()
    };
    for (more, less, expected) in [
        (&[][..], &[][..], vec![]),
        (&[11], &[], vec![(Some(9), Some(20))]),
        (&[], &[20, 21], vec![(Some(9), Some(30))]),
        (&[9], &[], vec![(None, Some(9))]),
        (&[9], &[10], vec![(None, Some(20))]),
        (&[35], &[], vec![(Some(30), Some(39))]),
        (&[35, 42], &[30, 41], vec![(Some(20), None)]),
        (&[5, 50], &[], vec![(None, Some(9)), (Some(41), None)]),
        (&[], &same, vec![(Some(9), Some(30)), (Some(39), Some(41))]),
    ] {
        assert_eq!(changed(&sent, rows(more, less).into_iter()), expected, "{more:?} {less:?}");
    }
    assert_eq!(changed(&sent, same.iter().map(|&id| (id, u64::from(id == 40)))), [(Some(39), Some(41))]);
}

/// Returns the sum of a range with only this row.
fn remembered_sum(id: i64) -> String {
    let sent = SentHashes { form: Form::Ranges([(id, hash(id, 0) & HASH_MASK)].into_iter().collect()) };
    sent.to_json().unwrap()["ranges"][0][3].as_str().unwrap().to_owned()
}

#[test]
fn ids_may_be_as_great_and_as_small_as_numbers_get() {
    let ids: Vec<i64> = (0..3_000).flat_map(|step| [i64::MIN + step, i64::MAX - step]).collect();
    let sent = again(&remembered(&ids));
    assert_eq!(changed(&sent, ids.iter().map(|&id| (id, 0))), []);
    let all = changed(&sent, std::iter::empty());
    assert!(ids.iter().all(|&id| all.iter().any(|bounds| is_inside(id, bounds))), "{all:?}");
    assert_eq!((all.first().unwrap().0, all.last().unwrap().1), (None, Some(i64::MAX)));
    assert_eq!(changed(&SentHashes::default(), [(5, 0)].into_iter()), [(None, None)]);
    assert_eq!(changed(&SentHashes::default(), std::iter::empty()), []);
}

#[test]
fn a_damaged_memory_is_none() {
    let sum = "00000000000000ff";
    for value in [
        json!(null),
        json!(5),
        json!(""),
        json!("AAAA"),
        json!("AAAAAAA="),
        json!("AAAAAAA*"),
        json!("ÄAAAAAA"),
        json!("AAAAAAAFAAAAAAAF"),
        json!("AAAAAAAFAAAAAAAE"),
        json!("A".repeat(8 * 4_001)),
        json!([]),
        json!({}),
        json!({"ranges": 5}),
        json!({"ranges": []}),
        json!({"ranges": [[1, 2, 3]]}),
        json!({"ranges": [[1, 2, 3, 4]]}),
        json!({"ranges": [[1, 2, 3, "ff"]]}),
        json!({"ranges": [[1, 2, 3, "+0000000000000ff"[..15].to_owned() + "\u{e9}"]]}),
        json!({"ranges": [[1, 2, 0, sum]]}),
        json!({"ranges": [[1, 2, -1, sum]]}),
        json!({"ranges": [[1, 2, 1.5, sum]]}),
        json!({"ranges": [[2, 1, 3, sum]]}),
        json!({"ranges": [[1, 5, 3, sum], [5, 6, 1, sum]]}),
        json!({"ranges": [[3, 5, 3, sum], [1, 2, 1, sum]]}),
        json!({"ranges": (0..251).map(|id| json!([id, id, 1, sum])).collect::<Vec<_>>()}),
    ] {
        assert_eq!(SentHashes::from_json(&value), None, "{value}");
    }
    let most = json!({"ranges": [[1, 2, u64::MAX, sum], [3, 4, u64::MAX, sum]]});
    let mut sent = SentHashes::from_json(&most).unwrap();
    assert_eq!(sent.len(), u64::MAX);
    for id in -2_000..2_000 {
        sent.add(id * 3, hash(id, 0));
    }
    assert!(sent.to_json().is_some() && !changed(&sent, [(1, 0)].into_iter()).is_empty());
}

/// Ids as stores have them: dense, with gaps, in clusters, or random.
fn ids(most: usize) -> impl Strategy<Value = Vec<i64>> {
    let parts = prop::collection::vec((any::<i32>(), 1..most / 2, 1i64..50), 1..4);
    let clusters = parts.prop_map(|parts| {
        let part =
            |(start, rows, step): (i32, usize, i64)| (0..rows as i64).map(move |row| i64::from(start) + row * step);
        parts.into_iter().flat_map(part).collect::<std::collections::BTreeSet<i64>>()
    });
    let anything = prop::collection::btree_set(any::<i64>(), 1..most);
    (prop_oneof![clusters, anything], any::<u64>())
        .prop_map(|(ids, seed)| shuffled_or_not(ids.into_iter().collect(), seed))
}

fn shuffled_or_not(ids: Vec<i64>, seed: u64) -> Vec<i64> {
    if seed.is_multiple_of(3) { ids } else { shuffled(ids, seed) }
}

/// Arbitrary values of a state.
fn anything() -> impl Strategy<Value = Value> {
    let number = prop_oneof![any::<i64>().prop_map(|id| json!(id)), (0i64..9).prop_map(|id| json!(id))];
    let leaf = prop_oneof![
        number.clone(),
        "[A-Za-z0-9+/=]{0,40}".prop_map(|text| json!(text)),
        "[0-9a-f]{16}".prop_map(|text| json!(text)),
        any::<String>().prop_map(|text| json!(text)),
        Just(json!(null)),
    ];
    let range = prop_oneof![
        (number.clone(), number.clone(), number, "[0-9a-f]{16}").prop_map(|(a, b, c, sum)| json!([a, b, c, sum])),
        prop::collection::vec(leaf.clone(), 0..5).prop_map(|parts| json!(parts)),
    ];
    prop_oneof![leaf, prop::collection::vec(range, 0..5).prop_map(|ranges| json!({ "ranges": ranges }))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_is_remembered_survives_a_state_and_any_order(ids in ids(9_000), seed in any::<u64>()) {
        let sent = remembered(&ids);
        let back = again(&sent);
        prop_assert_eq!(back.to_json(), sent.to_json());
        prop_assert_eq!((back.len(), back.is_exact()), (ids.len() as u64, ids.len() <= MOST_EXACT));
        let other = remembered(&shuffled(ids.clone(), seed));
        for sent in [&sent, &back, &other] {
            prop_assert_eq!(sent.is_exact(), ids.len() <= MOST_EXACT);
            if sent.is_exact() {
                prop_assert!(ids.iter().all(|&id| sent.contains(hash(id, 0)) && !sent.contains(hash(id, 1))));
            } else {
                prop_assert_eq!(changed(sent, shuffled(ids.clone(), seed ^ 1).into_iter().map(|id| (id, 0))), []);
            }
        }
    }

    #[test]
    fn one_change_is_found_and_costs_its_range(ids in ids(9_000), pick in any::<prop::sample::Index>(), kind in 0..3) {
        let sent = again(&remembered(&ids));
        prop_assume!(!sent.is_exact());
        let id = *pick.get(&ids);
        let id = if kind == 2 { (id..i64::MAX).find(|new| !ids.contains(new)).unwrap_or(id) } else { id };
        let left = |other: &i64| *other != id || kind == 0;
        let rows = ids.iter().copied().filter(left).map(|other| (other, u64::from(other == id)));
        let found = changed(&sent, rows.chain((kind == 2).then_some((id, 0))));
        prop_assert!(found.len() == 1 && is_inside(id, &found[0]), "{} {:?}", id, found);
        let cost = ids.iter().filter(|&&other| is_inside(other, &found[0])).count() as u64;
        prop_assert!(cost <= ranges(&sent).iter().map(|range| range.2).max().unwrap());
    }

    #[test]
    fn whatever_stands_in_a_state_is_read_or_refused(value in anything(), ids in ids(50)) {
        if let Some(mut sent) = SentHashes::from_json(&value) {
            prop_assert_eq!(sent.to_json(), Some(value));
            let mut check = sent.check();
            for id in ids {
                sent.add(id, hash(id, 0));
                check.add(id, hash(id, 0));
            }
            prop_assert!(!sent.is_empty() && !check.changed().0.contains(&(Some(0), Some(0))));
        }
    }
}
