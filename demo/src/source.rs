//! Runs of the executable.

use std::ffi::OsStr;
use std::io::{self, BufRead as _, BufReader, ErrorKind};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::files::{self, Files};
use crate::outcome::Outcome;

/// A stream of the configured catalog.
pub(crate) struct Stream {
    /// Its name.
    pub(crate) name: String,
    /// The field that is its key.
    pub(crate) key: String,
    /// Returns only changes when it is read again.
    pub(crate) incremental: bool,
}

/// The connector: this executable.
pub(crate) struct Source {
    /// Its path.
    pub(crate) executable: PathBuf,
    /// The first argument with which it is the connector.
    pub(crate) connector: &'static str,
    /// Passes the messages on.
    pub(crate) shows_messages: bool,
}

impl Source {
    /// Runs `check`.
    ///
    /// # Errors
    /// A sentence, unless the connection succeeds.
    pub(crate) fn check(&self, files: &Files, out: &mut impl io::Write) -> Result<(), String> {
        let status = self.run(&["check".as_ref(), "--config".as_ref(), files.config.as_ref()], out)?.status;
        match status.as_ref().and_then(|status| status["status"].as_str()) {
            Some("SUCCEEDED") => Ok(()),
            _ => Err(format!("check should report SUCCEEDED, but reported {}.", status.unwrap_or_default())),
        }
    }

    /// Runs `discover`, and writes a catalog in which every stream is configured as a platform would, except those in
    /// `left_out`.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the catalog.
    pub(crate) fn discover(
        &self,
        files: &Files,
        left_out: &[&str],
        out: &mut impl io::Write,
    ) -> Result<Vec<Stream>, String> {
        let arguments = ["discover".as_ref(), "--config".as_ref(), files.config.as_ref()];
        let catalog = self.run(&arguments, out)?.catalog;
        let found = catalog.as_ref().and_then(|catalog| catalog["streams"].as_array());
        let mut streams = Vec::new();
        let mut configured = Vec::new();
        for stream in found.into_iter().flatten() {
            let modes = stream["supported_sync_modes"].as_array();
            let incremental = modes.is_some_and(|modes| modes.iter().any(|mode| mode == "incremental"));
            let primary_key = &stream["source_defined_primary_key"];
            let (Some(name), Some(key)) = (stream["name"].as_str(), primary_key[0][0].as_str()) else {
                return Err(format!("discover should name each stream and its key, but printed {stream}."));
            };
            if left_out.contains(&name) {
                continue;
            }
            configured.push(if incremental {
                json!({
                    "stream": stream, "sync_mode": "incremental", "destination_sync_mode": "append_dedup",
                    "cursor_field": stream["default_cursor_field"], "primary_key": primary_key,
                })
            } else {
                json!({ "stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "overwrite" })
            });
            streams.push(Stream { name: name.to_owned(), key: key.to_owned(), incremental });
        }
        if streams.is_empty() {
            return Err("discover should print a catalog with streams, but printed none.".to_owned());
        }
        files::write(&files.catalog, &json!({ "streams": configured }))?;
        Ok(streams)
    }

    /// Runs one command, passes its messages on, and collects what they say.
    ///
    /// # Errors
    /// A sentence that says what failed.
    pub(crate) fn run(&self, arguments: &[&OsStr], out: &mut impl io::Write) -> Result<Outcome, String> {
        let what = arguments.first().map(|name| name.display().to_string()).unwrap_or_default();
        let mut command = Command::new(&self.executable);
        // The store is on this machine; a proxy has no business in between.
        command.arg(self.connector).args(arguments).env("NO_PROXY", "127.0.0.1").env_remove("no_proxy");
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|e| format!("{} cannot be started ({e}).", self.executable.display()))?;
        let mut outcome = Outcome::default();
        let mut problem = None;
        for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufReader::lines) {
            let read = line.map_err(|e| format!("the messages of {what} cannot be read ({e}).")).and_then(|line| {
                if self.shows_messages {
                    pass_on(out, &line)?;
                }
                outcome.take(&line).ok_or_else(|| format!("{what} printed a line that is not a message: {line}"))
            });
            // The run is read to its end, so that the exit code is its own.
            problem = problem.or(read.err());
        }
        let ended = child.wait().map_err(|e| format!("the end of {what} cannot be waited for ({e})."))?;
        match problem.or_else(|| outcome.errors.first().map(|error| format!("{what} reported an error: {error}"))) {
            Some(sentence) => Err(sentence),
            None if ended.success() => Ok(outcome),
            None => Err(format!("{what} ended with {ended}, but should have succeeded.")),
        }
    }
}

/// Prints a message. Whoever has seen enough (`| head`) may close the pipe.
fn pass_on(out: &mut impl io::Write, line: &str) -> Result<(), String> {
    match writeln!(out, "{line}") {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(format!("the messages cannot be printed ({e}).")),
        _ => Ok(()),
    }
}
