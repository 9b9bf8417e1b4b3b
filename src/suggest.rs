//! Suggestions for mistyped names. Pure.

/// Maximum number of suggestions; more are not read.
const MAX_SUGGESTIONS: usize = 5;

/// Minimum Jaro-Winkler similarity. Typing errors, plurals and missing prefixes are above it.
const MIN_SIMILARITY: f64 = 0.8;

/// Returns the `known` names that are similar to `name`, the most similar first.
pub(crate) fn suggestions<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Vec<&'k str> {
    let similarity = |known: &str| {
        let part = name.len() > 3 && known.split('_').any(|word| word == name);
        strsim::jaro_winkler(name, known).max(if part { 0.9 } else { 0.0 })
    };
    let mut similar: Vec<(f64, &str)> =
        known.map(|known| (similarity(known), known)).filter(|(by, _)| *by >= MIN_SIMILARITY).collect();
    similar.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    similar.into_iter().take(MAX_SUGGESTIONS).map(|(_, known)| known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_plurals_and_parts_of_names_are_recognized() {
        let known = || ["orders", "order_items", "customers", "product_variants", "stores"].into_iter();
        assert_eq!(suggestions("ordres", known())[0], "orders");
        assert_eq!(suggestions("customer", known())[0], "customers");
        assert_eq!(suggestions("variants", known()), ["product_variants"]);
        assert_eq!(suggestions("invoices", known()), Vec::<&str>::new());
    }
}
