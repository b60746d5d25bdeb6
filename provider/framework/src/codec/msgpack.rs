//! MessagePack, as the CLI and the provider exchange values.

use std::collections::BTreeMap;
use std::convert::Infallible;

use rmp::encode::{
    ByteBuf, ValueWriteError, write_array_len, write_bin, write_bool, write_f64, write_map_len, write_nil, write_sint,
    write_str,
};

use super::token::{Token, Tokens};
use super::{CodecError, check_complete, check_depth, check_length, misfit, normalised, refinement, unknown_attribute};
use crate::number::Number;
use crate::types::Type;
use crate::value::{Typed, Value, canonical, sorted_set};

/// How many elements are reserved before they are seen to be there.
const MAX_RESERVED: usize = 16;

/// Reads a value of the type. Text comes out in normal form C, the elements of a set in order and each once.
pub fn decode(bytes: &[u8], ty: &Type) -> Result<Value, CodecError> {
    let mut tokens = Tokens::new(bytes);
    let value = read(&mut tokens, ty, 0)?;
    if !tokens.is_at_end() {
        return Err(CodecError::new("there are more bytes after the value"));
    }
    Ok(value)
}

/// Writes a value of the type, as the CLI would.
pub fn encode(value: &Value, ty: &Type) -> Result<Vec<u8>, CodecError> {
    let mut out = ByteBuf::new();
    write(&mut out, value, ty, 0)?;
    Ok(out.into_vec())
}

fn read(tokens: &mut Tokens<'_>, ty: &Type, depth: usize) -> Result<Value, CodecError> {
    check_depth(depth)?;
    let depth = depth + 1;
    Ok(match (ty, tokens.next()?) {
        (_, Token::Nil) => Value::Null,
        (_, Token::Extension(code, body)) => Value::Unknown(refinement::decode(code, body, ty)?),
        (Type::String, Token::Text(text)) => Value::String(normalised(text_from_bytes(text)?)),
        (Type::Bool, Token::Bool(value)) => Value::Bool(value),
        (Type::Number, token @ (Token::Int(_) | Token::Uint(_) | Token::Float(_) | Token::Text(_))) => {
            Value::Number(number_from_token(token)?)
        }
        (Type::List(element), Token::Array(length)) => Value::List(read_elements(tokens, element, length, depth)?),
        (Type::Set(element), Token::Array(length)) => {
            Value::List(sorted_set(read_elements(tokens, element, length, depth)?))
        }
        (Type::Tuple(types), Token::Array(length)) => read_tuple(tokens, types, length, depth)?,
        (Type::Map(element), Token::Map(length)) => read_map(tokens, element, length, depth)?,
        (Type::Object(attributes), Token::Map(length)) => read_object(tokens, attributes, length, depth)?,
        (Type::Dynamic, Token::Array(2)) => read_dynamic(tokens, depth)?,
        (Type::Dynamic, token) => {
            return Err(CodecError::new(format!("a type and a value were expected, not {}", token.kind())));
        }
        (ty, token) => return Err(CodecError::new(format!("a value of type {ty} was expected, not {}", token.kind()))),
    })
}

fn read_elements(
    tokens: &mut Tokens<'_>,
    element: &Type,
    length: usize,
    depth: usize,
) -> Result<Vec<Value>, CodecError> {
    let mut items = Vec::with_capacity(length.min(MAX_RESERVED));
    for index in 0..length {
        items.push(read(tokens, element, depth).map_err(|error| error.within_index(index))?);
    }
    Ok(items)
}

fn read_tuple(tokens: &mut Tokens<'_>, types: &[Type], length: usize, depth: usize) -> Result<Value, CodecError> {
    check_length(length, types)?;
    let mut items = Vec::with_capacity(length);
    for (index, ty) in types.iter().enumerate() {
        items.push(read(tokens, ty, depth).map_err(|error| error.within_index(index))?);
    }
    Ok(Value::List(items))
}

fn read_map(tokens: &mut Tokens<'_>, element: &Type, length: usize, depth: usize) -> Result<Value, CodecError> {
    let mut items = BTreeMap::new();
    for _ in 0..length {
        let key = read_key(tokens)?;
        let item = read(tokens, element, depth).map_err(|error| error.within_key(&key))?;
        if let Some(_) = items.insert(key, item) {
            return Err(CodecError::new("a key of the map is given twice"));
        }
    }
    Ok(Value::Map(items))
}

fn read_object(
    tokens: &mut Tokens<'_>,
    attributes: &BTreeMap<String, Type>,
    length: usize,
    depth: usize,
) -> Result<Value, CodecError> {
    let mut items = BTreeMap::new();
    for _ in 0..length {
        let name = read_key(tokens)?;
        let ty = attributes.get(&name).ok_or_else(|| unknown_attribute(&name))?;
        let item = read(tokens, ty, depth).map_err(|error| error.within_attribute(&name))?;
        if let Some(_) = items.insert(name, item) {
            return Err(CodecError::new("an attribute of the object is given twice"));
        }
    }
    check_complete(&items, attributes)?;
    Ok(Value::Map(items))
}

