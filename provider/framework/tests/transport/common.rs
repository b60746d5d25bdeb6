//! Where the provider under test is, and small helpers.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, process};

use serde_json::json;
use tfplugin::codec::msgpack;
use tfplugin::testing::{Launch, Plugin};
use tfplugin::{Type, Value};
use tfplugin_proto::tfplugin6::provider_client::ProviderClient;
use tfplugin_proto::tfplugin6::{DynamicValue, configure_provider, read_data_source};
use tokio::time::{Instant, sleep};
use tonic::transport::Channel;

use crate::examples::example;

/// What a read says that was told to stop.
pub(crate) const AS_ASKED: &str =
    "Stopped: As asked.\n\nThe run was stopped, and this with it. Plan again to see what is left to do.";

/// The provider under test.
pub(crate) fn binary() -> PathBuf {
    example("tiny_provider")
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

/// Gives the provider its greeting.
pub(crate) async fn configure(client: &mut ProviderClient<Channel>, greeting: &str) {
    let config = Some(DynamicValue {
        json: json!({ "greeting": greeting, "secret": "geheim" }).to_string().into(),
        msgpack: Vec::new(),
    });
    let request = configure_provider::Request { config, ..Default::default() };
    assert_eq!(client.configure_provider(request).await.unwrap().into_inner().diagnostics, []);
}

/// Asks for the greeting, or for an error's text. With a folder, this waits to be stopped.
pub(crate) async fn greeting(client: &mut ProviderClient<Channel>, wait_in: Option<&Path>) -> Result<String, String> {
    let config = json!({ "greeting": null, "wait_in": wait_in });
    let request = read_data_source::Request {
        type_name: "tiny_greeting".to_owned(),
        config: Some(DynamicValue { json: config.to_string().into(), msgpack: Vec::new() }),
        ..Default::default()
    };
    let response = client.read_data_source(request).await.map_err(|status| status.to_string())?.into_inner();
    if let Some(error) = response.diagnostics.first() {
        return Err(format!("{}: {}", error.summary, error.detail));
    }
    let ty = Type::Object(["greeting", "wait_in"].map(|name| (name.to_owned(), Type::String)).into());
    let Value::Map(state) = msgpack::decode(&response.state.unwrap().msgpack, &ty).unwrap() else {
        panic!("a data source is an object");
    };
    match &state["greeting"] {
        Value::String(greeting) => Ok(greeting.clone()),
        other => panic!("not a greeting: {other:?}"),
    }
}
