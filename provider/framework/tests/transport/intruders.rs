//! What callers get who are not the host: nothing, and the host does not notice.

use std::time::Duration;

use tfplugin::testing::{Host, HostCertificate, Plugin};
use tfplugin_proto::health::HealthCheckRequest;
use tfplugin_proto::health::health_client::HealthClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::common::launch;

/// What an HTTP/2 client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The first byte of a TLS alert. HTTP/2 begins with a frame of settings, whose first byte is 0.
const ALERT: u8 = 21;

#[tokio::test]
async fn a_caller_without_a_certificate_gets_nothing() {
    let (launch, _folder) = launch();
    let plugin = launch.start().await.unwrap();

    assert_refused(&plugin, None).await;
    assert_answers(plugin).await;
}

#[tokio::test]
async fn a_caller_with_another_certificate_gets_nothing() {
    let (launch, _folder) = launch();
    let plugin = launch.start().await.unwrap();

    assert_refused(&plugin, Some(&HostCertificate::generate().unwrap())).await;
    assert_answers(plugin).await;
}

#[tokio::test]
async fn a_caller_who_shows_the_certificate_without_its_key_gets_nothing() {
    let (launch, _folder) = launch();
    let plugin = launch.start().await.unwrap();
    let thief = plugin.host_certificate().unwrap().without_its_key().unwrap();

    assert_refused(&plugin, Some(&thief)).await;
    assert_answers(plugin).await;
}

#[tokio::test]
async fn a_caller_without_tls_gets_no_http() {
    let (launch, _folder) = launch();
    let plugin = launch.start().await.unwrap();

    let mut stream = plugin.connect_raw().await.unwrap();
    stream.write_all(PREFACE).await.unwrap();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.unwrap().unwrap();

    assert_eq!(answer.first(), Some(&ALERT), "{answer:?}");
    assert!(answer.len() < 16, "{answer:?}");
    assert_answers(plugin).await;
}

#[tokio::test]
async fn callers_who_say_nothing_or_nonsense_hold_nobody_up() {
    let (launch, _folder) = launch();
    let plugin = launch.start().await.unwrap();

    let mut callers = Vec::new();
    for number in 0..40_u8 {
        let mut stream = plugin.connect_raw().await.unwrap();
        match number % 4 {
            0 => drop(stream),
            1 => callers.push(stream),
            2 => {
                stream.write_all(&[number; 100]).await.unwrap();
                callers.push(stream);
            }
            _ => stream.write_all(&[22, 3, 1, 255, 255]).await.unwrap(),
        }
    }
    assert_answers(plugin).await;
    drop(callers);
}

async fn assert_refused(plugin: &Plugin, certificate: Option<&HostCertificate>) {
    // A TLS 1.3 client hears of the refusal only when it reads, so this looks at what it can read.
    let mut stream = plugin.connect_tls(certificate).await.unwrap();
    let _ = stream.write_all(PREFACE).await;
    let mut answer = Vec::new();
    let end = timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.unwrap();

    assert_eq!(answer, b"", "bytes reached an unauthenticated caller");
    let alert = end.unwrap_err().to_string();
    assert!(alert.contains("received fatal alert"), "{alert}");
    // A gRPC client may not notice before its first call.
    if let Ok(channel) = plugin.connect_as(certificate).await {
        HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap_err();
    }
}

/// The host is served as if nothing had happened.
async fn assert_answers(plugin: Plugin) {
    let host = Host::of(plugin).await.unwrap();
    HealthClient::new(host.channel()).check(HealthCheckRequest { service: "plugin".to_owned() }).await.unwrap();
    host.shut_down().await.unwrap();
}
