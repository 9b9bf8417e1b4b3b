//! Tests that states round-trip, and that each kind of sync continues from its own.

use super::*;

fn parsed(state: &Value) -> (Checkpoint, Vec<StateNote>) {
    Checkpoint::parse(&state.to_string()).unwrap()
}

#[test]
fn every_state_round_trips() {
    for text in [
        r#"{}"#,
        r#"{"updated_at":"2021-07-01T13:59:28.457Z"}"#,
        r#"{"at_cursor":[[7,"2021-07-01T13:59:28.457Z",-300]],"previous":"2021-06-30T00:00:00Z","sent":"AAAAAAAA","updated_at":"2021-07-01T13:59:28.457Z"}"#,
        r#"{"recent":{"2021-07-01T13:59:28.457Z":[1,[5,9]]},"updated_at":"2021-07-01T13:59:28.457Z"}"#,
        r#"{"look_back":14,"unread":[[5,6],[9,null]],"updated_at":"2021-07-01T13:59:28.457Z","whole":true}"#,
        r#"{"updated_at":"2021-07-01T13:59:28.457Z","walk":{"counted":9,"from":"2021-07-01T13:57:28.457Z","left":[[null,5],[7,9]],"read":4,"sent":"AAAAAAAB","top":9,"until":"2021-07-02T00:00:00Z"}}"#,
        r#"{"clock_ahead":-90,"updated_at":"2021-07-01T13:59:28.457Z","walk":{"counted":9,"ends":[[null,1],[5,7]],"from":"2021-07-01T13:57:28.457Z","left":[[7,9]],"part":true,"read":4,"top":9,"until":"2021-07-02T00:00:00Z"}}"#,
        r#"{"keyless":1,"walk":{"from":"2021-07-01T13:57:28.457Z","left":[[null,5]],"read":4,"top":null,"undated":true,"until":null}}"#,
        r#"{"columns":"9f","full":true,"kept":{"updated_at":"2021-07-01T13:59:28Z","walk":{"from":"2021-07-01T13:57:28.457Z","left":[[null,5]],"read":4,"top":null,"until":null}},"walk":{"from":"2021-07-01T13:57:28.457Z","left":[[null,5]],"read":4,"top":null,"until":null}}"#,
        r#"{"generation_id":3,"sync_id":7,"updated_at":"2021-07-01T13:59:28Z"}"#,
    ] {
        let (checkpoint, notes) = Checkpoint::parse(text).unwrap();
        assert_eq!((checkpoint.to_json().to_string().as_str(), notes.len()), (text, 0));
    }
}

#[test]
fn the_python_connectors_state_is_understood() {
    let checkpoint = parsed(&json!({"updated_at": "2021-07-01T08:59:28.457-05:00"})).0;
    assert_eq!(checkpoint.cursor.unwrap().to_string(), "2021-07-01T13:59:28.457Z");
    let checkpoint = parsed(&json!({"updated_at": "2021-07-01T13:59:28"})).0;
    assert_eq!(checkpoint.cursor.unwrap().to_string(), "2021-06-30T23:59:28Z", "the earliest it can mean");
    for text in [json!({"__ab_full_refresh_sync_complete": true}), json!({}), json!({"updated_at": null})] {
        assert_eq!(parsed(&text), (Checkpoint::default(), Vec::new()), "{text}");
    }
}

