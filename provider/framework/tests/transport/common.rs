//! Where the provider under test is, and small helpers.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, process};

use tfplugin::testing::{Launch, Plugin};
use tokio::time::{Instant, sleep};

/// The smallest provider, built beside this test.
pub(crate) fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.parent().unwrap().parent().unwrap().join("examples/empty_provider");
    let built = fs::metadata(&binary).and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let newest = newest(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(built >= newest, "{} is missing or old: cargo build -p tfplugin --examples", binary.display());
    binary
}

fn newest(path: &Path) -> SystemTime {
    match fs::read_dir(path) {
        Ok(files) => files.map(|file| newest(&file.unwrap().path())).max().unwrap(),
        Err(_) => fs::metadata(path).unwrap().modified().unwrap(),
    }
}

/// A launch whose sockets go to a folder of its own.
pub(crate) fn launch() -> (Launch, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Launch::new(binary()).unwrap().env("TMPDIR", folder.path()), folder)
}

/// Sends a signal, by the name that kill(1) gives it.
pub(crate) fn signal(plugin: &Plugin, name: &str) {
    let id = plugin.id().unwrap().to_string();
    assert!(process::Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
}

/// The names in a folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

/// Waits until something holds, but not for ever.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}: not in ten seconds");
        sleep(Duration::from_millis(5)).await;
    }
}
