//! What reaches the host's log.

use serde_json::Value;
use tfplugin::testing::Host;

use crate::common::{configure, greeting, launch, names};

#[tokio::test]
async fn lines_are_what_hclog_parses() {
    let (launch, _folder) = launch();
    let plugin = launch.env("TF_LOG", "trace").start().await.unwrap();
    let _ = plugin.connect_as(None).await;
    let ended = Host::of(plugin).await.unwrap().shut_down().await.unwrap();

    assert!(ended.stderr.len() >= 3, "{:?}", ended.stderr);
    for line in &ended.stderr {
        let value: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| value[name].as_str().unwrap_or_else(|| panic!("{name} in {line}")).to_owned();
        assert!(["trace", "debug", "info", "warn", "error"].contains(&text("@level").as_str()), "{line}");
        assert!(!text("@message").is_empty(), "{line}");
        assert!(text("@module").starts_with("tfplugin."), "{line}");
        let timestamp = text("@timestamp");
        assert_eq!(timestamp.len(), "2006-01-02T15:04:05.000000Z".len(), "{line}");
        assert_eq!(timestamp.find('.'), Some(19), "{line}");
    }
    assert!(ended.stderr.iter().any(|line| line.contains("not the host's")));
}

#[tokio::test]
async fn the_narrower_variable_decides_and_silence_is_the_default() {
    for (provider, all, expected) in [
        (None, None, false),
        (None, Some("DEBUG"), true),
        (Some("error"), Some("TRACE"), false),
        (Some("off"), None, false),
    ] {
        let (mut launch, _folder) = launch();
        for (name, value) in [("TF_LOG_PROVIDER", provider), ("TF_LOG", all)] {
            launch = launch.env(name, value.unwrap_or_default());
        }
        let ended = Host::of(launch.start().await.unwrap()).await.unwrap().shut_down().await.unwrap();
        assert_eq!(!ended.stderr.is_empty(), expected, "{provider:?} {all:?} {:?}", ended.stderr);
    }
}

#[tokio::test]
async fn a_panic_is_one_error_line_and_an_answer() {
    let (launch, _folder) = launch();
    let plugin = launch.env("TF_LOG", "error").env("RUST_BACKTRACE", "0").start().await.unwrap();
    let host = Host::of(plugin).await.unwrap();
    configure(&mut host.client(), "panic").await;

    let error = greeting(&mut host.client(), None).await.unwrap_err();
    assert!(error.contains("told to panic with String(\"***\")"), "{error}");
    configure(&mut host.client(), "hello").await;
    assert_eq!(greeting(&mut host.client(), None).await.unwrap(), "hello");

    let lines = host.shut_down().await.unwrap().stderr;
    let [line] = lines.as_slice() else { panic!("not one line: {lines:#?}") };
    assert!(line.contains("a task panicked") && line.contains("***") && !line.contains("geheim"), "{line}");
    let value: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&value["@level"], &value["request"]), (&"error".into(), &"read_data_source".into()));
    assert!(value["location"].as_str().unwrap().contains("tiny_provider.rs:"), "{line}");
    // Terraform takes a line that begins like this for the end of the plugin.
    assert!(!lines.iter().any(|line| line.starts_with("panic: ") || line.contains("\"panic: ")), "{lines:?}");
}

#[tokio::test]
async fn a_panic_that_ends_the_process_begins_as_the_hosts_expect() {
    let (launch, folder) = launch();
    let plugin = launch.env("TINY_PANICS", "1").env("RUST_BACKTRACE", "0").start().await.unwrap();
    let (status, _, lines) = plugin.wait().await.unwrap();
    assert_eq!(status.code(), Some(101));
    assert_eq!(lines[0], "panic: told to panic at the start", "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("tiny_provider.rs:")), "{lines:?}");
    assert_eq!(names(folder.path()), [""; 0]);
}
