//! What goes wrong around a resource: panics, timeouts, stops, an unknown provider configuration, two sessions at once.

use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::json;
use tfplugin_proto::tfplugin6 as proto;
use tfplugin_proto::tfplugin6::provider_server::Provider as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Request;

use crate::connection::Connection;
use crate::value::Value;
use crate::wire;

use super::host::{Host, Stored, THING, a_thing, configure_request, encode, encode_as, thing, told};

async fn read_data(host: &Host) -> proto::read_data_source::Response {
    let config = Some(things_config(host));
    let request = proto::read_data_source::Request { type_name: "test_things".into(), config, ..Default::default() };
    host.service.read_data_source(Request::new(request)).await.unwrap().into_inner()
}

async fn open_ephemeral(host: &Host) -> proto::open_ephemeral_resource::Response {
    let request = proto::open_ephemeral_resource::Request {
        type_name: "test_things".into(),
        config: Some(things_config(host)),
        ..Default::default()
    };
    host.service.open_ephemeral_resource(Request::new(request)).await.unwrap().into_inner()
}

fn things_config(host: &Host) -> proto::DynamicValue {
    let ty = host.service.registry.data_sources["test_things"].ty.clone();
    let pairs = [("prefix", "a".into()), ("limit", Value::Null), ("things", Value::Null), ("from", Value::Null)];
    encode_as(&Value::object(pairs), &ty)
}

async fn import(host: &Host) -> proto::import_resource_state::Response {
    let request =
        proto::import_resource_state::Request { type_name: THING.into(), id: "a".into(), ..Default::default() };
    host.service.import_resource_state(Request::new(request)).await.unwrap().into_inner()
}

/// A thing that was made, and the plans to update and to destroy it.
async fn made(host: &Host) -> (Stored, proto::plan_resource_change::Response, proto::plan_resource_change::Response) {
    let stored = host.make(&Stored::default(), &a_thing(&json!({}))).await;
    let update = host.plan(&stored, &a_thing(&json!({"note": "n"}))).await;
    let destroy = host.plan(&stored, &Value::Null).await;
    (stored, update, destroy)
}

/// What a request in trouble told, by the name of the operation.
async fn diagnostics_of(host: &Host, operation: &str) -> Vec<proto::Diagnostic> {
    host.set_fault("");
    let (stored, update, destroy) = made(host).await;
    let create = host.plan(&Stored::default(), &a_thing(&json!({}))).await;
    let config = a_thing(&json!({"note": "n"}));
    // An ephemeral resource is its data source.
    host.set_fault(&operation.replace("ephemeral", "data"));
    match operation.rsplit(' ').next().unwrap() {
        "plan" => host.plan(&Stored::default(), &config).await.diagnostics,
        "plan_destroy" => host.plan(&stored, &Value::Null).await.diagnostics,
        "read" => host.read(&stored).await.diagnostics,
        "create" => host.apply(&Value::Null, &a_thing(&json!({})), &create).await.diagnostics,
        "update" => host.apply(&stored.value, &config, &update).await.diagnostics,
        "delete" => host.apply(&stored.value, &Value::Null, &destroy).await.diagnostics,
        "import" => import(host).await.diagnostics,
        "data" => read_data(host).await.diagnostics,
        "ephemeral" => open_ephemeral(host).await.diagnostics,
        other => panic!("{other}"),
    }
}

const OPERATIONS: [&str; 9] =
    ["plan", "plan_destroy", "read", "create", "update", "delete", "import", "data", "ephemeral"];

