//! A Postgres server in a container.

use std::process::Command;

use super::settings;
use crate::process::{output, shell_quote};
use crate::run_dir::RunDir;
use crate::{Address, Result};

/// Whether a container engine answers; the client alone is not enough.
pub(super) fn has_engine() -> bool {
    output(Command::new("docker").arg("info")).is_ok()
}

/// Starts a container of that major version on a free port of the loopback.
pub(super) fn start(run: &RunDir, major: u32) -> Result<Address> {
    let folder = run.path().file_name().unwrap_or_default().to_string_lossy();
    let name = format!("{folder}-{major}");
    run.register(&major.to_string(), &format!("docker rm --force --volumes {}\n", shell_quote(&name)))?;
    let image = if major == 15 { "postgres:15".to_owned() } else { format!("pgvector/pgvector:pg{major}") };
    let mut command = Command::new("docker");
    command.args(["run", "--detach", "--name", &name, "--publish", "127.0.0.1::5432", "--shm-size", "256m"]);
    command.args(["--env", "POSTGRES_HOST_AUTH_METHOD=trust", &image]);
    for (setting, value) in settings() {
        command.args(["-c", &format!("{setting}={value}")]);
    }
    output(&mut command)?;
    let published = output(Command::new("docker").args(["port", &name, "5432/tcp"]))?;
    let port = published.lines().next().and_then(|line| line.rsplit(':').next()?.trim().parse().ok());
    Ok(Address::local(port.ok_or_else(|| format!("docker published no port for {name}: {published}"))?))
}
