//! The process: arguments, stdout, exit code. No logic lives here.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use source_cart::{Stdout, Terminals};

fn main() -> ExitCode {
    source_cart::install_hook();
    #[expect(clippy::disallowed_methods, reason = "the one place that takes stdout, to hand it to its one owner")]
    let out = std::io::stdout();
    let mut err = std::io::stderr();
    let stdout = Stdout::of(&out);
    let terminals = Terminals {
        stdin: std::io::stdin().is_terminal(),
        stdout: out.is_terminal(),
        stderr: err.is_terminal(),
        one_file: stdout.file.is_some() && stdout.is_also(&err),
    };
    ExitCode::from(source_cart::run(std::env::args_os(), out, stdout, &mut err, terminals))
}
