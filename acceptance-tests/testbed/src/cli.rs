//! The command lines that tests and the demo drive: `TF_CLI`, else every one on the PATH, else a download.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{is_executable, on_path, output};
use crate::{Result, opentofu};

/// The variable by which `testbed run` tells its command which CLIs there are.
pub const VARIABLE: &str = "TESTBED_CLIS";

/// OpenTofu or Terraform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cli {
    /// The program.
    pub path: PathBuf,
    /// How it names itself: `OpenTofu v1.12.6`.
    pub name: String,
}

impl Cli {
    /// Every CLI to test with. `TF_CLI` may list several, separated by `:`.
    pub fn all() -> Result<Vec<Self>> {
        let listed =
            ["TF_CLI", VARIABLE].iter().find_map(|name| std::env::var(name).ok().filter(|list| !list.is_empty()));
        let programs = match listed {
            Some(list) => list.split(':').map(find).collect::<Result<Vec<_>>>()?,
            None => ["tofu", "terraform"].iter().filter_map(|name| on_path(name)).collect(),
        };
        if programs.is_empty() {
            return Ok(vec![Self::at(&opentofu::program()?)?]);
        }
        programs.iter().map(|program| Self::at(program)).collect()
    }

    /// Asks a program what it is.
    pub fn at(path: &Path) -> Result<Self> {
        let mut command = Command::new(path);
        // A configuration file of the user may warn about itself before the version is said.
        let said = output(command.arg("version").env_remove("TF_CLI_CONFIG_FILE").env("CHECKPOINT_DISABLE", "1"))?;
        let name = said.lines().find(|line| line.starts_with("OpenTofu v") || line.starts_with("Terraform v"));
        let name = name.ok_or_else(|| format!("{} is neither OpenTofu nor Terraform:\n{said}", path.display()))?;
        Ok(Self { path: path.to_owned(), name: name.to_owned() })
    }

    /// Whether it is OpenTofu.
    pub fn is_opentofu(&self) -> bool {
        self.name.starts_with("OpenTofu")
    }
}

impl fmt::Display for Cli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn find(name: &str) -> Result<PathBuf> {
    let found =
        if name.contains('/') { Some(PathBuf::from(name)).filter(|path| is_executable(path)) } else { on_path(name) };
    // Every test runs in a folder of its own, so a relative path would soon mean something else.
    found
        .and_then(|path| std::path::absolute(path).ok())
        .ok_or_else(|| format!("TF_CLI names {name}, which is not there; install it with\n{}", opentofu::INSTALL))
}
