//! Writes the files that are shipped with the executable: completions for shells, and manual pages.
//!
//! ```sh
//! cargo run -p assets -- target/assets
//! ```

use std::fs;
use std::io;
use std::path::Path;

use clap_complete::Shell;
use source_cart::CART;

/// Writes all files into this folder, which is created if it does not exist.
pub(crate) fn write(folder: &Path) -> io::Result<()> {
    let (completions, man) = (folder.join("completions"), folder.join("man"));
    for folder in [&completions, &man] {
        fs::create_dir_all(folder)?;
    }
    let name = CART.executable;
    for (shell, file) in
        [(Shell::Bash, format!("{name}.bash")), (Shell::Zsh, format!("_{name}")), (Shell::Fish, format!("{name}.fish"))]
    {
        fs::write(completions.join(file), source_cart::completion_script(shell, &CART))?;
    }
    clap_mangen::generate_to(source_cart::command_line(&CART), &man)
}

#[allow(dead_code, reason = "the tests call `write` alone")]
fn main() -> io::Result<()> {
    match std::env::args_os().nth(1) {
        Some(folder) => write(Path::new(&folder)),
        None => Err(io::Error::other("name the folder to write to")),
    }
}
