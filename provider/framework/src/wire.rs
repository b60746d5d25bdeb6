//! Between the protocol's messages and our own words: values, private state, diagnostics, paths.
//!
//! **Invariant:** an absent value is null, a severity is always set, and a message that cannot be read becomes a
//! diagnostic that says which part of it, never a panic.

use tfplugin_proto::tfplugin6 as proto;

use crate::codec;
use crate::diagnostics::{Diagnostic, Diagnostics, Severity};
use crate::path::{Path, Step};
use crate::resource::Private;
use crate::types::Type;
use crate::value::Value;

/// MessagePack's null.
const NULL: &[u8] = &[0xc0];

/// Reads a value of a type; `what` names it in an error.
pub(crate) fn decode(value: Option<&proto::DynamicValue>, ty: &Type, what: &str) -> Result<Value, Diagnostics> {
    let failed = |why: &dyn std::fmt::Display| {
        let detail = format!("The {what} that the CLI sent cannot be read: {why}.");
        Diagnostics::from(Diagnostic::error("Cannot read a value from the CLI", detail))
    };
    match value {
        Some(value) if !value.msgpack.is_empty() => {
            codec::msgpack::decode(&value.msgpack, ty).map_err(|error| failed(&error))
        }
        Some(value) if !value.json.is_empty() => {
            let json = serde_json::from_slice(&value.json).map_err(|error| failed(&error))?;
            codec::json::decode(&json, ty).map_err(|error| failed(&error))
        }
        _ => Ok(Value::Null),
    }
}

/// Writes a value of a type; `what` names it in an error.
pub(crate) fn encode(value: &Value, ty: &Type, what: &str) -> Result<proto::DynamicValue, Diagnostics> {
    match codec::msgpack::encode(value, ty) {
        Ok(msgpack) => Ok(proto::DynamicValue { msgpack, json: Vec::new() }),
        Err(error) => {
            let detail = format!(
                "The {what} cannot be sent to the CLI: {error}. This is a bug in the provider; please report it."
            );
            Err(Diagnostic::error("Provider bug: a value cannot be encoded", detail).into())
        }
    }
}

/// Null, of any type.
pub(crate) fn null() -> proto::DynamicValue {
    proto::DynamicValue { msgpack: NULL.to_vec(), json: Vec::new() }
}

/// Whether a value is null as a whole.
pub(crate) fn is_null(value: Option<&proto::DynamicValue>) -> bool {
    value.is_none_or(|value| {
        if value.msgpack.is_empty() {
            value.json.is_empty() || value.json.trim_ascii() == b"null"
        } else {
            value.msgpack == NULL
        }
    })
}

/// Reads the identity of a resource.
pub(crate) fn decode_identity(identity: Option<&proto::ResourceIdentityData>, ty: &Type) -> Result<Value, Diagnostics> {
    decode(identity.and_then(|identity| identity.identity_data.as_ref()), ty, "identity")
}

/// Writes the identity of a resource, where there is one.
pub(crate) fn encode_identity(identity: &Value, ty: &Type) -> Result<Option<proto::ResourceIdentityData>, Diagnostics> {
    if identity.is_null() {
        return Ok(None);
    }
    let identity_data = Some(encode(identity, ty, "identity")?);
    Ok(Some(proto::ResourceIdentityData { identity_data }))
}

/// Reads private state.
pub(crate) fn decode_private(bytes: &[u8]) -> Result<Private, Diagnostics> {
    if bytes.is_empty() {
        return Ok(Private::new());
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let detail = format!(
            "The state holds notes of the provider beside the attributes, and these cannot be read: {error}. The state \
             file was damaged, or written by something else; restore it from a backup, or remove the resource from the \
             state and import it."
        );
        Diagnostic::error("Corrupt private state", detail).into()
    })
}

/// Writes private state.
pub(crate) fn encode_private(private: &Private) -> Vec<u8> {
    if private.is_empty() {
        return Vec::new();
    }
    // A map with text keys always has a JSON form.
    serde_json::to_vec(private).unwrap_or_default()
}

/// Diagnostics as the protocol has them.
pub(crate) fn diagnostics(diagnostics: Diagnostics) -> Vec<proto::Diagnostic> {
    diagnostics.0.into_iter().map(diagnostic).collect()
}

fn diagnostic(diagnostic: Diagnostic) -> proto::Diagnostic {
    let severity = match diagnostic.severity {
        Severity::Error => proto::diagnostic::Severity::Error,
        Severity::Warning => proto::diagnostic::Severity::Warning,
    };
    proto::Diagnostic {
        severity: severity.into(),
        summary: diagnostic.summary,
        detail: diagnostic.detail,
        attribute: (!diagnostic.path.0.is_empty()).then(|| path(&diagnostic.path)),
    }
}

/// A path as the protocol has it.
pub(crate) fn path(path: &Path) -> proto::AttributePath {
    use proto::attribute_path::{Step as ProtoStep, step::Selector};
    let step = |step: &Step| ProtoStep {
        selector: Some(match step {
            Step::Attribute(name) => Selector::AttributeName(name.clone()),
            Step::Key(key) => Selector::ElementKeyString(key.clone()),
            Step::Index(index) => Selector::ElementKeyInt(*index),
        }),
    };
    proto::AttributePath { steps: path.0.iter().map(step).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_and_empty_values_are_null() {
        let dynamic = |msgpack: &[u8], json: &[u8]| proto::DynamicValue { msgpack: msgpack.into(), json: json.into() };
        for (value, null) in [
            (None, true),
            (Some(dynamic(b"", b"")), true),
            (Some(dynamic(NULL, b"")), true),
            (Some(dynamic(b"", b" null\n")), true),
            (Some(dynamic(b"\xa1a", b"")), false),
            (Some(dynamic(b"", b"\"a\"")), false),
        ] {
            assert_eq!(is_null(value.as_ref()), null, "{value:?}");
            let expected = if null { Value::Null } else { "a".into() };
            assert_eq!(decode(value.as_ref(), &Type::String, "value"), Ok(expected), "{value:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error_that_names_it() {
        for value in [
            proto::DynamicValue { msgpack: vec![0xc1], json: vec![] },
            proto::DynamicValue { msgpack: vec![], json: b"{".to_vec() },
            proto::DynamicValue { msgpack: vec![0x91, 0xc0], json: vec![] },
        ] {
            let error = decode(Some(&value), &Type::String, "prior state").unwrap_err();
            assert!(error.0[0].detail.contains("prior state"), "{error:?}");
        }
    }

    #[test]
    fn private_state_is_kept_to_the_letter() {
        let bytes = br#"{"z":1,"a":{"big":12345678901234567890123,"f":1.0}}"#;
        assert_eq!(encode_private(&decode_private(bytes).unwrap()), bytes);
        assert_eq!(decode_private(b"").unwrap(), Private::new());
        assert_eq!(encode_private(&Private::new()), b"");
        for corrupt in [&b"{"[..], b"[]", b"1", b"\xff"] {
            assert_eq!(decode_private(corrupt).unwrap_err().0[0].summary, "Corrupt private state");
        }
    }

    #[test]
    fn diagnostics_have_a_severity_and_a_path() {
        let at = Path::root("columns").key("a").attribute("tags").index(3);
        let both = Diagnostics(vec![Diagnostic::error("e", "d").at(at), Diagnostic::warning("w", "d")]);
        let both = diagnostics(both);
        assert_eq!((both[0].severity, both[1].severity), (1, 2));
        assert_eq!(both[0].attribute.as_ref().unwrap().steps.len(), 4);
        assert_eq!(both[1].attribute, None, "no path rather than an empty one");
    }
}
