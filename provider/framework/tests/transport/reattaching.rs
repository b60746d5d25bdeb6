//! A provider started by hand, for a debugger or a test suite, and attached to.

use std::process;
use std::time::Duration;

use serde_json::Value;
use tfplugin::testing::{Host, Launch};
use tokio::time::timeout;

use crate::common::{binary, names, signal};

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
        let provider = &value[format!("{registry}/example/empty")];
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
