//! Writes the files that are shipped with the executable: completions for shells, and manual pages.
//!
//! ```sh
//! cargo run -p assets -- target/assets
//! ```

use std::fs;
use std::io;
use std::path::Path;

use clap_complete::Shell;

/// Writes all files into this folder, which is created if it does not exist.
pub(crate) fn write(folder: &Path) -> io::Result<()> {
    let (completions, man) = (folder.join("completions"), folder.join("man"));
    for folder in [&completions, &man] {
        fs::create_dir_all(folder)?;
    }
    for (shell, name) in
        [(Shell::Bash, "source-cart.bash"), (Shell::Zsh, "_source-cart"), (Shell::Fish, "source-cart.fish")]
    {
        fs::write(completions.join(name), source_cart::completion_script(shell))?;
    }
    clap_mangen::generate_to(source_cart::command_line(), &man)
}

#[allow(dead_code, reason = "the tests call `write` alone")]
fn main() -> io::Result<()> {
    match std::env::args_os().nth(1) {
        Some(folder) => write(Path::new(&folder)),
        None => Err(io::Error::other("name the folder to write to")),
    }
}
