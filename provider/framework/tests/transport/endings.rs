//! How a plugin ends: when it is asked to, by a signal, and when its host is gone.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tfplugin::testing::{Host, HostCertificate};
use tfplugin_proto::health::HealthCheckRequest;
use tfplugin_proto::health::health_client::HealthClient;
use tfplugin_proto::tfplugin6::provider_client::ProviderClient;
use tokio::time::{Instant, timeout};

use crate::common::{AS_ASKED, binary, configure, eventually, greeting, launch, names, signal};

#[tokio::test]
async fn shutdown_is_answered_and_then_the_process_ends_at_once() {
    let (launch, folder) = launch();
    let host = Host::of(launch.start().await.unwrap()).await.unwrap();
    let ended = host.shut_down().await.unwrap();

    assert_eq!(ended.status.code(), Some(0));
    assert!(ended.took < Duration::from_secs(1), "{:?}", ended.took);
    assert_eq!(ended.stdout, [""; 0], "nothing but the handshake line is printed");
    assert_eq!(ended.stderr, [""; 0]);
    assert_eq!(names(folder.path()), [""; 0]);
}

#[tokio::test]
async fn shutdown_is_not_held_up_by_strangers() {
    let (launch, folder) = launch();
    let host = Host::of(launch.start().await.unwrap()).await.unwrap();
    // One has not begun its TLS handshake, the other is through and does nothing.
    let _mute = host.plugin().connect_raw().await.unwrap();
    let _idle = host.plugin().connect().await.unwrap();
    let ended = host.shut_down().await.unwrap();

    assert!(ended.took < Duration::from_secs(1), "{:?}", ended.took);
    assert_eq!(names(folder.path()), [""; 0]);
}

#[tokio::test]
async fn shutdown_stops_what_runs_and_its_answer_still_arrives() {
    let (launch, _folder) = launch();
    let signs = tempfile::tempdir().unwrap();
    let host = Host::of(launch.start().await.unwrap()).await.unwrap();
    configure(&mut host.client(), "hello").await;
    let read = tokio::spawn({
        let (mut client, signs) = (host.client(), signs.path().to_owned());
        async move { greeting(&mut client, Some(&signs)).await }
    });
    eventually("the read", || signs.path().join("begun").exists()).await;

    let ended = host.shut_down().await.unwrap();

    assert!(ended.took < Duration::from_secs(1), "{:?}", ended.took);
    assert_eq!(read.await.unwrap().unwrap_err(), AS_ASKED);
    assert!(signs.path().join("stopped").exists());
}

#[tokio::test]
async fn work_for_a_host_that_is_gone_is_stopped_and_not_dropped() {
    let (launch, _folder) = launch();
    let signs = tempfile::tempdir().unwrap();
    let plugin = launch.start().await.unwrap();
    let mut client = ProviderClient::new(plugin.connect().await.unwrap());
    configure(&mut client, "hello").await;
    let folder = signs.path().to_owned();
    let read = tokio::spawn(async move { greeting(&mut client, Some(&folder)).await });
    eventually("the read", || signs.path().join("begun").exists()).await;

    read.abort();

    eventually("the end of the read", || signs.path().join("stopped").exists()).await;
}

#[tokio::test]
async fn sigterm_stops_what_runs() {
    let (launch, _folder) = launch();
    let signs = tempfile::tempdir().unwrap();
    let host = Host::of(launch.start().await.unwrap()).await.unwrap();
    configure(&mut host.client(), "hello").await;
    let read = tokio::spawn({
        let (mut client, signs) = (host.client(), signs.path().to_owned());
        async move { greeting(&mut client, Some(&signs)).await }
    });
    eventually("the read", || signs.path().join("begun").exists()).await;

    signal(host.plugin(), "TERM");

    assert_eq!(read.await.unwrap().unwrap_err(), AS_ASKED);
    timeout(Duration::from_secs(2), host.wait()).await.unwrap().unwrap();
}

#[tokio::test]
async fn interrupts_are_survived() {
    let (launch, _folder) = launch();
    let plugin = launch.start().await.unwrap();
    signal(&plugin, "INT");
    let host = Host::of(plugin).await.unwrap();
    for _ in 0..3 {
        signal(host.plugin(), "INT");
        HealthClient::new(host.channel()).check(HealthCheckRequest::default()).await.unwrap();
    }
    assert!(host.streams_are_open());
    assert!(host.shut_down().await.unwrap().status.success());
}

#[tokio::test]
async fn sigterm_ends_it_and_leaves_nothing() {
    let (launch, folder) = launch();
    let host = Host::of(launch.start().await.unwrap()).await.unwrap();
    signal(host.plugin(), "TERM");
    let ended = timeout(Duration::from_secs(2), host.wait()).await.unwrap().unwrap();

    assert_eq!(ended.status.code(), Some(128 + 15));
    assert_eq!(names(folder.path()), [""; 0]);
}

/// A process that nobody else would end if a test failed.
struct Orphan(String);

impl Drop for Orphan {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-s", "KILL", &self.0]).stderr(Stdio::null()).status();
    }
}

#[tokio::test]
async fn a_plugin_whose_host_is_killed_ends_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    // The host is a shell that starts the plugin and waits; killing it makes the plugin an orphan.
    let mut shell = Command::new("sh")
        .args(["-c", "\"$0\" & echo $! > \"$1\"; wait"])
        .arg(binary())
        .arg(folder.path().join("id"))
        .env("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2")
        .env("PLUGIN_CLIENT_CERT", HostCertificate::generate().unwrap().pem())
        .env("TMPDIR", folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let socket = || names(folder.path()).into_iter().any(|name| name.starts_with("plugin-"));
    eventually("the socket", socket).await;
    let id = fs::read_to_string(folder.path().join("id")).unwrap();
    let orphan = Orphan(id.trim().to_owned());
    let process = Path::new("/proc").join(&orphan.0);
    assert!(process.exists());

    shell.kill().unwrap();
    shell.wait().unwrap();

    eventually("the end of the orphan", || !process.exists()).await;
    assert!(!socket());
}

#[tokio::test]
async fn a_plugin_whose_host_only_drops_its_connection_waits_for_another() {
    let (launch, _folder) = launch();
    let plugin = launch.env("TF_LOG", "debug").start().await.unwrap();
    drop(plugin.connect().await.unwrap());
    eventually("the end of the connection", || plugin.stderr().iter().any(|line| line.contains("a host has gone")))
        .await;
    // Longer than it looks for its parent.
    let start = Instant::now();
    eventually("two looks", || start.elapsed() > Duration::from_millis(2_100)).await;
    Host::of(plugin).await.unwrap().shut_down().await.unwrap();
}

#[test]
fn standard_input_is_left_alone() {
    // A plugin that read it would take what the user types to the CLI.
    let output = Command::new("sh")
        .args(["-c", "printf 'yes\\n' | { \"$0\" >/dev/null & sleep 0.5; kill $!; wait $!; cat; }"])
        .arg(binary())
        .env("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "yes\n");
}
