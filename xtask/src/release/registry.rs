//! What the registry has, asked through cargo: it knows the index, the proxy and the credentials.

use std::time::{Duration, Instant};

use semver::Version;

use super::crates::Crate;
use crate::run::{Failed, captured};
use crate::workspace::Workspace;

/// The registry of everybody.
pub(crate) const CRATES_IO: &str = "crates-io";

/// Between two questions whether a version has appeared.
const POLL: Duration = Duration::from_secs(2);

/// A registry by the name that cargo knows it by.
pub(crate) struct Registry<'w> {
    workspace: &'w Workspace,
    pub(crate) name: &'w str,
}

impl<'w> Registry<'w> {
    pub(crate) fn called(workspace: &'w Workspace, name: &'w str) -> Self {
        Self { workspace, name }
    }

    /// The variable in which cargo looks for the token.
    pub(crate) fn token_variable(&self) -> String {
        if self.name == CRATES_IO {
            return "CARGO_REGISTRY_TOKEN".to_owned();
        }
        format!("CARGO_REGISTRIES_{}_TOKEN", self.name.to_uppercase().replace('-', "_"))
    }

    /// Whether it has this version of a crate and hands it out.
    pub(crate) fn has(&self, c: &Crate, version: &Version) -> Result<bool, Failed> {
        let asked = format!("{}@{version}", c.name);
        let output =
            captured(self.workspace.cargo(&["info", "--color=never", "--registry", self.name, &asked]))?;
        if output.status.success() {
            return Ok(true);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        // A registry that does not answer must not pass for one that has nothing.
        if said.contains(&format!("could not find `{asked}`")) {
            return Ok(false);
        }
        Err(Failed::new(format!("could not ask registry {} for {asked}: {}", self.name, said.trim())))
    }

    /// Waits until it has a version: an index may be behind its uploads.
    pub(crate) fn wait_for(&self, c: &Crate, patience: Duration) -> Result<(), Failed> {
        let started = Instant::now();
        loop {
            match self.has(c, &c.version) {
                Ok(true) => return Ok(()),
                Ok(false) if started.elapsed() < patience => {}
                Err(failed) if started.elapsed() < patience => eprintln!("{failed}"),
                Ok(false) => {
                    return Err(Failed::new(format!(
                        "{} {} was uploaded, and registry {} does not show it after {} s",
                        c.name,
                        c.version,
                        self.name,
                        patience.as_secs()
                    )));
                }
                Err(failed) => return Err(failed),
            }
            eprintln!("waiting for {} {} in registry {}", c.name, c.version, self.name);
            std::thread::sleep(POLL);
        }
    }
}
