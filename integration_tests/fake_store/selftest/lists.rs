//! Lists: envelope, links, conditions, order, pages, single rows.

use super::*;

#[test]
fn a_list_has_the_documented_envelope() {
    let store = FakeStore::start(Options::default(), Data::sample(1, 150));
    let first = get(&store, "/api/v1/order_items");
    let json = first.json();
    assert_eq!(json["total_count"], 300);
    assert_eq!(json["items"].as_array().unwrap().len(), 100);
    assert!(json.get("previous_page").is_none());
    let next = json["next_page"].as_str().unwrap();
    assert_eq!(next, format!("{}/api/v1/order_items?page=2", store.url()));
    let last = get(&store, "/api/v1/order_items.json?page=3").json();
    assert!(last.get("next_page").is_none());
    assert!(last["previous_page"].as_str().unwrap().ends_with("?page=2"));
    assert_eq!(get(&store, "/api/v1/order_items?page=4").status, 404);
    for of in resources() {
        let json = get(&store, &format!("/api/v1/{}", of.path)).json();
        let rows = json[of.key].as_array().unwrap_or_else(|| panic!("{}: {json}", of.path));
        for row in rows {
            let names: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(names.len(), of.fields.len(), "{}: {names:?}", of.path);
        }
    }
    store.options(|o| o.envelope = Envelope::Path);
    assert!(get(&store, "/api/v1/order_items").json()["order_items"].is_array());
    store.options(|o| o.total_count = false);
    assert!(get(&store, "/api/v1/orders").json().get("total_count").is_none());
    let empty = get(&store, "/api/v1/orders?id=gt:999999999");
    assert_eq!((empty.status, empty.text()), (200, "{\"orders\":[]}".to_owned()));
}

#[test]
fn the_links_have_every_form() {
    let store = store_of(3, Options::default());
    let target = "/api/v1/addresses?count=1&page=2&updated_at=gt%3A2020-01-01T00%3A00%3A00Z&sort=id";
    let link = |form: NextPage| {
        store.options(|o| o.next_page = form);
        get(&store, target).json()["next_page"].clone()
    };
    let rest = "/api/v1/addresses?count=1&page=3&updated_at=gt%3A2020-01-01T00%3A00%3A00Z&sort=id";
    assert_eq!(link(NextPage::Documented), format!("{}{rest}", store.url()));
    assert_eq!(link(NextPage::Relative), rest);
    assert_eq!(link(NextPage::OtherHost("other.example".to_owned())), format!("https://other.example{rest}"));
    assert_eq!(link(NextPage::SameForEver), format!("{}{target}", store.url()));
    assert_eq!(link(NextPage::RawValues), format!("{}{}", store.url(), rest.replace("%3A", ":")));
    store.options(|o| o.next_page = NextPage::Null);
    let last = get(&store, "/api/v1/addresses").json();
    assert_eq!((&last["next_page"], &last["previous_page"]), (&Value::Null, &Value::Null));
    assert!(last.as_object().unwrap().contains_key("next_page"));
}

#[test]
fn filters_compare_by_column_type() {
    let mut data = Data::empty();
    for (id, price, length, name) in [
        (1, "9.50", "\"9\"", "\"Blue Lamp\""),
        (2, "10.0000", "\"10\"", "\"Red lamp\""),
        (9_223_372_036_854_775_807, "null", "\"\"", "null"),
    ] {
        data.now_ms = utc_ms("2024-05-01T00:00:00.123Z") + if id > 2 { 10 } else { id };
        let mut row = data.make("products", id);
        if id > 2 {
            row.updated_at = Stamp::Null;
        }
        data.insert("products", row);
        data.set_field("products", id, "price", price);
        data.set_field("products", id, "length", length);
        data.set_field("products", id, "item_name", name);
    }
    let store = FakeStore::start(Options::default(), data);
    let ids = |query: &str| {
        let reply = get(&store, &format!("/api/v1/products?{query}"));
        if reply.status == 200 { reply.ids() } else { vec![-i64::from(reply.status)] }
    };
    let big = 9_223_372_036_854_775_807;
    assert_eq!(ids("id=gt:2"), [big]);
    assert_eq!(ids("id=9223372036854775807"), [big]);
    assert_eq!(ids("price=gt:9.5"), [2]);
    assert_eq!(ids("price=gte:9.5+AND+lt:10"), [1]);
    assert_eq!(ids("price=not:10"), [1]);
    assert_eq!(ids("length=lt:5"), [2, big]);
    assert_eq!(ids("item_name=like:LAMP"), [1, 2]);
    assert_eq!(ids("item_name=startwith:red"), [2]);
    // .124 and .125 were stored as .123 and .127.
    assert_eq!(ids("updated_at=gt:2024-05-01T00:00:00.123Z"), [2]);
    assert_eq!(ids("updated_at=gte:2024-04-30T19:00:00.123-05:00"), [1, 2]);
    assert_eq!(ids("updated_at=gte:2024-04-30T19:00:00.124"), [2]);
    assert_eq!(ids("updated_at=lte:2030-01-01T00:00:00Z"), [1, 2]);
    assert_eq!(ids("price=eq:9.5+OR+eq:10"), [1, 2]);
    assert_eq!(ids("price=OR+gt:9.9&id=1"), [1, 2]);
    assert_eq!(ids("no_such_field=gt:5&per_page=1"), [1, 2, big]);
    assert_eq!(ids("updated_at=gt:yesterday"), [-400]);
    assert_eq!(ids("updated_at=gt:2024-05-01T00:00:00.000+05:00"), [-400], "a plus sign that was not encoded");
    assert_eq!(ids("price=in:5"), [-400]);
    store.options(|o| o.bad_filter_status = 500);
    assert_eq!(ids("id=abc"), [-500]);
    store.options(|o| (o.ignore_id_filter, o.ignore_date_filter) = (true, true));
    assert_eq!(ids("id=1&updated_at=gt:2030-01-01T00:00:00Z"), [1, 2, big]);
}

