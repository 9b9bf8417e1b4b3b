//! The parts of the help that only CS-Cart has, and the options that replace its settings.

use super::config::ROWS_PER_REQUEST;
use crate::connector::{Help, Override, OverrideValue};

/// Options of `read` that replace settings.
pub(super) const OVERRIDES: &[Override] = &[
    Override {
        option: "start-date",
        setting: "start_date",
        help: "Read only orders and products updated on or after this date, such as 2021-01-01; replaces `start_date`",
        value: OverrideValue::Date,
    },
    Override {
        option: "rows-per-request",
        setting: "rows_per_request",
        help: "Request at most this number of complete rows at once, 1 to 250; replaces `rows_per_request`",
        value: OverrideValue::Integer { name: "ROWS", range: ROWS_PER_REQUEST.1 },
    },
];

/// The parts of the help that differ between connectors.
pub(super) const HELP: Help = Help {
    about: "Airbyte source connector for CS-Cart and Multi-Vendor",
    check: "Requests the version of the API, then one row each of orders, products, users and carts, and prints one `CONNECTION_STATUS` message: SUCCEEDED, or FAILED with what to fix. Exits 0 even if the connection fails; read `status` in the output, or use `--fail`. In a terminal it also prints the privileges of the administrator and the number of rows.",
    discover: "The configuration does not change it.",
    streams: "their sync modes, their key, and the privilege that an administrator needs",
    catalog: "it does not change the catalog",
    read_example: "\
Read what changed since a date, with small requests for a weak host:
    {executable} read --streams 'order*' --start-date 2021-01-01 \\
      --rows-per-request 10 > 2021.jsonl",
    // `all` fails on every store: none has both `stores` and `vendors`.
    read_all_example: "\
Read all rows of some streams:
    {executable} read --streams orders,products,users \\
      --full-refresh > all.jsonl",
};
