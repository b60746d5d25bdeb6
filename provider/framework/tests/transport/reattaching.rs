//! A provider started by hand, for a debugger or a test suite, and attached to.

use std::time::Duration;
use std::{fs, process};

use serde_json::Value;
use tfplugin::testing::{Host, Launch};
use tfplugin_proto::tfplugin6::provider_client::ProviderClient;
use tfplugin_proto::tfplugin6::stop_provider;
use tokio::time::timeout;

use crate::common::{AS_ASKED, binary, configure, eventually, greeting, names, signal};

#[tokio::test]
async fn the_printed_assignment_works_in_a_shell_and_names_both_registries() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = Launch::debug(binary()).env("TMPDIR", folder.path()).start().await.unwrap();
    let line = plugin.handshake().line.trim().to_owned();
    let output = process::Command::new("sh")
        .args(["-c", &format!("{line}; printf %s \"$TF_REATTACH_PROVIDERS\"")])
        .output()
        .unwrap();

    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    for registry in ["registry.opentofu.org", "registry.terraform.io"] {
        let provider = &value[format!("{registry}/example/tiny")];
        assert_eq!(provider["Protocol"], "grpc");
        assert_eq!(provider["ProtocolVersion"], 6);
        assert_eq!(provider["Pid"], plugin.id().unwrap());
        assert_eq!(provider["Test"], true);
        assert_eq!(provider["Addr"]["Network"], "unix");
        assert_eq!(provider["Addr"]["String"], plugin.handshake().address);
    }
}

#[tokio::test]
async fn it_serves_one_host_after_another_until_interrupted() {
    for name in ["INT", "TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let plugin = Launch::debug(binary()).env("TMPDIR", folder.path()).start().await.unwrap();
        drop(plugin.connect().await.unwrap());
        let host = Host::of(plugin).await.unwrap();

        signal(host.plugin(), name);
        let ended = timeout(Duration::from_secs(2), host.wait()).await.unwrap().unwrap();

        assert_eq!(ended.status.code(), Some(0), "{name}");
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

#[tokio::test]
async fn two_aliases_in_one_process_share_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = Launch::debug(binary()).env("TMPDIR", folder.path()).start().await.unwrap();
    let mut first = ProviderClient::new(plugin.connect().await.unwrap());
    let mut second = ProviderClient::new(plugin.connect().await.unwrap());

    configure(&mut first, "hello").await;
    let error = greeting(&mut second, None).await.unwrap_err();
    assert!(error.contains("not configured"), "{error}");

    configure(&mut second, "goodbye").await;
    assert_eq!(greeting(&mut first, None).await.unwrap(), "hello");
    assert_eq!(greeting(&mut second, None).await.unwrap(), "goodbye");

    // One connection may be configured again, as each phase of a run does.
    configure(&mut first, "hello again").await;
    assert_eq!(greeting(&mut first, None).await.unwrap(), "hello again");
}

#[tokio::test]
async fn stopping_one_alias_leaves_the_other_running() {
    let (folder, signs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let plugin = Launch::debug(binary()).env("TMPDIR", folder.path()).start().await.unwrap();
    let mut first = ProviderClient::new(plugin.connect().await.unwrap());
    let mut second = ProviderClient::new(plugin.connect().await.unwrap());
    for client in [&mut first, &mut second] {
        configure(client, "hello").await;
    }
    let (one, two) = (signs.path().join("one"), signs.path().join("two"));
    for folder in [&one, &two] {
        fs::create_dir(folder).unwrap();
    }
    let reads = [(first.clone(), one.clone()), (second, two.clone())]
        .map(|(mut client, folder)| tokio::spawn(async move { greeting(&mut client, Some(&folder)).await }));
    eventually("both reads", || one.join("begun").exists() && two.join("begun").exists()).await;

    let response = first.stop_provider(stop_provider::Request {}).await.unwrap().into_inner();

    assert_eq!(response.error, "");
    let [stopped, running] = reads;
    assert_eq!(stopped.await.unwrap().unwrap_err(), AS_ASKED);
    assert!(!running.is_finished());
    assert!(!two.join("stopped").exists());
    running.abort();
}
