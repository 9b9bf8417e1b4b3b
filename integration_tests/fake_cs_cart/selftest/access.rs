//! Addresses, versions of the API, sign-in, privileges, stores and vendors.

use super::*;

fn status(store: &FakeCsCart, path: &str) -> u16 {
    get_path(store, path).status
}

#[test]
fn versions_of_the_api_differ_between_servers() {
    let store = sample(Options::default());
    for (path, expected) in [
        ("/api/orders", 200),
        ("/api/1.0/orders", 200),
        ("/api/2.0/orders", 200),
        ("/api/2.0/orders/", 200),
        ("/api/2.1/orders", 200),
        ("/api/4.0/orders", 200),
        ("/api/4.1/orders", 200),
        ("/api/2/orders", 404),
        ("/api/3.0/orders", 404),
        ("/api/2.0/nothing", 404),
        ("/api/versions", 200),
        ("/orders", 404),
    ] {
        assert_eq!(status(&store, path), expected, "{path}");
    }
    let old = of_version(Version::V4_3_9);
    for (path, expected) in [
        ("/api/orders", 200),
        ("/api/2.0/orders", 200),
        ("/api/2.1/orders", 404),
        ("/api/2/orders", 404),
        ("/api/2.0/nothing", 404),
        ("/api/versions", 404),
    ] {
        assert_eq!(status(&old, path), expected, "{path}");
    }
    assert_eq!(get_path(&old, "/api/version").json()["Version"], "2.0");
    assert_eq!(get_path(&store, "/api/version").json()["Version"], "2.1");
    assert_eq!(get(&store, "version").json()["Version"], "2.0");
}

#[test]
fn the_first_version_of_the_api_has_no_envelope_and_no_pages() {
    let store = sample(Options::default());
    for object in ["orders", "users?user_type=C", "categories", "shipments", "statuses", "stores"] {
        let mark = if object.contains('?') { '&' } else { '?' };
        let rows = get_path(&store, &format!("/api/1.0/{object}{mark}items_per_page=1")).json();
        assert!(rows.as_array().is_some_and(|rows| rows.len() > 1), "{object}: {rows}");
    }
    assert_eq!(get_path(&store, "/api/1.0/products?items_per_page=1").rows("products").len(), 1);
}

#[test]
fn the_store_may_be_in_a_folder_and_without_rewriting() {
    let store = sample(Options { folder: "/shop".to_owned(), ..Options::default() });
    assert!(store.url().ends_with("/shop"));
    assert_eq!(status(&store, "/shop/api/2.0/version"), 200);
    assert_eq!(status(&store, "/api/2.0/version"), 404);
    let parameter = "/shop/api.php?_d=2.0%2Forders%2F3&items_per_page=1";
    assert_eq!(get_path(&store, parameter).json()["order_id"], "3");
    assert_eq!(
        store.requests().last().map(|seen| (seen.object.clone(), seen.id.clone())),
        Some(("orders".into(), "3".into()))
    );
    store.options(|options| options.rewrite = false);
    let refused = get_path(&store, "/shop/api/2.0/version");
    assert!(refused.status == 404 && refused.text().starts_with("<!DOCTYPE html>"));
    assert_eq!(status(&store, "/shop/api.php?_d=2.0/orders&items_per_page=2"), 200);
    assert_eq!(status(&store, "/shop/api.php"), 404);
}

#[test]
fn sign_in_needs_the_e_mail_and_the_key() {
    let store = sample(Options::default());
    let wrong = [basic(EMAIL, "wrong"), basic("other@example.com", KEY), basic(EMAIL, ""), "Bearer x".to_owned()];
    for header in wrong {
        let reply = get_with(&store, "/api/2.0/version", &[("authorization", &header)]);
        assert_eq!(reply.status, 401);
        assert!(reply.header("www-authenticate").unwrap().starts_with("Basic"));
        assert_eq!(reply.json()["status"], 401);
    }
    assert_eq!(get_with(&store, "/api/2.0/version", &[]).status, 401);
    store.options(|options| options.accounts[0].rights = Rights::Disabled);
    assert_eq!(status(&store, "/api/2.0/version"), 401);
}

#[test]
fn plain_http_other_types_and_writing_are_refused() {
    let store = sample(Options::default());
    let authorization = basic(EMAIL, KEY);
    let accept =
        |accept| get_with(&store, "/api/2.0/version", &[("accept", accept), ("authorization", &authorization)]).status;
    assert_eq!(["application/json", "text/plain", "*/*", "application/xml"].map(accept), [200, 200, 200, 406]);
    let mut tcp = TcpStream::connect(store.address()).unwrap();
    let post =
        format!("DELETE /api/2.0/orders/1 HTTP/1.1\r\nauthorization: {authorization}\r\nconnection: close\r\n\r\n");
    tcp.write_all(post.as_bytes()).unwrap();
    let mut all = Vec::new();
    tcp.read_to_end(&mut all).unwrap();
    assert_eq!(split(&all).status, 405);
    store.options(|options| options.https_only = true);
    let refused = get(&store, "version");
    assert!(refused.status == 403 && refused.json()["message"].as_str().unwrap().contains("HTTPS"));
}

