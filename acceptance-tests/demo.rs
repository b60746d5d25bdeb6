//! The demo: every step happens, and nothing is left behind, however it ends.

#![expect(clippy::unwrap_used, reason = "a step that fails here is a failed test")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{clis, provider};

/// The demo's command, with a folder for everything temporary.
fn demo(cli: &testbed::Cli, folder: &Path) -> Command {
    let testbed = provider().join("testbed");
    assert!(testbed.exists(), "the demo is not built: `cargo build -p testbed`");
    let mut command = Command::new(testbed);
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/quickstart");
    command.arg("demo").arg("--provider").arg(provider()).args(["--example", example]);
    command.env("TF_CLI", &cli.path).env("TMPDIR", folder).env_remove("PG_TEST_URL").stdin(Stdio::null());
    command
}

fn folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    // A server that root starts runs as another user, which must be able to pass through.
    tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o755)).tempdir().unwrap()
}

#[track_caller]
fn is_empty(folder: &Path) {
    let left: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "the demo left {left:?}");
}

#[test]
fn it_shows_every_step_and_leaves_nothing() {
    for cli in clis() {
        let folder = folder();
        let said = testbed::process::output(&mut demo(&cli, folder.path())).unwrap_or_else(|e| panic!("{e}"));
        println!("{said}");
        let mut rest = said.as_str();
        for part in [
            "Postgres 18",
            "create pg_table_target.products",
            "create table shop.products",
            "Apply complete!",
            "coats|rain coat|",
            "Index Scan using products__vector__embedding",
            "shoes/trail shoe  129.9",
            "No changes.",
            "Destroy complete!",
            "left: 0 relations in schema shop, extension vector",
        ] {
            let at = rest.find(part).unwrap_or_else(|| panic!("the demo does not say, in its place: {part}"));
            rest = &rest[at + part.len()..];
        }
        is_empty(folder.path());
    }
}

#[test]
fn what_it_keeps_can_be_used_and_stopped() {
    let (cli, folder) = (clis().swap_remove(0), folder());
    let said = testbed::process::output(demo(&cli, folder.path()).arg("--keep")).unwrap_or_else(|e| panic!("{e}"));
    let (_, by_hand) = said.split_once("To go on by hand:\n").unwrap();
    let (by_hand, stop) = by_hand.split_once("To stop the server and remove everything:\n").unwrap();
    let planned = testbed::process::output(Command::new("sh").args(["-ec", by_hand])).unwrap_or_else(|e| panic!("{e}"));
    assert!(planned.contains("No changes."), "{planned}");
    testbed::process::output(Command::new("sh").args(["-ec", stop])).unwrap_or_else(|e| panic!("{e}"));
    is_empty(folder.path());
}

#[test]
fn an_interrupted_one_leaves_nothing() {
    let (cli, folder) = (clis().swap_remove(0), folder());
    let mut child = demo(&cli, folder.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("apply:")), "the demo never came to its apply");
    let sent = Command::new("sh").args(["-c", &format!("kill -s INT {}", child.id())]).status().unwrap();
    assert!(sent.success());
    lines.for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    is_empty(folder.path());
}
