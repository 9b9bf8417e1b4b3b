//! The shops that the project reads: the executable of each, and the catalog that it prints.

use std::sync::OnceLock;

use serde_json::{Value, json};

use super::command::Command;
use super::files::configured_stream;

/// A shop that an executable of this project reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shop {
    /// Cart.com.
    Cart,
    /// CS-Cart and Multi-Vendor.
    CsCart,
}

impl Shop {
    /// Returns the path of the executable.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Shop::Cart => env!("CARGO_BIN_EXE_source-cart"),
            Shop::CsCart => env!("CARGO_BIN_EXE_source-cs-cart"),
        }
    }

    /// Returns the catalog from `discover`, which is run once for each shop.
    pub(crate) fn discovered(self) -> &'static Value {
        static CATALOGS: [OnceLock<Value>; 2] = [OnceLock::new(), OnceLock::new()];
        CATALOGS[self as usize].get_or_init(|| {
            // The catalog is fixed: no config is needed, and no request is made.
            let run = Command::of(self, "discover").run();
            assert_eq!(run.code, Some(0), "discover\n{}", run.transcript());
            run.catalog().clone()
        })
    }

    /// Returns one stream of `discover`. The alias `customers_cart` returns `customers`.
    pub(crate) fn discovered_stream(self, name: &str) -> Option<&'static Value> {
        let name = match name {
            "customers_cart" => "customers",
            other => other,
        };
        let streams = self.discovered()["streams"].as_array()?;
        streams.iter().find(|stream| stream["name"] == name)
    }

    /// Returns a configured catalog of these streams, each with `full_refresh` or `incremental`.
    pub(crate) fn configured(self, streams: &[(&str, &str)]) -> Value {
        let streams: Vec<Value> = streams
            .iter()
            .map(|(name, mode)| {
                let stream = self.discovered_stream(name);
                let mut stream = stream.unwrap_or_else(|| panic!("discover has no stream {name}")).clone();
                stream["name"] = json!(name);
                configured_stream(stream, mode)
            })
            .collect();
        json!({ "streams": streams })
    }

    /// Returns a configured catalog of all streams. Those without an incremental mode are read in full refresh.
    pub(crate) fn configured_all(self, mode: &str) -> Value {
        let streams = self.discovered()["streams"].as_array().unwrap();
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
}
