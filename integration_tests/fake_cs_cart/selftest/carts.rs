//! Carts, with the surprises of their list.

use super::*;

fn line(item: u32, timestamp: i64, storefront_id: i64) -> CartLine {
    CartLine { item_id: item, product_id: 3, amount: 2, price: 1050, timestamp, storefront_id }
}

fn cart(user_id: i64, company_id: i64, lines: Vec<CartLine>) -> Cart {
    Cart { user_id, company_id, is_registered: user_id < 1000, order_id: None, contact: None, lines }
}

fn store_with(edition: Edition, carts: &[Cart]) -> FakeCsCart {
    let store = sample(Options { edition, ..Options::default() });
    store.data(|data| {
        data.carts = Table::default();
        carts.iter().for_each(|cart| data.carts.seed((cart.user_id, cart.company_id), cart.clone()));
    });
    store
}

#[test]
fn a_user_with_carts_in_two_stores_comes_once() {
    let carts = [cart(9, 1, vec![line(1, START - 50, 1)]), cart(9, 2, vec![line(2, START - 20, 2)])];
    let store = store_with(Edition::Ultimate, &carts);
    let all = get(&store, "carts");
    assert_eq!((all.rows("carts").len(), all.total()), (1, 2));
    for company in [1, 2] {
        let one = get(&store, &format!("stores/{company}/carts"));
        assert_eq!((one.column("carts", "company_id"), one.total()), (vec![company], 1));
        let by_storefront = get(&store, &format!("carts?storefront_id={company}"));
        assert_eq!(by_storefront.column("carts", "company_id"), [company]);
    }
    // One cart is the one of the first company, unless the path names a store.
    assert_eq!(get(&store, "carts/9").json()["products"][0]["item_id"], "1");
    assert_eq!(get(&store, "stores/2/carts/9").json()["products"][0]["item_id"], "2");
    assert_eq!(get(&store, "carts/10").status, 404);
}

#[test]
fn multi_vendor_has_one_cart_for_all_storefronts() {
    let store = store_with(Edition::MultiVendor, &[cart(9, 0, vec![line(1, START - 50, 1), line(2, START - 20, 2)])]);
    let reply = get(&store, "carts");
    let row = &reply.rows("carts")[0];
    assert!(row.get("company_id").is_none());
    assert_eq!((reply.total(), &row["cart_products"], &row["total"]), (1, &"4".into(), &"42.00".into()));
    let second = get(&store, "carts?storefront_id=2").rows("carts").remove(0);
    // The sums run over all storefronts.
    assert_eq!((&second["storefront_id"], &second["cart_products"]), (&"2".into(), &"4".into()));
    assert_eq!(get(&store, "carts/9").json()["products"].as_array().unwrap().len(), 2);
}

#[test]
fn a_cart_is_in_a_window_if_a_line_is() {
    let store = store_with(
        Edition::Ultimate,
        &[
            cart(9, 1, vec![line(1, START - 5000, 1), line(2, START - 20, 1)]),
            cart(10, 1, vec![line(3, START - 20, 1)]),
        ],
    );
    let users = |from: i64, to: i64| {
        let mut users =
            get(&store, &format!("carts?period=C&time_from={from}&time_to={to}")).column("carts", "user_id");
        users.sort_unstable();
        users
    };
    assert_eq!(users(START - 5000, START - 5000), [9]);
    assert_eq!(users(START - 20, START), [9, 10]);
    assert!(users(START - 4000, START - 100).is_empty());
    // The date is the one of an arbitrary line.
    let dates: Vec<i64> = (0..20).map(|_| get(&store, "carts?user_id=9").column("carts", "date")[0]).collect();
    assert!(dates.contains(&(START - 5000)) && dates.contains(&(START - 20)));
}

#[test]
fn rows_depend_on_the_version_and_the_owner() {
    for (version, has_extra, has_storefront) in
        [(Version::V4_3_9, false, false), (Version::V4_11, false, true), (Version::V4_13, true, true)]
    {
        let store = of_version(version);
        let row = get(&store, "carts?users_type=R").rows("carts").remove(0);
        assert_eq!((row.get("extra").is_some(), row.get("storefront_id").is_some()), (has_extra, has_storefront));
        assert!(row["user_data"]["b_city"].is_string());
        let guests = get(&store, "carts?users_type=G&items_per_page=0").rows("carts");
        assert!(guests.iter().all(|row| row["user_data"] == serde_json::json!([])));
        assert!(
            guests.iter().any(|row| row["firstname"].is_null()) && guests.iter().any(|row| row["email"].is_string())
        );
    }
}

#[test]
fn filters_of_carts() {
    let store = sample(Options::default());
    let count = |query: &str| get(&store, &format!("carts?{query}")).total();
    let all = count("");
    assert_eq!(count("users_type=R") + count("users_type=G"), all);
    // As one example of the documentation has it, and no server reads it.
    assert_eq!(count("user_type=G"), all);
    for query in ["cname=gue", "email=guest", "with_info_only=true", "total_from=50", "total_to=50", "p_ids=1,2,3"] {
        let found = count(query);
        assert!(found > 0 && found < all, "{query}: {found} of {all}");
    }
    let user = get(&store, "carts?items_per_page=1").column("carts", "user_id")[0];
    assert!(count(&format!("user_id={user}")) >= 1);
}

#[test]
fn events_of_carts() {
    let store = store_with(
        Edition::Ultimate,
        &[
            cart(9, 1, vec![line(1, START - 50, 1)]),
            cart(3_000_000_001, 1, vec![line(2, START - 31 * 86_400, 1), line(3, START - 500, 1)]),
        ],
    );
    let guest = (3_000_000_001, 1);
    let times = |store: &FakeCsCart, key: CartKey| {
        store.data(|data| {
            let cart = data.carts.get(key);
            cart.map(|cart| cart.lines.iter().map(|line| line.timestamp).collect::<Vec<_>>())
        })
    };
    store.data(Data::expire_carts);
    assert_eq!(times(&store, guest), Some(vec![START - 500]));
    store.data(|data| data.merge_cart(guest, (9, 1)));
    assert_eq!((times(&store, guest), times(&store, (9, 1))), (None, Some(vec![START - 50, START - 500])));
    store.data(|data| data.save_cart((9, 1), true));
    assert_eq!(times(&store, (9, 1)), Some(vec![START - 50, START - 500]));
    store.data(|data| data.drop_newest_line((9, 1)));
    assert_eq!(times(&store, (9, 1)), Some(vec![START - 500]));
    store.data(|data| data.save_cart((9, 1), false));
    assert_eq!(times(&store, (9, 1)), Some(vec![START]));
    let orders = get(&store, "orders").total();
    store.data(|data| data.buy_cart((9, 1), &mut Random::new(1)));
    assert_eq!((times(&store, (9, 1)), get(&store, "orders").total()), (None, orders + 1));
    let new = store.data(|data| data.new_guest(2, &mut Random::new(1)));
    assert_eq!(times(&store, new), Some(vec![START]));
    store.data(|data| data.empty_cart(new));
    assert_eq!(get(&store, "carts").total(), 0);
}
