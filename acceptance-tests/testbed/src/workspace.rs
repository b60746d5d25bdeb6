//! A configuration under test: a folder, a CLI and a database of their own.
//!
//! Every call panics with the CLI's whole output when it does not do what its name says, and every successful apply is
//! followed by two plans that must be empty, one without and one with a refresh.

#![expect(clippy::expect_used, reason = "test support: a step that fails here is a failed test")]

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{Background, Cli, Folder, Held, Output, TestDatabase};

const REQUIRED: &str = "terraform {\n  required_providers {\n    pg = { source = \"pgtarget/pg\" }\n  }\n}\n";

/// A folder in which a CLI runs, and the database it is for.
#[derive(Debug)]
pub struct Workspace {
    folder: Folder,
    database: TestDatabase,
    runtime: Runtime,
}

impl Workspace {
    /// A fresh database on the server of that major version, and an empty folder; the provider's binary is in the
    /// folder `provider`.
    pub fn new(cli: &Cli, major: u32, provider: &Path) -> Self {
        let runtime = runtime();
        let database = runtime.block_on(TestDatabase::new(major));
        Self::with(cli, database, provider)
    }

    /// An empty folder for this database.
    pub fn with(cli: &Cli, database: TestDatabase, provider: &Path) -> Self {
        let runtime = runtime();
        let folder = Folder::new(cli, provider, &database.address(), &database.name).unwrap_or_else(|e| panic!("{e}"));
        Self { folder, database, runtime }
    }

    /// The folder, to set variables or write files in it.
    pub fn folder(&mut self) -> &mut Folder {
        &mut self.folder
    }

    /// The CLI that runs here.
    pub fn cli(&self) -> &Cli {
        self.folder.cli()
    }

