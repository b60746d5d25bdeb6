//! A folder with a configuration, and the environment in which a CLI runs there with our build of the provider.
//!
//! **Invariant:** the CLI sees no `PG*` or `TF_*` variable of whoever runs the tests, and no configuration of theirs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::process::Running;
use crate::{Address, Cli, Result};

/// How long one call of the CLI may take before it counts as hanging.
const LIMIT: Duration = Duration::from_mins(5);

/// A temporary folder in which a CLI runs; removed when dropped.
#[derive(Debug)]
pub struct Folder {
    cli: Cli,
    root: tempfile::TempDir,
    environment: Vec<(String, String)>,
    calls: AtomicU32,
}

impl Folder {
    /// A folder whose CLI takes the provider from the folder `provider`, connected to a database of that server.
    pub fn new(cli: &Cli, provider: &Path, address: &Address, database: &str) -> Result<Self> {
        let parent = std::env::var_os("TESTBED_TMP").map_or_else(std::env::temp_dir, PathBuf::from);
        Self::new_in(&parent, cli, provider, address, database)
    }

    /// [`Folder::new`], below a folder of the caller's choice.
    pub fn new_in(parent: &Path, cli: &Cli, provider: &Path, address: &Address, database: &str) -> Result<Self> {
        let failed = |e: std::io::Error| format!("cannot write below {}: {e}", parent.display());
        let root = tempfile::Builder::new().prefix("folder-").tempdir_in(parent).map_err(failed)?;
        let settings = root.path().join("cli.rc");
        std::fs::create_dir(root.path().join("work")).map_err(failed)?;
        std::fs::write(&settings, overrides(provider)).map_err(failed)?;
        let mut environment = vec![
            ("TF_CLI_CONFIG_FILE".to_owned(), settings.to_string_lossy().into_owned()),
            ("TF_CLI_ARGS".to_owned(), "-no-color".to_owned()),
            ("TF_IN_AUTOMATION".to_owned(), "1".to_owned()),
            ("TF_INPUT".to_owned(), "0".to_owned()),
            ("CHECKPOINT_DISABLE".to_owned(), "1".to_owned()),
            ("PGHOST".to_owned(), address.host.clone()),
            ("PGPORT".to_owned(), address.port.to_string()),
            ("PGUSER".to_owned(), address.user.clone()),
            ("PGDATABASE".to_owned(), database.to_owned()),
            ("PGSSLMODE".to_owned(), "disable".to_owned()),
        ];
        environment.extend(address.password.iter().map(|password| ("PGPASSWORD".to_owned(), password.clone())));
        Ok(Self { cli: cli.clone(), root, environment, calls: AtomicU32::new(0) })
    }

    /// Where the configuration is.
    pub fn path(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// The CLI that runs here.
    pub fn cli(&self) -> &Cli {
        &self.cli
    }

    /// Writes a file into the folder.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        std::fs::write(self.path().join(name), text).map_err(|e| format!("{name}: {e}"))
    }

    /// Sets a variable for every later call.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Unsets a variable for every later call.
    pub fn unset(&mut self, name: &str) {
        self.environment.retain(|(known, _)| known != name);
    }

    /// The variables that a person needs to run the CLI here by hand.
    pub fn environment(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        own.filter(|(name, _)| name.starts_with("PG") || *name == "TF_CLI_CONFIG_FILE")
    }

    /// Leaves the folder where it is, for a person to look into.
    pub fn keep(self) -> PathBuf {
        self.root.keep().join("work")
    }

    /// Starts the CLI and returns while it runs.
    pub fn start(&self, args: &[&str]) -> Result<Background> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let [stdout, stderr] = ["out", "err"].map(|kind| self.root.path().join(format!("{call}.{kind}")));
        let open = |path: &Path| File::create(path).map_err(|e| format!("{}: {e}", path.display()));
        let mut command = Command::new(&self.cli.path);
        command
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .envs(inherited())
            .envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(open(&stdout)?).stderr(open(&stderr)?);
        let running = Running::in_own_group(&mut command)?;
        Ok(Background { running, stdout, stderr, shown: format!("{} {}", self.cli.name, args.join(" ")) })
    }

    /// Runs the CLI to its end. Dropping the future interrupts it.
    #[must_use = "whether the call succeeded is for the caller to look at"]
    pub async fn run(&self, args: &[&str]) -> Result<Output> {
        self.start(args)?.wait().await
    }
}

/// A CLI that is running; interrupted when dropped.
#[derive(Debug)]
pub struct Background {
    running: Running,
    stdout: PathBuf,
    stderr: PathBuf,
    shown: String,
}

