//! Comparison of records with the history of the store.

use super::*;

fn read(store: &FakeCsCart, path: &str, list: &str) -> Vec<Value> {
    get(store, path).rows(list)
}

/// Reads all orders in one answer, with incomplete ones.
fn orders(store: &FakeCsCart) -> Vec<Value> {
    read(store, "orders?get_orders_data=1&items_per_page=0", "orders")
}

fn order_items(store: &FakeCsCart) -> Vec<Value> {
    let lines = |order: Value| {
        order["products"]
            .as_object()
            .into_iter()
            .flat_map(|all| all.values().cloned().collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    orders(store).into_iter().flat_map(lines).collect()
}

#[test]
fn a_complete_read_is_right() {
    for edition in [Edition::Ultimate, Edition::MultiVendor] {
        let store = sample(Options { edition, ..Options::default() });
        let start = store.moment();
        let check = |stream: &str, records: &[Value]| {
            let verdict = Judge::full(stream).sync(&store.history(), start, records);
            assert!(verdict.is_right() && verdict.required > 0, "{stream}: {verdict}");
            assert_eq!(verdict.required, records.len(), "{stream}");
            let verdict = Judge::full(stream).sync(&store.history(), start, &records[1..]);
            assert_eq!(verdict.missing.len(), 1, "{stream}");
        };
        check("orders", &orders(&store));
        check("order_items", &order_items(&store));
        for (object, list) in [
            ("products", "products"),
            ("shipments", "shipments"),
            ("categories", "categories"),
            ("statuses", "statuses"),
            ("features", "features"),
            ("options", "product_options"),
            ("taxes", "taxes"),
            ("shippings", "shippings"),
            ("languages", "languages"),
            ("call_requests", "call_requests"),
            ("product_reviews", "product_reviews"),
        ] {
            check(object, &read(&store, &format!("{object}?items_per_page=0"), list));
        }
        check("users", &read(&store, "users?user_type=C&items_per_page=0", "users"));
        let companies = if edition == Edition::Ultimate { "stores" } else { "vendors" };
        check(companies, &read(&store, companies, companies));
    }
}

#[test]
fn carts_of_two_stores_are_missed_by_one_list() {
    let store = FakeCsCart::sample(Options::default(), &Sample::new(1, 400));
    let start = store.moment();
    let all = read(&store, "carts?items_per_page=0", "carts");
    let verdict = Judge::full("carts").sync(&store.history(), start, &all);
    assert!(!verdict.missing.is_empty() && verdict.stale.is_empty() && verdict.doubled.is_empty(), "{verdict}");
    let both: Vec<Value> =
        [1, 2].iter().flat_map(|id| read(&store, &format!("stores/{id}/carts?items_per_page=0"), "carts")).collect();
    let verdict = Judge::full("carts").sync(&store.history(), start, &both);
    assert!(verdict.is_right() && verdict.required == both.len(), "{verdict}");
    let items: Vec<Value> = both
        .iter()
        .flat_map(|cart| {
            let (user, company) = (number(&cart["user_id"]), number(&cart["company_id"]));
            let mut lines = get(&store, &format!("stores/{company}/carts/{user}")).rows("products");
            lines.iter_mut().for_each(|line| (line["user_id"], line["company_id"]) = (user.into(), company.into()));
            lines
        })
        .collect();
    let verdict = Judge::full("cart_items").sync(&store.history(), start, &items);
    assert!(verdict.is_right() && verdict.required == items.len(), "{verdict}");
    let verdict = Judge::full("cart_items").sync(&store.history(), start, &items[1..]);
    assert_eq!(verdict.missing.len(), 1);
}

#[test]
fn carts_of_one_second_are_excused_without_the_right_to_list_stores() {
    let store = sample(Options::default());
    let line = |item_id, storefront_id| CartLine {
        item_id,
        product_id: 3,
        amount: 1,
        price: 1,
        timestamp: START,
        storefront_id,
    };
    store.data(|data| {
        data.carts = Table::default();
        for company in [1, 2] {
            let lines = vec![line(company as u32, company)];
            let cart =
                Cart { user_id: 9, company_id: company, is_registered: true, order_id: None, contact: None, lines };
            data.carts.seed((9, company), cart);
        }
    });
    let start = store.moment();
    let records = read(&store, "carts", "carts");
    assert_eq!(Judge::full("carts").sync(&store.history(), start, &records).missing.len(), 1);
    let verdict = Judge::full("carts").without_view_stores().sync(&store.history(), start, &records);
    assert!(verdict.is_right() && verdict.excused.len() == 1 && verdict.excused[0].1 == Excuse::HiddenByStore);
}

#[test]
fn types_may_differ_and_numbers_may_not() {
    let store = sample(Options::default());
    let start = store.moment();
    let mut records = orders(&store);
    for record in &mut records {
        let time = chrono::DateTime::from_timestamp(number(&record["timestamp"]), 0).unwrap();
        record["timestamp"] = time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true).into();
        record["order_id"] = number(&record["order_id"]).into();
        record["total"] = record["total"].as_str().unwrap().parse::<f64>().unwrap().into();
        let lines = record["products"].as_object().unwrap().values().cloned().collect::<Vec<_>>();
        record["products"] = lines.into();
        for name in ["promotions", "payment_info"] {
            if record[name] == serde_json::json!([]) {
                record[name] = Value::Null;
            }
        }
        record.as_object_mut().unwrap().remove("validation_code");
    }
    assert!(Judge::full("orders").sync(&store.history(), start, &records).is_right());
    records[3]["total"] = 1.5.into();
    records[4]["timestamp"] = "2024-01-01T00:00:00Z".into();
    records[5].as_object_mut().unwrap().remove("notes");
    let verdict = Judge::full("orders").sync(&store.history(), start, &records);
    assert_eq!(verdict.stale.len(), 3, "{verdict}");
}

#[test]
fn doubled_stale_and_unexpected_rows_are_found() {
    let store = sample(Options::default());
    let old = orders(&store);
    let mut random = Random::new(1);
    store.data(|data| {
        data.tick(10);
        data.edit_order(3, &mut random);
        data.delete("orders", 4);
        data.set_status(5, 'N');
    });
    let start = store.moment();
    let mut records = old.clone();
    records.push(old[0].clone());
    let verdict = Judge::full("orders").sync(&store.history(), start, &records);
    let first = number(&old[0]["order_id"]);
    assert_eq!((&verdict.doubled, &verdict.stale), (&vec![vec![first]], &vec![vec![3], vec![4], vec![5]]));
    assert_eq!(verdict.unexpected, [[4], [5]]);
    // During the sync, the same changes are allowed.
    let verdict = Judge::full("orders").sync(&store.history(), Moment { step: 0, at: START }, &old);
    assert!(verdict.is_right(), "{verdict}");
    let unreadable =
        Judge::full("orders").unreadable(&[&[3], &[4], &[5], &[first]]).sync(&store.history(), start, &records);
    assert!(unreadable.is_right() && unreadable.excused.len() == 4, "{unreadable}");
}

#[test]
fn incomplete_orders_and_the_start_date_are_settings() {
    let store = sample(Options::default());
    let start = store.moment();
    let all = read(&store, "orders?get_orders_data=1&items_per_page=0&include_incompleted=1", "orders");
    assert!(!Judge::full("orders").sync(&store.history(), start, &all).unexpected.is_empty());
    assert!(Judge::full("orders").with_incomplete().sync(&store.history(), start, &all).is_right());
    let from = START - 100 * 86_400;
    let late = read(&store, &format!("orders?get_orders_data=1&items_per_page=0&updated_at_from={from}"), "orders");
    let mut judge = Judge::full("orders").start_date(from);
    assert!(judge.sync(&store.history(), start, &late).is_right());
    assert!(!judge.sync(&store.history(), start, &orders(&store)).unexpected.is_empty());
    let first = read(&store, "orders?get_orders_data=1&items_per_page=0&storefront_id=1", "orders");
    let mut judge = Judge::full("orders").storefronts(&[1]);
    assert!(judge.sync(&store.history(), start, &first).is_right());
}

#[test]
fn an_incremental_sequence_needs_the_stamped_changes_only() {
    let store = sample(Options::default());
    let mut judge = Judge::incremental("orders");
    let verdict = judge.sync(&store.history(), store.moment(), &orders(&store));
    assert!(verdict.is_right() && verdict.repeated.is_empty());
    let mut random = Random::new(2);
    store.data(|data| {
        data.tick(1000);
        (0..4).for_each(|_| _ = data.change_order_silently(3, &mut random));
        data.ship_order(6);
    });
    let verdict = judge.sync(&store.history(), store.moment(), &[]);
    assert!(verdict.is_right(), "{verdict}");
    store.data(|data| data.set_status(7, 'C'));
    let changed = store.moment();
    assert_eq!(judge.sync(&store.history(), changed, &[]).stale, [[7]]);
    let path = format!("orders?get_orders_data=1&updated_at_from={}", START + 1000);
    let records = read(&store, &path, "orders");
    assert!(judge.sync(&store.history(), changed, &records).is_right());
    let again = judge.sync(&store.history(), changed, &records);
    assert!(again.is_right() && again.repeated == [[7]]);
    let twice = [records[0].clone(), records[0].clone()];
    assert_eq!(judge.sync(&store.history(), changed, &twice).doubled, [[7]]);
    // A change during the sync may come or not.
    store.data(|data| data.set_status(7, 'P'));
    assert!(judge.sync(&store.history(), changed, &[]).is_right());
}

#[test]
fn users_whose_type_changes_are_excused() {
    let store = sample(Options::default());
    let start = store.moment();
    let customers = read(&store, "users?user_type=C&items_per_page=0", "users");
    store.data(|data| data.change_user(2, |user| user.user_type = 'C'));
    let administrators = read(&store, "users?user_type=A&items_per_page=0", "users");
    let records = [customers, administrators].concat();
    let verdict = Judge::full("users").user_types("CA").sync(&store.history(), start, &records);
    assert!(verdict.is_right() && verdict.excused == [(vec![2], Excuse::TypeChanged)], "{verdict}");
}

#[test]
fn a_cart_that_takes_over_older_lines_is_excused_if_it_loses_newer_ones() {
    let store = sample(Options::default());
    let start = store.moment();
    let both = || -> Vec<Value> {
        [1, 2].iter().flat_map(|id| read(&store, &format!("stores/{id}/carts?items_per_page=0"), "carts")).collect()
    };
    let records = both();
    let account = store.data(|data| {
        let accounts = data.carts.iter().filter(|(_, cart)| cart.is_registered).map(|(key, _)| *key);
        accounts.last().unwrap()
    });
    let others: Vec<Value> = records.iter().filter(|row| number(&row["user_id"]) != account.0).cloned().collect();
    let missing = Judge::full("carts").sync(&store.history(), start, &others).missing.len();
    assert!(missing > 0);
    store.data(|data| {
        let guest = data.new_guest(account.1, &mut Random::new(1));
        let mut cart = data.carts.get(guest).unwrap().clone();
        cart.lines[0].timestamp -= 86_400 * 20;
        data.put_cart(cart, Note::Silent);
        data.merge_cart(guest, account);
        data.drop_newest_line(account);
    });
    let verdict = Judge::full("carts").sync(&store.history(), start, &others);
    assert_eq!(verdict.missing.len(), missing - 1, "{verdict}");
    assert!(verdict.excused.contains(&(vec![account.0, account.1], Excuse::Merged)));
}

#[test]
fn pages_by_number_lose_rows_on_a_live_store() {
    let store = FakeCsCart::sample(Options::default(), &Sample::new(1, 300));
    store.options(|options| options.live = Some(Schedule { deletes: true, ..Schedule::of(5, "orders") }.live()));
    let start = store.moment();
    let mut records = Vec::new();
    for page in 1.. {
        let path = format!("orders?get_orders_data=1&items_per_page=10&page={page}&sort_by=order_id&sort_order=asc");
        let rows = read(&store, &path, "orders");
        if rows.is_empty() {
            break;
        }
        records.extend(rows);
    }
    let verdict = Judge::full("orders").sync(&store.history(), start, &records);
    assert!(!verdict.missing.is_empty(), "{verdict}");
    assert!(verdict.stale.is_empty() && verdict.unexpected.is_empty(), "{verdict}");
}

#[test]
fn one_answer_on_a_live_store_is_right() {
    for seed in 0..5 {
        let store = sample(Options { live: Some(Schedule::new(seed).live()), ..Options::default() });
        let start = store.moment();
        let (orders, items) = (orders(&store), order_items(&store));
        let verdict = Judge::full("orders").sync(&store.history(), start, &orders);
        assert!(verdict.is_right(), "{verdict}");
        let verdict = Judge::full("order_items").sync(&store.history(), start, &items);
        assert!(verdict.is_right(), "{verdict}");
        let products = read(&store, "products?items_per_page=0", "products");
        assert!(Judge::full("products").sync(&store.history(), start, &products).is_right());
        let carts: Vec<Value> = [1, 2]
            .iter()
            .flat_map(|id| read(&store, &format!("stores/{id}/carts?items_per_page=0"), "carts"))
            .collect();
        let verdict = Judge::full("carts").sync(&store.history(), start, &carts);
        assert!(verdict.stale.is_empty() && verdict.unexpected.is_empty(), "{verdict}");
    }
}
