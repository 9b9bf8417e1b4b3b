//! The configured catalog that `read` is given: which streams, and how. Unknown keys are ignored.

use serde::Deserialize;
use serde_json::Value;

/// The streams to read.
#[derive(Debug, Deserialize)]
pub struct ConfiguredCatalog {
    /// In the order given.
    pub streams: Vec<ConfiguredStream>,
}

/// One stream to read.
#[derive(Debug, Deserialize)]
pub struct ConfiguredStream {
    /// The stream, as `discover` described it or less.
    pub stream: Stream,
    /// How to read it.
    pub sync_mode: SyncMode,
}

/// What a configured catalog says of a stream.
#[derive(Debug, Deserialize)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// The schema, perhaps with fewer fields than `discover` gave; some launchers send `{}`.
    #[serde(default)]
    pub json_schema: Value,
}

/// How a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncMode {
    /// Everything, each time.
    FullRefresh,
    /// What has changed since the state.
    Incremental,
}

/// Reads a configured catalog.
///
/// # Errors
/// A clause that names the place and the fault.
pub fn parse(text: &[u8]) -> Result<ConfiguredCatalog, String> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let catalog: ConfiguredCatalog = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        if path == "." { error.inner().to_string() } else { format!("at {path}: {}", error.inner()) }
    })?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(catalog)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failing test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_least_that_launchers_send_is_enough() {
        let catalog = parse(
            br#"{"streams":[{"stream":{"name":"orders","json_schema":{},"namespace":null,"x":1},"sync_mode":"incremental",
                "destination_sync_mode":"append"},{"stream":{"name":"products"},"sync_mode":"full_refresh"}]}"#,
        )
        .unwrap();
        assert_eq!(catalog.streams.len(), 2);
        assert_eq!(catalog.streams[0].sync_mode, SyncMode::Incremental);
    }

    #[test]
    fn faults_name_their_place() {
        let bad = |text: &str| parse(text.as_bytes()).unwrap_err();
        assert!(
            bad(r#"{"streams":[{"stream":{"name":"orders"},"sync_mode":"INVALID"}]}"#)
                .starts_with("at streams[0].sync_mode")
        );
        assert!(bad(r#"{"streams":[{"stream":{},"sync_mode":"incremental"}]}"#).contains("missing field `name`"));
        assert!(bad("{}").contains("missing field `streams`"));
        assert!(bad("").contains("EOF"));
        assert!(bad(r#"{"streams":[]} x"#).contains("trailing"));
    }
}
