//! `claw man`: manual pages, made of the same table as the help.

use std::path::Path;

use clap::CommandFactory as _;

use crate::args::Cli;
use crate::exit::Exit;
use crate::output;
use crate::report::CliError;

pub(crate) fn run(out: Option<&Path>) -> Result<Exit, CliError> {
    match out {
        None => {
            let mut page = Vec::new();
            let made = clap_mangen::Man::new(Cli::command()).render(&mut page);
            made.map_err(|e| CliError::io("make the manual page", e))?;
            output::bytes(&page)?;
        }
        Some(folder) => {
            let doing = |e| CliError::io(format!("write manual pages into {}", folder.display()), e);
            std::fs::create_dir_all(folder).map_err(doing)?;
            clap_mangen::generate_to(Cli::command(), folder).map_err(doing)?;
        }
    }
    Ok(Exit::Ok)
}
