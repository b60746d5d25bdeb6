//! Several configurations of the provider in one process, as in a debugger or a test suite that starts it by hand.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use testbed::{TestDatabase, Workspace};

use crate::support::{alternating, named_table, provider, table};

/// A provider that was started by hand, until the value is dropped.
struct Attached {
    process: Child,
    /// What `TF_REATTACH_PROVIDERS` is to be set to.
    assignment: String,
}

impl Attached {
    fn start() -> Self {
        let program: PathBuf = provider().join("terraform-provider-pg");
        let mut process = Command::new(program).arg("--debug").stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let assignment = lines.find_map(|line| Some(line.split_once("TF_REATTACH_PROVIDERS=")?.1.to_owned())).unwrap();
        Self { process, assignment: assignment.trim_matches('\'').to_owned() }
    }

    fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn block(alias: &str, database: &TestDatabase) -> String {
    let TestDatabase { host, port, user, name, .. } = database;
    format!(
        "provider \"pg\" {{\n  {alias}\n  host = \"{host}\"\n  port = {port}\n  username = \"{user}\"\n  \
         database = \"{name}\"\n}}\n"
    )
}

#[test]
fn two_aliases_in_one_attached_process_keep_their_databases_apart() {
    alternating(|w| {
        let other = Workspace::new(w.cli(), TestDatabase::VERSIONS[0], provider());
        let mut attached = Attached::start();
        w.folder().set("TF_REATTACH_PROVIDERS", &attached.assignment);
        let providers = block("", w.database()) + &block("alias = \"other\"", other.database());
        let both = |first: &str, second: &str| {
            let first = table("a text", &format!("rows = [{{ id = 1, a = \"{first}\" }}]"));
            let rows = format!("provider = pg.other\n  rows = [{{ id = 1, a = \"{second}\" }}]");
            format!("{providers}{first}{}", named_table("o", "a text", &rows))
        };

        w.apply(&both("x", "y"));
        assert_eq!(w.sql("select a from t"), "x");
        assert_eq!(other.sql("select a from o"), "y");
        let tables = "select string_agg(relname, ',') from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace";
        assert_eq!((w.sql(tables).as_str(), other.sql(tables).as_str()), ("t", "o"), "each in its own database only");

        // The next run configures both anew, in the same process.
        w.apply(&both("x", "z"));
        assert_eq!((w.sql("select a from t").as_str(), other.sql("select a from o").as_str()), ("x", "z"));
        w.destroy();
        assert_eq!((w.sql(tables).as_str(), other.sql(tables).as_str()), ("", ""));
        assert!(attached.is_running(), "no run has ended the process");
    });
}
