//! Pages, ends of lists, sorts and echoes.

use super::*;

#[test]
fn pages_have_the_requested_size_and_a_default() {
    let store = sample(Options { default_page: 7, ..Options::default() });
    let total = get(&store, "orders").total();
    assert_eq!(get(&store, "orders").rows("orders").len(), 7);
    assert_eq!(get(&store, "orders?items_per_page=-3").rows("orders").len(), 7);
    assert_eq!(get(&store, "orders?items_per_page=many").rows("orders").len(), 7);
    assert_eq!(get(&store, "orders?items_per_page=1000").rows("orders").len() as i64, total);
    let mut ids = Vec::new();
    for page in 1..=(total + 19) / 20 {
        let reply = get(&store, &format!("orders?sort_by=order_id&sort_order=asc&items_per_page=20&page={page}"));
        assert_eq!(reply.json()["params"]["page"], page.to_string());
        ids.extend(reply.column("orders", "order_id"));
    }
    assert!(ids.is_sorted() && ids.len() as i64 == total);
}

#[test]
fn no_limit_returns_everything_without_a_total() {
    let store = sample(Options::default());
    let total = get(&store, "products").total();
    let all = get(&store, "products?items_per_page=0");
    assert_eq!(all.rows("products").len() as i64, total);
    assert!(all.json()["params"].get("total_items").is_none());
}

#[test]
fn past_the_end_some_lists_are_empty_and_some_repeat_the_last_page() {
    let store = sample(Options::default());
    for object in ["carts", "orders", "products", "statuses", "taxes", "payments", "shippings", "languages"] {
        let reply = get(&store, &format!("{object}?items_per_page=2&page=90"));
        assert_eq!(reply.json()[object], serde_json::json!([]), "{object}");
        assert_eq!(reply.json()["params"]["page"], "90");
    }
    for object in [
        "users?user_type=C",
        "shipments?x=1",
        "categories?x=1",
        "stores?x=1",
        "call_requests?x=1",
        "product_reviews?x=1",
    ] {
        let list = object.split('?').next().unwrap();
        let reply = get(&store, &format!("{object}&items_per_page=4&page=90"));
        let last = (reply.total() + 3) / 4;
        assert_eq!(number(&reply.json()["params"]["page"]), last, "{object}");
        let rows = reply.total() - (last - 1) * 4;
        assert_eq!(reply.rows(list).len() as i64, rows, "{object}");
    }
    let vendors = get(&multi_vendor(), "vendors?items_per_page=2&page=9");
    assert_eq!(vendors.rows("vendors").len(), 2);
    // Version 4.3.9 cuts the list of categories in PHP.
    let old = of_version(Version::V4_3_9);
    assert!(get(&old, "categories?items_per_page=4&page=90").rows("categories").is_empty());
    store.options(|options| options.repeats_last_page.clear());
    assert!(get(&store, "shipments?items_per_page=4&page=90").rows("shipments").is_empty());
}

#[test]
fn an_unknown_sort_is_replaced_and_the_echo_shows_it() {
    let store = sample(Options::default());
    let reply = get(&store, "orders?sort_by=updated_at&sort_order=asc&unknown=7&items_per_page=5&page=2").json();
    let echo = &reply["params"];
    assert_eq!([&echo["sort_by"], &echo["sort_order"], &echo["sort_order_rev"]], ["date", "asc", "desc"]);
    assert_eq!([&echo["unknown"], &echo["items_per_page"], &echo["page"]], ["7", "5", "2"]);
    let echo = get(&store, "orders?order_id=3,4&status%5B%5D=P&status%5B%5D=C").json();
    assert_eq!(echo["params"]["order_id"], "3,4");
    assert_eq!(echo["params"]["status"], serde_json::json!(["P", "C"]));
    for (path, expected) in [
        ("orders", ["date", "desc"]),
        ("users?user_type=C", ["name", "asc"]),
        ("shipments", ["id", "desc"]),
        ("carts", ["date", "desc"]),
        ("stores", ["company", "asc"]),
        ("categories", ["position", "asc"]),
        ("features", ["position", "asc"]),
        ("product_reviews", ["product_review_timestamp", "desc"]),
        ("products", ["timestamp", "asc"]),
        ("products?sort_by=id", ["timestamp", "asc"]),
        ("products?sort_by=null", ["null", "asc"]),
        ("users?user_type=C&sort_by=id&sort_order=desc", ["id", "desc"]),
    ] {
        let echo = get(&store, path).json();
        assert_eq!([&echo["params"]["sort_by"], &echo["params"]["sort_order"]], expected, "{path}");
    }
}

