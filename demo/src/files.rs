//! The files that the demo leaves to continue with.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Where the files are, below the current folder.
pub(crate) const FOLDER: &str = "demo-out";

/// The paths of the files.
pub(crate) struct Files {
    /// Which store, and from which day on.
    pub(crate) config: PathBuf,
    /// Which streams, and how.
    pub(crate) catalog: PathBuf,
    /// Where the last read ended.
    pub(crate) state: PathBuf,
}

impl Files {
    /// Makes the folder and writes the config.
    ///
    /// # Errors
    /// A sentence that says what cannot be written.
    pub(crate) fn create(config_fields: &Value) -> Result<Self, String> {
        let folder = Path::new(FOLDER);
        fs::create_dir_all(folder).map_err(|e| format!("the folder {FOLDER} cannot be made ({e})."))?;
        let [config, catalog, state] =
            ["config.json", "configured_catalog.json", "state.json"].map(|name| folder.join(name));
        let files = Self { config, catalog, state };
        write(&files.config, config_fields)?;
        Ok(files)
    }

    /// Returns the arguments of a read.
    pub(crate) fn read(&self, with_state: bool) -> Vec<&OsStr> {
        let mut arguments: Vec<&OsStr> = vec!["read".as_ref(), "--config".as_ref(), self.config.as_ref()];
        arguments.extend::<[&OsStr; 2]>(["--catalog".as_ref(), self.catalog.as_ref()]);
        if with_state {
            arguments.extend::<[&OsStr; 2]>(["--state".as_ref(), self.state.as_ref()]);
        }
        arguments
    }

    /// Writes the states in the form in which a platform passes them: a list, one per stream.
    ///
    /// # Errors
    /// A sentence that says why not.
    pub(crate) fn write_state(&self, states: &BTreeMap<String, Value>) -> Result<(), String> {
        write(&self.state, &states.values().cloned().collect())
    }
}

/// Writes a file.
///
/// # Errors
/// A sentence that says why not.
pub(crate) fn write(path: &Path, value: &Value) -> Result<(), String> {
    let result = serde_json::to_vec_pretty(value).map_err(io::Error::from).and_then(|text| fs::write(path, text));
    result.map_err(|e| format!("{} cannot be written ({e}).", path.display()))
}
