//! Reads by the rules that are known to lose nothing, and by the same rules without one of them.
//!
//! They show that the store and the comparison agree on what is right, and that the schedules make each rule necessary.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Rows of a page.
const PAGE: usize = 10;

/// An end of a period that no row reaches.
const END: &str = "4102444800";

/// Returns the seeds: six, or as many as the variable `FAKE_CS_CART_SEEDS` says.
fn seeds() -> std::ops::RangeInclusive<u64> {
    1..=std::env::var("FAKE_CS_CART_SEEDS").ok().and_then(|number| number.parse().ok()).unwrap_or(6)
}

/// Rules of a read of orders.
#[derive(Clone, Copy)]
struct Rules {
    /// A second that fills a page is read in one answer and by ids.
    second: bool,
    /// A period has an end.
    end: bool,
    /// A page is full by its elements, not by its orders.
    elements: bool,
    /// Known rows are compared by their content.
    content: bool,
    /// A cursor is never after the `Date` header.
    date: bool,
    /// Orders above the greatest id of the last sync are read by id.
    greatest: bool,
}

const ALL: Rules = Rules { second: true, end: true, elements: true, content: true, date: true, greatest: true };

struct Orders<'s> {
    store: &'s FakeCsCart,
    rules: Rules,
    cursor: Option<i64>,
    greatest: i64,
    known: BTreeMap<i64, BTreeSet<String>>,
    sent: Vec<Value>,
}

impl Orders<'_> {
    fn list(&self, query: &str) -> Vec<Value> {
        get(self.store, &format!("orders?include_incompleted=1&{query}")).rows("orders")
    }

    fn send(&mut self, row: &Value) {
        let of = if self.rules.content { row.to_string() } else { row["updated_at"].to_string() };
        if self.known.entry(number(&row["order_id"])).or_default().insert(of) {
            self.sent.push(row.clone());
        }
    }

    /// Returns the newest change.
    fn climb(&self) -> i64 {
        let mut newest = self.cursor.unwrap_or(0);
        loop {
            let query = format!("get_orders_data=1&updated_at_from={}&sort_by=date&sort_order=desc", newest + 1);
            let rows = self.list(&format!("{query}&items_per_page={PAGE}"));
            match rows.iter().filter(|row| row.is_object()).map(|row| number(&row["updated_at"])).max() {
                Some(time) => newest = time,
                None => return newest,
            }
        }
    }

    fn date(&self) -> i64 {
        let date = get(self.store, "version").header("date").unwrap();
        let date = httpdate::parse_http_date(&date).unwrap();
        date.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64
    }

    fn sync(&mut self) -> Vec<Value> {
        let date = self.date();
        let until = self.climb();
        let greatest = self.list("sort_by=order_id&sort_order=desc&items_per_page=1");
        let greatest = greatest.first().map_or(0, |row| number(&row["order_id"]));
        let filter = self.cursor.map_or_else(String::new, |cursor| format!("&updated_at_from={}", cursor - 120));
        self.walk(&filter);
        if self.rules.greatest && self.cursor.is_some() {
            self.read_ids(&((self.greatest + 1)..=greatest).collect::<Vec<_>>());
        }
        self.cursor = Some(if self.rules.date { until.min(date) } else { until });
        self.greatest = greatest;
        std::mem::take(&mut self.sent)
    }

    fn walk(&mut self, filter: &str) {
        let sort = "sort_by=date&sort_order=asc&get_orders_data=1";
        let end = if self.rules.end { format!("&time_to={END}") } else { String::new() };
        let (mut from, mut page) = (None, 1);
        loop {
            let period = from.map_or_else(String::new, |from| format!("&period=C&time_from={from}{end}"));
            let rows = self.list(&format!("{sort}{filter}{period}&items_per_page={PAGE}&page={page}"));
            let orders: Vec<&Value> = rows.iter().filter(|row| row.is_object()).collect();
            orders.iter().for_each(|row| self.send(row));
            if (if self.rules.elements { rows.len() } else { orders.len() }) < PAGE {
                return;
            }
            let Some(last) = orders.last().map(|row| number(&row["timestamp"])) else { continue };
            page = 1;
            if from != Some(last) {
                from = Some(last);
            } else if self.rules.second {
                let second = format!("{filter}&period=C&time_from={last}&time_to={last}&items_per_page=0");
                let ids: Vec<i64> = self.list(&second).iter().map(|row| number(&row["order_id"])).collect();
                self.read_ids(&ids);
                from = Some(last + 1);
            } else {
                self.pages_of_second(filter, last);
                from = Some(last + 1);
            }
        }
    }

    /// Reads a second page by page, which deletions make lossy.
    fn pages_of_second(&mut self, filter: &str, second: i64) {
        for page in 1.. {
            let query = format!("get_orders_data=1{filter}&period=C&time_from={second}&time_to={second}");
            let rows = self.list(&format!("{query}&sort_by=date&sort_order=asc&items_per_page={PAGE}&page={page}"));
            rows.iter().filter(|row| row.is_object()).for_each(|row| self.send(row));
            if rows.len() < PAGE {
                return;
            }
        }
    }

    fn read_ids(&mut self, ids: &[i64]) {
        for block in ids.chunks(PAGE) {
            let block: Vec<String> = block.iter().map(i64::to_string).collect();
            let rows = self.list(&format!("get_orders_data=1&items_per_page={PAGE}&order_id={}", block.join(",")));
            rows.iter().filter(|row| row.is_object()).for_each(|row| self.send(row));
        }
    }
}

