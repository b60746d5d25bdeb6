//! PgBouncer in transaction-pooling mode in front of a test server: from the PATH, else from the Debian package, which is
//! unpacked without being installed.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::process::{is_executable, on_path, output, shell_quote};
use crate::run_dir::RunDir;
use crate::{Address, Result, database, download};

/// The line that installs it.
pub const INSTALL: &str = "apt-get install pgbouncer";

/// It does not run as root.
const NOBODY: u32 = 65534;

/// A pooler that runs as long as this value lives.
#[derive(Debug)]
pub struct PgBouncer {
    /// Where it listens.
    pub address: Address,
    _run: RunDir,
}

impl PgBouncer {
    /// Starts one that lends each database of the server at most so many sessions, each for one transaction, and that lets
    /// a client wait so many seconds for one.
    pub async fn start(server: &Address, sessions: u32, patience: u32) -> Result<Self> {
        let (server, port) = (server.clone(), free_port()?);
        let starting = tokio::task::spawn_blocking(move || start(&server, port, sessions, patience));
        let (run, address) = starting.await.map_err(|e| format!("starting PgBouncer: {e}"))??;
        let this = Self { address, _run: run };
        let begun = Instant::now();
        while let Err(e) = database::run(&this.address, "postgres", "select 1").await {
            if begun.elapsed() > Duration::from_secs(20) {
                return Err(format!("PgBouncer does not answer: {e}"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(this)
    }
}

fn start(server: &Address, port: u16, sessions: u32, patience: u32) -> Result<(RunDir, Address)> {
    let (program, libraries) = program()?;
    let run = RunDir::new()?;
    let folder = run.path().join("pgbouncer");
    let pid = folder.join("pid");
    let stop = format!("kill \"$(cat {})\"\n", shell_quote(&pid.to_string_lossy()));
    run.register("pgbouncer", &stop)?;
    let settings = folder.join("pgbouncer.ini");
    let Address { host, port: server_port, user, password } = server;
    let password =
        password.as_ref().map_or_else(String::new, |password| format!(" password='{}'", password.replace('\'', "''")));
    let text = format!(
        "[databases]\n* = host={host} port={server_port} user={user}{password}\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
         pool_mode = transaction\ndefault_pool_size = {sessions}\nquery_wait_timeout = {patience}\nmax_client_conn = 500\n\
         logfile = {folder}/log\npidfile = {pid}\n",
        folder = folder.display(),
        pid = pid.display()
    );
    std::fs::write(&settings, text).map_err(|e| format!("{}: {e}", settings.display()))?;
    let as_root = std::fs::metadata(run.path()).is_ok_and(|meta| meta.uid() == 0);
    let mut command = Command::new(if as_root { "setpriv" } else { "env" });
    if as_root {
        std::os::unix::fs::chown(&folder, Some(NOBODY), Some(NOBODY)).map_err(|e| format!("chown: {e}"))?;
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--", "env"]);
    }
    command.args(libraries.map(|folders| format!("LD_LIBRARY_PATH={folders}")));
    output(command.arg(&program).args(["-q", "-d"]).arg(&settings).current_dir("/"))?;
    Ok((run, Address::local(port)))
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| format!("no free port: {e}"))?;
    Ok(listener.local_addr().map_err(|e| e.to_string())?.port())
}

/// The program, and where its libraries are when they are not the system's.
fn program() -> Result<(PathBuf, Option<String>)> {
    // Not every user's PATH has the folder that packages put it in.
    let installed =
        on_path("pgbouncer").or_else(|| Some(PathBuf::from("/usr/sbin/pgbouncer")).filter(|p| is_executable(p)));
    if let Some(installed) = installed {
        return Ok((installed, None));
    }
    let folder = download::once("pgbouncer", unpack).map_err(|e| format!("PgBouncer is missing: `{INSTALL}`\n{e}"))?;
    let mut libraries = Vec::new();
    for lib in ["usr/lib", "lib"].map(|lib| folder.join(lib)) {
        let Ok(entries) = std::fs::read_dir(lib) else { continue };
        libraries.extend(entries.filter_map(|entry| Some(entry.ok()?.path().to_string_lossy().into_owned())));
    }
    Ok((folder.join("usr/sbin/pgbouncer"), Some(libraries.join(":"))))
}

/// Unpacks the Debian package and the libraries that it names into a folder.
fn unpack(folder: &Path) -> Result<()> {
    let listed = output(Command::new("apt-cache").args(["depends", "pgbouncer"]))?;
    let depends = listed.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let packages = ["pgbouncer"].into_iter().chain(depends.filter(|name| name.starts_with("lib") && *name != "libc6"));
    output(Command::new("apt-get").args(["download", "--quiet"]).args(packages).current_dir(folder))?;
    for entry in std::fs::read_dir(folder).map_err(|e| e.to_string())? {
        let path = entry.map_err(|e| e.to_string())?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            output(Command::new("dpkg-deb").arg("-x").arg(&path).arg(folder))?;
            std::fs::remove_file(&path).map_err(|e| e.to_string())?;
        }
    }
    // Another user than the one who unpacks may run it.
    output(Command::new("chmod").args(["-R", "a+rX"]).arg(folder)).map(drop)
}