#[test]
fn redirects_name_another_address() {
    let store = sample(Options { redirect_to: Some("https://www.example.com".to_owned()), ..Options::default() });
    let reply = get(&store, "orders?page=2");
    assert_eq!(reply.status, 301);
    assert_eq!(reply.header("location").unwrap(), "https://www.example.com/api/2.0/orders?page=2");
}

#[test]
fn privileges_open_objects() {
    let store = sample(Options::default());
    for (object, privilege) in [
        ("orders", "view_orders"),
        ("shipments", "view_orders"),
        ("products", "view_catalog"),
        ("categories", "view_catalog"),
        ("features", "view_catalog"),
        ("options", "view_catalog"),
        ("users?user_type=C", "view_users"),
        ("carts", "view_users"),
        ("statuses", "manage_order_statuses"),
        ("stores", "view_stores"),
        ("taxes", "view_taxes"),
        ("payments", "view_payments"),
        ("shippings", "view_shipping"),
        ("languages", "view_languages"),
        ("usergroups", "view_usergroups"),
        ("call_requests", "view_call_requests"),
        ("product_reviews", "view_product_reviews"),
    ] {
        store.options(|options| options.accounts = vec![Account::limited(&[privilege])]);
        assert_eq!(get(&store, object).status, 200, "{object}");
        store.options(|options| options.accounts = vec![Account::limited(&["view_pages"])]);
        let refused = get(&store, object);
        assert_eq!(refused.status, 403, "{object}");
        assert_eq!(refused.json()["message"], "Forbidden: Access denied");
        assert_eq!(get(&store, "version").status, 200);
    }
}

#[test]
fn a_vendor_sees_products_and_no_orders() {
    let store = multi_vendor();
    store.options(|options| options.accounts[0].rights = Rights::Vendor(2));
    for (object, expected) in [
        ("products", 200),
        ("categories", 200),
        ("options", 200),
        ("product_reviews", 200),
        ("carts", 403),
        ("users?user_type=C", 403),
        ("orders", 403),
        ("shipments", 403),
        ("statuses", 403),
    ] {
        assert_eq!(get(&store, object).status, expected, "{object}");
    }
    assert!(get(&store, "products?items_per_page=0").column("products", "company_id").iter().all(|id| *id == 2));
}

#[test]
fn add_ons_and_objects_of_the_other_edition_are_absent() {
    let store = sample(Options::default());
    assert_eq!([get(&store, "stores").status, get(&store, "vendors").status], [200, 404]);
    let vendors = multi_vendor();
    assert_eq!([get(&vendors, "stores").status, get(&vendors, "vendors").status], [404, 200]);
    store.options(|options| options.absent = ["call_requests", "product_reviews"].map(str::to_owned).into());
    assert_eq!([get(&store, "call_requests").status, get(&store, "product_reviews").status], [404, 404]);
}

#[test]
fn a_path_inside_a_store_or_vendor_limits_any_object() {
    let store = sample(Options::default());
    let all = get(&store, "orders?items_per_page=0").column("orders", "company_id");
    let second = get(&store, "stores/2/orders?items_per_page=0").column("orders", "company_id");
    assert!(second.iter().all(|id| *id == 2) && !second.is_empty());
    assert_eq!(second.len(), all.iter().filter(|id| **id == 2).count());
    assert_eq!(store.requests().last().unwrap().company_id, Some(2));
    assert_eq!(get(&store, "stores/9/orders").status, 404);
    store.options(|options| options.accounts = vec![Account::limited(&["view_orders"])]);
    assert_eq!([get(&store, "orders").status, get(&store, "stores/2/orders").status], [200, 403]);
    let vendors = multi_vendor();
    let products = get(&vendors, "vendors/1/products?items_per_page=0").column("products", "company_id");
    assert!(!products.is_empty() && products.iter().all(|id| *id == 1));
}

#[test]
fn company_and_storefront_filters() {
    let store = sample(Options::default());
    let total = |store: &FakeCsCart, path: &str| get(store, path).total();
    assert!(total(&store, "orders?company_id=1") < total(&store, "orders"));
    assert_eq!(total(&store, "orders?company_ids%5B%5D=1&company_ids%5B%5D=2"), total(&store, "orders"));
    assert!(total(&store, "products?company_id=1") < total(&store, "products"));
    assert!(total(&store, "users?user_type=C&company_id=1") < total(&store, "users?user_type=C"));
    // Overwritten by the store of the request.
    assert_eq!(total(&store, "carts?company_id=1"), total(&store, "carts"));
    assert_eq!(total(&store, "call_requests?company_id=1"), total(&store, "call_requests"));
    assert!(total(&store, "stores/1/call_requests") < total(&store, "call_requests"));
    assert!(total(&store, "orders?storefront_id=1") < total(&store, "orders"));
    assert!(total(&store, "carts?storefront_id=1") < total(&store, "carts"));
    let old = of_version(Version::V4_3_9);
    assert_eq!(total(&old, "orders?storefront_id=1"), total(&old, "orders"));
    assert_eq!(total(&old, "carts?storefront_id=1"), total(&old, "carts"));
}