/// Reads a live store three times. Returns the verdicts that are not right.
fn faults_of_orders(seed: u64, ties: u8, rules: Rules, date: DateHeader) -> Vec<String> {
    let sample = Sample { ties, upgraded: 10, ahead: 6, ..Sample::new(seed, 80) };
    let store = FakeCsCart::sample(Options { date, ..Options::default() }, &sample);
    let schedule = Schedule { ties, changes: 2, ..Schedule::of(seed, "orders") };
    let mut judge = Judge::incremental("orders").with_incomplete();
    let mut reader =
        Orders { store: &store, rules, cursor: None, greatest: 0, known: BTreeMap::new(), sent: Vec::new() };
    let mut faults = Vec::new();
    for sync in 0..3 {
        store.options(|options| {
            let seed = seed * 10 + sync;
            options.live = Some(Schedule { seed, last: Some(25), ..schedule.clone() }.live());
            options.between = Some(delete_chosen(seed, 10));
        });
        let start = store.moment();
        let records = reader.sync();
        store.options(|options| (options.live, options.between) = (None, None));
        let verdict = judge.sync(&store.history(), start, &records);
        let story = |key: &Key| store.history().story("orders", key, &["status", "timestamp", "updated_at"]);
        let stories = || verdict.missing.iter().chain(&verdict.stale).map(story).collect::<Vec<_>>().join("\n");
        faults.extend((!verdict.is_right()).then(|| format!("seed {seed}, sync {sync}: {verdict}\n{}", stories())));
        store.data(|data| {
            Schedule { seed: seed + 99, ..schedule.clone() }.play(data, 5);
            data.tick(600);
        });
    }
    // Nothing changed since the last sync ended, so two more reads have nothing new.
    reader.sync();
    let again = reader.sync();
    faults.extend((!again.is_empty()).then(|| format!("seed {seed}: {} rows again", again.len())));
    faults
}

#[test]
fn orders_are_complete_by_the_rules() {
    for seed in seeds() {
        for (ties, date) in [(20, DateHeader::Store), (95, DateHeader::Cached(300))] {
            let faults = faults_of_orders(seed, ties, ALL, date);
            assert!(faults.is_empty(), "{}", faults.join("\n"));
        }
    }
}

#[test]
fn orders_are_lost_without_a_rule() {
    let is_lossy = |ties: u8, rules: Rules| {
        (1..=12).any(|seed| !faults_of_orders(seed, ties, rules, DateHeader::Store).is_empty())
    };
    assert!(is_lossy(95, Rules { second: false, ..ALL }), "a second by pages");
    assert!(is_lossy(20, Rules { end: false, ..ALL }), "no end");
    assert!(is_lossy(20, Rules { elements: false, ..ALL }), "full by orders");
    assert!(is_lossy(95, Rules { content: false, ..ALL }), "known by their dates");
    assert!(is_lossy(20, Rules { date: false, ..ALL }), "a cursor ahead");
    assert!(is_lossy(20, Rules { greatest: false, ..ALL }), "no read by id");
}

/// Reads carts by windows of time, old ones first.
struct Carts<'s> {
    store: &'s FakeCsCart,
    companies: &'s [i64],
    sent: BTreeMap<(i64, i64), Value>,
}