#[test]
fn ties_keep_their_order_only_where_it_is_total() {
    let store = FakeCsCart::sample(Options::default(), &Sample { ties: 95, ..Sample::new(3, 80) });
    let is_stable = |path: &str, list: &str, key: &str| {
        let mut answers = (0..4).map(|_| get(&store, path).column(list, key));
        let first = answers.next().unwrap();
        answers.all(|other| other == first)
    };
    for (path, list, key) in [
        ("orders?sort_by=date&items_per_page=0", "orders", "order_id"),
        ("orders?sort_by=order_id&items_per_page=0", "orders", "order_id"),
        ("products?sort_by=timestamp&items_per_page=0", "products", "product_id"),
        ("products?sort_by=status&items_per_page=0", "products", "product_id"),
        ("users?user_type=C&sort_by=id&items_per_page=0", "users", "user_id"),
        ("shipments?items_per_page=0", "shipments", "shipment_id"),
        ("features?items_per_page=0", "features", "feature_id"),
        ("product_reviews?sort_by=product_review_id&items_per_page=0", "product_reviews", "product_review_id"),
    ] {
        assert!(is_stable(path, list, key), "{path}");
    }
    for (path, list, key) in [
        ("orders?sort_by=status&items_per_page=0", "orders", "order_id"),
        ("products?sort_by=null&items_per_page=0", "products", "product_id"),
        ("carts?items_per_page=0", "carts", "user_id"),
        ("users?user_type=C&items_per_page=0", "users", "user_id"),
        ("categories?items_per_page=0", "categories", "category_id"),
        ("product_reviews?items_per_page=0", "product_reviews", "product_review_id"),
    ] {
        assert!(!is_stable(path, list, key), "{path}");
    }
    store.options(|options| options.shuffle_ties = false);
    assert!(is_stable("orders?sort_by=status&items_per_page=0", "orders", "order_id"));
}

#[test]
fn ties_of_dates_are_broken_by_the_id() {
    let store = FakeCsCart::sample(Options::default(), &Sample { ties: 95, ..Sample::new(3, 80) });
    for (order, list, key, id_order) in [
        ("orders?sort_by=date&sort_order=asc", "orders", "order_id", 1),
        ("orders?sort_by=date&sort_order=desc", "orders", "order_id", -1),
        ("products?sort_by=timestamp&sort_order=asc", "products", "product_id", 1),
        ("products?sort_by=updated_timestamp&sort_order=desc", "products", "product_id", 1),
    ] {
        let reply = get(&store, &format!("{order}&items_per_page=0"));
        let date = if order.contains("updated") { "updated_timestamp" } else { "timestamp" };
        let sign = if order.contains("asc") { 1 } else { -1 };
        let dates = reply.column(list, date).into_iter().map(|date| sign * date);
        let ids = reply.column(list, key).into_iter().map(|id| id_order * id);
        assert!(dates.zip(ids).is_sorted(), "{order}");
    }
}

#[test]
fn totals_may_be_numbers() {
    let store = sample(Options::default());
    assert!(get(&store, "carts").json()["params"]["total_items"].is_string());
    store.options(|options| options.numeric_total = true);
    assert!(get(&store, "carts").json()["params"]["total_items"].is_number());
}

#[test]
fn lists_come_in_the_forms_that_stores_have() {
    let store = sample(Options::default());
    for object in ["payments", "shippings", "languages"] {
        assert!(get(&store, object).json()[object].is_object(), "{object}");
    }
    assert_eq!(get(&store, "languages").json()["languages"]["de"]["lang_id"], "2");
    assert!(get(&store, "options").json()["product_options"].is_array());
    let groups = get(&store, "usergroups?items_per_page=1").json();
    assert_eq!(groups["3"]["usergroup_id"], "3");
    store.data(|data| (1..=3).for_each(|id| _ = data.delete("usergroups", id)));
    assert_eq!(get(&store, "usergroups").json(), serde_json::json!([]));
    store.options(|options| {
        options.keyed = ["categories".to_owned()].into();
        options.envelope = Envelope::Search;
    });
    let categories = get(&store, "categories").json();
    assert_eq!(categories["categories"]["3"]["category_id"], "3");
    assert!(categories["search"]["total_items"].is_string() && categories.get("params").is_none());
    assert_eq!(get(&store, "categories?items_per_page=5&page=9").rows("categories").len(), 2);
    assert!(get(&store, "languages").json()["languages"].is_array());
    // An empty keyed list is an array.
    store.data(|data| (1..=12).for_each(|id| _ = data.delete("categories", id)));
    assert_eq!(get(&store, "categories").json()["categories"], serde_json::json!([]));
}
