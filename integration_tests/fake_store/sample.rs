//! `Data::sample`: a realistic small store.
//!
//! It has the cases that broke readers of this API: initial order statuses without time stamps, rows without
//! `updated_at`, many rows changed at the same time by a bulk update, and times on both sides of each clock change.

use super::data::{Data, Stamp};
use super::resources::{Resource, resources};
use super::rows::mix;
use super::zone::utc_ms;

/// Minimum number of values (rows times fields) from which the rows of a table are computed when they are listed.
const LEAN_FROM: i64 = 400_000;

/// The time of the last change of a quarter of every large table.
pub const BULK: &str = "2024-07-09T03:00:00.123Z";

impl Data {
    /// Creates a store with `size` orders and the other tables in proportion. The seed only changes the times.
    ///
    /// The rows of large tables (orders from 6,350, products from 2,760 rows) are computed when they are listed (see
    /// `Row`).
    pub fn sample(seed: u64, size: usize) -> Data {
        let mut data = Data::empty();
        let size = i64::try_from(size).unwrap_or(0);
        for of in resources() {
            let rows = rows_of(of, size);
            for n in 0..rows {
                let id = of.first_id() + n;
                let (updated, created) = stamps(&data, of, seed, n);
                if rows * (of.fields.len() as i64) >= LEAN_FROM {
                    data.insert_lean(of.path, id, updated, created);
                    continue;
                }
                let mut row = data.make(of.path, id);
                row.updated_at = updated;
                row.created_at = created;
                data.insert(of.path, row);
            }
        }
        data
    }
}

fn rows_of(of: &Resource, size: i64) -> i64 {
    match of.path {
        "orders" | "order_payments" => size,
        "order_items" | "order_addresses" => size * 2,
        "order_shipments" => size * 2 / 3,
        "customers" => size / 2 + 1,
        "addresses" => (size / 2 + 1) * 3 / 2,
        "products" => (size / 10).max(10),
        "product_pictures" | "product_variants" | "product_pricing" | "variant_inventory" => (size / 5).max(10),
        "order_statuses" => 9,
        // Some tables are empty in most stores.
        "customer_association" | "blacklisted_ips" | "external_image_whitelist" if size < 10 => 0,
        _ => 3 + size.min(7),
    }
}

fn stamps(data: &Data, of: &Resource, seed: u64, n: i64) -> (Stamp, Stamp) {
    if of.path == "order_statuses" {
        return (Stamp::Null, Stamp::Null);
    }
    let random = mix(seed ^ mix(n as u64) ^ super::rows::hash_text(of.path));
    let first = utc_ms("2013-11-01T05:00:00Z");
    let span = data.now_ms - first;
    let created = first + (random % span as u64) as i64;
    let later = (mix(random) % (data.now_ms - created + 1) as u64) as i64;
    let bulk = utc_ms(BULK);
    let edges = [
        "2024-03-10T07:59:59.997Z",
        "2024-03-10T08:00:00.000Z",
        "2023-11-05T06:30:00.070Z",
        "2023-11-05T07:30:00.500Z",
    ];
    let mut updated = match random % 16 {
        0..=3 if created < bulk => bulk,
        4 => utc_ms(edges[(random / 16 % 4) as usize]).max(created),
        // Full seconds, and one or two digits.
        5 => (created + later) / 1000 * 1000,
        6 => (created + later) / 100 * 100,
        _ => created + later,
    };
    updated = updated.min(data.now_ms);
    let no_update = matches!(of.path, "categories" | "product_variants" | "product_pricing") && n % 5 == 2;
    let no_creation = of.path == "products" && n % 7 == 3;
    (
        if no_update { Stamp::Null } else { Stamp::At(updated) },
        if no_creation || no_update { Stamp::Null } else { Stamp::At(created) },
    )
}
