//! How a plugin starts, and how it refuses to.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::{fs, process};

use tfplugin::testing::{Host, Launch};

use crate::common::{binary, launch, names};

#[tokio::test]
async fn the_handshake_line_has_six_fields_and_the_certificate_no_padding() {
    // Certificates differ in length by a byte or two, so several are needed to meet each remainder.
    for _ in 0..8 {
        let (launch, _folder) = launch();
        let plugin = launch.start().await.unwrap();
        let line = &plugin.handshake().line;

        assert!(line.starts_with("1|6|unix|/"), "{line}");
        assert_eq!(line.matches('|').count(), 5, "{line}");
        assert!(!line.contains('='), "{line}");
        assert!(plugin.handshake().certificate.as_ref().unwrap().len() > 100);
    }
}

#[tokio::test]
async fn the_socket_is_in_a_private_folder_that_is_gone_after_shutdown() {
    let (launch, parent) = launch();
    let host = Host::of(launch.start().await.unwrap()).await.unwrap();
    let folder = Path::new(&host.plugin().handshake().address).parent().unwrap().to_owned();

    assert_eq!(folder.parent().unwrap(), parent.path());
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);

    host.shut_down().await.unwrap();
    assert_eq!(names(parent.path()), [""; 0]);
}

#[tokio::test]
async fn the_folder_that_the_host_names_comes_first() {
    let (launch, other) = launch();
    let named = tempfile::tempdir().unwrap();
    let plugin = launch.env("PLUGIN_UNIX_SOCKET_DIR", named.path()).start().await.unwrap();

    assert!(Path::new(&plugin.handshake().address).starts_with(named.path()));
    assert_eq!(names(other.path()), [""; 0]);
}

#[tokio::test]
async fn a_folder_too_deep_for_a_socket_is_passed_over() {
    let (launch, parent) = launch();
    let deep = parent.path().join("deep".repeat(25));
    fs::create_dir(&deep).unwrap();
    let host = Host::of(launch.env("TMPDIR", &deep).start().await.unwrap()).await.unwrap();

    assert!(host.plugin().handshake().address.starts_with("/tmp/plugin-"), "{:?}", host.plugin().handshake());
    let folder = Path::new(&host.plugin().handshake().address).parent().unwrap().to_owned();
    host.shut_down().await.unwrap();
    assert!(!folder.exists());
    assert_eq!(names(&deep), [""; 0]);
}

#[tokio::test]
async fn protocol_6_is_chosen_in_any_order_and_its_absence_is_said() {
    for versions in ["5,6", "6,5", "6"] {
        let (launch, _folder) = launch();
        let plugin = launch.env("PLUGIN_PROTOCOL_VERSIONS", versions).start().await.unwrap();
        assert!(plugin.handshake().line.starts_with("1|6|"), "{versions}");
    }
    let (launch, folder) = launch();
    let error = launch.env("PLUGIN_PROTOCOL_VERSIONS", "5").start().await.unwrap_err().to_string();
    assert!(error.contains("exit status: 1"), "{error}");
    assert!(error.contains("[ERROR] terraform-provider-tiny: cannot serve this host"), "{error}");
    assert!(error.contains("plugin protocol 5, this provider only 6"), "{error}");
    assert_eq!(names(folder.path()), [""; 0]);
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_is_said() {
    for pem in ["nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n"] {
        let (launch, folder) = launch();
        let error = launch.env("PLUGIN_CLIENT_CERT", pem).start().await.unwrap_err().to_string();
        assert!(error.contains("exit status: 1"), "{error}");
        assert!(error.contains("cannot read the host's certificate from PLUGIN_CLIENT_CERT"), "{error}");
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

#[tokio::test]
async fn without_a_certificate_the_connection_is_plain_and_the_sixth_field_empty() {
    let plugin = Launch::without_tls(binary()).unwrap().start().await.unwrap();
    assert!(plugin.handshake().line.ends_with("|grpc|"), "{}", plugin.handshake().line);

    let ended = Host::of(plugin).await.unwrap().shut_down().await.unwrap();
    assert!(ended.status.success());
}

#[test]
fn started_by_hand_it_says_what_it_is() {
    for cookie in [None, Some("another program's")] {
        let mut command = process::Command::new(binary());
        command.env_remove("TF_PLUGIN_MAGIC_COOKIE");
        command.envs(cookie.map(|cookie| ("TF_PLUGIN_MAGIC_COOKIE", cookie)));
        let output = command.output().unwrap();

        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with("terraform-provider-tiny is a plugin of OpenTofu and Terraform"), "{text}");
    }
}

#[test]
fn options_are_answered_with_and_without_the_cookie() {
    let version = format!("terraform-provider-tiny {}\n", env!("CARGO_PKG_VERSION"));
    let cookie = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2";
    for (argument, code, expected) in
        [("--version", 0, version.as_str()), ("--help", 0, "Usage: "), ("--plan", 2, "does not know --plan")]
    {
        for cookie in ["", cookie] {
            let output =
                process::Command::new(binary()).arg(argument).env("TF_PLUGIN_MAGIC_COOKIE", cookie).output().unwrap();
            assert_eq!(output.status.code(), Some(code));
            let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(text.contains(expected), "{argument}: {text}");
        }
    }
}
