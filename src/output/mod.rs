//! Writes the output: the sink between the writer's thread and stdout or files, and text for people on stderr. Nothing
//! here sends requests or decides which rows are read.
//!
//! In reading order: `options` (the options of the command line), `stdout` (the kind of file that stdout is), `sink`
//! (writes each message to stdout, files or stderr) with `destination` (the files of a read), `record_encoder` and
//! `csv` (records without messages), `output_dir` (files of records), `state_file`, `console` (messages as text),
//! `progress` with `progress_lines`, `rate`, `wait_time` and `summary` (the progress and the table in a terminal),
//! `table` and `spinner`, [`run_summary`] (the document of `--summary`), `forecast` and `dry_run_sink` (the estimate of
//! `--dry-run`).

mod console;
mod csv;
mod destination;
mod dry_run_sink;
pub(crate) mod forecast;
pub(crate) mod options;
mod output_dir;
pub mod progress;
mod progress_lines;
mod rate;
mod record_encoder;
pub mod run_summary;
mod sink;
pub(crate) mod spinner;
pub(crate) mod state_file;
pub mod stdout;
mod summary;
pub(crate) mod table;
pub mod wait_time;

pub(crate) use csv::Columns;
pub(crate) use options::{Format, OutputError, OutputOptions};
pub(crate) use sink::{ReadOutput, open};
