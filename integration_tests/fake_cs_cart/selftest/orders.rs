//! Orders, and what sets their change date.

use super::*;

fn store_of(version: Version) -> FakeCsCart {
    of_version(version)
}

#[test]
fn short_rows_lack_what_complete_rows_have() {
    let store = store_of(Version::V4_20);
    let short = get(&store, "orders?items_per_page=3").rows("orders").remove(0);
    let complete = get(&store, "orders?items_per_page=3&get_orders_data=1").rows("orders").remove(0);
    for name in ["updated_at", "products", "payment_info", "taxes", "notes"] {
        assert!(short.get(name).is_none() && complete.get(name).is_some(), "{name}");
    }
    let lines = complete["products"].as_object().unwrap();
    assert!(lines.iter().all(|(id, line)| line["item_id"] == **id));
    let one = get(&store, &format!("orders/{}", complete["order_id"].as_str().unwrap()));
    assert_eq!(one.json(), complete);
    assert_eq!(get(&store, "orders/99999").status, 404);
}

#[test]
fn versions_differ_in_complete_rows_and_change_dates() {
    for (version, has_complete, has_change_date) in [
        (Version::V4_3_9, false, false),
        (Version::V4_11, true, false),
        (Version::V4_13, true, true),
        (Version::V4_20, true, true),
    ] {
        let store = store_of(version);
        let row = get(&store, "orders?get_orders_data=1&items_per_page=1").rows("orders").remove(0);
        assert_eq!(row.get("products").is_some(), has_complete, "{version:?}");
        let one = get(&store, "orders/3").json();
        assert_eq!(one.get("updated_at").is_some(), has_change_date, "{version:?}");
        assert!(one.get("products").is_some());
        assert_eq!(row.get("storefront_id").is_some(), version > Version::V4_3_9);
        let (all, late) = (get(&store, "orders").total(), get(&store, "orders?updated_at_from=1731000000").total());
        assert_eq!(late < all, has_change_date, "{version:?}");
    }
}

#[test]
fn incomplete_and_parent_orders_are_hidden() {
    let store = store_of(Version::V4_20);
    store.data(|data| _ = data.set_status(5, 'N'));
    let ids = |path: &str| get(&store, path).column("orders", "order_id");
    assert!(!ids("orders?items_per_page=0").contains(&5));
    assert!(!ids("orders?items_per_page=0&order_id=5,6").contains(&5));
    assert!(ids("orders?items_per_page=0&include_incompleted=1").contains(&5));
    let vendors = multi_vendor();
    let all = get(&vendors, "orders?items_per_page=0&include_incompleted=1").column("orders", "order_id");
    assert!(!all.contains(&31) && all.contains(&32));
    assert_eq!(get(&vendors, "orders/32").json()["parent_order_id"], "31");
}

#[test]
fn lists_of_ids_are_accepted() {
    let store = store_of(Version::V4_20);
    let ids = |path: &str, list: &str, key: &str| get(&store, path).column(list, key);
    let sorted = "sort_by=order_id&sort_order=asc&include_incompleted=1";
    assert_eq!(ids(&format!("orders?order_id=9,3,3,7,900&{sorted}"), "orders", "order_id"), [3, 7, 9]);
    assert_eq!(ids(&format!("orders?order_id=9%2C3&{sorted}"), "orders", "order_id"), [3, 9]);
    assert_eq!(ids("products?pid=4,2,6&sort_by=timestamp", "products", "product_id"), [2, 4, 6]);
    assert_eq!(ids("products?item_ids=4&sort_by=timestamp", "products", "product_id"), [4]);
    let users = "users?user_type=C&sort_by=id&user_ids%5B%5D=9&user_ids%5B%5D=4&user_ids[]=5";
    assert_eq!(ids(users, "users", "user_id"), [4, 5, 9]);
}

#[test]
fn times_are_filtered_only_with_a_period_and_inclusively() {
    let store = store_of(Version::V4_20);
    let times = get(&store, "orders?sort_by=date&sort_order=asc&items_per_page=0").column("orders", "timestamp");
    let (from, to, all) = (times[10], times[20], times.len());
    let count = |path: String| get(&store, &path).rows("orders").len();
    assert_eq!(count(format!("orders?items_per_page=0&time_from={from}&time_to={to}")), all);
    assert_eq!(count(format!("orders?items_per_page=0&period=A&time_from={from}&time_to={to}")), all);
    let between = times.iter().filter(|time| (from..=to).contains(*time)).count();
    assert_eq!(count(format!("orders?items_per_page=0&period=C&time_from={from}&time_to={to}")), between);
    let second = times.iter().filter(|time| **time == from).count();
    assert_eq!(count(format!("orders?items_per_page=0&period=C&time_from={from}&time_to={from}")), second);
}

