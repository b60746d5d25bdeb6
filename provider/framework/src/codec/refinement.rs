//! What is known about an unknown value, as the CLI writes it into a MessagePack extension.
//!
//! **Invariant:** dropping what is known is always allowed, inventing something never is.

use rmp::encode::{
    ByteBuf, write_array_len, write_bool, write_ext_meta, write_map_len, write_pfix, write_str, write_uint,
};

use super::CodecError;
use super::msgpack::{number_from_token, text_from_bytes, write_number};
use super::token::{Token, Tokens};
use crate::number::Number;
use crate::types::Type;
use crate::value::{Bounds, Refinement};

/// The extension code of an unknown about which something is known. Any other code is a plain unknown.
const REFINED: i8 = 12;

/// The plain unknown: an extension of code 0 with one byte that means nothing.
const PLAIN: [u8; 3] = [0xd4, 0, 0];

/// The CLI refuses a longer body.
const MAX_BODY: usize = 1024;

/// The CLI itself never sends a longer prefix.
const MAX_PREFIX: usize = 256;

const NULLNESS: u8 = 1;
const PREFIX: u8 = 2;
const NUMBER_MIN: u8 = 3;
const NUMBER_MAX: u8 = 4;
const LENGTH_MIN: u8 = 5;
const LENGTH_MAX: u8 = 6;

/// Reads the body of an extension. What does not apply to the type, or is not known here, is passed over.
pub(crate) fn decode(code: i8, body: &[u8], ty: &Type) -> Result<Refinement, CodecError> {
    let mut known = Refinement::default();
    if code != REFINED || body.len() <= 1 || *ty == Type::Dynamic {
        return Ok(known);
    }
    let malformed = |what: &str| CodecError::new(format!("an unknown value is described wrongly: {what}"));
    let mut tokens = Tokens::new(body);
    let Token::Map(entries) = tokens.next()? else { return Err(malformed("not a map")) };
    let mut bounds = Bounds::default();
    for _ in 0..entries {
        let key = match tokens.next()? {
            Token::Uint(key) => u8::try_from(key).unwrap_or(u8::MAX),
            Token::Int(_) => u8::MAX,
            _ => return Err(malformed("a key is not a whole number")),
        };
        match (key, ty) {
            (NULLNESS, _) => match tokens.next()? {
                Token::Bool(is_null) => known.not_null = Some(!is_null),
                _ => return Err(malformed("whether it is null is not a boolean")),
            },
            (PREFIX, Type::String) => match tokens.next()? {
                // Kept as it is: normalising could change the last character, which the rest of the text completes.
                Token::Text(text) => known.prefix = Some(text_from_bytes(text)?.to_owned()),
                _ => return Err(malformed("the prefix is not text")),
            },
            (NUMBER_MIN, Type::Number) => bounds.number_min = Some(decode_bound(&mut tokens)?),
            (NUMBER_MAX, Type::Number) => bounds.number_max = Some(decode_bound(&mut tokens)?),
            (LENGTH_MIN, Type::List(_) | Type::Set(_) | Type::Map(_)) => match tokens.next()? {
                Token::Uint(length) => bounds.length_min = Some(length),
                _ => return Err(malformed("a length is not a whole number")),
            },
            (LENGTH_MAX, Type::List(_) | Type::Set(_) | Type::Map(_)) => match tokens.next()? {
                Token::Uint(length) => bounds.length_max = Some(length),
                _ => return Err(malformed("a length is not a whole number")),
            },
            _ => tokens.skip()?,
        }
    }
    if bounds != Bounds::default() {
        known.bounds = Some(Box::new(bounds));
    }
    Ok(known)
}

fn decode_bound(tokens: &mut Tokens<'_>) -> Result<(Number, bool), CodecError> {
    if let Token::Array(2) = tokens.next()? {
        let number = number_from_token(tokens.next()?)?;
        if let Token::Bool(inclusive) = tokens.next()? {
            return Ok((number, inclusive));
        }
    }
    Err(CodecError::new("an unknown value is described wrongly: a bound is not a number and a boolean"))
}

