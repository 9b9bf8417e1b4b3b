//! Writes JSON as the store's server does: slashes and characters outside ASCII are escaped, columns are strings.

use std::fmt::Write as _;

/// JSON types of the columns of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Columns {
    /// Every column is a string: `"12"`, `"30.00"`.
    #[default]
    Text,
    /// Integers are numbers, decimals are strings.
    Integers,
    /// Integers and decimals are numbers.
    Numbers,
}

/// A JSON text that grows.
pub(crate) struct Writer {
    /// Text written so far.
    pub(crate) text: String,
    columns: Columns,
}

impl Writer {
    /// Creates an empty text.
    pub(crate) fn new(columns: Columns) -> Writer {
        Writer { text: String::new(), columns }
    }

    /// Opens an object or array with its first character.
    pub(crate) fn open(&mut self, bracket: char) -> &mut Writer {
        self.comma();
        self.text.push(bracket);
        self
    }

    /// Opens the object or array that is the value of a field.
    pub(crate) fn open_in(&mut self, name: &str, bracket: char) -> &mut Writer {
        self.name(name);
        self.text.push(bracket);
        self
    }

    /// Closes an object or array with its last character.
    pub(crate) fn close(&mut self, bracket: char) -> &mut Writer {
        self.text.push(bracket);
        self
    }

    /// Writes an integer column.
    pub(crate) fn int(&mut self, name: &str, value: i64) -> &mut Writer {
        self.name(name);
        let mark = if self.columns == Columns::Text { "\"" } else { "" };
        let _ = write!(self.text, "{mark}{value}{mark}");
        self
    }

    /// Writes an integer column, or null.
    pub(crate) fn int_or_null(&mut self, name: &str, value: Option<i64>) -> &mut Writer {
        match value {
            Some(value) => self.int(name, value),
            None => self.raw(name, "null"),
        }
    }

    /// Writes an amount of money, in hundredths.
    pub(crate) fn money(&mut self, name: &str, hundredths: i64) -> &mut Writer {
        self.name(name);
        let mark = if self.columns == Columns::Numbers { "" } else { "\"" };
        let (sign, all) = (if hundredths < 0 { "-" } else { "" }, hundredths.abs());
        let _ = write!(self.text, "{mark}{sign}{}.{:02}{mark}", all / 100, all % 100);
        self
    }

    /// Writes a weight, in thousandths.
    pub(crate) fn weight(&mut self, name: &str, thousandths: i64) -> &mut Writer {
        self.name(name);
        let mark = if self.columns == Columns::Numbers { "" } else { "\"" };
        let _ = write!(self.text, "{mark}{}.{:03}{mark}", thousandths / 1000, thousandths % 1000);
        self
    }

    /// Writes a computed amount of money, in hundredths: always a number, without zeros at its end.
    pub(crate) fn computed(&mut self, name: &str, hundredths: i64) -> &mut Writer {
        self.name(name);
        let (units, rest) = (hundredths / 100, (hundredths % 100).abs());
        let _ = match rest {
            0 => write!(self.text, "{units}"),
            rest if rest % 10 == 0 => write!(self.text, "{units}.{}", rest / 10),
            rest => write!(self.text, "{units}.{rest:02}"),
        };
        self
    }

    /// Writes a string.
    pub(crate) fn text(&mut self, name: &str, value: &str) -> &mut Writer {
        self.name(name);
        quote(value, &mut self.text);
        self
    }

    /// Writes a value that is JSON already.
    pub(crate) fn raw(&mut self, name: &str, json: &str) -> &mut Writer {
        self.name(name);
        self.text.push_str(json);
        self
    }

    /// Writes an element of an array that is JSON already.
    pub(crate) fn element(&mut self, json: &str) -> &mut Writer {
        self.comma();
        self.text.push_str(json);
        self
    }

    /// Writes the name of a field; its value follows.
    pub(crate) fn key(&mut self, name: &str) -> &mut Writer {
        self.name(name);
        self
    }

    fn name(&mut self, name: &str) {
        self.comma();
        quote(name, &mut self.text);
        self.text.push(':');
    }

    fn comma(&mut self) {
        if !matches!(self.text.as_bytes().last(), None | Some(b'{' | b'[' | b':')) {
            self.text.push(',');
        }
    }
}

/// Appends a JSON string, with slashes and everything outside ASCII escaped.
pub(crate) fn quote(value: &str, out: &mut String) {
    out.push('"');
    for character in value.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '/' => out.push_str("\\/"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(character),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

/// Returns a JSON string.
pub(crate) fn quoted(value: &str) -> String {
    let mut out = String::new();
    quote(value, &mut out);
    out
}
