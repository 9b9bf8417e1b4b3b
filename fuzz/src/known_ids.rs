//! The property of the known ids in a state.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use source_cart::sync::fuzzing;

/// Number of ids that are listed. A few bytes can mean thousands of millions.
const LISTED: usize = 10_000;

/// The known ids of a stream: any text gives ids that are the same after they are written and read again, or none.
pub fn known_ids(input: &[u8]) {
    // Few inputs are a state, so each one is also the encoded ids of a state.
    let ids = BASE64_STANDARD.encode(input);
    check(&json!({"known": {"scope": "one", "ids": ids, "unsent": ids, "refused": [7, 5]}}).to_string());
    if let Ok(text) = std::str::from_utf8(input) {
        check(text);
    }
}

fn check(state: &str) {
    let Some(known) = fuzzing::known_ids(state, LISTED) else { return };
    assert!(known.ids.is_sorted_by(|one, next| one < next), "{:?}", known.ids);
    assert_eq!(known.rows.min(LISTED as u64), known.ids.len() as u64);
    let written = json!({"updated_at": "2024-01-01T00:00:00Z", "known": known.written}).to_string();
    assert_eq!(fuzzing::known_ids(&written, LISTED).as_ref(), Some(&known), "from {state}");
    // Text that no other JSON parser accepts may pass in a part that is not parsed.
    if let Ok(value) = serde_json::from_str::<Value>(state) {
        assert_eq!(value["known"]["scope"], known.scope.as_str(), "{state}");
        assert_eq!(value["known"]["too_large"] == true, known.written["too_large"] == true, "{state}");
    }
}
