//! Runs the sample store alone, to try commands against it.
//!
//! ```text
//! cargo run -p fake-cs-cart [-- --port 8080 --orders 500 --edition multi-vendor --version 4.13]
//! ```
//!
//! It prints its URL, e-mail and API key, then runs until it is stopped. A line `change` on standard input makes twenty
//! changes of all kinds, so that the next incremental read finds some.

use std::io::{self, BufRead as _, Write as _};
use std::process::ExitCode;

use fake_cs_cart::{EMAIL, Edition, FakeCsCart, KEY, Options, Sample, Schedule, Version};

/// Names of the arguments, for messages.
const KNOWN: &str = "--port N, --orders N, --seed N, --ties PERCENT, --edition ultimate|multi-vendor, --version \
                     4.3.9|4.11|4.13|4.20, --folder /PATH and --gzip on|off";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let _ = writeln!(io::stderr(), "{e}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), String> {
    let (mut port, mut orders, mut seed, mut ties) = (0_u16, 500_usize, 1_u64, 20_u8);
    let mut options = Options::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        let wrong = |_| format!("{name}: {value} is not a number that fits");
        match (name.as_str(), value.as_str()) {
            ("--port", _) => port = value.parse().map_err(wrong)?,
            ("--orders", _) => orders = value.parse().map_err(wrong)?,
            ("--seed", _) => seed = value.parse().map_err(wrong)?,
            ("--ties", _) => ties = value.parse().map_err(wrong)?,
            ("--edition", "ultimate") => options.edition = Edition::Ultimate,
            ("--edition", "multi-vendor") => options.edition = Edition::MultiVendor,
            ("--version", "4.3.9") => options.version = Version::V4_3_9,
            ("--version", "4.11") => options.version = Version::V4_11,
            ("--version", "4.13") => options.version = Version::V4_13,
            ("--version", "4.20") => options.version = Version::V4_20,
            ("--folder", _) => options.folder = value,
            ("--gzip", "on" | "off") => options.gzip = value == "on",
            _ => return Err(format!("{name} {value} is unknown; known are {KNOWN}")),
        }
    }
    let sample = Sample { ties, ..Sample::new(seed, orders) };
    let data = sample.data(options.edition);
    let store = FakeCsCart::start_on(port, options, data);
    say(&format!(
        "A sample store with {orders} orders is at {}\nIts e-mail is {EMAIL}, its API key {KEY}\nType `change` and Enter to \
         change some rows; stop it with Ctrl-C.",
        store.url()
    ));
    let mut changes = seed;
    for line in io::stdin().lock().lines() {
        match line.as_deref().map(str::trim) {
            Ok("change") => {
                changes += 1;
                say(&change(&store, changes));
            }
            Ok("") => {}
            Ok(line) => say(&format!("`{line}` is unknown; known is `change`")),
            Err(_) => break,
        }
    }
    // Without a terminal there is no input, and the store keeps running.
    loop {
        std::thread::park();
    }
}

/// Number of changes of a line `change`.
const CHANGES: usize = 20;

/// Makes some changes of all kinds. Returns a sentence about them.
fn change(store: &FakeCsCart, seed: u64) -> String {
    let is_ultimate = store.options(|options| options.edition == Edition::Ultimate);
    let cart_companies = if is_ultimate { vec![1, 2] } else { vec![0] };
    store.data(|data| {
        Schedule { cart_companies, ..Schedule::new(seed) }.play(data, CHANGES);
        format!("Made {CHANGES} changes; the store's clock is at {}.", data.now)
    })
}

fn say(text: &str) {
    #[expect(clippy::disallowed_methods, reason = "the one place that writes to standard output")]
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}