#[test]
fn a_damaged_walk_is_no_walk_and_a_damaged_cursor_an_error() {
    for walk in [json!(1), json!({}), json!({"from": "x", "until": "2021-07-02T00:00:00Z", "left": [], "top": 1})] {
        let (checkpoint, _) = parsed(&json!({"updated_at": "2021-07-01T00:00:00Z", "walk": walk}));
        assert!(checkpoint.walk.is_none() && checkpoint.cursor.is_some());
    }
    assert!(Checkpoint::parse(r#"{"updated_at": 5}"#).is_err());
    assert!(Checkpoint::parse(r#"{"updated_at": "yesterday"}"#).is_err());
}

#[test]
fn a_state_without_anything_known_is_noted() {
    for state in [json!({"cursor": "x"}), json!({"states": []}), json!({"walk": 5}), json!({"sent": "?"})] {
        assert_eq!(parsed(&state).1, [StateNote::Unusable], "{state}");
    }
}

#[test]
fn a_full_refresh_and_an_incremental_sync_do_not_take_each_others_walks() {
    let walk = json!({"from": "2021-07-01T00:00:00Z", "until": null, "left": [[null, 5]], "top": 9, "read": 4});
    let incremental = json!({"updated_at": "2021-07-01T00:00:00Z", "walk": walk});
    let begin = |state: &Value, full_refresh, columns: Option<&str>| {
        let mut notes = Vec::new();
        let selected = Selected { columns: columns.map(str::to_owned), rows: None };
        let checkpoint = parsed(state).0.begin(full_refresh, selected, &mut notes);
        (checkpoint.to_json(), notes)
    };
    assert_eq!(begin(&incremental, false, None), (incremental.clone(), vec![]));
    assert_eq!(begin(&incremental, true, None), (json!({"kept": incremental}), vec![]));
    let refresh = json!({"full": true, "kept": incremental, "walk": walk});
    assert_eq!(begin(&refresh, true, None), (refresh.clone(), vec![]));
    assert_eq!(begin(&refresh, false, None), (incremental.clone(), vec![]), "where it was before");
    assert_eq!(begin(&json!({"full": true, "walk": walk}), false, None), (json!({}), vec![]));
    // Other columns.
    let cursor = json!({"updated_at": "2021-07-01T00:00:00Z"});
    assert_eq!(begin(&incremental, false, Some("ab")), (cursor, vec![StateNote::OtherColumns]));
    assert_eq!(begin(&refresh, true, Some("ab")), (json!({"kept": incremental}), vec![StateNote::OtherColumns]));
}

#[test]
fn a_walk_of_the_rows_of_other_settings_is_not_continued() {
    let state = json!({"updated_at": "2021-07-01T00:00:00Z", "rows": "ab", "position": {"keys": {"after": 5}}});
    for (rows, is_continued) in [(Some("ab"), true), (Some("cd"), false), (None, false)] {
        let mut notes = Vec::new();
        let selected = Selected { columns: None, rows: rows.map(str::to_owned) };
        let checkpoint = parsed(&state).0.begin(false, selected, &mut notes);
        assert_eq!((checkpoint.position.is_some(), notes.is_empty()), (is_continued, is_continued), "{rows:?}");
        assert!(checkpoint.cursor.is_some() && notes.iter().all(|note| *note == StateNote::OtherRows), "{rows:?}");
    }
}

#[test]
fn only_the_job_that_finished_it_finds_a_full_refresh_finished() {
    let job = |generation, sync| Some(Job { generation, sync });
    let done = parsed(&json!({"updated_at": "2021-07-01T00:00:00Z"})).0.refreshed(job(1, 7), true);
    assert!(done.is_finished_by(job(1, 7)));
    for other in [None, job(1, 8), job(2, 7)] {
        assert!(!done.is_finished_by(other));
    }
    assert!(!Checkpoint::default().is_finished_by(None));
    assert!(!done.clone().refreshed(job(1, 7), false).is_finished_by(job(1, 7)), "rows were left out");
    assert!(!Checkpoint { full: true, ..done }.is_finished_by(job(1, 7)));
}

#[test]
fn ranges_that_overlap_or_are_too_many_are_noted() {
    let state = |left: &str| {
        format!(r#"{{"walk":{{"from":"2021-07-01T00:00:00Z","until":null,"left":{left},"top":9,"counted":9}}}}"#)
    };
    let (checkpoint, notes) = Checkpoint::parse(&state("[[7,9],[null,5],[3,8]]")).unwrap();
    let walk = checkpoint.walk.unwrap();
    assert_eq!(walk.left, [(None, Some(5)), (Some(5), Some(8)), (Some(8), Some(9))]);
    assert_eq!((walk.counted, notes), (Some(9), vec![StateNote::Overlapping]));
    let many: Vec<String> = (0..100_000).map(|n| format!("[{},{}]", 2 * n, 2 * n + 1)).collect();
    let (checkpoint, notes) = Checkpoint::parse(&state(&format!("[{}]", many.join(",")))).unwrap();
    let walk = checkpoint.walk.unwrap();
    assert!(walk.left.len() < 10_000 && walk.counted.is_none(), "{}", walk.left.len());
    assert_eq!(notes, [StateNote::Joined]);
}

#[test]
fn ranges_that_overlap_are_joined() {
    let one = (Some(5), Some(6));
    assert_eq!(joined(vec![one, (Some(9), None), one, (Some(9), Some(11))]), [one, (Some(9), None)]);
    assert_eq!(joined(vec![(Some(6), Some(7)), one]), [one, (Some(6), Some(7))]);
    assert_eq!(joined(vec![(Some(5), Some(9)), (None, Some(6))]), [(None, Some(9))]);
}

#[test]
fn ranges_that_are_not_left_are_finished() {
    let finished = |left: &[Range], max_key| {
        let mut walk = crate::sync::keyset::from_the_start(max_key, Timestamp::from_millis(0), None, None);
        walk.left = left.to_vec();
        walk.finished()
    };
    assert_eq!(finished(&[], Some(9)), [(None, Some(9))]);
    assert_eq!(finished(&[], None), [(None, None)]);
    assert_eq!(finished(&[(None, Some(9))], Some(9)), []);
    assert_eq!(finished(&[(Some(7), None)], None), [(None, Some(7))]);
    assert_eq!(
        finished(&[(Some(6), Some(8)), (Some(2), Some(3))], Some(9)),
        [(None, Some(2)), (Some(3), Some(6)), (Some(8), Some(9)),]
    );
}
