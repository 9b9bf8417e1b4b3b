//! The parts of the help that only Cart.com has, and the options that replace its settings.

use crate::connector::{Help, Override, OverrideValue};

/// Options of `read` that replace settings.
pub(super) const OVERRIDES: &[Override] = &[
    Override {
        option: "start-date",
        setting: "start_date",
        help: "Read only rows updated on or after this date, such as 2021-01-01; replaces `start_date`",
        value: OverrideValue::Date,
    },
    Override {
        option: "end-date",
        setting: "end_date",
        help: "Read only rows updated before this date; replaces `end_date`",
        value: OverrideValue::Date,
    },
    Override {
        option: "call-limit-percent",
        setting: "call_limit_percent",
        help: "Use at most this share of the store's call limit, 10 to 100; replaces `call_limit_percent`",
        value: OverrideValue::Integer { name: "PERCENT", range: (10, 100) },
    },
];

/// The parts of the help that differ between connectors.
pub(super) const HELP: Help = Help {
    about: "Airbyte source connector for Cart.com (formerly AmeriCommerce)",
    check: "Requests one row of one stream per scope and prints one `CONNECTION_STATUS` message: SUCCEEDED, or FAILED with what to fix. Exits 0 even if the connection fails; read `status` in the output, or use `--fail`. In a terminal it also prints the scopes of the token, the call limit, and the number of rows.",
    discover: "Of the configuration, only `expand` is used.",
    streams: "their sync modes, their key, and the scope that a token needs",
    catalog: "only `expand` is used, which adds fields to the schemas",
    read_example: "\
Read the orders of one year, with half of the call limit:
    {executable} read --streams 'order*' --start-date 2021-01-01 \\
      --end-date 2022-01-01 --call-limit-percent 50 > 2021.jsonl",
    read_all_example: "\
Read all rows of all streams:
    {executable} read --streams all --full-refresh > all.jsonl",
};
