//! Where a case is played: a CLI's flavour, a server's version, a fresh database, a folder for files.
//!
//! Cases follow from a seed that is the same in every run, so that a failure comes again. `CONFORMANCE_CASES=10` plays ten
//! times as many, `CONFORMANCE_SEED=7` others. A failure prints both, and the smallest case that still fails.

use std::cell::RefCell;
use std::fmt::Debug;
use std::path::Path;
use std::time::Instant;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use testbed::TestDatabase;
use tfplugin::Value;
use tfplugin::testing::conformance::{Flavour, Options, Session};
use tokio::runtime::Runtime;

/// A place to play a case in.
pub(crate) struct Stage<'a> {
    pub(crate) session: &'a Session,
    pub(crate) database: &'a TestDatabase,
    /// For files.
    pub(crate) folder: &'a Path,
}

impl Stage<'_> {
    /// What a query says.
    pub(crate) async fn sql(&self, sql: &str) -> String {
        self.database.query(sql).await
    }
}

/// What to do with a case; an error is what went wrong, in words.
pub(crate) trait Play<T>: AsyncFn(&Stage<'_>, &T) -> Result<(), String> {}

impl<T, F: AsyncFn(&Stage<'_>, &T) -> Result<(), String>> Play<T> for F {}

/// Plays this many cases, each in one of the flavours and on one of the servers.
#[track_caller]
pub(crate) fn play<T: Debug + Clone>(cases: u32, strategy: impl Strategy<Value = T>, act: impl Play<T>) {
    let number = |name: &str, default: u32| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (factor, seed) = (number("CONFORMANCE_CASES", 1), number("CONFORMANCE_SEED", 0));
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: cases * factor,
        // A case takes about a second.
        max_shrink_iters: 60,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let hosts = Hosts::new();
    let places: Vec<_> = (0..Flavour::ALL.len()).flat_map(|f| TestDatabase::VERSIONS.map(|major| (f, major))).collect();
    let start = Instant::now();
    let outcome = runner.run(&(select(places).no_shrink(), strategy), |((flavour, major), case)| {
        hosts.play(flavour, major, &case, &act).map_err(TestCaseError::fail)
    });
    println!("{} cases in {:?}, seed {seed}", cases * factor, start.elapsed());
    hosts.end();
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, (_, case))) => {
            panic!("with CONFORMANCE_CASES={factor} CONFORMANCE_SEED={seed}: {reason}\nof the case {case:?}")
        }
        Err(TestError::Abort(reason)) => panic!("with CONFORMANCE_SEED={seed}: {reason}"),
    }
}

/// One long-lived provider for each flavour, as under a debugger: a case in a process of its own for each of its phases
/// would take seconds. [`each_phase_alone`] has them.
struct Hosts {
    runtime: Runtime,
    sessions: Vec<RefCell<Option<Session>>>,
}

impl Hosts {
    fn new() -> Self {
        Self { runtime: runtime(), sessions: Flavour::ALL.iter().map(|_| RefCell::default()).collect() }
    }

    fn play<T>(&self, flavour: usize, major: u32, case: &T, act: &impl Play<T>) -> Result<(), String> {
        let name = Flavour::ALL[flavour].name;
        let outcome = self.runtime.block_on(async {
            let session = self.session(flavour).await?;
            on(&session, major, case, act).await
        });
        if outcome.is_err() {
            // What is wrong with this process must not be blamed on the next case.
            self.sessions[flavour].take();
        }
        outcome.map_err(|error| format!("{name}, Postgres {major}: {error}"))
    }

    async fn session(&self, flavour: usize) -> Result<Session, String> {
        let known = self.sessions[flavour].borrow().clone();
        if let Some(session) = known {
            return Ok(session);
        }
        let options = Options { environment: Vec::new(), one_process: true, as_the_cli: false };
        let session = Session::with(binary(), &Flavour::ALL[flavour], options).await.map_err(|e| e.to_string())?;
        self.sessions[flavour].replace(Some(session.clone()));
        Ok(session)
    }

    fn end(&self) {
        for session in &self.sessions {
            if let Some(session) = session.take() {
                self.runtime.block_on(session.end()).unwrap_or_else(|e| panic!("{e}"));
            }
        }
    }
}

/// Plays one case in every flavour with a process for each phase, as the CLIs have it.
#[track_caller]
pub(crate) fn each_phase_alone(major: u32, act: impl Play<()>) {
    let runtime = runtime();
    for flavour in Flavour::ALL {
        let outcome = runtime.block_on(async {
            let session = Session::start(binary(), &[], &flavour).await.map_err(|e| e.to_string())?;
            on(&session, major, &(), &act).await
        });
        outcome.unwrap_or_else(|error| panic!("{}, Postgres {major}: {error}", flavour.name));
    }
}

async fn on<T>(session: &Session, major: u32, case: &T, act: &impl Play<T>) -> Result<(), String> {
    let database = TestDatabase::new(major).await;
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    session.configure(provider(&database)).await.map_err(|e| e.to_string())?;
    act(&Stage { session, database: &database, folder: folder.path() }, case).await
}

/// The provider block for a database.
pub(crate) fn provider(database: &TestDatabase) -> Value {
    Value::object([
        ("host", Value::from(database.host.as_str())),
        ("port", i64::from(database.port).into()),
        ("username", database.user.as_str().into()),
        ("password", database.password.clone().into()),
        ("database", database.name.as_str().into()),
        ("sslmode", "disable".into()),
    ])
}

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_terraform-provider-pg"))
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
