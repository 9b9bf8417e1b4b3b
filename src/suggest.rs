//! Names that a mistyped one may have meant. Pure.

/// How many are offered.
const MOST: usize = 5;

/// How alike two names must be, by Jaro-Winkler: typing errors, plurals and missing prefixes lie above.
const ALIKE: f64 = 0.8;

/// The names among `known` that `name` may have meant, the likeliest first.
#[must_use]
pub(crate) fn suggestions<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Vec<&'k str> {
    let likeness = |known: &str| {
        let part = name.len() > 3 && known.split('_').any(|word| word == name);
        strsim::jaro_winkler(name, known).max(if part { 0.9 } else { 0.0 })
    };
    let mut alike: Vec<(f64, &str)> =
        known.map(|known| (likeness(known), known)).filter(|(by, _)| *by >= ALIKE).collect();
    alike.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    alike.into_iter().take(MOST).map(|(_, known)| known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_plurals_and_parts_are_recognized() {
        let known = || ["orders", "order_items", "customers", "product_variants", "stores"].into_iter();
        assert_eq!(suggestions("ordres", known())[0], "orders");
        assert_eq!(suggestions("customer", known())[0], "customers");
        assert_eq!(suggestions("variants", known()), ["product_variants"]);
        assert_eq!(suggestions("invoices", known()), Vec::<&str>::new());
    }
}
