//! Runs programs: to their end with everything they printed, or as a child that never outlives us.
//!
//! **Invariant:** a child started here is stopped when its guard is dropped, first kindly, then by force.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::Result;

/// Finds a program on the PATH.
pub fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|file| is_executable(file))
}

/// Whether the file is there and may be run by somebody.
pub fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Runs a program to its end and returns what it printed on stdout; the error holds the command and all it printed.
pub fn output(command: &mut Command) -> Result<String> {
    let done = command.stdin(Stdio::null()).output().map_err(|e| format!("cannot run {}: {e}", shown(command)))?;
    let stdout = String::from_utf8_lossy(&done.stdout).into_owned();
    if done.status.success() {
        return Ok(stdout);
    }
    Err(format!("{} failed ({})\n{stdout}{}", shown(command), done.status, String::from_utf8_lossy(&done.stderr)))
}

/// A text as one word of a POSIX shell.
pub fn shell_quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A running child, stopped when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    group: bool,
    finished: bool,
}

impl Running {
    /// Starts a child in a process group of its own, so that only we send it signals.
    pub fn in_own_group(command: &mut Command) -> Result<Self> {
        use std::os::unix::process::CommandExt;
        command.process_group(0);
        Self::start(command, true)
    }

    /// Starts a child in our own process group, so that a terminal's Ctrl-C reaches it too.
    pub fn in_our_group(command: &mut Command) -> Result<Self> {
        Self::start(command, false)
    }

    fn start(command: &mut Command, group: bool) -> Result<Self> {
        let child = command.spawn().map_err(|e| format!("cannot run {}: {e}", shown(command)))?;
        Ok(Self { child, group, finished: false })
    }

    /// The child's process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal such as `INT` to the child, and to its group where it has its own.
    pub fn signal(&self, name: &str) {
        let target = if self.group { format!("-{}", self.id()) } else { self.id().to_string() };
        // A child that is already gone needs no signal, so a failure here is of no interest.
        let _ = Command::new("sh")
            .args(["-c", "kill -s \"$1\" -- \"$2\"", "kill", name, &target])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }

    /// Whether the child has ended.
    pub fn has_ended(&mut self) -> bool {
        self.finished = self.finished || !matches!(self.child.try_wait(), Ok(None));
        self.finished
    }

    /// Waits for the child's end. Dropping the future leaves the child running.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait().map_err(|e| format!("cannot wait for a child: {e}"))? {
                self.finished = true;
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn ends_within(&mut self, limit: Duration) -> bool {
        let start = Instant::now();
        while !self.has_ended() {
            if start.elapsed() > limit {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        // A child of our own group has had the terminal's signal already and may only need a moment.
        if !self.group && self.ends_within(Duration::from_secs(1)) {
            return;
        }
        // The CLIs stop in order on the first SIGINT only; a shell with a child of its own hears only SIGTERM.
        let kindly = if self.group { "INT" } else { "TERM" };
        self.signal(kindly);
        if !self.ends_within(Duration::from_secs(10)) {
            self.signal("KILL");
            self.ends_within(Duration::from_secs(5));
        }
        if self.group {
            // What the child started may not have listened; the group's id is ours as long as anything is left of it.
            self.signal("KILL");
        }
    }
}

/// The greatest resident memory of this process in KiB, where the system tells; else 0.
pub fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_names_the_command_and_what_it_said() {
        let error = output(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"])).unwrap_err();
        for part in ["sh -c", "exit status: 3", "out", "err"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_dropped_child_ends_with_its_group() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", shell_quote(&file.to_string_lossy()));
        let running = Running::in_own_group(Command::new("sh").args(["-c", &script])).unwrap();
        let start = Instant::now();
        while !std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n')) {
            assert!(start.elapsed() < Duration::from_secs(20), "the child never started");
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(running);
        let grandchild = std::fs::read_to_string(&file).unwrap();
        let alive = || {
            Command::new("sh")
                .args([
                    "-c",
                    "kill -0 \"$1\" 2>/dev/null && ! ps -o stat= -p \"$1\" | grep -q Z",
                    "sh",
                    grandchild.trim(),
                ])
                .status()
                .unwrap()
        };
        let start = Instant::now();
        while alive().success() {
            assert!(start.elapsed() < Duration::from_secs(5), "the grandchild survived");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_quoted_word_stays_one_word() {
        let word = "it's \"two\" $words\n";
        let echoed = output(Command::new("sh").args(["-c", &format!("printf %s {}", shell_quote(word))])).unwrap();
        assert_eq!(echoed, word);
    }
}
