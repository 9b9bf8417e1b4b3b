//! Writes the files that are shipped with the executables: completions for shells, and manual pages, in a folder for
//! each executable.
//!
//! ```sh
//! cargo run -p assets -- target/assets
//! ```

use std::fs;
use std::io;
use std::path::Path;

use clap_complete::Shell;
use source_cart::{CART, CS_CART, Connector};

/// Writes the files of one executable into this folder, which is created if it does not exist.
pub(crate) fn write(folder: &Path, connector: &'static Connector) -> io::Result<()> {
    let (completions, man) = (folder.join("completions"), folder.join("man"));
    for folder in [&completions, &man] {
        fs::create_dir_all(folder)?;
    }
    let name = connector.executable;
    for (shell, file) in
        [(Shell::Bash, format!("{name}.bash")), (Shell::Zsh, format!("_{name}")), (Shell::Fish, format!("{name}.fish"))]
    {
        fs::write(completions.join(file), source_cart::completion_script(shell, connector))?;
    }
    clap_mangen::generate_to(source_cart::command_line(connector), &man)
}

#[allow(dead_code, reason = "the tests call `write` alone")]
fn main() -> io::Result<()> {
    match std::env::args_os().nth(1) {
        Some(folder) => [&CART, &CS_CART]
            .into_iter()
            .try_for_each(|connector| write(&Path::new(&folder).join(connector.executable), connector)),
        None => Err(io::Error::other("name the folder to write to")),
    }
}
