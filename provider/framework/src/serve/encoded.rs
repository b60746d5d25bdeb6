//! `GetProviderSchema` as bytes: the answer is described and encoded once, and copied from then on.
//!
//! The generated service would copy the answer as a tree of messages and encode that, for each request anew. So this one
//! stands before it and answers that request itself.
//!
//! **Invariant:** on the wire the answer is what the generated service would give.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use prost::Message;
use prost::bytes::{BufMut, Bytes};
use tfplugin_proto::tfplugin6::get_provider_schema;
use tfplugin_proto::tfplugin6::provider_server::{Provider as ProviderRpc, ProviderServer};
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::{Grpc, NamedService, UnaryService};

const PATH: &str = "/tfplugin6.Provider/GetProviderSchema";

/// A provider's service on the wire.
pub(crate) struct Encoded<S> {
    generated: ProviderServer<S>,
    schema: Schema<S>,
    limit: usize,
}

impl<S: ProviderRpc> Encoded<S> {
    /// Serves messages of up to `limit` bytes.
    pub(crate) fn new(service: S, limit: usize) -> Self {
        let service = Arc::new(service);
        let generated = ProviderServer::from_arc(Arc::clone(&service))
            .max_decoding_message_size(limit)
            .max_encoding_message_size(limit);
        Self { generated, schema: Schema { service, encoded: Arc::default() }, limit }
    }
}

impl<S> Clone for Encoded<S> {
    fn clone(&self) -> Self {
        Self { generated: self.generated.clone(), schema: self.schema.clone(), limit: self.limit }
    }
}

impl<S: ProviderRpc> NamedService for Encoded<S> {
    const NAME: &'static str = <ProviderServer<S> as NamedService>::NAME;
}

impl<S: ProviderRpc> Service<Request<Body>> for Encoded<S> {
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
        let (schema, limit) = (self.schema.clone(), self.limit);
        Box::pin(async move {
            let mut grpc = Grpc::new(AsBytes).apply_max_message_size_config(Some(limit), Some(limit));
            Ok(grpc.unary(schema, request).await)
        })
    }
}

/// Answers the one request.
struct Schema<S> {
    service: Arc<S>,
    encoded: Arc<OnceLock<Bytes>>,
}

impl<S> Clone for Schema<S> {
    fn clone(&self) -> Self {
        Self { service: Arc::clone(&self.service), encoded: Arc::clone(&self.encoded) }
    }
}

impl<S: ProviderRpc> Schema<S> {
    async fn bytes(&self, request: tonic::Request<get_provider_schema::Request>) -> Result<Bytes, Status> {
        if let Some(bytes) = self.encoded.get() {
            return Ok(bytes.clone());
        }
        let answer = self.service.get_provider_schema(request).await?.into_inner();
        let bytes = Bytes::from(answer.encode_to_vec());
        // What went wrong once is tried again.
        Ok(if answer.diagnostics.is_empty() { self.encoded.get_or_init(|| bytes).clone() } else { bytes })
    }
}

impl<S: ProviderRpc> UnaryService<get_provider_schema::Request> for Schema<S> {
    type Response = Bytes;
    type Future = BoxFuture<tonic::Response<Bytes>, Status>;

    fn call(&mut self, request: tonic::Request<get_provider_schema::Request>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { this.bytes(request).await.map(tonic::Response::new) })
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
