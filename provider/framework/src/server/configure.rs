//! `ConfigureProvider` and `StopProvider`: the beginning and the end of a session.
//!
//! **Invariant:** configuring again replaces the configuration of this connection and of no other; unknown values are no
//! error, since plans are made with them.

use std::sync::Arc;

use tfplugin_proto::tfplugin6::{configure_provider, stop_provider};

use crate::context::Configured;
use crate::diagnostics::Diagnostics;
use crate::plan_steps::with_defaults;
use crate::provider::Provider;
use crate::secrets;
use crate::value::Value;

use super::{Call, running};

/// Takes the provider block.
pub(super) async fn configure<P: Provider>(
    call: &Call<'_, P>,
    request: &configure_provider::Request,
) -> Result<configure_provider::Response, Diagnostics> {
    let registry = call.registry;
    // Should this fail, what was configured before must not be used in its place.
    call.session.begin(Vec::new());
    let config = match registry.decode_block(request.config.as_ref())? {
        Value::Null => Value::object(registry.schema.attributes.iter().map(|a| (a.name, Value::Null))),
        config => config,
    };
    call.session.begin(secrets::of(&registry.schema.attributes, &config));
    let unknown = unknown_attributes(&config);
    let configured = if unknown.is_empty() {
        let config = with_defaults(&registry.schema.attributes, config);
        let context = call.session.context(None);
        let work = registry.provider.configure(&config);
        Configured::Known(Arc::new(running::run(&context, None, "configure the provider", work).await?))
    } else {
        Configured::Unknown(unknown)
    };
    call.session.configure(configured);
    Ok(configure_provider::Response::default())
}

/// The attributes that are not wholly known.
fn unknown_attributes(config: &Value) -> Vec<String> {
    if config.is_unknown() {
        return vec!["everything".to_owned()];
    }
    let unknown = config.as_map().into_iter().flatten().filter(|(_, value)| !value.is_wholly_known());
    unknown.map(|(name, _)| name.clone()).collect()
}

/// Asks what runs to end soon.
pub(super) fn stop<P: Provider>(call: &Call<'_, P>) -> stop_provider::Response {
    tracing::info!("the CLI asks to stop");
    call.session.stop();
    stop_provider::Response::default()
}
