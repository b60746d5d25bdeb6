//! The requests of ephemeral resources: read like a data source, remembered nowhere.
//!
//! **Invariant:** nothing is kept between opening and closing, so there is nothing to renew or to close.

use tfplugin_proto::tfplugin6::{close_ephemeral_resource, open_ephemeral_resource, renew_ephemeral_resource};

use crate::checks::state::EPHEMERAL;
use crate::diagnostics::Diagnostics;
use crate::provider::Provider;

use super::Call;
use super::data_source::read_source;

/// Opens an ephemeral resource.
pub(super) async fn open<P: Provider>(
    call: &Call<'_, P>,
    request: &open_ephemeral_resource::Request,
) -> Result<open_ephemeral_resource::Response, Diagnostics> {
    let data = call.registry.ephemeral_resource(&request.type_name)?;
    let (result, diagnostics) = read_source(call, data, request.config.as_ref(), EPHEMERAL).await?;
    Ok(open_ephemeral_resource::Response { result: Some(result), diagnostics, ..Default::default() })
}

/// Keeps an ephemeral resource open.
pub(super) fn renew<P: Provider>(
    call: &Call<'_, P>,
    request: &renew_ephemeral_resource::Request,
) -> Result<renew_ephemeral_resource::Response, Diagnostics> {
    call.registry.ephemeral_resource(&request.type_name)?;
    Ok(renew_ephemeral_resource::Response { private: request.private.clone(), ..Default::default() })
}

/// Closes an ephemeral resource.
pub(super) fn close<P: Provider>(
    call: &Call<'_, P>,
    request: &close_ephemeral_resource::Request,
) -> Result<close_ephemeral_resource::Response, Diagnostics> {
    call.registry.ephemeral_resource(&request.type_name)?;
    Ok(close_ephemeral_resource::Response::default())
}
