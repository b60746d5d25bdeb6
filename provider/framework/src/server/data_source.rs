//! `ReadDataSource`.
//!
//! **Invariant:** the answer is whole and known, or it is an error.

use tfplugin_proto::tfplugin6 as proto;

use proto::read_data_source;

use crate::checks;
use crate::checks::state::{DATA, DataRules};
use crate::diagnostics::Diagnostics;
use crate::plan_steps::with_defaults;
use crate::provider::Provider;
use crate::timeouts::{self, Operation};
use crate::wire;

use super::registry::DataType;
use super::{Call, running};

/// Reads a data source.
pub(super) async fn read<P: Provider>(
    call: &Call<'_, P>,
    request: &read_data_source::Request,
) -> Result<read_data_source::Response, Diagnostics> {
    let data = call.registry.data_source(&request.type_name)?;
    let (state, diagnostics) = read_source(call, data, request.config.as_ref(), DATA).await?;
    Ok(read_data_source::Response { state: Some(state), diagnostics, deferred: None })
}

/// Reads a data source or its ephemeral twin.
pub(super) async fn read_source<P: Provider>(
    call: &Call<'_, P>,
    data: &DataType<P::Data>,
    config: Option<&proto::DynamicValue>,
    rules: DataRules,
) -> Result<(proto::DynamicValue, Vec<proto::Diagnostic>), Diagnostics> {
    let act = format!("read {}", data.name);
    let config = with_defaults(&data.schema.attributes, data.decode(config)?);
    let limit = Some(timeouts::limit(&data.schema, &config, Operation::Read));
    let context = call.session.configured_context(limit, &act)?;
    let (value, mut diagnostics) = running::told(&context, limit, &act, data.source.read(&context, &config)).await?;
    let violations = checks::state::data(rules, &data.schema.attributes, &config, &value);
    if !violations.is_empty() {
        diagnostics.extend(checks::report(data.name, "the read", violations));
        return Err(diagnostics);
    }
    let value = wire::encode(&value, &data.ty, &format!("result of {}", data.name))?;
    Ok((value, wire::diagnostics(diagnostics)))
}
