//! The ways in: what bytes from outside reach first, one function for each.
//!
//! A fuzz target calls one of these, and so do the bounded tests; none of them needs a process or a provider.
//!
//! **Invariant:** a function here returns for any bytes. It panics only when the code behind it does, or breaks what it
//! promises of every input.

use prost::Message;
use tfplugin_proto::tfplugin6 as proto;

use crate::codec::{json, msgpack};
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::number::Number;
use crate::path::{Path, Step};
use crate::serve::pinned_certificate;
use crate::timeouts::parse_duration;
use crate::types::Type;
use crate::value::{Value, canonical};
use crate::wire;

/// A way in: its name, which is its fuzz target's too, and what happens to bytes there.
pub type Surface = (&'static str, fn(&[u8]));

/// All of them.
pub const SURFACES: [Surface; 9] = [
    ("attribute_path", attribute_path),
    ("duration", duration),
    ("host_certificate", host_certificate),
    ("json_state", json_state),
    ("msgpack", msgpack),
    ("number", number),
    ("private_state", private_state),
    ("refinement", refinement),
    ("type_json", type_json),
];

/// The code of the extension that describes an unknown value.
const REFINED: u8 = 12;

/// A type in its JSON form, a line end, and a value in MessagePack. Without such a type, all of it is a dynamic value.
pub fn msgpack(data: &[u8]) {
    let (ty, bytes) = typed(data);
    if let Ok(value) = msgpack::decode(bytes, &ty) {
        survives(&value, &ty);
    }
}

/// A type in its JSON form, a line end, and a value as the state holds it.
pub fn json_state(data: &[u8]) {
    let (ty, bytes) = typed(data);
    let Ok(parsed) = serde_json::from_slice(bytes) else { return };
    if let Ok(value) = json::decode(&parsed, &ty) {
        let written = done(json::encode(&value, &ty));
        assert!(equal(&done(json::decode(&written, &ty)), &value, &ty), "{written} is another value");
    }
    if let Ok((ty, value)) = json::from_plain_json(&parsed) {
        done(json::to_plain_json(&value));
        survives(&value, &ty);
    }
}

/// A type in its JSON form.
pub fn type_json(data: &[u8]) {
    if let Ok(ty) = Type::from_json(data) {
        assert_eq!(Type::from_json(&ty.to_json()).as_ref(), Ok(&ty));
        assert!(!ty.to_string().is_empty());
    }
}

/// The number's text.
pub fn number(data: &[u8]) {
    let Some(number) = text(data).and_then(|text| text.parse::<Number>().ok()) else { return };
    assert_eq!(number.to_string().parse().as_ref(), Ok(&number));
    survives(&Value::Number(number), &Type::Number);
}

/// The code of an extension and its body: what is known about an unknown value of each kind of type.
pub fn refinement(data: &[u8]) {
    let (code, body) = data.split_first().unwrap_or((&REFINED, data));
    let Ok(length) = u32::try_from(body.len()) else { return };
    let bytes = [&[0xc9], &length.to_be_bytes()[..], &[*code], body].concat();
    let list = Type::List(Box::new(Type::Bool));
    for ty in [Type::String, Type::Number, Type::Bool, Type::Dynamic, list] {
        if let Ok(value) = msgpack::decode(&bytes, &ty) {
            assert!(value.is_unknown(), "{value:?} is known");
            survives(&value, &ty);
        }
    }
}

/// Steps into a value, each a byte for its kind, a byte for its length and its text; and a path as the protocol has it.
pub fn attribute_path(data: &[u8]) {
    let mut path = Path::default();
    let mut rest = data;
    while let [kind, length, tail @ ..] = rest {
        let (text, tail) = tail.split_at(tail.len().min(usize::from(*length)));
        let text = String::from_utf8_lossy(text).into_owned();
        path.0.push(match kind % 3 {
            0 => Step::Attribute(text),
            1 => Step::Key(text),
            _ => Step::Index(i64::from_le_bytes(std::array::from_fn(|at| *text.as_bytes().get(at).unwrap_or(&0)))),
        });
        rest = tail;
    }
    let steps = path.0.len();
    assert!(path.to_string().len() + 1 >= steps, "{path} hides a step");
    let told = wire::diagnostics(Diagnostics::from(Diagnostic::error("", "").at(path)));
    let sent = told.into_iter().next().and_then(|told| told.attribute).unwrap_or_default();
    assert_eq!(sent.steps.len(), steps);
    assert_eq!(proto::AttributePath::decode(sent.encode_to_vec().as_slice()).as_ref(), Ok(&sent));
    let _ = proto::AttributePath::decode(data);
}

/// The bookkeeping that travels beside the state.
pub fn private_state(data: &[u8]) {
    if let Ok(private) = wire::decode_private(data) {
        assert_eq!(wire::decode_private(&wire::encode_private(&private)).as_ref(), Ok(&private));
    }
}

/// The host's certificate, as the environment holds it.
pub fn host_certificate(data: &[u8]) {
    let _ = pinned_certificate(&String::from_utf8_lossy(data));
}

/// A timeout as users write it.
pub fn duration(data: &[u8]) {
    let _ = text(data).map(parse_duration);
}

/// The type in the first line, and the value after it.
fn typed(data: &[u8]) -> (Type, &[u8]) {
    let line = data.iter().position(|byte| *byte == b'\n');
    let found = line.and_then(|end| Some((Type::from_json(&data[..end]).ok()?, &data[end + 1..])));
    found.unwrap_or((Type::Dynamic, data))
}

/// Whether two values of one type are the same, also in what is known of their unknowns; the elements of sets may come in
/// any order.
pub fn equal(a: &Value, b: &Value, ty: &Type) -> bool {
    canonical(a.clone(), ty) == canonical(b.clone(), ty)
}

/// A value that was read can be written, and what is written is read as what is written again.
fn survives(value: &Value, ty: &Type) {
    let written = done(msgpack::encode(value, ty));
    let read = done(msgpack::decode(&written, ty));
    assert_eq!(done(msgpack::encode(&read, ty)), written);
}

fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

fn done<T, E: std::fmt::Display>(outcome: Result<T, E>) -> T {
    match outcome {
        Ok(value) => value,
        Err(error) => unreachable!("what was read cannot be written, or not be read again: {error}"),
    }
}
