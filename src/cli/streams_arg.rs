//! The value of `--streams`: `orders,order_items`, `order*`, or `all`.

use clap::builder::ValueParser;

use crate::airbyte::{ConfiguredCatalog, ConfiguredStream, SyncMode};
use crate::connector::Connector;
use crate::stream::Stream;
use crate::user_error::{UserError, unknown_stream_text};

/// The name for all streams.
const ALL: &str = "all";

/// A selected stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SelectedStream {
    /// Its name in messages: an alias if the user typed one.
    pub name: &'static str,
    /// The stream.
    pub stream: &'static Stream,
}

/// The streams of one `--streams`, in their order.
#[derive(Clone, Debug)]
pub(crate) struct StreamsArg(Vec<SelectedStream>);

/// The reason why `--streams` is not valid; contains the sentence that says which streams exist.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamsArgError {
    #[error("Enter at least one stream. {0}")]
    Empty(String),
    #[error("{} {listing}", names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))]
    Unknown { names: Vec<NameError>, listing: String },
}

/// The reason why a name in `--streams` selects no stream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NameError {
    #[error("No stream matches `{0}`.")]
    NoMatch(String),
    /// Contains the message.
    #[error("{0}")]
    Unknown(String),
}

/// Returns the sentence that says which streams exist.
fn listing(executable: &str) -> String {
    format!("Run `{executable} streams` to list all streams; `{ALL}` selects them all.")
}

/// Accepts no value: [`with_names_of`] replaces this parser, since the streams are those of the connector.
pub(super) fn no_streams(text: &str) -> Result<StreamsArg, String> {
    Err(format!("There is no stream `{text}`."))
}

/// Lets `--streams` of a command accept the names of the connector's streams.
pub(super) fn with_names_of(command: clap::Command, connector: &'static Connector) -> clap::Command {
    command.mut_args(|option| match option.get_id() == "streams" && option.get_long().is_some() {
        true => option.value_parser(ValueParser::new(move |text: &str| StreamsArg::parse(text, connector))),
        false => option,
    })
}

impl StreamsArg {
    /// Parses the names. The error lists every unknown name, with suggestions.
    fn parse(text: &str, connector: &Connector) -> Result<Self, StreamsArgError> {
        let table = connector.streams;
        let (mut selected, mut faults) = (Vec::new(), Vec::new());
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match connector.find(name) {
                _ if name.eq_ignore_ascii_case(ALL) => {
                    selected.extend(table.iter().map(|stream| SelectedStream { name: stream.name, stream }));
                }
                None if name.contains(['*', '?']) => {
                    let matching = table.iter().filter(|stream| matches(name, stream.name));
                    let before = selected.len();
                    selected.extend(matching.map(|stream| SelectedStream { name: stream.name, stream }));
                    if selected.len() == before {
                        faults.push(NameError::NoMatch(name.to_owned()));
                    }
                }
                Some(stream) => {
                    let alias = stream.aliases.iter().find(|alias| **alias == name);
                    selected.push(SelectedStream { name: alias.copied().unwrap_or(stream.name), stream });
                }
                None => faults.push(NameError::Unknown(unknown_stream_text(name, table))),
            }
        }
        match (faults.is_empty(), selected.is_empty()) {
            (false, _) => Err(StreamsArgError::Unknown { names: faults, listing: listing(connector.executable) }),
            (true, true) => Err(StreamsArgError::Empty(listing(connector.executable))),
            (true, false) => Ok(Self(selected)),
        }
    }
}

/// Returns true if a name matches a pattern: `*` matches any number of letters, `?` matches one.
fn matches(pattern: &str, name: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return name.is_empty() };
    let rest = &pattern[first.len_utf8()..];
    match first {
        // Two stars match the same as one, but slowly.
        '*' if rest.starts_with('*') => matches(rest, name),
        '*' => name.char_indices().map(|(at, _)| &name[at..]).chain([""]).any(|tail| matches(rest, tail)),
        _ => name
            .chars()
            .next()
            .is_some_and(|letter| (first == '?' || first == letter) && matches(rest, &name[letter.len_utf8()..])),
    }
}

