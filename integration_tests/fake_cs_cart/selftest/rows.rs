//! Types of values, private fields, and rows with text that cannot be encoded.

use super::*;

#[test]
fn columns_are_strings_or_numbers_and_computed_values_numbers() {
    let store = sample(Options::default());
    let order = |store: &FakeCsCart| get(store, "orders/3").json();
    let text = order(&store);
    assert_eq!((&text["order_id"], text["total"].is_string()), (&"3".into(), true));
    assert!(text["discount"].is_number() && text["need_shipping"].is_boolean());
    store.options(|options| options.columns = Columns::Integers);
    let integers = order(&store);
    assert_eq!((&integers["order_id"], integers["total"].is_string()), (&3.into(), true));
    store.options(|options| options.columns = Columns::Numbers);
    let numbers = order(&store);
    assert_eq!(numbers["total"].as_f64(), text["total"].as_str().unwrap().parse().ok());
    assert_eq!(get(&store, "products/2").json()["weight"].as_f64().unwrap() * 1000.0 % 1.0, 0.0);
}

#[test]
fn empty_objects_are_arrays() {
    let store = sample(Options::default());
    let orders = get(&store, "orders?get_orders_data=1&items_per_page=0").rows("orders");
    for name in ["promotions", "taxes", "payment_info"] {
        assert!(orders.iter().any(|order| order[name] == serde_json::json!([])), "{name}");
        assert!(orders.iter().any(|order| order[name].is_object()), "{name}");
    }
}

#[test]
fn text_is_escaped_as_php_does() {
    let store = sample(Options::default());
    store.data(|data| data.change_order(3, Note::Stamped, |order| order.notes = "é/\"\\\n🛒\u{1}".to_owned()));
    let reply = get(&store, "orders/3");
    assert!(reply.text().contains(r#""notes":"\u00e9\/\"\\\n\ud83d\uded2\u0001""#), "{}", reply.text());
    assert_eq!(reply.json()["notes"], "é/\"\\\n🛒\u{1}");
}

#[test]
fn one_broken_row_empties_the_answer() {
    let store = sample(Options::default());
    store.data(|data| {
        data.broken.extend([("orders", 7), ("users", 9), ("categories", 3)]);
        data.broken_inside.insert(11);
    });
    let is_empty = |path: &str| {
        let reply = get(&store, path);
        assert_eq!((reply.status, reply.header("content-type").unwrap()), (200, "application/json".to_owned()));
        reply.body.is_empty()
    };
    assert!(is_empty("orders?order_id=6,7,8") && is_empty("orders/7") && !is_empty("orders?order_id=6,8"));
    assert!(!is_empty("orders?order_id=10,11") && is_empty("orders?order_id=10,11&get_orders_data=1"));
    assert!(is_empty("users?user_type=C&user_ids%5B%5D=9&user_ids%5B%5D=8") && is_empty("categories"));
}

#[test]
fn private_fields_are_marked() {
    let store = sample(Options::default());
    let has = |path: &str, marks: &[&str]| {
        let text = get(&store, path).text();
        marks.iter().for_each(|mark| assert!(text.contains(&format!("PRIVATE-{mark}")), "{path}: {mark}"));
    };
    has("carts?users_type=R", &["cart-", "password", "salt", "passwords", "api-key"]);
    let user = get(&store, "carts?users_type=R").column("carts", "user_id")[0];
    has(&format!("carts/{user}"), &["session-", "path", "relative"]);
    has("orders?get_orders_data=1", &["card", "processor", "group", "validation-", "session-"]);
    has("products", &["path", "relative"]);
    has("payments", &["processor"]);
}

#[test]
fn a_product_without_a_category_is_not_listed() {
    let store = sample(Options::default());
    assert!(!get(&store, "products?items_per_page=0").column("products", "product_id").contains(&17));
    store.data(|data| data.change_product(17, Note::Stamped, |product| product.category_ids = vec![1]));
    assert!(get(&store, "products?items_per_page=0").column("products", "product_id").contains(&17));
}

#[test]
fn products_can_be_read_cheaper_and_in_another_language() {
    let store = sample(Options::default());
    let first = |query: &str| get(&store, &format!("products?pid=2&{query}")).rows("products").remove(0);
    assert!(first("").get("main_pair").is_some() && first("").get("product_features").is_some());
    let cheap = first("get_features=0&get_additional=0&get_icon=0&get_detailed=0");
    assert!(cheap.get("main_pair").is_none() && cheap.get("product_features").is_none());
    assert_eq!([&first("")["product"], &first("lang_code=de")["product"]], ["Product 2", "Product 2 (de)"]);
}

#[test]
fn changed_products_are_found_by_hours_that_may_have_a_fraction() {
    let store = sample(Options::default());
    store.data(|data| data.edit_product(4));
    store.data(|data| data.tick(3500));
    store.data(|data| data.take_stock(5));
    let ids = |hours: &str| get(&store, &format!("products?updated_in_hours={hours}")).column("products", "product_id");
    assert!(ids("0.9").is_empty());
    assert_eq!([ids("0.98"), ids("1")], [[4], [4]]);
    store.options(|options| options.whole_hours = true);
    store.data(|data| data.tick(3600));
    assert!(ids("1.99").is_empty());
    assert_eq!(ids("2"), [4]);
}

#[test]
fn edits_of_products_set_their_date_and_stock_does_not() {
    let store = sample(Options::default());
    let product = || get(&store, "products/4").json();
    let before = product();
    store.data(|data| {
        data.tick(60);
        data.take_stock(4);
    });
    assert_eq!(number(&product()["amount"]), number(&before["amount"]) - 1);
    assert_eq!(product()["updated_timestamp"], before["updated_timestamp"]);
    store.data(|data| data.move_product(4, 1000));
    assert_eq!([number(&product()["timestamp"]), number(&product()["updated_timestamp"])], [1000, START + 60]);
}
