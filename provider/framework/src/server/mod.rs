//! The provider service: one file for each request that has logic.
//!
//! A request is decoded by the schema, handed to the resource as plain values, and the answer is checked against the
//! protocol's rules before it is encoded. Errors and warnings travel in the answer; a gRPC status is never used.
//!
//! **Invariant:** whatever a resource does, a panic included, the CLI gets one well-formed answer, and the process lives on.

mod apply;
mod border;
mod configure;
mod data_source;
mod describe;
mod ephemeral;
mod function;
mod generate;
mod import;
mod move_state;
mod places;
mod plan;
mod read;
mod registry;
mod running;
mod session;
mod upgrade;
mod validate;

use std::sync::Arc;

use tfplugin_proto::tfplugin6::{
    apply_resource_change, call_function, close_ephemeral_resource, configure_provider, generate_resource_config,
    get_functions, get_metadata, get_provider_schema, get_resource_identity_schemas, import_resource_state,
    move_resource_state, open_ephemeral_resource, plan_resource_change, read_data_source, read_resource,
    renew_ephemeral_resource, stop_provider, upgrade_resource_identity, upgrade_resource_state,
    validate_data_resource_config, validate_ephemeral_resource_config, validate_provider_config,
    validate_resource_config,
};
use tonic::Extensions;

use crate::connection::Connection;
use crate::provider::Provider;

use self::border::Answer;
use self::session::Session;

pub use self::registry::Registry;

/// The service of one process; what belongs to a configuration is kept with its connection.
pub struct ProviderService<P: Provider> {
    registry: Registry<P>,
    /// For requests that come without a connection, as in tests.
    unconnected: Arc<Session<P::Data>>,
}

impl<P: Provider> ProviderService<P> {
    pub(crate) fn new(provider: P) -> Self {
        Self { registry: Registry::new(provider), unconnected: Arc::default() }
    }

    fn session(&self, extensions: &Extensions) -> Arc<Session<P::Data>> {
        match extensions.get::<Connection>() {
            Some(connection) => {
                let session = connection.state::<Session<P::Data>>();
                session.ends_with(&connection.ended);
                session
            }
            None => Arc::clone(&self.unconnected),
        }
    }
}

/// What each request needs: the provider, and the configuration it belongs to.
pub(crate) struct Call<'a, P: Provider> {
    registry: &'a Registry<P>,
    session: Arc<Session<P::Data>>,
}

/// Implements the service: requests that hold nothing, requests that are answered at once, and those that wait for
/// something. After each stands whose attributes its diagnostics are about, and which field names it.
macro_rules! requests {
    (
        empty { $($empty:ident => $told:path;)* }
        at_once { $($quick:ident => $answer:path, $owner:ident($($name:ident)?);)* }
        waiting { $($method:ident => $work:path, $whose:ident($($of:ident)?);)* }
    ) => {
        #[tonic::async_trait]
        impl<P: Provider> tfplugin_proto::tfplugin6::provider_server::Provider for ProviderService<P> {
            $(async fn $empty(
                &self,
                request: tonic::Request<$empty::Request>,
            ) -> Result<tonic::Response<$empty::Response>, tonic::Status> {
                let call = Call { registry: &self.registry, session: self.session(request.extensions()) };
                let work = async { Ok($told(&call)) };
                Ok(tonic::Response::new(border::answer(stringify!($empty), call.session.secrets(), work).await))
            })*

            $(async fn $quick(
                &self,
                request: tonic::Request<$quick::Request>,
            ) -> Result<tonic::Response<$quick::Response>, tonic::Status> {
                let call = Call { registry: &self.registry, session: self.session(request.extensions()) };
                let request = request.into_inner();
                let work = async { $answer(&call, &request) };
                let mut answer = border::answer(stringify!($quick), call.session.secrets(), work).await;
                places::fit(places::$owner(&self.registry $(, &request.$name)?), answer.told());
                Ok(tonic::Response::new(answer))
            })*

            $(async fn $method(
                &self,
                request: tonic::Request<$method::Request>,
            ) -> Result<tonic::Response<$method::Response>, tonic::Status> {
                let call = Call { registry: &self.registry, session: self.session(request.extensions()) };
                let request = request.into_inner();
                let work = $work(&call, &request);
                let mut answer = border::answer(stringify!($method), call.session.secrets(), work).await;
                places::fit(places::$whose(&self.registry $(, &request.$of)?), answer.told());
                Ok(tonic::Response::new(answer))
            })*
        }
    };
}

requests! {
    empty {
        get_metadata => describe::metadata;
        get_provider_schema => describe::provider_schema;
        get_resource_identity_schemas => describe::identity_schemas;
        stop_provider => configure::stop;
        get_functions => function::list;
    }
    at_once {
        validate_provider_config => validate::provider, provider();
        validate_resource_config => validate::resource, resource(type_name);
        validate_data_resource_config => validate::data_source, data_source(type_name);
        validate_ephemeral_resource_config => validate::ephemeral, ephemeral_resource(type_name);
        upgrade_resource_state => upgrade::state, resource(type_name);
        upgrade_resource_identity => upgrade::identity, resource(type_name);
        move_resource_state => move_state::move_state, resource(target_type_name);
        generate_resource_config => generate::generate, resource(type_name);
        renew_ephemeral_resource => ephemeral::renew, ephemeral_resource(type_name);
        close_ephemeral_resource => ephemeral::close, ephemeral_resource(type_name);
        call_function => function::call, nothing();
    }
    waiting {
        configure_provider => configure::configure, provider();
        read_resource => read::read, resource(type_name);
        plan_resource_change => plan::plan, resource(type_name);
        apply_resource_change => apply::apply, resource(type_name);
        import_resource_state => import::import, resource(type_name);
        read_data_source => data_source::read, data_source(type_name);
        open_ephemeral_resource => ephemeral::open, ephemeral_resource(type_name);
    }
}

#[cfg(test)]
mod tests;