impl Carts<'_> {
    fn answer(&mut self, prefix: &str, from: i64, to: &str, size: i64) -> (usize, i64) {
        let reply = get(
            self.store,
            &format!("{prefix}carts?period=C&time_from={from}&time_to={to}&page=1&items_per_page={size}"),
        );
        let (rows, total) = (reply.rows("carts"), reply.total());
        if total <= size {
            for row in &rows {
                let company = row.get("company_id").map_or(0, number);
                self.sent.entry((number(&row["user_id"]), company)).or_insert_with(|| row.clone());
            }
        }
        (rows.len(), total)
    }

    fn window(&mut self, prefix: &str, from: i64, to: i64) {
        let (mut size, mut end) = (PAGE as i64, to.to_string());
        if from == to || to == i64::MAX {
            // The last window, or one second: everything in one answer.
            end = if to == i64::MAX { END.to_owned() } else { end };
            size = self.answer(prefix, from, &end, 1).1 + 20;
        }
        let (rows, total) = self.answer(prefix, from, &end, size);
        if total > size {
            let middle = from + (to - from) / 2;
            self.window(prefix, from, middle);
            self.window(prefix, middle + 1, to);
        } else if (rows as i64) < total && prefix.is_empty() {
            for company in self.companies {
                self.window(&format!("stores/{company}/"), from, to);
            }
        }
    }
}

#[test]
fn carts_are_complete_by_windows() {
    for seed in seeds() {
        for (edition, companies) in [(Edition::Ultimate, &[1, 2][..]), (Edition::MultiVendor, &[0][..])] {
            let schedule = Schedule { cart_companies: companies.to_vec(), changes: 2, ..Schedule::of(seed, "carts") };
            let live = Some(Schedule { saves_slowly: seed % 2 == 0, ..schedule }.live());
            let store = FakeCsCart::sample(Options { edition, live, ..Options::default() }, &Sample::new(seed, 600));
            let (start, now) = (store.moment(), store.data(|data| data.now));
            let mut carts = Carts { store: &store, companies, sent: BTreeMap::new() };
            carts.window("", 0, now);
            carts.window("", now + 1, i64::MAX);
            let records: Vec<Value> = carts.sent.into_values().collect();
            let verdict = Judge::full("carts").sync(&store.history(), start, &records);
            assert!(verdict.is_right() && verdict.required > 10, "seed {seed}: {verdict}");
        }
    }
}

#[test]
fn shipments_are_complete_from_the_last_page_to_the_first() {
    let read = |seed: u64, downwards: bool| {
        let live = Some(Schedule::of(seed, "shipments").live());
        let store = FakeCsCart::sample(Options { live, ..Options::default() }, &Sample::new(seed, 300));
        let start = store.moment();
        let page =
            |page: i64| get(&store, &format!("shipments?sort_by=id&sort_order=asc&items_per_page={PAGE}&page={page}"));
        let last = (page(1).total() + PAGE as i64 - 1) / PAGE as i64;
        let mut records: Vec<Value> = Vec::new();
        let mut seen = BTreeSet::new();
        let pages: Vec<i64> = if downwards { (1..=last).rev().collect() } else { (1..=last).collect() };
        for number_of_page in pages {
            let rows = page(number_of_page).rows("shipments");
            records.extend(rows.into_iter().filter(|row| seen.insert(number(&row["shipment_id"]))));
        }
        Judge::full("shipments").sync(&store.history(), start, &records)
    };
    for seed in seeds() {
        let verdict = read(seed, true);
        assert!(verdict.is_right(), "seed {seed}: {verdict}");
    }
    assert!((1..=6).any(|seed| !read(seed, false).missing.is_empty()));
}

#[test]
fn users_are_complete_by_blocks_of_ids() {
    let mut excused = 0;
    for seed in seeds() {
        let live = Some(Schedule::of(seed, "users").live());
        let store = FakeCsCart::sample(Options { live, ..Options::default() }, &Sample::new(seed, 600));
        let start = store.moment();
        let mut records = Vec::new();
        for user_type in ["C", "A"] {
            let newest =
                get(&store, &format!("users?user_type={user_type}&sort_by=id&sort_order=desc&items_per_page=1"));
            let greatest = newest.column("users", "user_id")[0];
            for first in (1..=greatest).step_by(PAGE) {
                let ids = (first..first + PAGE as i64).map(|id| format!("&user_ids%5B%5D={id}"));
                let query = ids.collect::<String>();
                let page = get(&store, &format!("users?user_type={user_type}&items_per_page={PAGE}{query}"));
                records.extend(page.rows("users"));
            }
        }
        let verdict = Judge::full("users").user_types("CA").sync(&store.history(), start, &records);
        assert!(verdict.is_right(), "seed {seed}: {verdict}");
        excused += verdict.excused.len();
    }
    assert!(excused > 0);
}
