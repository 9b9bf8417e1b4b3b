//! `completions`: the script that makes a shell complete the command line, with the names of streams.
//!
//! The scripts come from `clap_complete`; what is changed in them is the fault of its bash script for names with a
//! hyphen, and what follows `--streams`. Tests run them in the shells.

use clap_complete::Shell;

use crate::airbyte::{Closed, Emitter};
use crate::cli;
use crate::streams::STREAMS;

/// Prints the completions of a shell.
///
/// # Errors
/// [`Closed`] if stdout is gone.
pub(crate) async fn completions(shell: Shell, emitter: &Emitter) -> Result<(), Closed> {
    emitter.send(script(shell).into_bytes()).await
}

/// Returns the completions of a shell.
#[must_use]
pub fn script(shell: Shell) -> String {
    let mut command = cli::command_line();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, &name, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    let names = STREAMS.iter().map(|stream| stream.name).collect::<Vec<_>>();
    match shell {
        Shell::Bash => bash(&script, &name, &names),
        Shell::Zsh => zsh(&script, &names),
        Shell::Fish => fish(&script, &names),
        _ => script,
    }
}

/// The state of a command is called `source__cart__subcmd__check` where it is set, and
/// `source__subcmd__cart__subcmd__check` where it is looked for (`clap_complete` 4.6, `subcommand_details`), so that
/// nothing is completed after a subcommand. Both get the name that is set.
fn bash(script: &str, name: &str, streams: &[&str]) -> String {
    let (wrong, right) = (name.replace('-', "__subcmd__"), name.replace('-', "__"));
    let script = script.replace(&wrong, &right);
    // Bash completes the word as a whole: what stands before the last comma is put before each name.
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
        // The branch ends here, so that nothing of the next one is changed.
        let (branch, rest) = part.split_once(";;").unwrap_or((part, ""));
        text.push_str(&branch.replace(old, new));
        text.push_str(";;");
        text.push_str(rest);
    }
    text
}
