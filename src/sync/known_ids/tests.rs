//! Tests of the known ids in a state, and of the limit for mass deletions.

use super::*;

fn parse(known: &mut KnownIds) -> Option<KnownIds> {
    KnownIds::parse(&json!({"updated_at": "2024-01-01T00:00:00Z", "known": known.compressed()}).to_string())
}

#[test]
fn what_is_written_is_read() {
    let mut known = KnownIds::new("ab12");
    assert_eq!(parse(&mut known), Some(known.clone()), "a stream without rows");
    (1..5_000).for_each(|id| known.add(id * 2, id % 10 > 0));
    known.newest = Timestamp::parse(b"2024-01-01T00:00:00Z").ok();
    known.refused = Some((7, 5));
    known.is_unfiltered = true;
    let read = parse(&mut known).unwrap();
    assert_eq!(read, known);
    assert!(read.ids().contains(20) && !read.ids().contains(21));
}

#[test]
fn known_ids_of_more_than_any_other_part_of_a_state_are_read() {
    let mut known = KnownIds::new("ab12");
    (1..700_000).filter(|id| id * 7_919 % 10 < 7).for_each(|id| known.add(id * 3, true));
    let size = known.compressed().to_string().len();
    assert!(size > 256 * 1024 && known.encoded_len() <= LARGEST_ENCODED, "{size}");
    assert_eq!(parse(&mut known), Some(known.clone()));
}

#[test]
fn invalid_known_ids_are_none() {
    let good = IdSet::from_iter([1, 2]).encode();
    for known in [
        json!(null),
        json!([]),
        json!({}),
        json!({"ids": good}),
        json!({"scope": 5, "ids": good}),
        json!({"scope": "a", "ids": 5}),
        json!({"scope": "a", "ids": "AAAA"}),
        json!({"scope": "a", "ids": format!("{good}x")}),
        json!({"scope": "a", "ids": good, "unsent": "\u{e9}"}),
    ] {
        assert_eq!(KnownIds::parse(&json!({ "known": known }).to_string()), None, "{known}");
    }
    let good = json!({"known": {"scope": "a", "ids": good, "refused": "x", "newest": 5}});
    assert_eq!(KnownIds::parse(&good.to_string()).unwrap().ids().len(), 2, "a part that only saves requests");
}

#[test]
fn a_row_that_was_delivered_once_stays_so() {
    let mut known = KnownIds::new("a");
    known.add(1, false);
    known.add(2, true);
    known.add(2, false);
    assert!(!known.remove(1), "not delivered, so this is not a deletion");
    assert!(known.remove(2) && !known.remove(2));
    known.add(1, false);
    known.add(1, true);
    assert!(known.remove(1));
}

#[test]
fn keys_that_do_not_fit_are_forgotten() {
    let mut known = KnownIds::new("a");
    let mut chance = 1_u64;
    for _ in 0..500_000 {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        known.add(i64::try_from(chance >> 40).unwrap(), true);
    }
    assert!(known.encoded_len() > LARGEST_ENCODED);
    known.give_up();
    known.add(5, true);
    assert_eq!(known.compressed(), json!({"scope": "a", "too_large": true}));
    assert_eq!(parse(&mut known), Some(known.clone()));
}

#[test]
fn a_mass_deletion_is_the_larger_of_a_share_and_50_rows_or_half_of_all() {
    for (known, percent, most) in [
        (1_000_000, 5, 50_000),
        (1_000, 5, 50),
        (1_001, 5, 50),
        (1_020, 5, 51),
        (60, 5, 30),
        (3, 5, 1),
        (1, 5, 0),
        (0, 5, 0),
        (3, 100, 3),
        (100, 60, 60),
        (u64::MAX, 100, u64::MAX),
    ] {
        assert_eq!(most_deleted(known, percent), most, "{known} {percent}");
    }
}