#[test]
fn and_binds_tighter_than_or() {
    let store = store_of(6, Options::default());
    let ids = |query: &str| get(&store, &format!("/api/v1/addresses?{query}")).ids();
    assert_eq!(ids("id=lt:3+AND+gt:1+OR+gt:5"), [2, 6]);
    assert_eq!(ids("id=eq:1+OR+eq:2+AND+gt:5"), [1]);
}

#[test]
fn sorting_takes_several_keys_and_leaves_ties_unstable() {
    let mut data = Data::empty();
    for id in 1..=50 {
        data.insert("addresses", row(id, "2024-01-01T00:00:00Z"));
    }
    data.insert("addresses", row(51, "2023-01-01T00:00:00Z"));
    data.set_updated_at("addresses", 50, Stamp::Null);
    let store = FakeStore::start(Options::default(), data);
    let ids = |sort: &str| get(&store, &format!("/api/v1/addresses?sort={sort}")).ids();
    let (one, two) = (ids("updated_at"), ids("updated_at"));
    assert_eq!((one[0], one[1], two[1]), (50, 51, 51));
    assert_ne!(one, two);
    let mut sorted = one;
    sorted.sort_unstable();
    assert_eq!(sorted, (1..=51).collect::<Vec<_>>());
    assert_eq!(ids("updated_at,id")[..3], [50, 51, 1]);
    assert_eq!(ids("-updated_at,-id")[..2], [49, 48]);
    assert_eq!(ids("-updated_at,-id")[49..], [51, 50]);
    assert_eq!(ids("comments,-id")[0], 51);
    store.options(|o| o.unstable_ties = None);
    assert_eq!(ids("updated_at"), ids("updated_at"));
    store.options(|o| o.ignore_sort = true);
    assert_eq!(ids("-id")[0], 1);
}

#[test]
fn pages_can_be_clamped_refused_or_ignored() {
    let store = store_of(250, Options { max_count: Some(100), ..Options::default() });
    let json = get(&store, "/api/v1/addresses?count=1000").json();
    assert_eq!(json["addresses"].as_array().unwrap().len(), 100);
    assert!(json["next_page"].is_string());
    assert_eq!(get(&store, "/api/v1/addresses?count=1000&page=3").ids().len(), 50);
    store.options(|o| (o.max_count, o.refuse_count_above) = (None, Some(200)));
    assert_eq!(get(&store, "/api/v1/addresses?count=201").status, 400);
    assert_eq!(get(&store, "/api/v1/addresses?count=200").ids().len(), 200);
    assert_eq!(get(&store, "/api/v1/addresses?count=200&page=0").status, 404);
    store.options(|o| o.ignore_page = true);
    assert_eq!(get(&store, "/api/v1/addresses?page=9").ids()[0], 1);
}

#[test]
fn hidden_rows_count_but_are_not_listed() {
    let store = store_of(5, Options::default());
    store.options(|o| o.hidden.insert(("addresses".to_owned(), 2)));
    let reply = get(&store, "/api/v1/addresses?count=2");
    assert_eq!(reply.json()["total_count"], 5);
    assert_eq!(reply.ids(), [1]);
}

#[test]
fn single_rows_nested_collections_and_select_many() {
    let store = FakeStore::start(Options::default(), Data::sample(3, 20));
    let order = get(&store, "/api/v1/orders/100003").json();
    assert_eq!(order["id"], 100_003);
    assert!(order.get("items").is_none());
    assert_eq!(
        get(&store, "/api/v1/orders/5").text(),
        r#"{"status_code":404,"message":"Not Found","details":"No resource found"}"#
    );
    let filled = get(&store, "/api/v1/orders/100003/filled").json();
    assert_eq!(filled["items"].as_array().unwrap().len(), 2);
    assert!(filled["custom_fields"].is_array());
    let items = get(&store, "/api/v1/orders/100003/items").json();
    assert_eq!((&items["items"], &items["total_count"]), (&filled["items"], &2.into()));
    let expanded = get(&store, "/api/v1/orders?expand=payments&id=100003").json();
    assert_eq!(expanded["orders"][0]["payments"][0]["order_id"], 100_003);
    let fields = get(&store, "/api/v1/orders?fields=id,items&count=1").json();
    let mut names: Vec<_> = fields["orders"][0].as_object().unwrap().keys().cloned().collect();
    names.sort_unstable();
    assert_eq!(names, ["id", "items"]);
    assert_eq!(get(&store, "/api/v1/orders/select_many?ids=100001,100004").ids(), [100_001, 100_004]);
    let without = get(&store, "/api/v1/orders/select_many");
    assert!(without.status == 400 && without.text().contains("requires one or more resource IDs"));
    let micro = get(&store, "/api/v1/microstores").json();
    let id = micro["microstores"][1]["id"].as_str().unwrap().to_owned();
    assert_eq!(get(&store, &format!("/api/v1/microstores/{id}")).json()["id"], id);
    let subscriptions = get(&store, "/api/v1/subscriptions?includelookups=1").json();
    let list = subscriptions["subscriptions"].as_array().unwrap();
    assert!(list.iter().any(|s| s["customer"]["email"].is_string()));
}
