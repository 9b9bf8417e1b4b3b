//! Input for the executable: configs and configured catalogs, and temporary files for them.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::shop::Shop;

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

/// Returns the catalog of `source-cart`.
pub(crate) fn discovered() -> &'static Value {
    Shop::Cart.discovered()
}

/// Returns one stream of `source-cart`.
pub(crate) fn discovered_stream(name: &str) -> Option<&'static Value> {
    Shop::Cart.discovered_stream(name)
}

/// Returns a configured catalog of these streams of `source-cart`, each with `full_refresh` or `incremental`.
pub(crate) fn configured(streams: &[(&str, &str)]) -> Value {
    Shop::Cart.configured(streams)
}

/// Returns a configured catalog of all streams of `source-cart`.
pub(crate) fn configured_all(mode: &str) -> Value {
    Shop::Cart.configured_all(mode)
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
