//! The process: arguments, stdout, exit code. No logic lives here.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "the one place that takes stdout, to hand it to its one owner")]
    let out = std::io::stdout();
    ExitCode::from(source_cart::run(std::env::args_os(), out, &mut std::io::stderr()))
}
