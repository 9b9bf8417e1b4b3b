//! Users, shipments and the small lists.

use super::*;

#[test]
fn users_need_a_type_in_the_newest_version() {
    let store = sample(Options::default());
    assert_eq!(get(&store, "users").status, 400);
    let types = |store: &FakeCsCart, path: &str| -> Vec<Value> {
        get(store, path).rows("users").iter().map(|user| user["user_type"].clone()).collect()
    };
    assert!(types(&store, "users?user_type=A&items_per_page=0").iter().all(|user_type| user_type == "A"));
    let old = of_version(Version::V4_13);
    let all = types(&old, "users?items_per_page=0");
    assert!(all.contains(&"A".into()) && all.contains(&"C".into()));
    let vendors = multi_vendor();
    assert_eq!(types(&vendors, "users?user_type=V").len(), 3);
}

#[test]
fn a_user_by_itself_is_the_row_of_the_list() {
    let store = sample(Options::default());
    let row = get(&store, "users?user_type=C&user_ids%5B%5D=9").rows("users").remove(0);
    assert_eq!(get(&store, "users/9").json(), row);
    assert_eq!(get(&store, "users/999").status, 404);
}

#[test]
fn a_limited_administrator_sees_only_himself_among_them() {
    let store = sample(Options::default());
    assert_eq!(get(&store, "users?user_type=A").total(), 2);
    store.options(|options| options.accounts = vec![Account::limited(&["view_users"])]);
    assert_eq!(get(&store, "users?user_type=A").column("users", "user_id"), [1]);
    store.options(|options| options.accounts = vec![Account::limited(&["view_users", "manage_admins"])]);
    assert_eq!(get(&store, "users?user_type=A").total(), 2);
}

#[test]
fn shipments_have_periods_of_their_own() {
    let store = sample(Options::default());
    let times = get(&store, "shipments?items_per_page=0").column("shipments", "shipment_timestamp");
    let middle = times[times.len() / 2];
    let count = |query: String| get(&store, &format!("shipments?items_per_page=0&{query}")).rows("shipments").len();
    let before = times.iter().filter(|time| **time <= middle).count();
    assert_eq!(count(format!("period=C&time_to={middle}")), times.len());
    assert_eq!(count(format!("shipment_period=C&shipment_time_to={middle}")), before);
    assert!(count(format!("order_period=C&order_time_to={middle}")) >= before);
    let order = get(&store, "shipments?items_per_page=1").column("shipments", "order_id")[0];
    assert!(count(format!("order_id={order}")) >= 1);
    let short = get(&store, "shipments?items_per_page=1&advanced_info=0").rows("shipments").remove(0);
    assert!(short.get("tracking_number").is_none());
    // What is computed from the first order of a page differs between answers.
    let keys: Vec<i64> =
        (0..4).map(|_| get(&store, "shipments?items_per_page=1").column("shipments", "group_key")[0]).collect();
    assert!(keys.contains(&0) && keys.contains(&1));
}

#[test]
fn making_and_deleting_a_shipment_changes_its_order() {
    let store = sample(Options::default());
    let shipments = || get(&store, "orders/3").json()["shipment_ids"].as_array().unwrap().len();
    let before = shipments();
    let id = store.data(|data| data.ship_order(3)).unwrap();
    assert_eq!(shipments(), before + 1);
    assert_eq!(get(&store, "shipments?items_per_page=1").column("shipments", "shipment_id"), [id]);
    assert!(store.data(|data| data.delete_shipment(id)));
    assert_eq!(shipments(), before);
}

#[test]
fn small_lists_have_their_filters_and_forms() {
    let store = sample(Options::default());
    assert!(get(&store, "categories").rows("categories")[0].get("timestamp").is_none());
    assert!(get(&store, "categories/3").json().get("timestamp").is_some());
    let statuses = |query: &str| get(&store, &format!("statuses?{query}")).rows("statuses");
    assert!(statuses("").iter().all(|status| status["type"] == "O"));
    assert_eq!(statuses("type=S")[0]["description"], "Shipped");
    assert_eq!(get(&store, "features?updated_in_days=360").total(), 2);
    assert_eq!(get(&store, "features?exclude_group=1").total(), 5);
    assert_eq!(get(&store, "options").total(), 6);
    assert_eq!(get(&store, "options?product_id=3").total(), 0);
    assert_eq!(
        get(&store, "categories?lang_code=de&items_per_page=1").rows("categories")[0]["category"]
            .as_str()
            .map(|name| name.ends_with("(de)")),
        Some(true)
    );
    let vendors = get(&multi_vendor(), "vendors").rows("vendors").remove(0);
    assert!(vendors.get("storefront").is_none() && get(&store, "stores").rows("stores")[0].get("storefront").is_some());
    let reviews = get(&store, "product_reviews?items_per_page=0").column("product_reviews", "product_review_timestamp");
    let found = get(&store, &format!("product_reviews?period=C&time_from={}", reviews[2])).total();
    assert!((found as usize) < reviews.len());
}

#[test]
fn keys_are_never_given_twice() {
    let store = sample(Options::default());
    store.data(|data| {
        let id = data.add_user('C');
        data.delete("users", id);
        assert_eq!(data.add_user('C'), id + 1);
        let id = data.add_message("call_requests");
        data.delete("call_requests", id);
        assert_eq!(data.add_message("call_requests"), id + 1);
    });
}
