//! Tests of what a sync begins with, and of the limits on sizes.

use serde_json::json;

use super::*;

const NOTHING: Begin<'_> =
    Begin { state: None, full_refresh: false, state_is_full: false, is_finished: false, from_nothing: true };

fn tracker(begin: Begin<'_>, bytes: &Arc<KnownBytes>) -> DeletionTracker {
    DeletionTracker::new(begin, "one", DateRange::default(), false, (5, String::new()), Arc::clone(bytes))
}

/// Returns known ids that take some KB: random ones.
fn many(seed: u64, rows: usize) -> KnownIds {
    let (mut known, mut chance) = (KnownIds::new("one"), seed);
    for _ in 0..rows {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        known.add(i64::try_from(chance >> 36).unwrap(), true);
    }
    known
}

fn state_of(tracker: &DeletionTracker, mut state: Value) -> Value {
    tracker.write(&mut state);
    state
}

#[test]
fn scopes_differ_by_identity_and_start() {
    let at = |text: &str| Timestamp::parse(text.as_bytes()).unwrap();
    let usual = scope("host token", at("2021-01-01T00:00:00Z"));
    assert_eq!(usual, scope("host token", at("2021-01-01T00:00:00Z")));
    assert_ne!(usual, scope("host other", at("2021-01-01T00:00:00Z")));
    assert_ne!(usual, scope("host token", at("2021-01-02T00:00:00Z")));
}

#[test]
fn known_ids_are_those_of_the_state_with_the_same_scope() {
    let bytes = Arc::default();
    let mut known = KnownIds::new("one");
    known.add(5, true);
    let with = |scope: &str| {
        let mut known = known.clone();
        known.scope = scope.to_owned();
        json!({"updated_at": "2024-01-01T00:00:00Z", "known": known.compressed()}).to_string()
    };
    let later = |state| Begin { state, from_nothing: false, ..NOTHING };
    let (same, other) = (with("one"), with("two"));
    let tracked = tracker(later(Some(&same)), &bytes);
    assert!(tracked.is_built() && tracked.known().ids().contains(5) && !tracked.was_other_scope);
    let tracked = tracker(later(Some(&other)), &bytes);
    assert!(!tracked.is_built() && tracked.known().ids().is_empty() && tracked.was_other_scope);
    assert_eq!(state_of(&tracked, json!({})), json!({}), "unknown ids are not written");
    let tracked = tracker(later(None), &bytes);
    assert!(!tracked.is_built() && !tracked.was_other_scope);
    assert!(tracker(NOTHING, &bytes).is_built());
}

#[test]
fn a_full_refresh_begins_anew_and_keeps_what_was_known() {
    let bytes = Arc::default();
    let mut known = KnownIds::new("one");
    known.add(5, true);
    let state = json!({"updated_at": "2024-01-01T00:00:00Z", "known": known.compressed()}).to_string();
    let refresh = Begin { state: Some(&state), full_refresh: true, ..NOTHING };
    let tracked = tracker(refresh, &bytes);
    assert!(tracked.is_built() && tracked.known().ids().is_empty() && !tracked.detects);
    let interrupted = state_of(&tracked, json!({"full": true, "kept": {"updated_at": "2024-01-01T00:00:00Z"}}));
    assert_eq!(interrupted["kept"]["known"], known.compressed());
    let interrupted = interrupted.to_string();
    let begin = Begin { state: Some(&interrupted), state_is_full: true, from_nothing: false, ..NOTHING };
    assert!(tracker(begin, &bytes).known().ids().contains(5), "an incremental sync continues with them");
    let again = tracker(Begin { full_refresh: true, ..begin }, &bytes);
    assert!(again.known().ids().is_empty() && again.is_built());
    assert_eq!(state_of(&again, json!({"kept": {}}))["kept"]["known"], known.compressed());
    let finished = tracker(Begin { is_finished: true, ..refresh }, &bytes);
    assert!(finished.known().ids().contains(5), "nothing is read");
}

#[test]
fn keys_that_were_too_many_are_collected_again_only_if_the_stream_is_read_from_the_start() {
    let bytes = Arc::default();
    let mut known = KnownIds::new("one");
    known.give_up();
    let state = json!({ "known": known.compressed() }).to_string();
    let later = Begin { state: Some(&state), from_nothing: false, ..NOTHING };
    let tracked = tracker(later, &bytes);
    assert!(tracked.is_built() && tracked.known().is_too_large);
    let tracked = tracker(Begin { from_nothing: true, ..later }, &bytes);
    assert!(tracked.is_built() && !tracked.known().is_too_large);
}

#[test]
fn keys_beyond_the_limit_of_a_stream_or_of_all_are_forgotten() {
    let bytes: Arc<KnownBytes> = Arc::default();
    let tracked = tracker(NOTHING, &bytes);
    tracked.build(many(1, 600_000));
    assert_eq!(tracked.size(), 0);
    assert!(tracked.gave_up() && tracked.known().is_too_large);
    assert_eq!(bytes.0.load(Ordering::Relaxed), 0);

    let trackers: Vec<DeletionTracker> = (0..60).map(|_| tracker(NOTHING, &bytes)).collect();
    for (seed, tracked) in trackers.iter().enumerate() {
        tracked.build(many(seed as u64 + 2, 250_000));
        tracked.size();
    }
    let kept = trackers.iter().filter(|tracked| !tracked.gave_up()).count();
    let total = bytes.0.load(Ordering::Relaxed);
    assert!(total <= LARGEST_TOTAL && total > LARGEST_TOTAL - (1 << 20), "{total}");
    assert!((32..60).contains(&kept), "{kept}");
    assert!(trackers[0].size() > 500_000, "those that fit stay");
}