    /// The database.
    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// Runs statements and returns the rows as `psql -At` prints them.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        self.runtime.block_on(self.database.query(sql))
    }

    /// Runs statements like [`Workspace::sql`], and says so when one fails.
    pub fn try_sql(&self, sql: &str) -> crate::Result<String> {
        self.runtime.block_on(self.database.try_query(sql))
    }

    /// What the server has logged about this database.
    pub fn log(&self) -> String {
        self.runtime.block_on(self.database.log())
    }

    /// Runs statements in a session that stays open, such as `begin; lock table t`, until the value is dropped.
    #[track_caller]
    pub fn hold(&self, sql: &str) -> Held {
        Held::new(&self.database, sql).unwrap_or_else(|e| panic!("{sql}\n{e}"))
    }

    /// Waits until a query returns `t`; panics when it never does.
    #[track_caller]
    pub fn wait_until(&self, sql: &str) {
        let start = std::time::Instant::now();
        while self.sql(sql) != "t" {
            assert!(start.elapsed() < std::time::Duration::from_mins(1), "this never came true: {sql}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Replaces the configuration.
    pub fn configure(&self, tf: &str) {
        let head = if tf.contains("required_providers") { "" } else { REQUIRED };
        self.folder.write("main.tf", &format!("{head}{tf}")).expect("the configuration can be written");
    }

    /// Runs the CLI, whatever comes of it.
    #[must_use = "whether the call succeeded is for the caller to look at"]
    #[track_caller]
    pub fn tf(&self, args: &[&str]) -> Output {
        self.runtime.block_on(self.folder.run(args)).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Starts the CLI and returns while it runs.
    #[track_caller]
    pub fn start(&self, args: &[&str]) -> Background {
        self.folder.start(args).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Waits for a CLI that was started.
    #[must_use = "whether the call succeeded is for the caller to look at"]
    #[track_caller]
    pub fn wait(&self, background: Background) -> Output {
        self.runtime.block_on(background.wait()).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Plans the configuration; the plan is kept in the file `plan`.
    #[track_caller]
    pub fn plan(&self, tf: &str) -> Plan {
        self.configure(tf);
        let text = self.tf(&["plan", "-out=plan"]).succeeded();
        let shown = self.tf(&["show", "-json", "plan"]).succeeded().stdout;
        Plan { json: serde_json::from_str(&shown).expect("the CLI prints JSON"), text }
    }

    /// Plans the configuration, which must fail.
    #[track_caller]
    pub fn plan_fails(&self, tf: &str, words: &[&str]) -> Output {
        self.configure(tf);
        self.tf(&["plan"]).failed_with(words)
    }

    /// Applies the configuration; afterwards there is nothing left to do.
    #[track_caller]
    pub fn apply(&self, tf: &str) -> Output {
        self.configure(tf);
        let output = self.tf(&["apply", "-auto-approve"]).succeeded();
        self.assert_empty_plan();
        output
    }

    /// Applies the plan that [`Workspace::plan`] kept; afterwards there is nothing left to do.
    #[track_caller]
    pub fn apply_plan(&self) -> Output {
        let output = self.tf(&["apply", "plan"]).succeeded();
        self.assert_empty_plan();
        output
    }

    /// Applies the configuration, which must fail.
    #[track_caller]
    pub fn apply_fails(&self, tf: &str, words: &[&str]) -> Output {
        self.configure(tf);
        self.tf(&["apply", "-auto-approve"]).failed_with(words)
    }

    /// The next plan is empty, with and without a refresh.
    #[track_caller]
    pub fn assert_empty_plan(&self) {
        for args in [&["plan", "-detailed-exitcode", "-refresh=false"][..], &["plan", "-detailed-exitcode"]] {
            let output = self.tf(args);
            assert!(output.code == 0, "the plan after the apply is not empty: {}\n{}", output.shown, output.text);
        }
    }

    /// Destroys everything; afterwards the state is empty.
    #[track_caller]
    pub fn destroy(&self) -> Output {
        let output = self.tf(&["destroy", "-auto-approve"]).succeeded();
        let left = self.tf(&["state", "list"]).stdout;
        assert!(left.trim().is_empty(), "destroy left in the state: {left}");
        output
    }

    /// Imports one object into the state.
    #[must_use = "whether the call succeeded is for the caller to look at"]
    #[track_caller]
    pub fn import(&self, address: &str, id: &str) -> Output {
        self.tf(&["import", address, id])
    }

    /// The value of an output.
    #[track_caller]
    pub fn output(&self, name: &str) -> Value {
        let text = self.tf(&["output", "-json", name]).succeeded().stdout;
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("output {name}: {e}\n{text}"))
    }

    /// The attributes of a resource in the state.
    #[track_caller]
    pub fn state(&self, address: &str) -> Value {
        let text = self.tf(&["show", "-json"]).succeeded().stdout;
        let state: Value = serde_json::from_str(&text).expect("the CLI prints JSON");
        let resources = state["values"]["root_module"]["resources"].as_array().cloned().unwrap_or_default();
        let found = resources.iter().find(|resource| resource["address"] == address);
        found.unwrap_or_else(|| panic!("{address} is not in the state\n{text}"))["values"].clone()
    }

    /// The addresses of everything in the state.
    #[track_caller]
    pub fn addresses(&self) -> Vec<String> {
        self.tf(&["state", "list"]).stdout.lines().map(str::to_owned).collect()
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made")
}

/// A plan as the CLI prints it, in words and as JSON.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What `show -json` prints.
    pub json: Value,
    /// What `plan` printed.
    pub text: Output,
}

impl Plan {
    /// What happens to which resource, without those that stay as they are: `create`, `update`, `delete`,
    /// `delete,create`, `read`.
    pub fn actions(&self) -> BTreeMap<String, String> {
        let changes = self.json["resource_changes"].as_array().into_iter().flatten();
        changes
            .map(|change| {
                let actions = change["change"]["actions"].as_array().into_iter().flatten();
                let actions = actions.filter_map(Value::as_str).collect::<Vec<_>>().join(",");
                (change["address"].as_str().unwrap_or_default().to_owned(), actions)
            })
            .filter(|(_, actions)| actions != "no-op")
            .collect()
    }

    /// What happens to one resource; `no-op` when nothing does.
    pub fn action(&self, address: &str) -> String {
        self.actions().remove(address).unwrap_or_else(|| "no-op".to_owned())
    }

    /// The planned attributes of a resource; what is not known yet is missing.
    #[track_caller]
    pub fn after(&self, address: &str) -> Value {
        self.change(address)["after"].clone()
    }

    /// Which of the planned attributes are not known yet.
    #[track_caller]
    pub fn unknown(&self, address: &str) -> Value {
        self.change(address)["after_unknown"].clone()
    }

    /// The statements that the plan lists for a table or index, in order.
    #[track_caller]
    pub fn steps(&self, address: &str) -> Vec<String> {
        let after = self.after(address);
        let steps = after["steps"].as_array().unwrap_or_else(|| panic!("{address} has no steps\n{after:#}"));
        steps.iter().map(|step| step["sql"].as_str().unwrap_or_default().to_owned()).collect()
    }

    #[track_caller]
    fn change(&self, address: &str) -> &Value {
        let mut changes = self.json["resource_changes"].as_array().into_iter().flatten();
        let found = changes.find(|change| change["address"] == address);
        &found.unwrap_or_else(|| panic!("{address} is not in the plan\n{}", self.text.text))["change"]
    }
}
