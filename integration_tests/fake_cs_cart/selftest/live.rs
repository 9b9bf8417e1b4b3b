//! Changes before requests, and the sample data.

use super::*;

#[test]
fn the_hook_changes_the_store_before_an_answer() {
    let store = sample(Options { seconds_per_request: 5, ..Options::default() });
    store.options(|options| {
        options.live = Some(Box::new(|data, seen| {
            if seen.n == 2 {
                data.set_status(3, 'N');
            }
        }));
    });
    let has = || get(&store, "orders?order_id=3").total() == 1;
    assert_eq!([has(), has(), has()], [true, false, false]);
    assert_eq!(store.data(|data| data.now), START + 15);
}

#[test]
fn a_schedule_is_the_same_for_the_same_seed() {
    let play = |seed: u64, edition: Edition| {
        let mut data = Sample::new(1, 60).data(edition);
        let companies = if edition == Edition::Ultimate { vec![1, 2] } else { vec![0] };
        Schedule { cart_companies: companies, ..Schedule::new(seed) }.play(&mut data, 400);
        data
    };
    let (one, other, third) = (play(7, Edition::Ultimate), play(7, Edition::Ultimate), play(8, Edition::Ultimate));
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
    assert_ne!(format!("{one:?}"), format!("{third:?}"));
    assert!(one.moment().step >= 400 && one.now > START);
    let vendors = play(7, Edition::MultiVendor);
    assert!(vendors.carts.iter().all(|(key, _)| key.1 == 0));
}

#[test]
fn a_schedule_makes_every_kind_of_change() {
    let store = sample(Options::default());
    let before =
        store.data(|data| (data.orders.keys(), data.products.keys(), data.users.keys(), data.shipments.keys()));
    store.data(|data| Schedule::new(3).play(data, 600));
    let history = store.history();
    store.data(|data| {
        assert!(before.0.iter().any(|id| data.orders.get(*id).is_none()), "an order deleted");
        assert!(before.1.iter().any(|id| data.products.get(*id).is_none()), "a product deleted");
        assert!(before.2.iter().any(|id| data.users.get(*id).is_none()), "a user deleted");
        assert!(before.3.iter().any(|id| data.shipments.get(*id).is_none()), "a shipment deleted");
        assert!(data.orders.greatest() > before.0.last().copied(), "an order placed");
        assert!(data.users.greatest() > before.2.last().copied(), "a user added");
    });
    let notes = |stream: &str, note: Note| {
        history.versions(stream).values().flatten().any(|truth| truth.note == note && truth.moment.step > 0)
    };
    assert!(notes("orders", Note::Stamped) && notes("orders", Note::Silent) && notes("carts", Note::Merged));
    assert!(notes("products", Note::Stamped) && notes("products", Note::Silent));
    // An order is created and gets its status in the same second.
    let is_placed = |versions: &Vec<Truth>| {
        let statuses = |truth: &Truth| truth.row.as_ref().map(|row| row["status"].clone());
        versions.windows(2).any(|pair| {
            statuses(&pair[0]) == Some("N".into())
                && statuses(&pair[1]) == Some("O".into())
                && pair[0].moment.at == pair[1].moment.at
        })
    };
    assert!(history.versions("orders").values().any(is_placed));
}

#[test]
fn samples_have_ties_incomplete_upgraded_and_early_orders() {
    let sample = Sample { ties: 95, incomplete: 30, upgraded: 20, ahead: 2, ..Sample::new(4, 200) };
    let data = sample.data(Edition::Ultimate);
    let orders: Vec<&Order> = data.orders.iter().map(|(_, order)| order).collect();
    let mut seconds: Vec<i64> = orders.iter().map(|order| order.timestamp).collect();
    seconds.dedup();
    assert!(seconds.len() < 30, "{} seconds", seconds.len());
    let count = |has: fn(&&&Order) -> bool| orders.iter().filter(has).count();
    assert_eq!(count(|order| order.updated_at == 0), 40);
    assert_eq!(count(|order| order.timestamp > START), 2);
    assert!((30..90).contains(&count(|order| order.status == 'N')));
    let carts: Vec<CartKey> = Sample::new(1, 400).data(Edition::Ultimate).carts.keys();
    assert!(carts.windows(2).any(|pair| pair[0].0 == pair[1].0), "no user with two carts");
}

#[test]
fn a_large_store_answers_quickly() {
    let store = FakeCsCart::sample(Options::default(), &Sample::new(1, 5_000));
    let read = || {
        let start = std::time::Instant::now();
        for page in 1..=20 {
            assert_eq!(get(&store, &format!("orders?get_orders_data=1&items_per_page=100&page={page}")).status, 200);
        }
        start.elapsed()
    };
    read();
    // Rows come from memory the second time: a few milliseconds a page, even without optimisation.
    assert!(read() < Duration::from_secs(4));
}