#[tokio::test]
async fn a_panic_ends_one_request_with_one_message() {
    let host = Host::configured().await;
    for operation in OPERATIONS {
        let diagnostics = diagnostics_of(&host, &format!("panic in {operation}")).await;
        assert_eq!(told(&diagnostics), ["error : Provider bug: it panicked"], "{operation}");
        let detail = &diagnostics[0].detail;
        let inside = operation.replace("ephemeral", "data");
        assert!(detail.contains(&format!("the sky fell in {inside}")) && detail.contains("report"), "{detail}");
    }
    host.set_fault("panic in configure");
    assert_eq!(told(&host.configure("db".into()).await), ["error : Provider bug: it panicked"]);
    host.set_fault("panic in validate");
    let config = Some(encode(&a_thing(&json!({}))));
    let request = proto::validate_resource_config::Request { type_name: THING.into(), config, ..Default::default() };
    let response = host.service.validate_resource_config(Request::new(request)).await.unwrap().into_inner();
    assert_eq!(told(&response.diagnostics), ["error : Provider bug: it panicked"]);
    host.set_fault("panic in validate provider");
    let request = proto::validate_provider_config::Request { config: configure_request("db".into()).config };
    let response = host.service.validate_provider_config(Request::new(request)).await.unwrap().into_inner();
    assert_eq!(told(&response.diagnostics), ["error : Provider bug: it panicked"]);
    host.set_fault("panic in validate data");
    let (type_name, config) = ("test_things".to_owned(), Some(things_config(&host)));
    let request =
        proto::validate_data_resource_config::Request { type_name: type_name.clone(), config: config.clone() };
    let response = host.service.validate_data_resource_config(Request::new(request)).await.unwrap().into_inner();
    assert_eq!(told(&response.diagnostics), ["error : Provider bug: it panicked"]);
    let request = proto::validate_ephemeral_resource_config::Request { type_name, config };
    let response = host.service.validate_ephemeral_resource_config(Request::new(request)).await.unwrap().into_inner();
    assert_eq!(told(&response.diagnostics), ["error : Provider bug: it panicked"]);
    host.set_fault("panic in upgrade");
    let raw_state = Some(proto::RawState { json: br#"{"title":"a"}"#.to_vec(), ..Default::default() });
    let request = proto::upgrade_resource_state::Request { type_name: THING.into(), version: 0, raw_state };
    let response = host.service.upgrade_resource_state(Request::new(request)).await.unwrap().into_inner();
    assert_eq!(told(&response.diagnostics), ["error : Provider bug: it panicked"]);
    host.set_fault("panic in move");
    let request = proto::move_resource_state::Request { target_type_name: THING.into(), ..Default::default() };
    let response = host.service.move_resource_state(Request::new(request)).await.unwrap().into_inner();
    assert_eq!(told(&response.diagnostics), ["error : Provider bug: it panicked"]);
    let request = proto::call_function::Request {
        name: "join".into(),
        arguments: ["panic", "b"].map(|text| encode_as(&text.into(), &crate::types::Type::String)).to_vec(),
    };
    let response = host.service.call_function(Request::new(request)).await.unwrap().into_inner();
    assert!(response.error.unwrap().text.contains("the sky fell"));
    host.set_fault("");
    assert_eq!(host.configure("db".into()).await, []);
    assert_eq!(host.plan(&Stored::default(), &a_thing(&json!({}))).await.diagnostics, [], "and the process lives on");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_is_given_up_after_its_timeout_and_a_grace_period() {
    let host = Host::configured().await;
    for (operation, limit, name) in [
        ("plan", 300, "read"),
        ("plan_destroy", 300, "read"),
        ("read", 300, "read"),
        ("create", 1200, "create"),
        ("update", 1200, "update"),
        ("delete", 1200, "delete"),
        ("import", 300, "read"),
        ("data", 300, "read"),
        ("ephemeral", 300, "read"),
    ] {
        let started = Instant::now();
        let diagnostics = diagnostics_of(&host, &format!("hang in {operation}")).await;
        assert_eq!(started.elapsed(), Duration::from_secs(limit + 10), "{operation}");
        assert_eq!(told(&diagnostics), ["error : Timeout"], "{operation}");
        let detail = &diagnostics[0].detail;
        assert!(detail.contains(&format!("The {name} timeout of")) && detail.contains("(the default)"), "{detail}");
        // The data source of these tests has no attribute for it.
        let adjustable = !matches!(operation, "data" | "ephemeral");
        assert_eq!(detail.contains(&format!("timeouts = {{ {name} = ")), adjustable, "{detail}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_users_timeout_counts_and_an_error_that_came_of_it_says_so() {
    let host = Host::configured().await;
    let config = a_thing(&json!({"timeouts": {"create": "1m30s"}}));
    let plan = host.plan(&Stored::default(), &config).await;
    host.set_fault("fail when told to stop in create");
    let started = Instant::now();
    let applied = host.apply(&Value::Null, &config, &plan).await;
    assert_eq!(started.elapsed(), Duration::from_secs(90), "it ended by itself");
    assert_eq!(told(&applied.diagnostics), ["error : Cancelled"]);
    let detail = &applied.diagnostics[0].detail;
    assert!(detail.starts_with("rolled back\n\nThe create timeout of 1m30s had passed."), "{detail}");
    assert!(detail.contains("timeouts = { create = \"3m\" }"), "{detail}");
    assert!(wire::is_null(applied.new_state.as_ref()));
}

#[tokio::test(start_paused = true)]
async fn a_stop_reaches_what_runs() {
    let host = Host::configured().await;
    let stop = || host.service.stop_provider(Request::new(proto::stop_provider::Request {}));
    for operation in OPERATIONS {
        for (fault, seconds, summary) in
            [("fail when told to stop in", 5, "error : Cancelled"), ("hang in", 15, "error : Stopped")]
        {
            assert_eq!(host.configure("db".into()).await, []);
            let started = Instant::now();
            let fault = format!("{fault} {operation}");
            let (diagnostics, stopped) = tokio::join!(diagnostics_of(&host, &fault), async {
                tokio::time::sleep(Duration::from_secs(5)).await;
                stop().await.unwrap().into_inner()
            });
            assert_eq!(stopped.error, "");
            assert_eq!(started.elapsed(), Duration::from_secs(seconds), "{fault}");
            assert_eq!(told(&diagnostics), [summary], "{fault}");
            assert!(diagnostics[0].detail.contains("The run was stopped"), "{fault}: {diagnostics:?}");
            assert!(!diagnostics[0].detail.contains("timeout"), "{diagnostics:?}");
        }
    }
    host.set_fault("");
    assert_eq!(told(&import(&host).await.diagnostics), ["error : Stopped"], "and nothing starts any more");
    assert_eq!(host.configure("db".into()).await, []);
    assert_eq!(import(&host).await.diagnostics, [], "until the provider is configured again");
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_the_provider_is_configured_is_not_forgotten() {
    let host = Host::new();
    host.set_fault("hang in configure");
    let stop = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        host.service.stop_provider(Request::new(proto::stop_provider::Request {})).await.unwrap()
    };
    let (diagnostics, _) = tokio::join!(host.configure("db".into()), stop);
    assert_eq!(told(&diagnostics), ["error : Stopped"]);
    assert!(diagnostics[0].detail.contains("configure the provider"), "{diagnostics:?}");
    host.set_fault("");
    assert_eq!(told(&import(&host).await.diagnostics), ["error : The provider is not configured"]);
}

#[tokio::test]
async fn every_error_and_warning_of_an_operation_arrives() {
    let host = Host::configured().await;
    for operation in OPERATIONS {
        let diagnostics = diagnostics_of(&host, &format!("warn and fail in {operation}")).await;
        assert_eq!(told(&diagnostics), ["warning : Beware", "error : One", "error : Two"], "{operation}");
    }
}

#[tokio::test]
async fn a_panic_does_not_tell_what_is_sensitive() {
    let host = Host::new();
    let block =
        Value::object([("host", "db".into()), ("password", "of the \"block\"".into()), ("retries", Value::Null)]);
    let ty = host.service.registry.ty.clone();
    let request = || proto::configure_provider::Request { config: Some(encode_as(&block, &ty)), ..Default::default() };
    host.set_fault("panic in configure");
    let response = host.service.configure_provider(Request::new(request())).await.unwrap().into_inner();
    let detail = &response.diagnostics[0].detail;
    assert!(detail.contains("the sky fell on") && detail.contains("\"db\""), "{detail}");
    assert!(!detail.contains("of the"), "{detail}");

    host.set_fault("");
    let response = host.service.configure_provider(Request::new(request())).await.unwrap().into_inner();
    assert_eq!(response.diagnostics, []);
    let config = a_thing(&json!({"password": "of the resource"}));
    let plan = host.plan(&Stored::default(), &config).await;
    host.set_fault("panic with secrets in create");
    let applied = host.apply(&Value::Null, &config, &plan).await;
    assert_eq!(told(&applied.diagnostics), ["error : Provider bug: it panicked"]);
    let detail = &applied.diagnostics[0].detail;
    assert!(detail.contains("no String(\"***\") or String(\"***\") in sight"), "{detail}");
}

#[tokio::test]
async fn with_an_unknown_provider_configuration_plans_work_and_reads_wait() {
    let host = Host::configured().await;
    let (stored, ..) = made(&host).await;
    assert_eq!(host.configure(Value::unknown()).await, []);
    host.log();

    let read = host.read(&stored).await;
    assert_eq!(told(&read.diagnostics), ["warning : Not refreshed: the provider's configuration is not known yet"]);
    assert!(read.diagnostics[0].detail.contains("host of the provider block"), "{:?}", read.diagnostics);
    assert_eq!(read.new_state, Some(encode(&stored.value)));
    assert_eq!((read.private, read.new_identity), (stored.private.clone(), stored.identity.clone()));
    assert_eq!(host.log(), [""; 0], "nothing was asked");

    let plan = host.plan(&stored, &a_thing(&json!({"note": "n"}))).await;
    assert_eq!(plan.diagnostics, []);
    assert!(host.log()[1].starts_with("planned with unknown host"));

    let data = read_data(&host).await;
    assert_eq!(told(&data.diagnostics), ["error : The provider's configuration is not known yet"]);
    assert!(data.diagnostics[0].detail.contains("Cannot read test_things: host of the provider block"));
    assert_eq!(told(&import(&host).await.diagnostics), ["error : The provider's configuration is not known yet"]);
    let applied = host.apply(&stored.value, &a_thing(&json!({"note": "n"})), &plan).await;
    assert_eq!(told(&applied.diagnostics), ["error : The provider's configuration is not known yet"]);
}

#[tokio::test]
async fn without_a_configuration_nothing_but_plans_and_checks_work() {
    let host = Host::new();
    assert_eq!(host.plan(&Stored::default(), &a_thing(&json!({}))).await.diagnostics, []);
    assert_eq!(told(&import(&host).await.diagnostics), ["error : The provider is not configured"]);
    assert_eq!(host.configure("db".into()).await, []);
    assert_eq!(told(&host.configure("refuse".into()).await), ["error host: Refused"]);
    assert_eq!(
        told(&import(&host).await.diagnostics),
        ["error : The provider is not configured"],
        "the earlier configuration does not stand in for one that failed"
    );
}

#[tokio::test]
async fn two_connections_share_nothing() {
    let host = Host::new();
    let process = CancellationToken::new();
    let (first, second) = (Connection::new(1, &process), Connection::new(2, &process));
    for (connection, name) in [(&first, "one"), (&second, "two")] {
        let request = on(connection, configure_request(name.into()));
        host.service.configure_provider(request).await.unwrap();
    }
    let plan = || proto::plan_resource_change::Request {
        type_name: THING.into(),
        proposed_new_state: Some(encode(&a_thing(&json!({})))),
        config: Some(encode(&a_thing(&json!({})))),
        ..Default::default()
    };
    let mut stop = Request::new(proto::stop_provider::Request {});
    stop.extensions_mut().insert(second.clone());
    host.service.stop_provider(stop).await.unwrap();
    let response = host.service.plan_resource_change(on(&first, plan())).await.unwrap().into_inner();
    assert_eq!(response.diagnostics, []);
    assert!(host.log()[1].starts_with("planned with one"));
    let response = host.service.plan_resource_change(on(&second, plan())).await.unwrap().into_inner();
    assert_eq!(told(&response.diagnostics), ["error : Stopped"]);
    process.cancel();
    let response = host.service.plan_resource_change(on(&first, plan())).await.unwrap().into_inner();
    assert_eq!(told(&response.diagnostics), ["error : Stopped"], "the end of the process stops all");
}

#[tokio::test(start_paused = true)]
async fn two_connections_that_work_at_the_same_time_are_configured_and_stopped_apart() {
    let host = Host::new();
    let process = CancellationToken::new();
    let aliases = [Connection::new(1, &process), Connection::new(2, &process)];
    let configure = async |alias: &Connection, name: &str| {
        let request = on(alias, configure_request(name.into()));
        assert_eq!(host.service.configure_provider(request).await.unwrap().into_inner().diagnostics, []);
    };
    let stop = async |alias: &Connection| {
        host.service.stop_provider(on(alias, proto::stop_provider::Request {})).await.unwrap();
    };
    let plan = async |alias: &Connection, name: &str| {
        let proposed = Some(encode(&thing(&json!({"name": name}))));
        let request = proto::plan_resource_change::Request {
            type_name: THING.into(),
            config: proposed.clone(),
            proposed_new_state: proposed,
            ..Default::default()
        };
        host.service.plan_resource_change(on(alias, request)).await.unwrap().into_inner()
    };
    let apply = async |alias: &Connection, name: &str, plan: proto::plan_resource_change::Response| {
        let request = proto::apply_resource_change::Request {
            type_name: THING.into(),
            planned_state: plan.planned_state,
            config: Some(encode(&thing(&json!({"name": name})))),
            planned_private: plan.planned_private,
            planned_identity: plan.planned_identity,
            ..Default::default()
        };
        told(&host.service.apply_resource_change(on(alias, request)).await.unwrap().into_inner().diagnostics)
    };
    configure(&aliases[0], "one").await;
    configure(&aliases[1], "two").await;
    let plans = [plan(&aliases[0], "a").await, plan(&aliases[1], "b").await];
    let seen: Vec<_> = host.log().into_iter().filter(|line| line.starts_with("planned with")).collect();
    assert!(seen[0].starts_with("planned with one,") && seen[1].starts_with("planned with two,"), "{seen:?}");

    host.set_fault("fail when told to stop in create");
    let [first_plan, second_plan] = plans;
    let mut first = Box::pin(apply(&aliases[0], "a", first_plan));
    let mut second = Box::pin(apply(&aliases[1], "b", second_plan));
    assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none(), "both wait");

    stop(&aliases[1]).await;
    assert_eq!(second.await, ["error : Cancelled"]);
    assert!((&mut first).now_or_never().is_none(), "the first goes on");
    host.set_fault("");
    assert_eq!(told(&plan(&aliases[1], "b").await.diagnostics), ["error : Stopped"]);
    configure(&aliases[1], "three").await;
    let again = plan(&aliases[1], "b").await;
    assert_eq!(apply(&aliases[1], "b", again).await, [""; 0], "configured anew, it works again");
    assert!((&mut first).now_or_never().is_none(), "and the first still goes on");
    stop(&aliases[0]).await;
    assert_eq!(first.await, ["error : Cancelled"]);
    assert_eq!(plan(&aliases[1], "c").await.diagnostics, []);
    let last = host.log().into_iter().rfind(|line| line.starts_with("planned with")).unwrap();
    assert!(last.starts_with("planned with three,"), "{last}");
}

/// A request that comes by this connection.
fn on<T>(connection: &Connection, request: T) -> Request<T> {
    let mut request = Request::new(request);
    request.extensions_mut().insert(connection.clone());
    request
}
