//! Query parameters as PHP reads them: the last of a name counts, `name[]` and `name[key]` are arrays.

/// Parameters of a request, decoded, in the order sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Creates the query of some pairs.
    pub(crate) fn new(pairs: &[(String, String)]) -> Query {
        Query { pairs: pairs.to_vec() }
    }

    /// Returns the value of a parameter that is not an array.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns the value if it is not empty.
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// Returns true if the parameter is set to something that PHP takes as true.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !value.is_empty() && value != "0")
    }

    /// Returns the parameter as a number; 0 if it is not one, as PHP's cast does.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.filled(name).map(to_number)
    }

    /// Returns an amount of money in hundredths.
    pub(crate) fn money(&self, name: &str) -> Option<i64> {
        let amount: f64 = self.filled(name)?.parse().ok()?;
        Some((amount * 100.0).round() as i64)
    }

    /// Returns the values of a parameter that may be one value, an array, or a list with commas.
    pub(crate) fn list(&self, name: &str) -> Option<Vec<&str>> {
        let is_item =
            |key: &str| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('[') && rest.ends_with(']'));
        let items: Vec<&str> = self.pairs.iter().filter(|(key, _)| is_item(key)).map(|(_, v)| v.as_str()).collect();
        if !items.is_empty() {
            return Some(items);
        }
        self.filled(name).map(|value| value.split(',').map(str::trim).collect())
    }

    /// Returns the numbers of such a parameter, sorted.
    pub(crate) fn numbers(&self, name: &str) -> Option<Vec<i64>> {
        let mut numbers: Vec<i64> = self.list(name)?.into_iter().map(to_number).collect();
        numbers.sort_unstable();
        Some(numbers)
    }

    /// Returns the names of the parameters with the JSON of their values, each once.
    pub(crate) fn echo(&self) -> Vec<(String, String)> {
        let mut echo: Vec<(String, String)> = Vec::new();
        for (key, value) in &self.pairs {
            let (name, json) = match key.split_once('[') {
                Some((name, _)) => {
                    let items: Vec<String> =
                        self.list(name).unwrap_or_default().into_iter().map(super::json::quoted).collect();
                    (name, format!("[{}]", items.join(",")))
                }
                None => (key.as_str(), super::json::quoted(value)),
            };
            match echo.iter_mut().find(|(known, _)| known == name) {
                Some(known) => known.1 = json,
                None => echo.push((name.to_owned(), json)),
            }
        }
        echo
    }
}

/// Returns the number at the start of a string; 0 if there is none.
pub(crate) fn to_number(text: &str) -> i64 {
    let text = text.trim();
    let digits = text.strip_prefix('-').unwrap_or(text);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let number: i64 = digits[..end].parse().unwrap_or(0);
    if text.starts_with('-') { -number } else { number }
}
