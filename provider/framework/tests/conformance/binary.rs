//! Where the provider under test is, and how it is started.

use std::fs;
use std::path::{Path, PathBuf};

use tfplugin::Value;
use tfplugin::testing::conformance::{Flavour, Options, Session, Trouble};

use crate::examples::example;

/// The provider with the switches.
pub(crate) fn binary() -> PathBuf {
    example("wrong_provider")
}

/// How a session with the provider is to be.
pub(crate) struct Setup<'a> {
    pub(crate) flavour: &'a Flavour,
    /// The rule that the provider is to break; none when empty.
    pub(crate) rule: &'a str,
    pub(crate) one_process: bool,
}

impl Setup<'_> {
    /// Starts a session whose provider keeps its things, and its sockets, in the folder.
    pub(crate) async fn start(&self, folder: &Path) -> Result<Session, Trouble> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let environment =
            [("WRONG_PROVIDER_RULE", self.rule.to_owned()), ("TMPDIR", text(folder))].map(|(k, v)| (k.to_owned(), v));
        let options = Options { environment: environment.into(), one_process: self.one_process, as_the_cli: false };
        Session::with(&binary(), self.flavour, options).await
    }
}

/// The provider block of a folder.
pub(crate) fn provider_config(folder: &Path) -> Value {
    Value::object([("folder", Value::from(folder.to_str().unwrap()))])
}

/// A folder for things.
pub(crate) fn things(folder: &Path) -> PathBuf {
    let things = folder.join("things");
    fs::create_dir(&things).unwrap();
    things
}
