//! Values between the host and the wire.
//!
//! Rules: W1, W2, W5 and W6 of every value that is received; T3 nothing is deferred that may not be.

use tfplugin_proto::tfplugin6 as proto;

use crate::codec;
use crate::types::Type;
use crate::value::Value;

use super::bytes;
use super::trouble::{Findings, Trouble};

/// Writes a value.
pub(super) fn encode(value: &Value, ty: &Type) -> Result<proto::DynamicValue, Trouble> {
    match codec::msgpack::encode(value, ty) {
        Ok(msgpack) => Ok(proto::DynamicValue { msgpack, json: Vec::new() }),
        Err(error) => Err(Trouble::host(format!("the value has not the type that the schema says: {error}"))),
    }
}

/// Reads a value and checks its form; `None` when it is so broken that it cannot be read.
pub(super) fn decode(value: Option<&proto::DynamicValue>, ty: &Type, findings: &mut Findings) -> Option<Value> {
    let Some(value) = value.filter(|value| !value.msgpack.is_empty() || !value.json.is_empty()) else {
        return Some(Value::Null);
    };
    let before = findings.found.len();
    let decoded = if value.msgpack.is_empty() {
        serde_json::from_slice(&value.json)
            .map_err(|error| error.to_string())
            .and_then(|json| codec::json::decode(&json, ty).map_err(|error| error.to_string()))
    } else {
        bytes::check(&value.msgpack, ty, findings);
        codec::msgpack::decode(&value.msgpack, ty).map_err(|error| error.to_string())
    };
    match decoded {
        Ok(value) => Some(value),
        Err(error) => {
            if findings.found.len() == before {
                findings.whole("W2", error);
            }
            None
        }
    }
}

/// Writes an identity, where there is one.
pub(super) fn encode_identity(identity: &Value, ty: &Type) -> Result<Option<proto::ResourceIdentityData>, Trouble> {
    if identity.is_null() {
        return Ok(None);
    }
    Ok(Some(proto::ResourceIdentityData { identity_data: Some(encode(identity, ty)?) }))
}

/// Notes a deferral, which no stable CLI takes.
pub(super) fn not_deferred(deferred: Option<&proto::Deferred>, findings: &mut Findings) {
    if deferred.is_some() {
        findings.whole("T3", "the provider put the request off, which the CLI did not allow");
    }
}
