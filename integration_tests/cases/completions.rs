//! Completions, tested in the shells themselves: the words offered for a partial line. A shell that is
//! not installed is skipped with a message; `.ci/run` installs all three.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

/// Writes the script for a shell into a file of this folder.
fn script(folder: &Path, shell: &str) -> String {
    let printed = Command::new(env!("CARGO_BIN_EXE_source-cart")).args(["completions", shell]).output().unwrap();
    assert!(printed.status.success());
    let path = folder.join("script");
    std::fs::write(&path, printed.stdout).unwrap();
    path.display().to_string()
}

/// Returns the output of a program in a shell; `None` if the shell is not installed.
fn run(shell: &str, arguments: &[&str], program: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    let program = program.replace("SCRIPT", &script(folder.path(), shell));
    let binary = Path::new(env!("CARGO_BIN_EXE_source-cart")).parent().unwrap().display().to_string();
    let mut command = Command::new(shell);
    command.args(arguments).arg(&program).current_dir(folder.path());
    command.env("PATH", format!("{binary}:{}", std::env::var("PATH").unwrap())).env("HOME", folder.path());
    match command.output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // Written to stderr directly, because the test runner hides the output of tests that pass.
            let said = format!("skipped: there is no {shell} on this machine\n");
            std::io::stderr().write_all(said.as_bytes()).unwrap();
            None
        }
        output => {
            let output = output.unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.trim().is_empty(), "{shell}: {said}");
            Some(String::from_utf8(output.stdout).unwrap())
        }
    }
}

/// Returns the words that bash offers for a line, as readline requests them.
fn bash(line: &str) -> Option<Vec<String>> {
    let program = format!(
        r#"source SCRIPT
        line='{line}'
        read -ra COMP_WORDS <<< "$line"
        [[ "$line" == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        COMP_LINE="$line" COMP_POINT=${{#line}}
        compopt() {{ :; }}
        complete -p source-cart > /dev/null || exit 1
        _source__cart source-cart "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
        printf '%s\n' "${{COMPREPLY[@]}}""#
    );
    let offered = run("bash", &["--norc", "--noprofile", "-c"], &program)?;
    Some(offered.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

#[test]
fn bash_completes_commands_options_and_streams() {
    let Some(commands) = bash("source-cart ") else { return };
    for command in ["check", "read", "streams", "completions"] {
        assert!(commands.contains(&command.to_owned()), "{commands:?}");
    }
    // After a subcommand: the generator's own script cannot do this for a name with a hyphen.
    assert_eq!(bash("source-cart check --").unwrap(), ["--config", "--debug", "--fail", "--help"]);
    assert!(bash("source-cart read --st").unwrap().contains(&"--state-out".to_owned()));
    assert_eq!(bash("source-cart read --format j").unwrap(), ["jsonl"]);
    assert_eq!(bash("source-cart completions f").unwrap(), ["fish"]);
    for command in ["read", "catalog"] {
        assert_eq!(bash(&format!("source-cart {command} --streams warehou")).unwrap(), ["warehouses"]);
        let second = bash(&format!("source-cart {command} --streams orders,prod")).unwrap();
        assert!(second.contains(&"orders,products".to_owned()), "{second:?}");
        assert!(second.iter().all(|name| name.starts_with("orders,prod")), "{second:?}");
    }
    assert!(bash("source-cart read --streams ").unwrap().contains(&"all".to_owned()));
    assert_eq!(bash("source-cart read --config conf").unwrap(), ["config.json"]);
}

/// Returns the words that fish offers for a line.
fn fish(line: &str) -> Option<Vec<String>> {
    let offered = run("fish", &["--no-config", "-c"], &format!("source SCRIPT; complete -C '{line}'"))?;
    Some(offered.lines().filter_map(|line| line.split('\t').next()).map(str::to_owned).collect())
}

#[test]
fn fish_completes_commands_options_and_streams() {
    let Some(commands) = fish("source-cart ") else { return };
    for command in ["check", "read", "streams"] {
        assert!(commands.contains(&command.to_owned()), "{commands:?}");
    }
    assert!(fish("source-cart check --f").unwrap().contains(&"--fail".to_owned()));
    assert_eq!(fish("source-cart read --streams warehou").unwrap(), ["warehouses"]);
    assert!(fish("source-cart read --streams orders,prod").unwrap().contains(&"orders,products".to_owned()));
}

/// Checks that zsh offers these words for a line. Returns `None` if it is not installed. It completes only in a
/// terminal, so it runs in one.
fn zsh(line: &str, words: &[&str]) -> Option<()> {
    let found = words.iter().map(|word| format!("$seen == *{word}*")).collect::<Vec<_>>().join(" && ");
    let program = format!(
        r#"zmodload zsh/zpty
        zpty -b shell zsh -f -i
        seen=
        await() {{ for i in {{1..600}}; do
            while zpty -r -t shell more; do seen+=$more; done
            eval "[[ $1 ]]" && return 0
            sleep 0.1
        done; return 1 }}
        zpty -w shell 'PS1=; unsetopt zle_bracketed_paste; autoload -Uz compinit; compinit -u -d $HOME/dump'
        zpty -w shell 'source SCRIPT; LISTMAX=1000; stty cols 200 rows 200; print rea''dy'
        await '$seen == *ready*' || print 'it does not begin'
        seen=
        zpty -n -w shell '{line}'$'\t'$'\t'
        await '{found}' && print found || print -r -- "$seen"
        zpty -d shell"#
    );
    let said = run("zsh", &["-f", "-c"], &program)?;
    assert!(said.trim() == "found", "{line}: {said}");
    Some(())
}

#[test]
fn zsh_completes_commands_options_and_streams() {
    if zsh("source-cart ", &["check", "read", "streams"]).is_none() {
        return;
    }
    zsh("source-cart check --f", &["--fail"]);
    zsh("source-cart read --streams warehou", &["warehouses"]);
    zsh("source-cart read --streams orders,product_li", &["orders,product_lists"]);
}
