//! The folder of one run: whatever is started or written for it lives below, and goes with it.
//!
//! A small shell process, the keeper, holds the other end of a pipe: when we end, in whatever way, the pipe closes, the
//! keeper stops what registered itself and removes the folder. So the normal end, an error, Ctrl-C and `kill -9` all
//! take the same path.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::Result;
use crate::process::shell_quote;

/// Waits for the end of its input; the word `keep` sends it away without work.
const KEEPER: &str = "trap '' INT TERM HUP\nread -r word\n[ \"$word\" = keep ] || sh \"$1/stop\"\n";

/// A temporary folder with a keeper.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    keeper: Child,
}

impl RunDir {
    /// Makes the folder and starts its keeper.
    pub fn new() -> Result<Self> {
        let path = tempfile::Builder::new()
            .prefix("testbed-")
            // A server that we start as root runs as another user, which must be able to pass through.
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir()
            .map_err(|e| format!("cannot make a temporary folder: {e}"))?
            .keep();
        let quoted = shell_quote(&path.to_string_lossy());
        // Files may still be written while a server goes down, so removing may need a second try.
        let stop = format!(
            "for stop in {quoted}/*/stop; do [ ! -f \"$stop\" ] || sh \"$stop\"; done\n\
             for try in 1 2 3 4 5; do rm -rf {quoted} && exit 0; sleep 1; done\n"
        );
        std::fs::write(path.join("stop"), stop).map_err(|e| format!("cannot write below {}: {e}", path.display()))?;
        let keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|e| format!("cannot start sh: {e}"))?;
        Ok(Self { path, keeper })
    }

    /// Where the folder is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder below and registers the shell script that stops what is about to run in it.
    pub fn register(&self, name: &str, stop: &str) -> Result<PathBuf> {
        let folder = self.path.join(name);
        std::fs::create_dir(&folder)
            .and_then(|()| std::fs::write(folder.join("stop"), stop))
            .map_err(|e| format!("cannot write below {}: {e}", folder.display()))?;
        Ok(folder)
    }

    /// Leaves everything running and returns the script that ends it.
    pub fn keep(mut self) -> PathBuf {
        if let Some(mut pipe) = self.keeper.stdin.take() {
            // Without the word the keeper would clean up, which is the safe side of a failed write.
            let _ = pipe.write_all(b"keep\n");
        }
        self.path.join("stop")
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_runs_what_was_registered_and_removes_the_folder() {
        let witness = tempfile::tempdir().unwrap();
        let file = witness.path().join("stopped");
        let run = RunDir::new().unwrap();
        let path = run.path().to_owned();
        let below = run.register("one", &format!("touch {}", shell_quote(&file.to_string_lossy()))).unwrap();
        assert!(below.is_dir() && !file.exists());
        drop(run);
        assert!(file.exists() && !path.exists());
    }

    #[test]
    fn what_is_kept_stays_until_its_script_runs() {
        let run = RunDir::new().unwrap();
        let path = run.path().to_owned();
        let stop = run.keep();
        assert!(path.is_dir());
        assert!(Command::new("sh").arg(&stop).status().unwrap().success());
        assert!(!path.exists());
    }
}
