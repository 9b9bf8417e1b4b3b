//! `completions`: prints a script with which a shell completes commands, options and names of streams.
//!
//! The scripts are those of `clap_complete`, with a fix for names with a hyphen in bash, and with names of streams
//! after `--streams`. Tests run them in the shells.

use clap_complete::Shell;

use super::CommandResult;
use crate::airbyte::Emitter;
use crate::cli;
use crate::connector::Connector;

/// Prints the completions of a shell.
pub(crate) async fn run(shell: Shell, connector: &'static Connector, emitter: &Emitter) -> CommandResult {
    emitter.text(script(shell, connector)).await?;
    Ok(true)
}

/// Returns the completions of a shell.
pub fn script(shell: Shell, connector: &'static Connector) -> String {
    let (mut command, name) = (cli::command_line(connector), connector.executable);
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    let names = connector.streams.iter().map(|stream| stream.name).collect::<Vec<_>>();
    match shell {
        Shell::Bash => bash(&script, name, &names),
        Shell::Zsh => zsh(&script, &names),
        Shell::Fish => fish(&script, &names),
        _ => script,
    }
}

/// Fixes the script for bash: `clap_complete` 4.6 (`subcommand_details`) sets the state `source__cart__subcmd__check`
/// and looks for `source__subcmd__cart__subcmd__check`, so that nothing is completed after a subcommand.
fn bash(script: &str, name: &str, streams: &[&str]) -> String {
    let (wrong, right) = (name.replace('-', "__subcmd__"), name.replace('-', "__"));
    let script = script.replace(&wrong, &right);
    // Bash replaces the complete word, so each name gets the text before the last comma.
    let names = format!(
        "local before=\"\"\n                    [[ \"${{cur}}\" == *,* ]] && before=\"${{cur%,*}},\"\n                    COMPREPLY=($(compgen -P \"${{before}}\" -W \"all {}\" -- \"${{cur##*,}}\"))",
        streams.join(" ")
    );
    let usual = "COMPREPLY=($(compgen -f \"${cur}\"))";
    after_option(&script, "--streams)", usual, &names)
}

fn zsh(script: &str, streams: &[&str]) -> String {
    let names = format!(":NAMES:_values -s , stream all {}'", streams.join(" "));
    script.lines().fold(String::new(), |text, line| {
        let line = match line.contains("--streams=[") {
            true => line.replace(":NAMES:_default'", &names),
            false => line.to_owned(),
        };
        text + &line + "\n"
    })
}

fn fish(script: &str, streams: &[&str]) -> String {
    let list = format!("-l streams -x -a '(__fish_append , all {})' -d", streams.join(" "));
    script.lines().fold(String::new(), |text, line| {
        let line = match line.contains("-l streams -d") && line.ends_with(" -r") {
            true => line.trim_end_matches(" -r").replace("-l streams -d", &list),
            false => line.to_owned(),
        };
        text + &line + "\n"
    })
}

/// Replaces `old` by `new` in each branch of the script that begins with `option`.
fn after_option(script: &str, option: &str, old: &str, new: &str) -> String {
    let mut parts = script.split(option);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(option);
        // The branch ends at `;;`: the next one is not changed.
        let (branch, rest) = part.split_once(";;").unwrap_or((part, ""));
        text.push_str(&branch.replace(old, new));
        text.push_str(";;");
        text.push_str(rest);
    }
    text
}
