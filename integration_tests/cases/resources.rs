//! Every list resource of the API is a stream: each is read completely, three times, for every
//! name of its list.

use std::collections::BTreeSet;

use source_cart::streams::STREAMS;

use crate::fake_store::{Data, Envelope, Options, Stamp, resource, resources};
use crate::harness::destination::Destination;
use crate::harness::files::{configured, configured_all};
use crate::harness::order::assert_read_is_well_formed;
use crate::harness::run::Run;
use crate::harness::setup::{SignIn, config, no_state, read, start};

/// Panics unless the tables have all rows of the store.
fn assert_all_read(destination: &Destination, store: &crate::fake_store::FakeStore, context: &str) {
    for stream in STREAMS {
        let comparison = store.data(|data| destination.compare(data, stream.name, stream.name, None, None));
        comparison.assert_clean_with_missing_dates(context);
    }
}

/// Panics if a field is reported, except the one whose strings cannot be converted.
fn assert_nothing_is_reported(run: &Run) {
    assert_eq!(run.code, Some(0), "{}", run.transcript());
    let reported: Vec<&str> =
        run.warnings().into_iter().filter(|text| !text.starts_with("microstores: `id` is")).collect();
    assert_eq!(reported, Vec::<&str>::new());
}

#[test]
fn the_table_has_the_documented_resources() {
    let documented: BTreeSet<&str> = resources().iter().map(|of| of.path).collect();
    let streams: BTreeSet<&str> = STREAMS.iter().map(|stream| stream.name).collect();
    assert_eq!(streams, documented);
    assert_eq!(streams.len(), STREAMS.len(), "a stream stands twice in the table");
    for stream in STREAMS {
        let of = resource(stream.name).unwrap();
        assert_eq!((stream.key(), stream.has_updated_at), (of.pk, of.has_updated_at), "{}", stream.name);
        assert!(of.scopes.contains(&stream.scope.name()), "{}: {:?}", stream.name, of.scopes);
        let documented: BTreeSet<&str> = of.nested.iter().map(|nested| nested.name).collect();
        let collections: BTreeSet<&str> =
            (stream.fields)().collections.iter().map(|collection| collection.name.as_str()).collect();
        if !stream.uses_lookups {
            assert_eq!(collections, documented, "{}", stream.name);
        }
        // For three lists, working clients and the descriptions have different names.
        let conflict = ["blog_posts", "custom_field_values", "gift_certificate_transactions"].contains(&stream.name);
        assert!(stream.list == of.key || conflict, "{}", stream.name);
    }
}

#[test]
fn all_resources_are_read_completely_by_full_refresh_with_every_name_of_their_list() {
    for envelope in [Envelope::Short, Envelope::Path, Envelope::Named("rows")] {
        let store =
            start(SignIn::Token, Options { envelope, max_count: Some(7), ..Options::default() }, Data::sample(5, 40));
        let catalog = configured_all("full_refresh");
        let run = read(&config(SignIn::Token, &store), &catalog, &no_state());
        assert_read_is_well_formed(&run, &catalog);
        // A string key is allowed, but such a stream is not read by key, which is reported.
        assert_eq!(run.code, Some(0), "{}", run.transcript());
        assert!(run.warnings().iter().all(|text| text.contains("microstores")), "{:?}", run.warnings());
        let mut destination = Destination::with_catalog(false, &catalog);
        destination.take(&run);
        assert_all_read(&destination, &store, &format!("{envelope:?}"));
    }
}

#[test]
fn all_resources_are_read_twice_and_then_only_rows_without_a_date() {
    let store = start(SignIn::Router, Options::default(), Data::sample(9, 40));
    let (config, catalog) = (config(SignIn::Router, &store), configured_all("incremental"));
    let mut destination = Destination::with_catalog(false, &catalog);
    let first = read(&config, &catalog, &destination.state_list());
    assert_nothing_is_reported(&first);
    destination.take(&first);

    store.data(|data| {
        for of in resources() {
            data.tick(1000);
            let ids = data.ids(of.path);
            data.touch(of.path, ids[ids.len() / 2]);
            data.add(of.path);
        }
    });
    let second = read(&config, &catalog, &destination.state_list());
    assert_nothing_is_reported(&second);
    assert_read_is_well_formed(&second, &catalog);
    destination.take(&second);
    assert_all_read(&destination, &store, "second read");

    let third = read(&config, &catalog, &destination.state_list());
    assert_nothing_is_reported(&third);
    for stream in STREAMS {
        let rows = store.data(|data| data.ids(stream.name).len());
        let (again, brought) = (third.records(stream.name).len(), second.records(stream.name).len());
        let expected = if stream.has_updated_at { (0, 2) } else { (rows, rows) };
        assert_eq!((again, brought), expected, "{}", stream.name);
    }
}