#[test]
fn an_end_that_is_left_out_is_now_and_a_date_in_another_form_too() {
    let store = FakeCsCart::sample(Options::default(), &Sample { ahead: 3, ..Sample::new(1, 60) });
    let count = |query: &str| get(&store, &format!("orders?items_per_page=0&{query}")).rows("orders").len();
    let all = count("");
    assert!(all - count("period=C&time_from=0") <= 3 && count("period=C&time_from=0") < all);
    assert_eq!(count("period=C&time_from=0&time_to=4102444800"), all);
    assert_eq!(count("period=C&time_from=2024-01-31"), 0);
    let from_june = count("period=C&time_from=06%2F02%2F2024&time_to=4102444800");
    assert!(from_june > 0 && from_june < all);
    store.options(|options| options.day_first = true);
    assert!(count("period=C&time_from=06%2F02%2F2024&time_to=4102444800") > from_june);
    let echo = get(&store, "orders?period=C&time_from=0").json();
    assert_eq!(echo["params"]["time_to"], store.data(|data| data.now));
}

#[test]
fn named_periods_count_from_the_clock() {
    let store = store_of(Version::V4_20);
    // Monday 2024-11-18, 12:00.
    let ages = [3600, 13 * 3600, 23 * 3600, 6 * 86_400, 8 * 86_400, 20 * 86_400, 200 * 86_400, 400 * 86_400];
    store.data(|data| {
        data.orders = Table::default();
        for age in ages {
            data.import_order(&mut Random::new(1), START - age);
        }
    });
    let count = |code: &str| get(&store, &format!("orders?period={code}&last_days=7")).total();
    let expected = [
        ("A", 8),
        ("D", 1),
        ("LD", 2),
        ("W", 1),
        ("LW", 3),
        ("M", 5),
        ("LM", 1),
        ("Y", 7),
        ("LY", 1),
        ("HH", 3),
        ("HW", 4),
        ("HM", 6),
        ("HC", 4),
    ];
    for (code, rows) in expected {
        assert_eq!(count(code), rows, "{code}");
    }
}

#[test]
fn change_dates_are_filtered_inclusively_and_without_a_period() {
    let store = store_of(Version::V4_20);
    let rows = get(&store, "orders?items_per_page=0&get_orders_data=1").column("orders", "updated_at");
    let newest = rows.iter().max().unwrap();
    let count = |query: String| get(&store, &format!("orders?{query}")).total() as usize;
    assert_eq!(count(format!("updated_at_from={newest}")), rows.iter().filter(|time| *time == newest).count());
    assert_eq!(count(format!("updated_at_from={}", newest + 1)), 0);
    assert_eq!(count(format!("updated_at_to={newest}")), rows.len());
}

#[test]
fn events_set_the_change_date_or_not() {
    let store = store_of(Version::V4_20);
    let updated = |id: i64| number(&get(&store, &format!("orders/{id}")).json()["updated_at"]);
    let mut random = Random::new(5);
    let before = updated(3);
    store.data(|data| {
        data.tick(100);
        (0..5).for_each(|_| _ = data.change_order_silently(3, &mut random));
        data.ship_order(3);
    });
    assert_eq!(updated(3), before);
    let shipped = get(&store, "orders/3").json();
    assert!(!shipped["shipment_ids"].as_array().unwrap().is_empty());
    store.data(|data| _ = data.set_status(3, 'C'));
    assert_eq!(updated(3), START + 100);
    store.data(|data| {
        data.tick(7);
        data.edit_order(3, &mut random);
    });
    assert_eq!(updated(3), START + 107);
    let old = START - 90_000;
    let (imported, incomplete) =
        store.data(|data| (data.import_order(&mut random, old), data.import_incomplete_order(&mut random, old)));
    assert_eq!([updated(imported), updated(incomplete)], [START + 107, old]);
    assert_eq!(number(&get(&store, &format!("orders/{imported}")).json()["timestamp"]), old);
}

#[test]
fn an_order_that_is_deleted_while_it_is_read_is_false() {
    let store = store_of(Version::V4_20);
    store.options(|options| options.between = Some(Box::new(|data, _| _ = data.delete("orders", 30))));
    let reply = get(&store, "orders?get_orders_data=1&order_id=29,30,33&sort_by=order_id&sort_order=asc");
    let rows = reply.rows("orders");
    assert_eq!((rows.len(), &rows[1], reply.total()), (3, &Value::Bool(false), 3));
    assert_eq!(get(&store, "orders?get_orders_data=1&order_id=29,30,33").rows("orders").len(), 2);
}

#[test]
fn other_filters_of_orders() {
    let store = store_of(Version::V4_20);
    let count = |query: &str| get(&store, &format!("orders?items_per_page=0&{query}")).rows("orders").len();
    let all = count("");
    for query in ["status=P", "status%5B%5D=P&status%5B%5D=C", "total_from=500", "total_to=300", "cname=ANA", "p_ids=3"]
    {
        let found = count(query);
        assert!(found > 0 && found < all, "{query}: {found} of {all}");
    }
    assert_eq!(count("email=customer9@"), 1);
    let user = get(&store, "orders?items_per_page=0").column("orders", "user_id").into_iter().max().unwrap();
    assert!(count(&format!("user_id={user}")) > 0);
}
