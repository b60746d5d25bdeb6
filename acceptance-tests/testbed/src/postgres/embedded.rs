//! A Postgres server from a folder of binaries, on a free port of the loopback.
//!
//! Postgres refuses to run as root, so as root the server runs as the unprivileged user 65534 (`nobody`).

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::settings;
use crate::process::{output, shell_quote};
use crate::run_dir::RunDir;
use crate::{Address, Result};

const NOBODY: u32 = 65534;

/// Starts the server of the installation at `root`, whose programs are in `bin` below it.
pub(super) fn start(run: &RunDir, major: u32, root: &Path, bin: &str) -> Result<Address> {
    let as_root = std::fs::metadata(run.path()).is_ok_and(|meta| meta.uid() == 0);
    let user: &[&str] =
        if as_root { &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"] } else { &["env"] };
    let bin = reachable(run, major, root, user)?.join(bin);

    let folder = run.path().join(major.to_string());
    let data = folder.join("data");
    let words = user.iter().map(|word| shell_quote(word)).collect::<Vec<_>>().join(" ");
    let [control, shown] = [bin.join("pg_ctl"), data.clone()].map(|path| shell_quote(&path.to_string_lossy()));
    run.register(&major.to_string(), &format!("{words} {control} -D {shown} -m immediate stop\n"))?;
    if as_root {
        std::os::unix::fs::chown(&folder, Some(NOBODY), Some(NOBODY)).map_err(|e| format!("chown: {e}"))?;
    }
    let program = |name: &str| {
        let mut command = Command::new(user[0]);
        // The server must not pick up a locale or libpq settings from whoever runs the tests.
        command.args(&user[1..]).arg(bin.join(name)).arg("-D").arg(&data).current_dir("/").env("LC_ALL", "C");
        command
    };
    let initdb = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"];
    output(program("initdb").args(initdb)).map_err(|e| missing_tool(as_root, e))?;

    let base = std::fs::read_to_string(data.join("postgresql.conf")).map_err(|e| e.to_string())?;
    let mut tries = 0;
    loop {
        let port = free_port()?;
        let socket = folder.to_string_lossy().into_owned();
        let own = [("port", port.to_string()), ("listen_addresses", "127.0.0.1".to_owned())];
        let own = own.into_iter().chain([("unix_socket_directories", socket)]);
        let all = own.chain(settings().into_iter().map(|(name, value)| (name, value.to_owned())));
        let lines: Vec<_> = all.map(|(name, value)| format!("{name} = '{}'", value.replace('\'', "''"))).collect();
        let conf = format!("{base}\n{}\n", lines.join("\n"));
        std::fs::write(data.join("postgresql.conf"), conf).map_err(|e| e.to_string())?;
        match output(program("pg_ctl").args(["-w", "-t", "60", "-s", "-l"]).arg(folder.join("log")).arg("start")) {
            Ok(_) => return Ok(Address::local(port)),
            // Another process may have taken the port between our look and the server's.
            Err(e) => {
                tries += 1;
                if tries == 3 {
                    let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
                    return Err(format!("Postgres {major} does not start\n{e}\n{log}"));
                }
            }
        }
    }
}

/// The installation where the server's user can run it: a checkout may lie below a folder that only its owner can enter.
fn reachable(run: &RunDir, major: u32, root: &Path, user: &[&str]) -> Result<PathBuf> {
    let mut entering = Command::new(user[0]);
    if output(entering.args(&user[1..]).args(["sh", "-c", "cd \"$1\"", "sh"]).arg(root)).is_ok() {
        return Ok(root.to_owned());
    }
    let copy = run.path().join(format!("install{major}"));
    output(Command::new("cp").arg("-R").arg(root).arg(&copy))?;
    output(Command::new("chmod").args(["-R", "a+rX"]).arg(&copy))?;
    Ok(copy)
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("no free port: {e}"))?;
    Ok(listener.local_addr().map_err(|e| e.to_string())?.port())
}

fn missing_tool(as_root: bool, error: String) -> String {
    if as_root && crate::process::on_path("setpriv").is_none() {
        return format!("Postgres cannot run as root and setpriv is missing: `apt-get install util-linux`\n{error}");
    }
    error
}
