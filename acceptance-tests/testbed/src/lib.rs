//! The Postgres servers and command lines that tests and the demo run against: found, fetched or started.
//!
//! The `testbed` program starts the servers once and runs a command beside them; inside that command a test asks for a
//! [`TestDatabase`], or for a [`Workspace`] to drive the real CLI against one.
//!
//! **Invariant:** nothing stays behind: servers, data and temporary folders end with the process that asked for them,
//! also when it is killed. A missing tool is an error with the line that installs it, never a skip.

pub mod process;

pub mod run_dir;

pub mod address;
pub mod cli;
pub mod database;
pub mod download;
pub mod folder;
pub mod held;
pub mod opentofu;
pub mod pgbouncer;
pub mod postgres;
pub mod workspace;

pub use address::Address;
pub use cli::Cli;
pub use database::TestDatabase;
pub use folder::{Background, Folder, Output};
pub use held::Held;
pub use pgbouncer::PgBouncer;
pub use postgres::Servers;
pub use workspace::{Plan, Workspace};

/// The result of a step of the testbed: the error is text for a person, complete as it stands.
pub type Result<T> = std::result::Result<T, String>;

/// Runs what is asynchronous to its end, for documentation tests.
#[expect(clippy::expect_used, reason = "test support: a step that fails here is a failed test")]
pub fn block_on<F: Future>(work: F) -> F::Output {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(work)
}

/// The folder that keeps what was downloaded, shared by every build of this checkout.
pub fn tools_dir() -> std::path::PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        std::path::PathBuf::from,
    );
    target.join("testbed")
}
