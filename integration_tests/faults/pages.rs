//! Pages that are too large for the store: smaller ones are requested, and all rows arrive.

use serde_json::json;

use crate::fake_store::{Fault, Options, RecordedRequest};
use crate::harness::files::configured;
use crate::harness::order::assert_read_is_well_formed;
use crate::harness::setup::{SignIn, config_with, minutes, no_state, read, start};

fn count(seen: &RecordedRequest) -> usize {
    seen.param("count").map_or(100, |count| count.parse().unwrap())
}

#[test]
fn a_page_that_is_too_large_for_the_store_is_split() {
    let faults: [fn() -> Fault; 4] = [
        || Fault::error(500, "", ""),
        || Fault::html(504),
        || Fault::error(400, "", ""),
        || Fault::Answer { status: 200, headers: Vec::new(), body: b"{\"orders\":[\"\xe9".to_vec() },
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let hook = move |seen: &RecordedRequest| (count(seen) > 250).then(fault);
        let options = Options { fault: Some(Box::new(hook)), ..Options::default() };
        let store = start(SignIn::Token, options, minutes("orders", 1, 1100));
        let catalog = configured(&[("orders", "incremental")]);
        let run = read(&config_with(&store, &json!({"_retry_seconds": 30})), &catalog, &no_state());
        assert_eq!(run.code, Some(0), "{number}: {}", run.transcript());
        assert_read_is_well_formed(&run, &catalog);
        let mut came = run.ids("orders");
        came.sort_unstable();
        assert_eq!(came, (1..=1100).collect::<Vec<i64>>(), "{number}");
        let asked: Vec<usize> = store.requests().iter().map(count).take(5).collect();
        assert_eq!(asked, [1000, 1000, 1, 500, 250], "{number}");
    }
}
