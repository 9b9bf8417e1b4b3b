//! The executable `source-cs-cart`, for CS-Cart and Multi-Vendor.

use std::process::ExitCode;

fn main() -> ExitCode {
    source_cart::run(&source_cart::CS_CART, std::env::args_os())
}
