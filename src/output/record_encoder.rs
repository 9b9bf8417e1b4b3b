//! Records without the messages around them, as JSON lines or as CSV.

use std::io;

use super::csv::Columns;
use crate::airbyte::WriteError;
use crate::airbyte::message::RECORD_SUFFIX;

/// Appends the records of these RECORD lines to `out`: as CSV with `columns`, or else one JSON object per line. Each
/// line has `prefix_length` bytes before its data.
pub(super) fn encode(
    lines: &[u8],
    prefix_length: usize,
    mut columns: Option<&mut Columns>,
    out: &mut Vec<u8>,
) -> Result<(), WriteError> {
    if let Some(columns) = &mut columns {
        columns.header_once(out);
    }
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        let end = line.len().saturating_sub(RECORD_SUFFIX.len());
        let data = line.get(prefix_length..end).unwrap_or_default();
        match &mut columns {
            Some(columns) => columns.row(data, out).map_err(|fault| WriteError {
                what: "a record".to_owned(),
                error: io::Error::other(format!("it is not valid JSON at byte {}", fault.0)),
            })?,
            None => {
                out.extend_from_slice(data);
                out.push(b'\n');
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::airbyte::message::record_prefix;

    #[test]
    fn records_are_found_by_the_length_of_the_prefix_whatever_they_contain() {
        for stream in ["orders", "a\"b,\"data\":"] {
            let records = [r#"{"id":1,"x":"}}"}"#, "{}", r#"{"data":[1],"id":2}"#];
            let line = |data: &str| [&record_prefix(stream)[..], data.as_bytes(), RECORD_SUFFIX].concat();
            let lines = records.map(line).concat();
            let prefix_length = record_prefix(stream).len();
            let mut out = Vec::new();
            encode(&lines, prefix_length, None, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), records.join("\n") + "\n");
            let (mut columns, mut out) = (Columns::new(vec!["id".to_owned()]), Vec::new());
            encode(&lines, prefix_length, Some(&mut columns), &mut out).unwrap();
            encode(&lines, prefix_length, Some(&mut columns), &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert_eq!(text.matches("id,_extra\n").count(), 1, "{text}");
            assert_eq!(text.lines().count(), 7, "{text}");
        }
    }
}
