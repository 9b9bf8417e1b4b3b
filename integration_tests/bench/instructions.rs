//! Runs one pure part once, for `.ci/instructions` to count under callgrind. The argument is its name.

#[path = "pure_parts.rs"]
mod pure_parts;

use std::process::ExitCode;

use pure_parts::{INSTANTS, Page, ROWS, instants, instants_to_utc, page_to_lines, state_text, state_to_line};

fn main() -> ExitCode {
    let part = std::env::args().nth(1).unwrap_or_default();
    // The length shows that the part did its work.
    let done = match part.as_str() {
        "orders" | "products" => page_to_lines(&Page::of(&part)) > ROWS,
        "instants" => instants_to_utc(&instants()) > INSTANTS,
        "state" => state_to_line(&state_text()) > 30_000,
        _ => false,
    };
    if done { ExitCode::SUCCESS } else { ExitCode::from(2) }
}
