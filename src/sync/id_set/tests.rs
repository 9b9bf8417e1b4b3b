//! Tests of sets of keys: they agree with a sorted set, and damaged text does no harm.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Returns keys of many kinds: near zero, negative, around 2^32, and the greatest.
fn ids() -> impl Strategy<Value = BTreeSet<i64>> {
    let one = prop_oneof![-50i64..2_000, any::<i64>(), (1i64 << 32) - 20..(1i64 << 32) + 20, i64::MAX - 9..=i64::MAX];
    prop::collection::btree_set(one, 0..300)
}

proptest! {
    #[test]
    fn it_is_a_sorted_set(ids in ids(), other in ids(), bound in any::<i64>()) {
        let mut set: IdSet = ids.iter().copied().collect();
        prop_assert!(set.iter().eq(ids.iter().copied()));
        prop_assert_eq!((set.len(), set.max()), (ids.len() as u64, ids.last().copied()));
        prop_assert_eq!(set.rank(bound), ids.range(..=bound).count() as u64);
        for (place, &id) in ids.iter().enumerate() {
            prop_assert_eq!(set.select(place as u64), Some(id));
            prop_assert!(set.contains(id));
        }
        prop_assert_eq!(set.select(ids.len() as u64), None);
        let others: IdSet = other.iter().copied().collect();
        let expected: Vec<i64> = ids.difference(&other).copied().filter(|&id| id <= bound).collect();
        prop_assert_eq!(&set.missing_from(&others, None, bound), &expected);
        if let Some(after) = expected.first().copied() {
            prop_assert_eq!(set.missing_from(&others, Some(after), bound), expected[1..].to_vec());
        }
        for &id in &other {
            prop_assert_eq!(set.remove(id), ids.contains(&id));
        }
        prop_assert!(set.iter().eq(ids.difference(&other).copied()));
    }

    #[test]
    fn what_is_encoded_is_decoded(ids in ids(), runs in any::<bool>()) {
        let mut set: IdSet = ids.iter().copied().collect();
        if runs {
            set.optimize();
        }
        let text = set.encode();
        prop_assert_eq!(text.len(), set.encoded_len());
        prop_assert!(IdSet::decode(&text).is_some_and(|read| read.iter().eq(ids.iter().copied())));
    }

    #[test]
    fn invalid_text_is_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..400) {
        let _any = IdSet::decode(&STANDARD.encode(&bytes));
        let text = (0..500).map(|id| id * 3).collect::<IdSet>().encode();
        let part = text.get(..cut).unwrap();
        prop_assert_eq!(IdSet::decode(part), None);
    }
}

#[test]
fn a_damaged_byte_gives_another_set_or_none() {
    let bytes = STANDARD.decode((0..70_000).step_by(7).collect::<IdSet>().encode()).unwrap();
    for index in 0..200 {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[index] ^= 1 << bit;
            if let Some(set) = IdSet::decode(&STANDARD.encode(&damaged)) {
                assert!(set.len() <= 70_000, "{index} {bit}");
            }
        }
    }
}

#[test]
fn a_set_is_refused_if_it_was_not_written_here() {
    let decoded = |bytes: &[u8]| IdSet::decode(&STANDARD.encode(bytes));
    let bytes = STANDARD.decode((0..9).collect::<IdSet>().encode()).unwrap();
    let (head, bitmap) = bytes.split_at(HEAD_BYTES);
    assert!(decoded(&[head, bitmap].concat()).is_some());
    let two = 2_u64.to_le_bytes();
    assert_eq!(decoded(&[&two[..], bitmap, bitmap].concat()), None, "a bitmap twice");
    assert_eq!(decoded(&[head, bitmap, &[0]].concat()), None, "bytes after it");
    let mut empty = Vec::new();
    RoaringBitmap::new().serialize_into(&mut empty).unwrap();
    assert_eq!(decoded(&[head, &[0; KEY_BYTES], &empty].concat()), None, "an empty bitmap");
    // Keys that need a bitmap each.
    let most: IdSet = (0..40_000_i64).map(|id| id << 32).collect();
    assert!(most.encoded_len() > LARGEST_ENCODED);
    assert_eq!(IdSet::decode(&most.encode()), None, "longer than it may be");
}

#[test]
fn sizes_are_those_of_the_documentation() {
    let size = |ids: &mut dyn Iterator<Item = i64>| {
        let mut set: IdSet = ids.collect();
        set.optimize();
        set.encoded_len()
    };
    // The same pseudo-random gaps at every run.
    let mut chance = 1_u64;
    let mut is_kept = move || {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) % 10 < 7
    };
    assert!(size(&mut (1..=1_000_000)) < 400, "1,000,000 keys without gaps");
    let with_gaps = size(&mut (1..=1_428_571).filter(|_| is_kept()));
    assert!((200_000..260_000).contains(&with_gaps), "1,000,000 rows with 30 % random gaps: {with_gaps}");
    let sparse = size(&mut (1..=10_000).map(|id| id * 1_000));
    assert!(sparse < 40_000, "10,000 keys far apart: {sparse}");
}
