//! The entry point of the executable: passes the arguments and the standard streams to `run`, and exits with its code.

use std::process::ExitCode;

use source_cart::{Stdout, Terminals};

fn main() -> ExitCode {
    source_cart::install_hook();
    #[expect(clippy::disallowed_methods, reason = "passed on to its only owner, the writer's thread")]
    let out = std::io::stdout();
    let mut err = std::io::stderr();
    let stdout = Stdout::of(&out);
    let terminals = Terminals::of(&stdout, &out, &err);
    ExitCode::from(source_cart::run(std::env::args_os(), out, stdout, &mut err, terminals))
}