/// Returns the streams of several selections, each once.
pub(crate) fn merged(selections: &[StreamsArg]) -> Vec<SelectedStream> {
    let mut merged: Vec<SelectedStream> = Vec::new();
    for selected in selections.iter().flat_map(|selection| &selection.0) {
        if !merged.iter().any(|known| known.stream.name == selected.stream.name) {
            merged.push(*selected);
        }
    }
    merged
}

impl SelectedStream {
    /// Returns its sync mode: incremental if the stream supports it.
    pub(crate) fn mode(&self, full_refresh: bool) -> SyncMode {
        if self.stream.has_updated_at && !full_refresh { SyncMode::Incremental } else { SyncMode::FullRefresh }
    }
}

/// Returns the configured catalog for `--streams`, with all fields of each stream.
pub(crate) fn catalog(selections: &[StreamsArg]) -> ConfiguredCatalog {
    ConfiguredCatalog::of(merged(selections).iter().map(|selected| (selected.name, selected.mode(false))))
}

/// Returns the catalog with each stream once.
///
/// # Errors
/// [`UserError`] if the catalog lists a stream with two settings. Two names of one stream are two settings: a
/// destination waits for both.
pub(crate) fn once(catalog: ConfiguredCatalog, connector: &Connector) -> Result<ConfiguredCatalog, UserError> {
    let own = |name: &str| connector.find(name).map_or_else(|| name.to_owned(), |stream| stream.name.to_owned());
    let mut streams: Vec<ConfiguredStream> = Vec::new();
    for configured in catalog.streams {
        let name = &configured.stream.name;
        match streams.iter().find(|known| own(&known.stream.name) == own(name)) {
            None => streams.push(configured),
            Some(known) if *known == configured => {}
            Some(known) => return Err(UserError::duplicate_stream(&known.stream.name, name)),
        }
    }
    Ok(ConfiguredCatalog { streams })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cart::CART;
    use crate::cart::streams::STREAMS;

    fn parse(text: &str) -> Result<StreamsArg, StreamsArgError> {
        StreamsArg::parse(text, &CART)
    }

    fn names(texts: &[&str]) -> Vec<&'static str> {
        let selections: Vec<StreamsArg> = texts.iter().map(|text| parse(text).unwrap()).collect();
        merged(&selections).iter().map(|selected| selected.name).collect()
    }

    #[test]
    fn each_stream_is_chosen_once_and_in_the_order_given() {
        assert_eq!(names(&["orders,order_items"]), ["orders", "order_items"]);
        assert_eq!(names(&[" products , orders,", "orders,stores"]), ["products", "orders", "stores"]);
        assert_eq!(names(&["customers_cart,customers"]), ["customers_cart"]);
        assert_eq!(names(&["All"]).len(), STREAMS.len());
        assert_eq!(names(&["stores,all"]).len(), STREAMS.len());
    }

    #[test]
    fn a_pattern_stands_for_the_streams_whose_names_have_its_form() {
        let orders: Vec<&str> =
            STREAMS.iter().map(|stream| stream.name).filter(|name| name.starts_with("order")).collect();
        assert_eq!(names(&["order*"]), orders);
        assert_eq!(names(&["*_lists,products"]), ["product_lists", "mailing_lists", "products"]);
        assert_eq!(names(&["stor?s"]), ["stores"]);
        assert_eq!(names(&["orders,order_*"]).len(), orders.len());
        assert_eq!(names(&["*"]).len(), STREAMS.len());
        let reported = parse("ordr*,order?").unwrap_err().to_string();
        assert_eq!(reported.matches("No stream matches").count(), 1);
        assert!(matches("**a*?*b", "xaxb") && !matches("a*b", "ab_") && !matches("?", ""));
    }

    #[test]
    fn every_unknown_name_is_reported_with_suggestions() {
        let fault = |text: &str| parse(text).unwrap_err().to_string();
        insta::assert_snapshot!([fault("ordres,stores,prodcuts"), fault("alll"), fault("zzz"), fault(" ,")].join("\n"));
    }

    #[test]
    fn a_stream_is_incremental_where_it_can() {
        let catalog = catalog(&[parse("orders,stores").unwrap()]);
        let modes: Vec<SyncMode> = catalog.streams.iter().map(|stream| stream.sync_mode).collect();
        assert_eq!(modes, [SyncMode::Incremental, SyncMode::FullRefresh]);
    }
}
