//! What the executable is given: configs, configured catalogs, and the temporary files that hold them.

use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::command::Command;

/// The token that the fake store knows.
pub(crate) const TOKEN: &str = "good-token";
/// The secret to give to a fake router.
pub(crate) const ROUTER_SECRET: &str = "router-secret-0123456789";
/// The start date of configs for which any will do.
pub(crate) const START: &str = "2000-01-01T00:00:00Z";

/// A temporary directory that goes away with this value.
#[derive(Debug)]
pub(crate) struct Files {
    dir: TempDir,
}

impl Files {
    /// Makes an empty directory.
    pub(crate) fn new() -> Files {
        let dir = tempfile::tempdir().unwrap();
        Files { dir }
    }

    /// The path of a file, there or not.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file and gives its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// A config for one store.
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

/// A config for the central router at `base`.
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

/// What `discover` answers; it is run once.
pub(crate) fn discovered() -> &'static Value {
    static CATALOG: OnceLock<Value> = OnceLock::new();
    CATALOG.get_or_init(|| {
        // Nobody listens there: the catalog is fixed, and `discover` asks nobody.
        let config = store_config("http://127.0.0.1:9", TOKEN, START);
        let run = Command::new("discover").config(&config).run();
        assert_eq!(run.code, Some(0), "discover\n{}", run.transcript());
        run.catalog().clone()
    })
}

/// One stream of `discover`; `customers_cart` is found as `customers`.
pub(crate) fn discovered_stream(name: &str) -> Option<&'static Value> {
    let name = match name {
        "customers_cart" => "customers",
        other => other,
    };
    let streams = discovered()["streams"].as_array()?;
    streams.iter().find(|stream| stream["name"] == name)
}

/// A configured catalog of the given streams, each with `full_refresh` or `incremental`.
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

/// A configured catalog of all streams; those that know no incremental mode are read by full refresh.
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

/// Wraps one stream of a catalog as the platform does, but for `sync_id`: that of a job would make each further
/// full refresh with the same catalog an attempt of the same job.
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
