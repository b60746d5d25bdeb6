//! What is known about an unknown value, as the CLI writes it into a MessagePack extension.
//!
//! **Invariant:** dropping what is known is always allowed, inventing something never is.

use rmp::encode::{
    ByteBuf, write_array_len, write_bool, write_ext_meta, write_map_len, write_pfix, write_str, write_uint,
};

use super::CodecError;
use super::msgpack::{number_from_token, sure, text_from_bytes, write_number};
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
    sure(write_ext_meta(out, length, REFINED));
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
        sure(write_pfix(entries, key).map_err(rmp::encode::ValueWriteError::InvalidMarkerWrite));
    };
    if let Some(not_null) = known.not_null {
        entry(&mut entries, NULLNESS);
        sure(write_bool(&mut entries, !not_null).map_err(rmp::encode::ValueWriteError::InvalidMarkerWrite));
    }
    if let (Some(prefix), Type::String) = (&known.prefix, ty) {
        entry(&mut entries, PREFIX);
        sure(write_str(&mut entries, &prefix[..prefix.floor_char_boundary(MAX_PREFIX)]));
    }
    let no_bounds = Bounds::default();
    let bounds = known.bounds.as_deref().unwrap_or(&no_bounds);
    if *ty == Type::Number {
        for (key, bound) in [(NUMBER_MIN, &bounds.number_min), (NUMBER_MAX, &bounds.number_max)] {
            if let Some((number, inclusive)) = bound {
                entry(&mut entries, key);
                sure(write_array_len(&mut entries, 2));
                write_number(&mut entries, number)?;
                sure(write_bool(&mut entries, *inclusive).map_err(rmp::encode::ValueWriteError::InvalidMarkerWrite));
            }
        }
    }
    if matches!(ty, Type::List(_) | Type::Set(_) | Type::Map(_)) {
        for (key, bound) in [(LENGTH_MIN, bounds.length_min), (LENGTH_MAX, bounds.length_max)] {
            if let Some(length) = bound {
                entry(&mut entries, key);
                sure(write_uint(&mut entries, length));
            }
        }
    }
    if count == 0 {
        return Ok(Vec::new());
    }
    let mut body = ByteBuf::new();
    sure(write_map_len(&mut body, count));
    body.as_mut_vec().extend_from_slice(entries.as_slice());
    Ok(body.into_vec())
}
