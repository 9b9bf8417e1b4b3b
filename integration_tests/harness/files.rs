//! Input for the executable: configs and configured catalogs, and temporary files for them.

use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::command::Command;

/// The token that the fake store accepts.
pub(crate) const TOKEN: &str = "good-token";
/// The secret that a fake router accepts.
pub(crate) const ROUTER_SECRET: &str = "router-secret-0123456789";
/// The start date of configs in tests that do not depend on it.
pub(crate) const START: &str = "2000-01-01T00:00:00Z";

/// A temporary directory, which is removed when this value is dropped.
#[derive(Debug)]
pub(crate) struct Files {
    dir: TempDir,
}

impl Files {
    /// Creates an empty directory.
    pub(crate) fn new() -> Files {
        let dir = tempfile::tempdir().unwrap();
        Files { dir }
    }

    /// Returns the path of a file, which need not exist.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// Returns a config for one store.
pub(crate) fn store_config(url: &str, token: &str, start_date: &str) -> Value {
    json!({
        "credentials": {
            "auth_type": "SINGLE_STORE_ACCESS_TOKEN",
            "access_token": token,
            "store_name": url,
        },
        "start_date": start_date,
    })
}

/// Returns a config for the Central API Router at `base`.
pub(crate) fn router_config(base: &str, user: &str, secret: &str, site_id: &str, start_date: &str) -> Value {
    json!({
        "credentials": {
            "auth_type": "CENTRAL_API_ROUTER",
            "user_name": user,
            "user_secret": secret,
            "site_id": site_id,
        },
        "start_date": start_date,
        "_router_url": base,
    })
}

/// Returns the catalog from `discover`, which is run once.
pub(crate) fn discovered() -> &'static Value {
    static CATALOG: OnceLock<Value> = OnceLock::new();
    CATALOG.get_or_init(|| {
        // No server listens there: the catalog is fixed, and `discover` makes no requests.
        let config = store_config("http://127.0.0.1:9", TOKEN, START);
        let run = Command::new("discover").config(&config).run();
        assert_eq!(run.code, Some(0), "discover\n{}", run.transcript());
        run.catalog().clone()
    })
}

/// Returns one stream of `discover`. The alias `customers_cart` returns `customers`.
pub(crate) fn discovered_stream(name: &str) -> Option<&'static Value> {
    let name = match name {
        "customers_cart" => "customers",
        other => other,
    };
    let streams = discovered()["streams"].as_array()?;
    streams.iter().find(|stream| stream["name"] == name)
}

/// Returns a configured catalog of these streams, each with `full_refresh` or `incremental`.
pub(crate) fn configured(streams: &[(&str, &str)]) -> Value {
    let streams: Vec<Value> = streams
        .iter()
        .map(|(name, mode)| {
            let mut stream = discovered_stream(name).unwrap_or_else(|| panic!("discover has no stream {name}")).clone();
            stream["name"] = json!(name);
            configured_stream(stream, mode)
        })
        .collect();
    json!({ "streams": streams })
}

/// Returns a configured catalog of all streams. Those without an incremental mode are read in full refresh.
pub(crate) fn configured_all(mode: &str) -> Value {
    let streams = discovered()["streams"].as_array().unwrap();
    let streams: Vec<Value> = streams
        .iter()
        .map(|stream| {
            let modes = stream["supported_sync_modes"].as_array().unwrap();
            let known = modes.iter().any(|known| known == mode);
            configured_stream(stream.clone(), if known { mode } else { "full_refresh" })
        })
        .collect();
    json!({ "streams": streams })
}

/// Returns an entry of a configured catalog for a stream, as the platform writes it, but without `sync_id`: with one,
/// each full refresh with the same catalog would count as another attempt of the same job.
pub(crate) fn configured_stream(stream: Value, mode: &str) -> Value {
    let incremental = match mode {
        "incremental" => true,
        "full_refresh" => false,
        other => panic!("unknown sync mode {other}"),
    };
    let mut wrapped = json!({
        "sync_mode": mode,
        "destination_sync_mode": if incremental { "append_dedup" } else { "overwrite" },
        "cursor_field": stream.get("default_cursor_field").cloned().unwrap_or_else(|| json!([])),
        "primary_key": stream.get("source_defined_primary_key").cloned().unwrap_or_else(|| json!([])),
        "generation_id": 1,
        "minimum_generation_id": 0,
    });
    wrapped["stream"] = stream;
    wrapped
}
