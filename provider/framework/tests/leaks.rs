//! What is left when plugins have come and gone a thousand times: no file, no socket, no process.
//!
//! A binary of its own, since what this process has open is counted.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[allow(dead_code, reason = "shared with the tests of the transport")]
#[path = "transport/common.rs"]
mod common;
mod examples;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{fs, process};

use futures_util::{StreamExt, stream};
use tfplugin::testing::{Host, Launch};
use tfplugin_proto::tfplugin6::get_provider_schema;

use crate::common::{binary, eventually, names, signal};

/// How many plugins are started.
const RUNS: usize = 1_000;

/// How many of them live at a time.
const AT_A_TIME: usize = 4;

/// How a run ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// As the CLIs do it.
    Shutdown,
    /// The host sends a signal.
    Terminated,
    /// The host never connects and is killed.
    KilledBeforeConnecting,
    /// The host is killed while it is connected.
    Killed,
    /// It is no host: the cookie is wrong, so nothing starts.
    Refused,
}

fn ending(run: usize) -> Ending {
    match run % 20 {
        0 => Ending::Killed,
        1 => Ending::KilledBeforeConnecting,
        2 => Ending::Refused,
        3 => Ending::Terminated,
        _ => Ending::Shutdown,
    }
}

/// A shell that stands between this process and the plugin, so that the plugin has a host that can be killed. It writes
/// the plugin's id into a file.
fn shell(folder: &Path) -> PathBuf {
    let script = folder.join("host");
    let text = format!("#!/bin/sh\n'{}' & echo $! > \"$ID_FILE\"\nwait\n", binary().display());
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    script
}

fn is_alive(id: &str) -> bool {
    // A process that has ended stays until its parent asks; an orphan's parent may take its time.
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

async fn ask(host: &Host) {
    let answer = host.client().get_provider_schema(get_provider_schema::Request {}).await.unwrap().into_inner();
    assert!(answer.data_source_schemas.contains_key("tiny_greeting"));
}

/// One plugin from its start to its end; its sockets go to one folder, its id to another.
async fn run(number: usize, sockets: &Path, files: &Path) {
    let id_file = files.join(number.to_string());
    let launch = |program: PathBuf| Launch::new(program).unwrap().env("TMPDIR", sockets).env("ID_FILE", &id_file);
    let ending = ending(number);
    let id = match ending {
        Ending::Shutdown | Ending::Terminated => {
            let host = Host::of(launch(binary()).start().await.unwrap()).await.unwrap();
            let id = host.plugin().id().unwrap().to_string();
            ask(&host).await;
            if matches!(ending, Ending::Shutdown) {
                assert!(host.shut_down().await.unwrap().status.success());
            } else {
                signal(host.plugin(), "TERM");
                host.wait().await.unwrap();
            }
            id
        }
        Ending::Killed | Ending::KilledBeforeConnecting => {
            let plugin = launch(files.join("host")).start().await.unwrap();
            // The shell writes it beside the plugin's start, and may be late.
            let written = || fs::read_to_string(&id_file).ok().filter(|text| text.ends_with('\n'));
            eventually("the plugin's id", || written().is_some()).await;
            let id = written().unwrap().trim().to_owned();
            if matches!(ending, Ending::Killed) {
                let host = Host::of(plugin).await.unwrap();
                ask(&host).await;
                assert!(is_alive(&id));
                drop(host);
            } else {
                drop(plugin);
            }
            id
        }
        Ending::Refused => {
            let error = launch(binary()).env("TF_PLUGIN_MAGIC_COOKIE", "wrong").start().await.unwrap_err().to_string();
            assert!(error.contains("exit status: 1"), "{error}");
            return;
        }
    };
    eventually("the end of the plugin", || !is_alive(&id)).await;
}

/// What this process has open, by what it is.
fn open_files() -> Vec<String> {
    let all = fs::read_dir("/proc/self/fd").unwrap();
    // The listing itself is among them, and is gone when it is looked at.
    let targets = all.filter_map(|file| Some(fs::read_link(file.ok()?.path()).ok()?.display().to_string()));
    let mut kinds: Vec<_> = targets.map(|target| target.split(':').next().unwrap_or_default().to_owned()).collect();
    kinds.sort_unstable();
    kinds
}

/// The processes that this one has started and that are still there, ended ones included.
fn children() -> usize {
    let us = process::id().to_string();
    let stats =
        fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    stats.filter(|stat| stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)) == Some(&us)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_plugins_leave_nothing_behind() {
    let (sockets, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    shell(files.path());
    // What is opened once and kept, such as for watching children, is no leak.
    for number in 0..5 {
        run(number, sockets.path(), files.path()).await;
    }
    let before = open_files();
    assert_eq!(children(), 0);

    // Those whose host is killed need a second to notice; so they do not count among those that live at a time.
    let (slow, quick): (Vec<_>, Vec<_>) =
        (0..RUNS).partition(|run| matches!(ending(*run), Ending::Killed | Ending::KilledBeforeConnecting));
    let (sockets, files) = (sockets.path(), files.path());
    let one = |number| run(number, sockets, files);
    tokio::join!(
        stream::iter(quick).for_each_concurrent(AT_A_TIME, one),
        stream::iter(slow).for_each_concurrent(AT_A_TIME * 4, one),
    );

    assert_eq!(names(sockets), [""; 0], "folders of sockets are left");
    eventually("the end of all processes", || children() == 0).await;
    eventually("the end of all connections", || open_files() == before).await;
    let listening = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    assert!(!listening.contains(&sockets.display().to_string()), "{listening}");
}
