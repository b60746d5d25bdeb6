//! `GetProviderSchema` as bytes: the answer is described and encoded once, and copied from then on.
//!
//! The generated service would copy the answer as a tree of messages and encode that, for each request anew. So this one
//! stands before it and answers that request itself.
//!
//! **Invariant:** on the wire the answer is what the generated service would give.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use prost::Message;
use prost::bytes::{BufMut, Bytes};
use tfplugin_proto::tfplugin6::get_provider_schema;
use tfplugin_proto::tfplugin6::provider_server::{Provider as _, ProviderServer};
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::{Grpc, NamedService, UnaryService};

use crate::provider::Provider;

use super::ProviderService;

const PATH: &str = "/tfplugin6.Provider/GetProviderSchema";

impl<P: Provider> ProviderService<P> {
    /// The encoded answer to `GetProviderSchema`.
    pub(crate) async fn encoded_schema(&self) -> Result<Bytes, Status> {
        if let Some(bytes) = self.registry.encoded.get() {
            return Ok(bytes.clone());
        }
        let request = tonic::Request::new(get_provider_schema::Request {});
        let answer = self.get_provider_schema(request).await?.into_inner();
        let bytes = Bytes::from(answer.encode_to_vec());
        // What went wrong once is tried again.
        Ok(if answer.diagnostics.is_empty() { self.registry.encoded.get_or_init(|| bytes).clone() } else { bytes })
    }
}

/// The provider's service on the wire.
pub(crate) struct Encoded<P: Provider> {
    service: Arc<ProviderService<P>>,
    generated: ProviderServer<ProviderService<P>>,
    limit: usize,
}

impl<P: Provider> Encoded<P> {
    /// Serves messages of up to `limit` bytes.
    pub(crate) fn new(service: Arc<ProviderService<P>>, limit: usize) -> Self {
        let generated = ProviderServer::from_arc(Arc::clone(&service))
            .max_decoding_message_size(limit)
            .max_encoding_message_size(limit);
        Self { service, generated, limit }
    }
}

impl<P: Provider> Clone for Encoded<P> {
    fn clone(&self) -> Self {
        Self { service: Arc::clone(&self.service), generated: self.generated.clone(), limit: self.limit }
    }
}

impl<P: Provider> NamedService for Encoded<P> {
    const NAME: &'static str = <ProviderServer<ProviderService<P>> as NamedService>::NAME;
}

impl<P: Provider> Service<Request<Body>> for Encoded<P> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Body>>::poll_ready(&mut self.generated, cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.uri().path() != PATH {
            return self.generated.call(request);
        }
        let (schema, limit) = (Schema(Arc::clone(&self.service)), self.limit);
        Box::pin(async move {
            let mut grpc = Grpc::new(AsBytes).apply_max_message_size_config(Some(limit), Some(limit));
            Ok(grpc.unary(schema, request).await)
        })
    }
}

/// Answers the one request.
struct Schema<P: Provider>(Arc<ProviderService<P>>);

impl<P: Provider> UnaryService<get_provider_schema::Request> for Schema<P> {
    type Response = Bytes;
    type Future = BoxFuture<tonic::Response<Bytes>, Status>;

    fn call(&mut self, _: tonic::Request<get_provider_schema::Request>) -> Self::Future {
        let service = Arc::clone(&self.0);
        Box::pin(async move { service.encoded_schema().await.map(tonic::Response::new) })
    }
}

/// Requests are decoded, answers are encoded already.
#[derive(Clone, Copy)]
struct AsBytes;

impl Codec for AsBytes {
    type Encode = Bytes;
    type Decode = get_provider_schema::Request;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for AsBytes {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, bytes: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(bytes.len());
        buffer.put(bytes);
        Ok(())
    }
}

impl Decoder for AsBytes {
    type Item = get_provider_schema::Request;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        Message::decode(buffer).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
