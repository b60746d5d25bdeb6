//! The services that go-plugin expects beside the provider's own: controller, stdio, broker and health.
//!
//! **Invariant:** streams the host opens at once stay open and silent until the process ends.

use std::collections::BTreeMap;
use std::future::ready;

use futures_util::{StreamExt, stream};
use tfplugin_proto::health::health_check_response::ServingStatus;
use tfplugin_proto::health::health_server::Health;
use tfplugin_proto::health::{HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse};
use tfplugin_proto::plugin::grpc_broker_server::GrpcBroker;
use tfplugin_proto::plugin::grpc_controller_server::GrpcController;
use tfplugin_proto::plugin::grpc_stdio_server::GrpcStdio;
use tfplugin_proto::plugin::{ConnInfo, Empty, StdioData};
use tokio_util::sync::CancellationToken;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

/// All four services.
#[derive(Clone)]
pub(crate) struct Companions {
    /// Ends the process; in-flight requests are answered first.
    pub(crate) process: CancellationToken,
}

#[tonic::async_trait]
impl GrpcController for Companions {
    async fn shutdown(&self, _request: Request<Empty>) -> Result<Response<Empty>, Status> {
        tracing::debug!("the host asks to shut down");
        self.process.cancel();
        Ok(Response::new(Empty {}))
    }
}

#[tonic::async_trait]
impl GrpcStdio for Companions {
    async fn stream_stdio(&self, _request: Request<()>) -> Result<Response<BoxStream<StdioData>>, Status> {
        Ok(Response::new(silence(self.process.clone().cancelled_owned())))
    }
}

#[tonic::async_trait]
impl GrpcBroker for Companions {
    async fn start_stream(
        &self,
        request: Request<Streaming<ConnInfo>>,
    ) -> Result<Response<BoxStream<ConnInfo>>, Status> {
        let (process, mut host) = (self.process.clone(), request.into_inner());
        Ok(Response::new(silence(async move {
            tokio::select! {
                () = process.cancelled() => {}
                // Nothing here opens further connections, so whatever the host says is read and dropped.
                () = async { while let Ok(Some(_)) = host.message().await {} } => {}
            }
        })))
    }
}

#[tonic::async_trait]
impl Health for Companions {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        match request.into_inner().service.as_str() {
            "" | SERVICE => Ok(Response::new(status(ServingStatus::Serving))),
            other => Err(Status::not_found(format!("there is no service {other:?}"))),
        }
    }

    async fn list(&self, _request: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        let statuses = BTreeMap::from([(SERVICE.to_owned(), status(ServingStatus::Serving))]);
        Ok(Response::new(HealthListResponse { statuses }))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<BoxStream<HealthCheckResponse>>, Status> {
        let now = match request.into_inner().service.as_str() {
            "" | SERVICE => ServingStatus::Serving,
            _ => ServingStatus::ServiceUnknown,
        };
        let then = silence(self.process.clone().cancelled_owned());
        Ok(Response::new(Box::pin(stream::once(ready(Ok(status(now)))).chain(then))))
    }
}

/// The name that go-plugin asks about.
const SERVICE: &str = "plugin";

fn status(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

fn silence<T: Send + 'static>(until: impl Future<Output = ()> + Send + 'static) -> BoxStream<T> {
    Box::pin(stream::once(until).filter_map(|()| ready(None)))
}
