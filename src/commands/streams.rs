//! `streams`: prints all streams, as a table or as JSON.

use serde_json::{Value, json};

use super::CommandResult;
use crate::airbyte::Emitter;
use crate::connector::Connector;
use crate::deletion_options::{DETECT, is_detectable};
use crate::output::progress;
use crate::output::table::{aligned, cut};
use crate::stream::Stream;

/// Prints the streams. The table is cut to the width of the terminal if stdout is one.
pub(crate) async fn run(
    as_json: bool,
    in_terminal: bool,
    connector: &'static Connector,
    emitter: &Emitter,
) -> CommandResult {
    let width = if in_terminal { progress::terminal().0 } else { usize::MAX };
    emitter.text(if as_json { json_list(connector) } else { table(width, connector) }).await?;
    Ok(true)
}

/// Returns a JSON list with one stream per line, for `grep`.
fn json_list(connector: &Connector) -> String {
    let modes = |stream: &Stream| match stream.has_updated_at {
        true => json!(["full_refresh", "incremental"]),
        false => json!(["full_refresh"]),
    };
    let line = |stream: &Stream| {
        let described = json!({
            "name": stream.name,
            "sync_modes": modes(stream),
            "primary_key": primary_key(stream),
            "cursor_field": stream.has_updated_at.then_some(stream.cursor_field),
            "scope": stream.scope.name(),
            "detects_deletions": detects_deletions(connector, stream),
        });
        described.to_string()
    };
    format!("[\n{}\n]\n", connector.streams.iter().map(line).collect::<Vec<_>>().join(",\n"))
}

/// Returns true if incremental reads of a stream can report deleted rows.
fn detects_deletions(connector: &Connector, stream: &Stream) -> bool {
    connector.has_setting(DETECT) && stream.has_updated_at && is_detectable(stream)
}

/// Returns the key of a stream: a name, or a list of several.
fn primary_key(stream: &Stream) -> Value {
    match stream.primary_key {
        [key] => json!(key),
        keys => json!(keys),
    }
}

/// Returns the table. The keys are the last column, since a few of them are long.
fn table(width: usize, connector: &Connector) -> String {
    let has_deletions = connector.has_setting(DETECT);
    let line = |[stream, modes, deletions, scope, key]: [&str; 5]| -> Vec<String> {
        let deletions = has_deletions.then_some(deletions);
        [Some(stream), Some(modes), deletions, Some(scope), Some(key)]
            .into_iter()
            .flatten()
            .map(str::to_owned)
            .collect()
    };
    let row = |stream: &Stream| {
        let modes = if stream.has_updated_at { "full, incremental" } else { "full" };
        let key = stream.primary_key.join(", ");
        let deletions = if detects_deletions(connector, stream) { "yes" } else { "no" };
        line([stream.name, modes, deletions, stream.scope.name(), &key])
    };
    let head = line(["stream", "modes", "deletions", connector.terms.check.permission, "key"]);
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(connector.streams.iter().map(row)).collect();
    aligned(&rows, &[]).lines().map(|line| cut(line, width) + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cart::CART;

    #[test]
    fn the_table_has_a_line_for_each_stream_and_fits() {
        for width in [80, 120] {
            let table = table(width, &CART);
            assert_eq!(table.lines().count(), CART.streams.len() + 1);
            assert!(table.lines().all(|line| line.chars().count() <= width), "{table}");
        }
        assert!(!table(usize::MAX, &CART).contains('…'), "a program gets all of it");
    }
}
