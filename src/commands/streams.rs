//! `streams`: prints all streams, as a table or as JSON.

use serde_json::json;

use super::CommandResult;
use crate::airbyte::Emitter;
use crate::cart::streams::{CURSOR, STREAMS, Stream};
use crate::deletion_options::is_detectable;
use crate::output::progress;
use crate::output::table::{aligned, cut};

/// Prints the streams. The table is cut to the width of the terminal if stdout is one.
pub(crate) async fn run(as_json: bool, in_terminal: bool, emitter: &Emitter) -> CommandResult {
    let width = if in_terminal { progress::terminal().0 } else { usize::MAX };
    emitter.text(if as_json { json_list() } else { table(width) }).await?;
    Ok(true)
}

/// Returns a JSON list with one stream per line, for `grep`.
fn json_list() -> String {
    let modes = |stream: &Stream| match stream.has_updated_at {
        true => json!(["full_refresh", "incremental"]),
        false => json!(["full_refresh"]),
    };
    let line = |stream: &Stream| {
        let described = json!({
            "name": stream.name,
            "sync_modes": modes(stream),
            "primary_key": stream.key(),
            "cursor_field": stream.has_updated_at.then_some(CURSOR),
            "scope": stream.scope.name(),
            "detects_deletions": is_detectable(stream),
        });
        described.to_string()
    };
    format!("[\n{}\n]\n", STREAMS.iter().map(line).collect::<Vec<_>>().join(",\n"))
}

/// Returns the table. The keys are the last column, since a few of them are long.
fn table(width: usize) -> String {
    let head = ["stream", "modes", "scope", "key"];
    let row = |stream: &Stream| {
        let modes = if stream.has_updated_at { "full, incremental" } else { "full" };
        [stream.name, modes, stream.scope.name(), stream.key()].map(str::to_owned).to_vec()
    };
    let rows: Vec<Vec<String>> =
        std::iter::once(head.map(str::to_owned).to_vec()).chain(STREAMS.iter().map(row)).collect();
    aligned(&rows, &[]).lines().map(|line| cut(line, width) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_for_each_stream_and_fits() {
        for width in [80, 120] {
            let table = table(width);
            assert_eq!(table.lines().count(), STREAMS.len() + 1);
            assert!(table.lines().all(|line| line.chars().count() <= width), "{table}");
        }
        assert!(!table(usize::MAX).contains('…'), "a program gets all of it");
    }
}
