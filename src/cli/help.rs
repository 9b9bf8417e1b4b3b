//! The examples that `--help` shows below the options. A test runs each of them, in this order, in a folder with a
//! `config.json`. Lines have at most 80 characters.

/// Shown below the list of commands.
pub(crate) const FIRST_STEPS: &str = "\
First steps:
  source-cart init
  source-cart check
  source-cart read --streams orders,order_items > first.jsonl

check and read use the configuration in `--config FILE`, or in the file that
SOURCE_CART_CONFIG names, or in config.json in this folder.

Run `source-cart COMMAND --help` for details and examples of a command.
spec, check, discover and read print messages of the Airbyte protocol, one
JSON object per line.";

/// Shown below the options of `spec`.
pub(crate) const SPEC: &str = "\
Examples:
  source-cart spec";

/// Shown below the options of `check`.
pub(crate) const CHECK: &str = "\
Examples:
  source-cart check
  source-cart check --config config.json --fail
  source-cart check --config - < config.json";

/// Shown below the options of `discover`.
pub(crate) const DISCOVER: &str = "\
Examples:
  source-cart discover
  source-cart discover --config config.json > catalog.jsonl";

/// Shown below the options of `read`.
pub(crate) const READ: &str = "\
Examples:
  Read two streams for the first time:
    source-cart read --streams orders,order_items > first.jsonl

  Repeat the same line, as in a crontab; the file stores the state:
    source-cart read --config config.json --streams orders \\
      --state state.json --state-out state.json > orders.jsonl

  Write only records, into files:
    source-cart read --streams orders,products --format csv \\
      --output tables --quiet

  Read the orders of one year, with half of the call limit:
    source-cart read --streams 'order*' --start-date 2021-01-01 \\
      --end-date 2022-01-01 --call-limit-percent 50 > 2021.jsonl

  Read all rows of all streams:
    source-cart read --streams all --full-refresh > all.jsonl

  Use your own catalog:
    source-cart catalog --streams products,categories > catalog.json
    source-cart read --catalog catalog.json > products.jsonl";

/// Shown below the options of `streams`.
pub(crate) const STREAMS: &str = "\
Examples:
  source-cart streams
  source-cart streams --json > streams.json";

/// Shown below the options of `catalog`.
pub(crate) const CATALOG: &str = "\
Examples:
  source-cart catalog > catalog.json
  source-cart catalog --streams orders,order_items
  source-cart catalog --streams all --full-refresh";

/// Shown below the options of `init`.
pub(crate) const INIT: &str = "\
Examples:
  source-cart init
  source-cart init --output mystore.json";

/// Shown below the options of `state`.
pub(crate) const STATE: &str = "\
Examples:
  source-cart state show state.json
  source-cart state set state.json products 2024-06-01
  source-cart state reset state.json orders products";

/// Shown below the options of `completions`.
pub(crate) const COMPLETIONS: &str = "\
Examples:
  source-cart completions bash > source-cart.bash
  source-cart completions zsh > _source-cart
  source-cart completions fish > source-cart.fish

Install the script: for bash in ~/.local/share/bash-completion/completions/
with the name source-cart, for zsh in a folder of $fpath, for fish in
~/.config/fish/completions/.";
