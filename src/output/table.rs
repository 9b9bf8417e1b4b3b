//! Plain tables for people, without colours.

/// The width if nothing reports it: most terminals open with it.
pub(crate) const USUAL_WIDTH: usize = 80;

/// The space between two columns.
const GAP: &str = "  ";

/// Returns the rows as lines with aligned columns: those with an index in `numbers` to the right, the others to the
/// left.
pub(crate) fn aligned(rows: &[Vec<String>], numbers: &[usize]) -> String {
    let length = |cell: &String| cell.chars().count();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(length).max().unwrap_or(0);
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = width(column);
            line.push_str(&match numbers.contains(&column) {
                true => format!("{cell:>width$}{GAP}"),
                false => format!("{cell:width$}{GAP}"),
            });
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Returns the length of the longest line.
pub(crate) fn width(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

/// Returns a line cut to `width` characters, with `…` at the end if it was longer.
pub(crate) fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let kept: String = line.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Returns a number with commas between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [["a", "1", "x"], ["bcd", "1,000", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(aligned(&rows, &[1]), "a        1  x\nbcd  1,000\n");
        assert_eq!(width("ab\nabcde\n"), 5);
    }

    #[test]
    fn a_line_is_cut_to_its_width() {
        assert_eq!(cut("a line of words", 15), "a line of words");
        assert_eq!(cut("a line of words", 8), "a line…");
        assert_eq!(cut("äöü", 2), "ä…");
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let shown = [0, 999, 1000, 12_345, 1_234_567].map(grouped);
        assert_eq!(shown, ["0", "999", "1,000", "12,345", "1,234,567"]);
    }
}