#[test]
fn rows_without_a_date_are_read_in_every_stream() {
    // Once with each stream in one response, and once with walks; null sorts first or last.
    for (count, nulls_last) in [(1000, false), (5, false), (5, true)] {
        let mut data = Data::sample(2, 40);
        let dated: Vec<&str> = STREAMS.iter().filter(|row| row.has_updated_at).map(|row| row.name).collect();
        for name in &dated {
            for id in data.ids(name).into_iter().step_by(3) {
                data.set_updated_at(name, id, Stamp::Null);
            }
        }
        let options = Options { max_count: Some(count), nulls_last, ..Options::default() };
        let store = start(SignIn::Token, options, data);
        let (config, catalog) = (config(SignIn::Token, &store), configured_all("incremental"));
        let mut destination = Destination::with_catalog(false, &catalog);
        let run = read(&config, &catalog, &no_state());
        assert_read_is_well_formed(&run, &catalog);
        destination.take(&run);
        for name in dated {
            let comparison = store.data(|data| destination.compare(data, name, name, None, None));
            comparison.assert_clean_with_missing_dates(name);
        }
    }
}

#[test]
fn lists_with_uncertain_names_are_found_under_each() {
    for (stream, names) in [
        ("blog_posts", ["posts", "blog_posts"]),
        ("custom_field_values", ["values", "custom_field_values"]),
        ("gift_certificate_transactions", ["transactions", "gift_certificate_transactions"]),
        ("product_pricing", ["pricing", "product_pricing"]),
        ("price_calculators", ["price_calculation", "price_calculators"]),
        ("attributes", ["attribues", "attributes"]),
        ("product_reviews", ["product_revies", "product_reviews"]),
        ("order_addresses", ["addresses", "order_addresses"]),
    ] {
        for name in names {
            let options = Options { envelope: Envelope::Named(name), max_count: Some(4), ..Options::default() };
            let store = start(SignIn::Token, options, Data::sample(1, 20));
            let catalog = configured(&[(stream, "incremental")]);
            let run = read(&config(SignIn::Token, &store), &catalog, &no_state());
            assert_nothing_is_reported(&run);
            let mut came = run.ids(stream);
            came.sort_unstable();
            assert_eq!(came, store.data(|data| data.ids(stream)), "{stream} as {name}");
        }
    }
}

#[test]
fn streams_with_keys_of_other_names_are_walked_by_key() {
    for (stream, key) in [
        ("customer_association", "customer_association_id"),
        ("notifications", "notification_id"),
        ("external_image_whitelist", "external_image_whitelist_sites_id"),
    ] {
        for ignore_id_filter in [false, true] {
            let mut data = Data::empty();
            for id in 1..=30 {
                let at = Stamp::At(data.now_ms - 60_000 * (id % 4));
                data.insert_lean(stream, id, at, at);
            }
            let options = Options { max_count: Some(4), ignore_id_filter, ..Options::default() };
            let store = start(SignIn::Token, options, data);
            let catalog = configured(&[(stream, "incremental")]);
            let run = read(&config(SignIn::Token, &store), &catalog, &no_state());
            assert_read_is_well_formed(&run, &catalog);
            let mut destination = Destination::with_catalog(false, &catalog);
            destination.take(&run);
            let comparison = store.data(|data| destination.compare(data, stream, stream, None, None));
            comparison.assert_clean_with_missing_dates(&format!("{stream}, key filter ignored: {ignore_id_filter}"));
            let sorted =
                |seen: &crate::fake_store::RecordedRequest| seen.param("sort").is_none_or(|sort| !sort.contains(",id"));
            assert!(store.requests().iter().all(sorted));
            assert!(store.requests().iter().any(|seen| seen.param("sort").is_some_and(|sort| sort.contains(key))));
        }
    }
}
