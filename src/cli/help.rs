//! The examples that `--help` shows below the options. A test runs each of them, in this order, in a folder with a
//! `config.json`. Lines have at most 80 characters.
//!
//! `{executable}`, `{variable}` and the like are replaced by the words of the connector.

use clap::builder::StyledStr;

use crate::connector::Connector;

/// Returns the command line with the words of the connector in all texts.
pub(super) fn worded(mut line: clap::Command, connector: &'static Connector) -> clap::Command {
    let filled = |text: &StyledStr| filled(&text.to_string(), connector);
    if let Some(text) = line.get_about().map(filled) {
        line = line.about(text);
    }
    if let Some(text) = line.get_long_about().map(filled) {
        line = line.long_about(text);
    }
    if let Some(text) = line.get_after_help().map(filled) {
        line = line.after_help(text);
    }
    line.mut_args(|option| match option.get_help().map(filled) {
        Some(text) => option.help(text),
        None => option,
    })
    .mut_subcommands(|command| worded(command, connector))
}

/// Returns a string with the words of the connector.
fn filled(text: &str, connector: &Connector) -> String {
    let help = &connector.help;
    let words = [
        ("{read_example}", help.read_example),
        ("{read_all_example}", help.read_all_example),
        ("{about}", help.about),
        ("{check}", help.check),
        ("{discover}", help.discover),
        ("{streams}", help.streams),
        ("{catalog}", help.catalog),
        ("{executable}", connector.executable),
        ("{variable}", connector.config_variable),
    ];
    words.iter().fold(text.to_owned(), |text, (name, word)| text.replace(name, word))
}

/// Shown below the list of commands.
pub(super) const FIRST_STEPS: &str = "\
First steps:
  {executable} init
  {executable} check
  {executable} read --streams orders,order_items > first.jsonl

check and read use the configuration in `--config FILE`, or in the file that
{variable} names, or in config.json in this folder.

Run `{executable} COMMAND --help` for details and examples of a command.
spec, check, discover and read print messages of the Airbyte protocol, one
JSON object per line.";

/// Shown below the options of `spec`.
pub(super) const SPEC: &str = "\
Examples:
  {executable} spec";

/// Shown below the options of `check`.
pub(super) const CHECK: &str = "\
Examples:
  {executable} check
  {executable} check --config config.json --fail
  {executable} check --config - < config.json";

/// Shown below the options of `discover`.
pub(super) const DISCOVER: &str = "\
Examples:
  {executable} discover
  {executable} discover --config config.json > catalog.jsonl";

/// Shown below the options of `read`.
pub(super) const READ: &str = "\
Examples:
  Read two streams for the first time:
    {executable} read --streams orders,order_items > first.jsonl

  Repeat the same line, as in a crontab; each run adds new files:
    {executable} read --streams orders --format jsonl --output data \\
      --state state.json --state-out state.json --quiet

  Write only records, into files:
    {executable} read --streams orders,products --format csv \\
      --output tables --quiet

  {read_example}

  {read_all_example}

  Use your own catalog:
    {executable} catalog --streams products,categories > catalog.json
    {executable} read --catalog catalog.json > products.jsonl";

/// Shown below the options of `streams`.
pub(super) const STREAMS: &str = "\
Examples:
  {executable} streams
  {executable} streams --json > streams.json";

/// Shown below the options of `catalog`.
pub(super) const CATALOG: &str = "\
Examples:
  {executable} catalog > catalog.json
  {executable} catalog --streams orders,order_items
  {executable} catalog --streams all --full-refresh";

/// Shown below the options of `init`.
pub(super) const INIT: &str = "\
Examples:
  {executable} init
  {executable} init --output mystore.json";

/// Shown below the options of `state`.
pub(super) const STATE: &str = "\
Examples:
  {executable} state show state.json
  {executable} state set state.json products 2024-06-01
  {executable} state reset state.json orders products";

/// Shown below the options of `completions`.
pub(super) const COMPLETIONS: &str = "\
Examples:
  {executable} completions bash > {executable}.bash
  {executable} completions zsh > _{executable}
  {executable} completions fish > {executable}.fish

Install the script: for bash in ~/.local/share/bash-completion/completions/
with the name {executable}, for zsh in a folder of $fpath, for fish in
~/.config/fish/completions/.";
