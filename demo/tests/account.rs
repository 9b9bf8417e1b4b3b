//! What the demo tells people: in 80 columns, and with three commands to try next.

#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

use std::process::{Command, Output};

fn demo(folder: &std::path::Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_demo")).args(arguments).current_dir(folder).output().unwrap()
}

#[test]
fn the_account_fits_a_terminal_and_ends_with_three_commands() {
    for shop in ["cart", "cs-cart"] {
        shows_itself(shop);
    }
}

fn shows_itself(shop: &str) {
    let folder = std::env::temp_dir().join(format!("source-cart-demo-{}-{shop}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let run = demo(&folder, &["--shop", shop, "--orders", "20"]);
    let account = String::from_utf8(run.stderr).unwrap();
    assert!(run.status.success(), "{account}");
    for line in account.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let last: Vec<&str> = account.trim_end().lines().rev().take(4).collect();
    assert!(last[..3].iter().all(|line| line.starts_with("  cargo run ")) && last[3].is_empty(), "{account}");

    let messages = String::from_utf8(run.stdout).unwrap();
    for kind in ["CONNECTION_STATUS", "CATALOG", "RECORD", "STATE", "TRACE"] {
        assert!(messages.contains(&format!("{{\"type\":\"{kind}\"")), "{kind}");
    }
    for name in ["config.json", "configured_catalog.json", "state.json"] {
        assert!(folder.join("demo-out").join(name).is_file(), "{name}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_wrong_argument_says_which_are_right() {
    let run = demo(&std::env::temp_dir(), &["--orders", "3"]);
    assert_eq!(run.status.code(), Some(1));
    assert_eq!(String::from_utf8(run.stderr).unwrap(), "The demo failed: --orders needs a number, 20 or more.\n");
}