fn read_dynamic(tokens: &mut Tokens<'_>, depth: usize) -> Result<Value, CodecError> {
    let ty = match tokens.next()? {
        Token::Bytes(json) | Token::Text(json) => Type::from_json(json)?,
        token => return Err(CodecError::new(format!("a type was expected, not {}", token.kind()))),
    };
    let value = read(tokens, &ty, depth)?;
    // A value whose own type is again dynamic is just that value.
    Ok(if ty == Type::Dynamic { value } else { Value::Dynamic(Box::new(Typed { ty, value })) })
}

fn read_key(tokens: &mut Tokens<'_>) -> Result<String, CodecError> {
    match tokens.next()? {
        Token::Text(text) => Ok(normalised(text_from_bytes(text)?)),
        token => Err(CodecError::new(format!("a name was expected, not {}", token.kind()))),
    }
}

pub(super) fn text_from_bytes(bytes: &[u8]) -> Result<&str, CodecError> {
    std::str::from_utf8(bytes).map_err(|_| CodecError::new("text is not valid UTF-8"))
}

pub(super) fn number_from_token(token: Token<'_>) -> Result<Number, CodecError> {
    match token {
        Token::Int(value) => Ok(value.into()),
        Token::Uint(value) => Ok(value.into()),
        Token::Float(value) => Number::from_f64(value).ok_or_else(|| CodecError::new("a number is NaN")),
        Token::Text(text) => text_from_bytes(text)?.parse().map_err(|error| CodecError::new(format!("{error}"))),
        token => Err(CodecError::new(format!("a number was expected, not {}", token.kind()))),
    }
}

fn write(out: &mut ByteBuf, value: &Value, ty: &Type, depth: usize) -> Result<(), CodecError> {
    check_depth(depth)?;
    let depth = depth + 1;
    match (value, ty) {
        (Value::Null, _) => sure(write_nil(out).map_err(ValueWriteError::InvalidMarkerWrite)),
        (Value::Unknown(known), _) => refinement::encode(out, known, ty)?,
        (Value::String(text), Type::String) => {
            length_of(text)?;
            sure(write_str(out, text));
        }
        (Value::Bool(value), Type::Bool) => sure(write_bool(out, *value).map_err(ValueWriteError::InvalidMarkerWrite)),
        (Value::Number(number), Type::Number) => write_number(out, number)?,
        (Value::List(items), Type::List(element)) => write_elements(out, items, element, depth)?,
        (Value::List(_), Type::Set(element)) => {
            if let Value::List(items) = canonical(value.clone(), ty) {
                write_elements(out, &items, element, depth)?;
            }
        }
        (Value::List(items), Type::Tuple(types)) => {
            check_length(items.len(), types)?;
            sure(write_array_len(out, length(items.len())?));
            for (index, (item, ty)) in items.iter().zip(types).enumerate() {
                write(out, item, ty, depth).map_err(|error| error.within_index(index))?;
            }
        }
        (Value::Map(items), Type::Map(element)) => {
            sure(write_map_len(out, length(items.len())?));
            for (key, item) in items {
                length_of(key)?;
                sure(write_str(out, key));
                write(out, item, element, depth).map_err(|error| error.within_key(key))?;
            }
        }
        (Value::Map(items), Type::Object(attributes)) => {
            check_complete(items, attributes)?;
            sure(write_map_len(out, length(items.len())?));
            for (name, item) in items {
                let ty = attributes.get(name).ok_or_else(|| unknown_attribute(name))?;
                sure(write_str(out, name));
                write(out, item, ty, depth).map_err(|error| error.within_attribute(name))?;
            }
        }
        (Value::Dynamic(typed), Type::Dynamic) if typed.ty == Type::Dynamic => {
            write(out, &typed.value, &Type::Dynamic, depth)?;
        }
        (Value::Dynamic(typed), Type::Dynamic) => {
            let json = typed.ty.to_json();
            length(json.len())?;
            sure(write_array_len(out, 2));
            sure(write_bin(out, &json));
            write(out, &typed.value, &typed.ty, depth)?;
        }
        (value, ty) => {
            return Err(misfit(value, ty));
        }
    }
    Ok(())
}

fn write_elements(out: &mut ByteBuf, items: &[Value], element: &Type, depth: usize) -> Result<(), CodecError> {
    sure(write_array_len(out, length(items.len())?));
    for (index, item) in items.iter().enumerate() {
        write(out, item, element, depth).map_err(|error| error.within_index(index))?;
    }
    Ok(())
}

/// An integer when it fits, a float when that is exact, else text.
pub(super) fn write_number(out: &mut ByteBuf, number: &Number) -> Result<(), CodecError> {
    if let Some(whole) = number.to_i64() {
        sure(write_sint(out, whole));
    } else if let Some(float) = number.to_exact_float() {
        sure(write_f64(out, float));
    } else {
        let text = number.to_string();
        length_of(&text)?;
        sure(write_str(out, &text));
    }
    Ok(())
}

fn length(count: usize) -> Result<u32, CodecError> {
    u32::try_from(count).map_err(|_| CodecError::new("the value is too long for MessagePack"))
}

fn length_of(text: &str) -> Result<u32, CodecError> {
    length(text.len())
}

/// Writing to memory cannot fail.
pub(super) fn sure<T>(result: Result<T, ValueWriteError<Infallible>>) {
    match result {
        Ok(_) => {}
        Err(ValueWriteError::InvalidMarkerWrite(never) | ValueWriteError::InvalidDataWrite(never)) => match never {},
    }
}
