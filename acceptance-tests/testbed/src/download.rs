//! Fetches and unpacks files with the programs at hand, and keeps them for the next run.
//!
//! **Invariant:** a folder below `target/testbed` is complete or absent: it is filled under another name and renamed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{on_path, output};
use crate::{Result, tools_dir};

/// The folder `name` below `target/testbed`, filled by `fill` the first time. Processes that need it at once wait for
/// the one that came first.
pub fn once(name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    once_in(&tools_dir(), name, fill)
}

/// [`once`], below another folder.
pub fn once_in(tools: &Path, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let done = tools.join(name);
    if !done.is_dir() {
        let failed = |e: std::io::Error| format!("cannot write below {}: {e}", tools.display());
        std::fs::create_dir_all(tools).map_err(failed)?;
        let lock = File::create(tools.join(format!("{name}.lock"))).map_err(failed)?;
        lock.lock().map_err(failed)?;
        if !done.is_dir() {
            let folder = tempfile::Builder::new().prefix("part-").tempdir_in(tools).map_err(failed)?;
            fill(folder.path())?;
            std::fs::rename(folder.path(), &done).map_err(failed)?;
            // The temporary folder has become the finished one, so there is nothing left to remove.
            let _ = folder.keep();
        }
    }
    done.canonicalize().map_err(|e| format!("{}: {e}", done.display()))
}

/// Fetches a URL into a file.
pub fn fetch(url: &str, file: &Path) -> Result<()> {
    const PYTHON: &str = "import sys, urllib.request, shutil\n\
        with urllib.request.urlopen(sys.argv[1], timeout=60) as answer, open(sys.argv[2], 'wb') as file:\n    \
        shutil.copyfileobj(answer, file)\n    \
        length = answer.headers.get('Content-Length')\n    \
        if length is not None and int(length) != file.tell(): sys.exit('the answer was cut short')\n";
    let mut command;
    if on_path("curl").is_some() {
        command = Command::new("curl");
        command.args([
            "--fail",
            "--silent",
            "--show-error",
            "--location",
            "--connect-timeout",
            "20",
            "--max-time",
            "600",
        ]);
        command.arg("--output").arg(file).arg(url);
    } else {
        command = Command::new("python3");
        command.args(["-c", PYTHON, url]).arg(file);
    }
    output(&mut command).map(drop).map_err(|e| format!("cannot fetch {url}\n{e}"))
}

/// Unpacks a zip file into a folder.
pub fn unzip(file: &Path, folder: &Path) -> Result<()> {
    let mut command;
    if on_path("python3").is_some() {
        command = Command::new("python3");
        command.args(["-m", "zipfile", "-e"]).arg(file).arg(folder);
    } else {
        command = Command::new("unzip");
        command.args(["-q", "-o"]).arg(file).arg("-d").arg(folder);
    }
    output(&mut command).map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn many_at_once_fill_it_one_time() {
        let tools = tempfile::tempdir().unwrap();
        let fills = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let folder = once_in(tools.path(), "thing", |folder| {
                        fills.fetch_add(1, Ordering::Relaxed);
                        std::fs::write(folder.join("file"), "whole").map_err(|e| e.to_string())
                    });
                    assert_eq!(std::fs::read_to_string(folder.unwrap().join("file")).unwrap(), "whole");
                });
            }
        });
        assert_eq!(fills.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_failure_leaves_nothing_and_the_next_one_tries_again() {
        let tools = tempfile::tempdir().unwrap();
        let half = |folder: &Path| {
            std::fs::write(folder.join("half"), "").unwrap();
            Err("broken".to_owned())
        };
        assert_eq!(once_in(tools.path(), "thing", half).unwrap_err(), "broken");
        assert!(!tools.path().join("thing").exists());
        let names = std::fs::read_dir(tools.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["thing.lock"]);
        assert!(once_in(tools.path(), "thing", |_| Ok(())).is_ok());
    }
}