impl Background {
    /// Sends what Ctrl-C in a terminal sends: SIGINT to the CLI and to everything that it started.
    pub fn interrupt(&self) {
        self.running.signal("INT");
    }

    /// Kills the CLI and everything that it started, as `kill -9` does.
    pub fn kill(&self) {
        self.running.signal("KILL");
    }

    /// Whether the CLI has ended.
    pub fn has_ended(&mut self) -> bool {
        self.running.has_ended()
    }

    /// What it has printed so far.
    pub fn text(&self) -> String {
        format!("{}{}", read(&self.stdout), read(&self.stderr))
    }

    /// Waits for its end, for at most five minutes.
    pub async fn wait(mut self) -> Result<Output> {
        let status = tokio::time::timeout(LIMIT, self.running.wait()).await;
        let text = self.text();
        match status {
            Ok(status) => {
                let code = status?.code().unwrap_or(-1);
                Ok(Output { code, stdout: read(&self.stdout), text, shown: self.shown.clone() })
            }
            Err(_) => Err(format!("{} hangs: no end after {} s\n{text}", self.shown, LIMIT.as_secs())),
        }
    }
}

/// What a call of the CLI came to.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit code; -1 after a signal.
    pub code: i32,
    /// What it printed on stdout alone.
    pub stdout: String,
    /// All that it printed: stdout, then stderr.
    pub text: String,
    /// The CLI and its arguments.
    pub shown: String,
}

#[expect(clippy::return_self_not_must_use, reason = "the assertions return the output only for the next one")]
impl Output {
    /// Everything that was printed as one line without the frames that the CLIs draw around errors.
    pub fn flat(&self) -> String {
        flat(&self.text)
    }

    /// The errors alone, as one line: neither the plan that was printed before them nor a warning.
    pub fn errors(&self) -> String {
        let flat = self.flat();
        flat.find("Error: ").map_or(String::new(), |at| flat[at..].to_owned())
    }

    /// Returns itself when the call succeeded; panics with everything that was printed when not.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert!(self.code == 0, "{} ended with {}\n{}", self.shown, self.code, self.text);
        self
    }

    /// Returns itself when the call failed and its errors hold every one of the words, in whatever case.
    #[track_caller]
    pub fn failed_with(self, words: &[&str]) -> Self {
        assert!(self.code != 0, "{} should have failed\n{}", self.shown, self.text);
        let errors = self.errors().to_lowercase();
        for word in words {
            assert!(errors.contains(&word.to_lowercase()), "the error does not say \"{word}\"\n{}", self.text);
        }
        self
    }

    /// Returns itself when it printed every one of the words.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        let flat = self.flat().to_lowercase();
        for word in words {
            assert!(flat.contains(&word.to_lowercase()), "{} does not say \"{word}\"\n{}", self.shown, self.text);
        }
        self
    }

    /// Returns itself when it printed none of the words.
    #[track_caller]
    pub fn never_says(self, words: &[&str]) -> Self {
        let flat = self.flat().to_lowercase();
        for word in words {
            assert!(!flat.contains(&word.to_lowercase()), "{} says \"{word}\"\n{}", self.shown, self.text);
        }
        self
    }
}

/// The text as one line, without the frames that the CLIs draw around errors.
fn flat(text: &str) -> String {
    text.replace(['│', '╷', '╵', '║', '╔', '╚'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The CLI configuration that takes the provider from a folder, under the names that either CLI gives it.
fn overrides(provider: &Path) -> String {
    let folder = provider.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
    let hosts = ["registry.terraform.io", "registry.opentofu.org"];
    let lines = hosts.map(|host| format!("    \"{host}/pgtarget/pg\" = \"{folder}\"")).join("\n");
    format!("provider_installation {{\n  dev_overrides {{\n{lines}\n  }}\n  direct {{}}\n}}\n")
}

fn inherited() -> impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)> {
    std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        !name.starts_with("PG") && !name.starts_with("TF_")
    })
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_begin_after_the_plan_and_lose_their_frames() {
        let text = "Plan: 1 to add\n╷\n│ Error: Cannot create\n│   table public.t\n╵\n";
        let output = Output { code: 1, stdout: String::new(), text: text.to_owned(), shown: "cli apply".to_owned() };
        assert_eq!(output.errors(), "Error: Cannot create table public.t");
        output.clone().failed_with(&["cannot create table"]).never_says(&["drop"]);
        assert!(std::panic::catch_unwind(|| output.clone().succeeded()).is_err());
        assert!(std::panic::catch_unwind(|| output.failed_with(&["to add"])).is_err());
    }
}
