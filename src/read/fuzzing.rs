//! What the fuzz targets, and the test that replays their inputs, need of the private parts. Nothing is
//! decided here, and the executable contains none of it.

use std::sync::Arc;

use serde_json::Value;

use super::rows::Taking;
use super::saved::Saved;
use crate::cart::Envelope;
use crate::cart::page::{PageFault, Reading};
use crate::config::Config;
use crate::fields::{Fault, Fields};
use crate::record::{Copier, Key, Shape, Updated};
use crate::secret::Secret;
use crate::streams::Stream;
use crate::view::View;

/// Reads a configuration file; gives the secrets in it.
///
/// # Errors
/// The sentences that tell what is wrong with it.
pub fn config(text: &[u8]) -> Result<Vec<Secret>, Vec<String>> {
    let sentences = |faults: Vec<Fault>| faults.iter().map(ToString::to_string).collect();
    Config::parse(text).map(|config| config.secrets()).map_err(sentences)
}

/// Reads the state of one stream, and gives it as it would go out again.
///
/// # Errors
/// The clause that tells what is wrong with it.
pub fn state(state: &Value) -> Result<Value, String> {
    Saved::parse(&state.to_string()).map(|(saved, _)| saved.to_json())
}

/// What a config asks of the records; what it asks wrongly counts as not asked.
#[must_use]
pub fn view(config: &Value) -> View {
    let fields = Fields::parse(config.to_string().as_bytes());
    fields.ok().and_then(|fields| View::parse(&fields).ok()).unwrap_or_default()
}

/// The schema of the records of a stream, and how they are copied. `None` if the table is wrong, which
/// other tests rule out.
#[must_use]
pub fn records(view: &View, stream: &Stream) -> Option<(Value, Shape)> {
    Some((view.schema(stream)?, view.shape(stream, &Value::Null)?))
}

/// A page that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its RECORD lines.
    pub lines: Vec<u8>,
    /// What was read of each row.
    pub rows: Vec<(Key, Updated)>,
    /// What stood around them.
    pub envelope: Envelope,
}

/// Reads a body that arrives in parts, as the client does, into lines that begin with `prefix`.
///
/// # Errors
/// [`PageFault`] if the body holds no list.
pub fn page<'b>(
    parts: impl Iterator<Item = &'b [u8]>,
    names: &[&str],
    prefix: &[u8],
    shape: &Arc<Shape>,
) -> Result<Page, PageFault> {
    let mut copier = Copier::new(Arc::clone(shape));
    let mut taking = Taking::new(Vec::new().into(), prefix, &mut copier);
    let (mut reading, mut window) = (Reading::new(names), Vec::new());
    for part in parts {
        window.extend_from_slice(part);
        let done = reading.feed(&window, false, &mut taking)?;
        window.drain(..done);
    }
    reading.feed(&window, true, &mut taking)?;
    let envelope = reading.finish(&mut taking)?;
    let rows = taking.into_rows(envelope, 1000);
    let facts = rows.rows.iter().map(|row| (row.key, row.updated)).collect();
    Ok(Page { lines: rows.lines.to_vec(), rows: facts, envelope: rows.envelope })
}
