//! `catalog`: prints a configured catalog of the selected streams.

use std::io::Write as _;

use super::discover::described;
use super::{CommandResult, config_input};
use crate::airbyte::Emitter;
use crate::airbyte::catalog::{self, CatalogEntry};
use crate::airbyte::message::Stream as CatalogStream;
use crate::cli::CatalogArguments;
use crate::cli::streams_arg;
use crate::connector::Connector;

/// Prints the catalog. Warnings go to stderr, since stdout is the catalog file.
pub(crate) async fn run(
    arguments: &CatalogArguments,
    connector: &'static Connector,
    emitter: &Emitter,
) -> CommandResult {
    let (record_options, warnings) = config_input::record_options(arguments.config.as_deref(), connector)?;
    for warning in warnings {
        let _ignored = writeln!(std::io::stderr(), "{}: {warning}", connector.executable);
    }
    let entries = streams_arg::merged(&arguments.streams).into_iter().filter_map(|selected| {
        let described = CatalogStream { name: selected.name, ..described(selected.stream, &record_options)? };
        Some(CatalogEntry::new(described, selected.mode(arguments.full_refresh)))
    });
    emitter.text(catalog::to_json(&entries.collect::<Vec<_>>())).await?;
    Ok(true)
}
