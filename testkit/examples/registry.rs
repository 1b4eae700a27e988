//! A registry to try a release against: keeps what is uploaded in a folder, until it is stopped.
//!
//! `cargo run --package clawexchange-testkit --example registry -- FOLDER`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use clawexchange_testkit::registry::Registry;

/// Nothing is protected by it: the registry is reachable from this machine alone.
const TOKEN: &str = "loopback";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or("name the folder that keeps what is uploaded")?;
    let registry = Registry::open(folder.as_ref(), TOKEN, false);
    for (name, value) in registry.environment("local") {
        println!("export {name}={value}");
    }
    println!("# Set these in another terminal. Enter ends the registry.");
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}
