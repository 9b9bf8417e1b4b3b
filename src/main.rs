//! The process: arguments, stdout, exit code. No logic lives here.

use std::fs::File;
use std::io::{IsTerminal as _, Stderr, Stdout};
use std::process::ExitCode;

use source_cart::Terminals;

fn main() -> ExitCode {
    source_cart::panics::tell_in_one_sentence();
    #[expect(clippy::disallowed_methods, reason = "the one place that takes stdout, to hand it to its one owner")]
    let out = std::io::stdout();
    let mut err = std::io::stderr();
    let out_file = as_file(&out);
    let terminals = Terminals {
        stdin: std::io::stdin().is_terminal(),
        stdout: out.is_terminal(),
        stderr: err.is_terminal(),
        one_file: out_file.as_ref().is_some_and(|file| is_same(file, &err)),
    };
    ExitCode::from(source_cart::run(std::env::args_os(), out, out_file, &mut err, terminals))
}

/// Stdout once more, if it is a file.
#[cfg(unix)]
fn as_file(out: &Stdout) -> Option<File> {
    use std::os::fd::AsFd as _;
    let file = File::from(out.as_fd().try_clone_to_owned().ok()?);
    file.metadata().is_ok_and(|metadata| metadata.is_file()).then_some(file)
}

/// Returns true if stderr is that file too.
#[cfg(unix)]
fn is_same(file: &File, err: &Stderr) -> bool {
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::MetadataExt as _;
    let other = err.as_fd().try_clone_to_owned().and_then(|err| File::from(err).metadata());
    matches!((file.metadata(), other), (Ok(one), Ok(other)) if (one.dev(), one.ino()) == (other.dev(), other.ino()))
}

/// What stderr is cannot be told here.
#[cfg(not(unix))]
fn is_same(_: &File, _: &Stderr) -> bool {
    false
}

/// What stdout is cannot be told here.
#[cfg(not(unix))]
fn as_file(_: &Stdout) -> Option<File> {
    None
}
