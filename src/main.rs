//! The executable `source-cart`, for Cart.com.

use std::process::ExitCode;

fn main() -> ExitCode {
    source_cart::run(&source_cart::CART, std::env::args_os())
}
