//! Runs the sample store alone, to try commands against it.
//!
//! ```text
//! cargo run -p fake-store [--features tls] [-- --port 8080 --orders 500 --tls shop.example.com]
//! ```
//!
//! It prints its URL and token, then runs until it is stopped. A line `change` on standard input changes some rows,
//! adds some, deletes one and moves the store's clock by a minute, so that the next incremental read finds changes.
//! With `--tls` it serves HTTPS for that name, with its own authority, and prints the file with that authority's
//! certificate.
//! A line `set orders 100001 warehouse_note "fragile"` sets a field of one row, also an unknown field.

use std::io::{self, BufRead as _, Write as _};
use std::process::ExitCode;

use fake_store::{Data, FakeStore, Options, Tls, resource};

fn main() -> ExitCode {
    fake_store::number_all_keys();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(io::stderr(), "{e}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), String> {
    let (mut port, mut orders, mut options) = (0_u16, 500_usize, Options::default());
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        let wrong = |_| format!("{name}: {value} is not a number that fits");
        match name.as_str() {
            "--port" => port = value.parse().map_err(wrong)?,
            "--orders" => orders = value.parse().map_err(wrong)?,
            "--tls" => options.tls = Some(Tls { host_names: vec![value], expired: false }),
            _ => {
                return Err(format!("{name} is unknown; known are --port N, --orders N and --tls NAME"));
            }
        }
    }
    let name = options.tls.as_ref().and_then(|tls| tls.host_names.first().cloned());
    let store = FakeStore::start_on(port, options, Data::sample(1, orders));
    let url = name.map_or_else(|| store.url(), |name| format!("https://{name}:{}", store.addr().port()));
    if let Some(file) = store.ca_file() {
        say(&format!("The certificate of its authority is in {}", file.display()));
    }
    say(&format!(
        "A sample store with {orders} orders is at {url}\nIts access token is good-token\nType `change` and Enter to \
         change some rows; stop it with Ctrl-C."
    ));
    for line in io::stdin().lock().lines() {
        match line.as_deref().map(str::trim) {
            Ok("change") => say(&change(&store)),
            Ok("") => {}
            Ok(line) => match line.split_once(' ') {
                Some(("set", what)) => say(&set(&store, what)),
                Some(("delete", what)) => say(&delete(&store, what)),
                _ => say(&format!(
                    "`{line}` is unknown; known are `change`, `set RESOURCE ID FIELD JSON` and `delete RESOURCE ID`"
                )),
            },
            Err(_) => break,
        }
    }
    // Without a terminal there is no input, and the store keeps running.
    loop {
        std::thread::park();
    }
}

/// Changes the last rows of some tables and the amount of an order, adds an order with its payment, deletes an address.
fn change(store: &FakeStore) -> String {
    store.data(|data| {
        data.tick(60_000);
        let mut changed = Vec::new();
        for (resource, rows) in
            [("orders", 3), ("order_items", 2), ("customers", 1), ("products", 1), ("order_statuses", 1)]
        {
            for id in data.ids(resource).into_iter().rev().take(rows) {
                data.touch(resource, id);
                changed.push(format!("{resource} {id}"));
            }
        }
        if let Some(id) = data.ids("orders").last() {
            data.set_field("orders", *id, "grand_total", "98765.4321");
        }
        let added = ["orders", "order_payments"].map(|resource| format!("{resource} {}", data.add(resource)));
        let deleted = data.ids("addresses").first().copied().filter(|id| data.delete("addresses", *id));
        let deleted = deleted.map_or_else(String::new, |id| format!("; deleted addresses {id}"));
        format!("Changed {}; added {}{deleted}.", changed.join(", "), added.join(", "))
    })
}

/// Sets a field of one row, and a new `updated_at` of the row.
fn set(store: &FakeStore, what: &str) -> String {
    let mut words = what.splitn(4, ' ');
    let (Some(name), Some(id), Some(field), Some(value)) =
        (words.next(), words.next().and_then(|id| id.parse().ok()), words.next(), words.next())
    else {
        return "`set` needs a resource, the number of a row, a field and a value as JSON".to_owned();
    };
    if resource(name).is_none() || serde_json::from_str::<serde::de::IgnoredAny>(value).is_err() {
        return format!("`{name}` is not a resource, or `{value}` is not JSON");
    }
    store.data(|data| {
        if !data.ids(name).contains(&id) {
            return format!("{name} has no row {id}");
        }
        data.tick(60_000);
        data.touch(name, id);
        data.set_field(name, id, field, value);
        format!("Set {field} of {name} {id}.")
    })
}

/// Deletes one row without a trace.
fn delete(store: &FakeStore, what: &str) -> String {
    let parsed = what.split_once(' ').and_then(|(name, id)| Some((name, id.parse().ok()?)));
    let Some((name, id)) = parsed.filter(|(name, _)| resource(name).is_some()) else {
        return "`delete` needs a resource and the number of a row".to_owned();
    };
    match store.data(|data| data.delete(name, id)) {
        true => format!("Deleted {name} {id}."),
        false => format!("{name} has no row {id}"),
    }
}

fn say(text: &str) {
    #[expect(clippy::disallowed_methods, reason = "the one place that writes to standard output")]
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}