/// Writes an unknown value of the type, with what is known about it as far as it applies and fits.
pub(crate) fn encode(out: &mut ByteBuf, known: &Refinement, ty: &Type) -> Result<(), CodecError> {
    let mut body = body(known, ty)?;
    if body.len() > MAX_BODY {
        body = self::body(&Refinement { not_null: known.not_null, ..Refinement::default() }, ty)?;
    }
    if body.is_empty() {
        out.as_mut_vec().extend_from_slice(&PLAIN);
        return Ok(());
    }
    let length = u32::try_from(body.len()).map_err(|_| CodecError::new("an unknown value is described at length"))?;
    let Ok(_) = write_ext_meta(out, length, REFINED);
    out.as_mut_vec().extend_from_slice(&body);
    Ok(())
}

/// The body of the extension; empty when nothing is known.
fn body(known: &Refinement, ty: &Type) -> Result<Vec<u8>, CodecError> {
    if *ty == Type::Dynamic {
        return Ok(Vec::new());
    }
    let mut entries = ByteBuf::new();
    let mut count = 0;
    let mut entry = |entries: &mut ByteBuf, key| {
        count += 1;
        let Ok(()) = write_pfix(entries, key);
    };
    if let Some(not_null) = known.not_null {
        entry(&mut entries, NULLNESS);
        let Ok(()) = write_bool(&mut entries, !not_null);
    }
    if let (Some(prefix), Type::String) = (&known.prefix, ty) {
        entry(&mut entries, PREFIX);
        let Ok(()) = write_str(&mut entries, &prefix[..prefix.floor_char_boundary(MAX_PREFIX)]);
    }
    let no_bounds = Bounds::default();
    let bounds = known.bounds.as_deref().unwrap_or(&no_bounds);
    if *ty == Type::Number {
        for (key, bound) in [(NUMBER_MIN, &bounds.number_min), (NUMBER_MAX, &bounds.number_max)] {
            if let Some((number, inclusive)) = bound {
                entry(&mut entries, key);
                let Ok(_) = write_array_len(&mut entries, 2);
                write_number(&mut entries, number)?;
                let Ok(()) = write_bool(&mut entries, *inclusive);
            }
        }
    }
    if matches!(ty, Type::List(_) | Type::Set(_) | Type::Map(_)) {
        for (key, bound) in [(LENGTH_MIN, bounds.length_min), (LENGTH_MAX, bounds.length_max)] {
            if let Some(length) = bound {
                entry(&mut entries, key);
                let Ok(_) = write_uint(&mut entries, length);
            }
        }
    }
    if count == 0 {
        return Ok(Vec::new());
    }
    let mut body = ByteBuf::new();
    let Ok(_) = write_map_len(&mut body, count);
    body.as_mut_vec().extend_from_slice(entries.as_slice());
    Ok(body.into_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::msgpack;
    use crate::value::Value;

    fn decode_value(bytes: &[u8], ty: &Type) -> Result<Refinement, String> {
        match msgpack::decode(bytes, ty) {
            Ok(Value::Unknown(known)) => Ok(known),
            Ok(other) => panic!("{other:?} is not unknown"),
            Err(error) => Err(error.to_string()),
        }
    }

    fn extension(code: u8, body: &[u8]) -> Vec<u8> {
        [&[0xc7, u8::try_from(body.len()).unwrap(), code], body].concat()
    }

    #[test]
    fn any_extension_is_an_unknown_value() {
        let plain = Ok(Refinement::default());
        for bytes in [
            &[0xd4, 0x00, 0x00][..],
            &[0xd4, 0x0c, 0x80],
            &[0xd5, 0x00, 0x01, 0x02],
            &[0xd5, 0xff, 0xff, 0xff],
            &[0xc7, 0x00, 0x0c],
            &extension(7, b"anything"),
            &[0xc8, 0x00, 0x02, 0x01, 0x00, 0x00],
            &[0xc9, 0x00, 0x00, 0x00, 0x02, 0x01, 0x00, 0x00],
        ] {
            assert_eq!(decode_value(bytes, &Type::String), plain, "{bytes:x?}");
        }
    }

    #[test]
    fn what_does_not_apply_is_passed_over() {
        // Not null; a key from the future with a map in it; a prefix; and a byte of padding after the map.
        let body = b"\x83\x01\xc2\x2a\x81\x01\x92\x01\x02\x02\xa2ab\x00";
        let known = decode_value(&extension(12, body), &Type::String).unwrap();
        assert_eq!(known.not_null, Some(true));
        assert_eq!(known.prefix.as_deref(), Some("ab"));
        let known = decode_value(&extension(12, body), &Type::Number).unwrap();
        assert_eq!(known, Refinement { not_null: Some(true), ..Refinement::default() });
        assert_eq!(decode_value(&extension(12, body), &Type::Dynamic), Ok(Refinement::default()));
    }

    #[test]
    fn a_prefix_stays_as_it_is() {
        let body = "\u{81}\u{2}\u{a3}".chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect::<Vec<_>>();
        let bytes = extension(12, &[&body, "e\u{301}".as_bytes()].concat());
        assert_eq!(decode_value(&bytes, &Type::String).unwrap().prefix.as_deref(), Some("e\u{301}"));
    }

    #[test]
    fn a_malformed_description_is_an_error() {
        for (body, ty, part) in [
            (&b"\x01\x02"[..], Type::String, "not a map"),
            (b"\x81\xa1a\xc2", Type::String, "a key is not a whole number"),
            (b"\x81\x01\x05", Type::String, "not a boolean"),
            (b"\x81\x02\x05", Type::String, "prefix is not text"),
            (b"\x81\x02\xa1\xff", Type::String, "UTF-8"),
            (b"\x81\x03\x05", Type::Number, "a bound is not"),
            (b"\x81\x03\x92\xc3\xc3", Type::Number, "a number was expected"),
            (b"\x81\x04\x92\x01\x01", Type::Number, "a bound is not"),
            (b"\x81\x05\xff", Type::List(Box::new(Type::Bool)), "a length is not"),
            (b"\x82\x01\xc2", Type::String, "too early"),
        ] {
            let message = decode_value(&extension(12, body), &ty).unwrap_err();
            assert!(message.contains(part), "{body:x?}: {message}");
        }
    }

    #[test]
    fn what_is_written_stays_within_the_limits_of_the_cli() {
        let long = Refinement { not_null: Some(true), prefix: Some("é".repeat(1000)), bounds: None };
        let bytes = msgpack::encode(&Value::Unknown(long), &Type::String).unwrap();
        let prefix = decode_value(&bytes, &Type::String).unwrap().prefix.unwrap();
        assert_eq!(prefix, "é".repeat(128));

        let huge = ("7".repeat(2000).parse().unwrap(), true);
        let bounds = Some(Box::new(Bounds { number_min: Some(huge), ..Bounds::default() }));
        let wide = Refinement { not_null: Some(true), prefix: None, bounds };
        let bytes = msgpack::encode(&Value::Unknown(wide), &Type::Number).unwrap();
        assert_eq!(bytes, b"\xc7\x03\x0c\x81\x01\xc2");
    }

    #[test]
    fn only_what_applies_to_the_type_is_written() {
        let bounds = Bounds {
            number_min: Some((1_i64.into(), true)),
            number_max: Some((2_i64.into(), false)),
            length_min: Some(3),
            length_max: Some(4),
        };
        let all = Refinement { not_null: Some(true), prefix: Some("p".to_owned()), bounds: Some(Box::new(bounds)) };
        for (ty, bytes) in [
            (Type::String, &b"\xc7\x06\x0c\x82\x01\xc2\x02\xa1p"[..]),
            (Type::Number, b"\xc7\x0b\x0c\x83\x01\xc2\x03\x92\x01\xc3\x04\x92\x02\xc2"),
            (Type::Set(Box::new(Type::Bool)), b"\xc7\x07\x0c\x83\x01\xc2\x05\x03\x06\x04"),
            (Type::Bool, b"\xc7\x03\x0c\x81\x01\xc2"),
            (Type::Dynamic, b"\xd4\x00\x00"),
        ] {
            assert_eq!(msgpack::encode(&Value::Unknown(all.clone()), &ty).unwrap(), bytes, "{ty}");
        }
    }
}
