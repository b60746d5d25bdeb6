//! The services beside the provider's own, and the sizes of messages.

use tfplugin::testing::Host;
use tfplugin_proto::health::health_check_response::ServingStatus;
use tfplugin_proto::health::health_client::HealthClient;
use tfplugin_proto::health::{HealthCheckRequest, HealthListRequest};
use tfplugin_proto::plugin::grpc_stdio_client::GrpcStdioClient;
use tfplugin_proto::tfplugin6::{DynamicValue, get_provider_schema, list_resource};
use tonic::Code;

use crate::common::launch;

#[tokio::test]
async fn health_knows_the_plugin_and_nothing_else() {
    let (launch, _folder) = launch();
    let host = Host::of(launch.start().await.unwrap()).await.unwrap();
    let mut health = HealthClient::new(host.channel());
    let of = |service: &str| HealthCheckRequest { service: service.to_owned() };

    for service in ["plugin", ""] {
        let response = health.check(of(service)).await.unwrap().into_inner();
        assert_eq!(response.status(), ServingStatus::Serving);
    }
    assert_eq!(health.check(of("other")).await.unwrap_err().code(), Code::NotFound);

    let all = health.list(HealthListRequest {}).await.unwrap().into_inner().statuses;
    assert_eq!(all["plugin"].status(), ServingStatus::Serving);

    let mut known = health.watch(of("plugin")).await.unwrap().into_inner();
    assert_eq!(known.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let mut unknown = health.watch(of("other")).await.unwrap().into_inner();
    assert_eq!(unknown.message().await.unwrap().unwrap().status(), ServingStatus::ServiceUnknown);
    host.shut_down().await.unwrap();
    assert_eq!(known.message().await.unwrap(), None);
}

#[tokio::test]
async fn stdio_and_broker_stay_open_until_the_end() {
    let (launch, _folder) = launch();
    let host = Host::of(launch.start().await.unwrap()).await.unwrap();
    let mut stdio = GrpcStdioClient::new(host.channel()).stream_stdio(()).await.unwrap().into_inner();
    for _ in 0..100 {
        HealthClient::new(host.channel()).check(HealthCheckRequest::default()).await.unwrap();
        assert!(host.streams_are_open());
    }
    host.shut_down().await.unwrap();
    assert_eq!(stdio.message().await.unwrap(), None);
}

#[tokio::test]
async fn an_rpc_that_is_not_there_is_unimplemented() {
    let (launch, _folder) = launch();
    let host = Host::of(launch.start().await.unwrap()).await.unwrap();
    let status = host.client().list_resource(list_resource::Request::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test]
async fn messages_may_have_many_megabytes() {
    let (launch, _folder) = launch();
    let host = Host::of(launch.start().await.unwrap()).await.unwrap();
    let request = |megabytes: usize| list_resource::Request {
        config: Some(DynamicValue { msgpack: vec![0xc0; megabytes << 20], json: Vec::new() }),
        ..Default::default()
    };
    // Decoded and passed on, to an RPC that is not there.
    let status = host.client().list_resource(request(100)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented, "{status}");
    let status = host.client().list_resource(request(256)).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
}

#[tokio::test]
async fn the_schema_is_described_and_encoded_once() {
    let (launch, _folder) = launch();
    let host = Host::of(launch.env("TF_LOG", "trace").start().await.unwrap()).await.unwrap();
    let mut answers = Vec::new();
    for _ in 0..3 {
        let request = get_provider_schema::Request {};
        answers.push(host.client().get_provider_schema(request).await.unwrap().into_inner());
    }
    assert!(answers[0].data_source_schemas.contains_key("tiny_greeting"));
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let log = host.shut_down().await.unwrap().stderr;
    let described = log.iter().filter(|line| line.contains("answered") && line.contains("get_provider_schema"));
    assert_eq!(described.count(), 1, "{log:#?}");
}
