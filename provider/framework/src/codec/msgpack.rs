//! MessagePack, as the CLI and the provider exchange values.
//!
//! Writing goes to memory and cannot fail: its error type has no values, which is why `let Ok(_) = ...` is enough.

use std::collections::BTreeMap;

use rmp::encode::{
    ByteBuf, write_array_len, write_bin, write_bool, write_f64, write_map_len, write_nil, write_sint, write_str,
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
        if items.contains_key(&key) {
            return Err(CodecError::new("this key is given twice").within_key(&key));
        }
        let item = read(tokens, element, depth).map_err(|error| error.within_key(&key))?;
        items.insert(key, item);
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
        if items.contains_key(&name) {
            return Err(CodecError::new("this attribute is given twice").within_attribute(&name));
        }
        let item = read(tokens, ty, depth).map_err(|error| error.within_attribute(&name))?;
        items.insert(name, item);
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
        (Value::Null, _) => {
            let Ok(()) = write_nil(out);
        }
        (Value::Unknown(known), _) => refinement::encode(out, known, ty)?,
        (Value::String(text), Type::String) => {
            write_text(out, text)?;
        }
        (Value::Bool(value), Type::Bool) => {
            let Ok(()) = write_bool(out, *value);
        }
        (Value::Number(number), Type::Number) => write_number(out, number)?,
        (Value::List(items), Type::List(element)) => write_elements(out, items, element, depth)?,
        (Value::List(_), Type::Set(element)) => {
            if let Value::List(items) = canonical(value.clone(), ty) {
                write_elements(out, &items, element, depth)?;
            }
        }
        (Value::List(items), Type::Tuple(types)) => {
            check_length(items.len(), types)?;
            let Ok(_) = write_array_len(out, length(items.len())?);
            for (index, (item, ty)) in items.iter().zip(types).enumerate() {
                write(out, item, ty, depth).map_err(|error| error.within_index(index))?;
            }
        }
        (Value::Map(items), Type::Map(element)) => {
            let Ok(_) = write_map_len(out, length(items.len())?);
            for (key, item) in items {
                write_key(out, key)?;
                write(out, item, element, depth).map_err(|error| error.within_key(key))?;
            }
        }
        (Value::Map(items), Type::Object(attributes)) => {
            check_complete(items, attributes)?;
            let Ok(_) = write_map_len(out, length(items.len())?);
            for (name, item) in items {
                let ty = attributes.get(name).ok_or_else(|| unknown_attribute(name))?;
                write_key(out, name)?;
                write(out, item, ty, depth).map_err(|error| error.within_attribute(name))?;
            }
        }
        (Value::Dynamic(typed), Type::Dynamic) if typed.ty == Type::Dynamic => {
            write(out, &typed.value, &Type::Dynamic, depth)?;
        }
        (Value::Dynamic(typed), Type::Dynamic) => {
            let json = typed.ty.to_json();
            length(json.len())?;
            let Ok(_) = write_array_len(out, 2);
            let Ok(()) = write_bin(out, &json);
            write(out, &typed.value, &typed.ty, depth)?;
        }
        (value, ty) => {
            return Err(misfit(value, ty));
        }
    }
    Ok(())
}

fn write_elements(out: &mut ByteBuf, items: &[Value], element: &Type, depth: usize) -> Result<(), CodecError> {
    let Ok(_) = write_array_len(out, length(items.len())?);
    for (index, item) in items.iter().enumerate() {
        write(out, item, element, depth).map_err(|error| error.within_index(index))?;
    }
    Ok(())
}

/// An integer when it fits, a float when that is exact, else text.
pub(super) fn write_number(out: &mut ByteBuf, number: &Number) -> Result<(), CodecError> {
    if let Some(whole) = number.to_i64() {
        let Ok(_) = write_sint(out, whole);
    } else if let Some(float) = number.to_exact_float() {
        let Ok(()) = write_f64(out, float);
    } else {
        write_text(out, &number.to_string())?;
    }
    Ok(())
}

/// A name in normal form C: the CLI brings the names of a type into it, and would not find another one among them.
fn write_key(out: &mut ByteBuf, name: &str) -> Result<(), CodecError> {
    if name.is_ascii() { write_text(out, name) } else { write_text(out, &normalised(name)) }
}

fn write_text(out: &mut ByteBuf, text: &str) -> Result<(), CodecError> {
    length(text.len())?;
    let Ok(()) = write_str(out, text);
    Ok(())
}

fn length(count: usize) -> Result<u32, CodecError> {
    u32::try_from(count).map_err(|_| CodecError::new("the value is too long for MessagePack"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(element: Type) -> Type {
        Type::List(Box::new(element))
    }

    fn object(attributes: &[(&str, Type)]) -> Type {
        Type::Object(attributes.iter().map(|(name, ty)| ((*name).to_owned(), ty.clone())).collect())
    }

    fn number(text: &str) -> Value {
        Value::Number(text.parse().unwrap())
    }

    #[test]
    fn every_form_of_a_number_is_read() {
        for (bytes, text) in [
            (&b"\x05"[..], "5"),
            (b"\xcc\xff", "255"),
            (b"\xcd\x01\x00", "256"),
            (b"\xce\xff\xff\xff\xff", "4294967295"),
            (b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"),
            (b"\xe0", "-32"),
            (b"\xd0\x80", "-128"),
            (b"\xd1\x80\x00", "-32768"),
            (b"\xd2\x80\x00\x00\x00", "-2147483648"),
            (b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", "-9223372036854775808"),
            (b"\xca\x3f\xc0\x00\x00", "1.5"),
            (b"\xcb\x3f\xe9\x99\x99\x99\x99\x99\x9a", "0.8"),
            (b"\xcb\x80\x00\x00\x00\x00\x00\x00\x00", "0"),
            (b"\xa51e300", "1e300"),
            (b"\xd9\x0512.50", "12.5"),
        ] {
            assert_eq!(decode(bytes, &Type::Number), Ok(number(text)), "{text}");
        }
        assert_eq!(decode(b"\xcb\xff\xf0\0\0\0\0\0\0", &Type::Number), Ok(Value::Number(Number::NegativeInfinity)));
    }

    #[test]
    fn numbers_are_written_exactly() {
        for (text, bytes) in [
            ("1.0", &b"\x01"[..]),
            ("-0", b"\x00"),
            ("1e3", b"\xcd\x03\xe8"),
            ("9223372036854775808", b"\xb39223372036854775808"),
            ("-0.75", b"\xcb\xbf\xe8\0\0\0\0\0\0"),
            ("0.8", b"\xa30.8"),
            ("1e20000", b"\xa71e20000"),
        ] {
            assert_eq!(encode(&number(text), &Type::Number).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn text_is_read_in_normal_form_c() {
        let map = Type::Map(Box::new(Type::String));
        assert_eq!(decode(b"\xa3e\xcc\x81", &Type::String), Ok(Value::from("\u{e9}")));
        assert_eq!(decode(b"\x81\xa3e\xcc\x81\xa0", &map), Ok(Value::object([("\u{e9}", Value::from(""))])));
    }

    #[test]
    fn names_are_written_in_normal_form_c() {
        let ty = object(&[("e\u{301}", Type::Bool)]);
        let value = Value::object([("e\u{301}", Value::from(true))]);
        assert_eq!(encode(&value, &ty).unwrap(), b"\x81\xa2\xc3\xa9\xc3");
        let map = Type::Map(Box::new(Type::Bool));
        assert_eq!(encode(&value, &map).unwrap(), b"\x81\xa2\xc3\xa9\xc3");
    }

    #[test]
    fn sets_come_out_in_order_and_each_element_once() {
        let set = Type::Set(Box::new(Type::Number));
        let read = decode(b"\x97\x0a\xa2-1\x09\xc0\xa3010\xd4\0\0\xa410.0", &set).unwrap();
        let expected = vec![number("-1"), number("9"), number("10"), Value::Null, Value::unknown()];
        assert_eq!(read, Value::List(expected));
        let disordered = Value::List(vec![number("3"), number("1"), number("3")]);
        assert_eq!(encode(&disordered, &set).unwrap(), b"\x92\x01\x03");
    }

    #[test]
    fn a_dynamic_value_of_dynamic_type_is_just_the_value() {
        for (bytes, value) in [
            (&b"\x92\xc4\x09\"dynamic\"\xc0"[..], Value::Null),
            (b"\x92\xc4\x09\"dynamic\"\xd4\0\0", Value::unknown()),
            (
                b"\x92\xc4\x09\"dynamic\"\x92\xc4\x06\"bool\"\xc3",
                Value::Dynamic(Box::new(Typed { ty: Type::Bool, value: true.into() })),
            ),
        ] {
            assert_eq!(decode(bytes, &Type::Dynamic), Ok(value));
        }
    }

    #[test]
    fn what_is_no_value_of_the_type_is_an_error_that_says_where_and_why() {
        let pair = Type::Tuple(vec![Type::String, Type::Number]);
        let row = object(&[("a", Type::String), ("b", list(Type::Bool))]);
        let map = Type::Map(Box::new(Type::Bool));
        for (bytes, ty, message) in [
            (&b""[..], &Type::String, "the value ends too early"),
            (b"\xa3ab", &Type::String, "the value ends too early"),
            (b"\xdb\xff\xff\xff\xff", &Type::String, "the value ends too early"),
            (b"\xdd\xff\xff\xff\xff\xc0", &list(Type::Bool), "the value ends too early"),
            (b"\xdf\xff\xff\xff\xff\xc0", &map, "the value ends too early"),
            (b"\xc9\xff\xff\xff\xff\x0c", &Type::String, "the value ends too early"),
            (b"\xc3\xc3", &Type::Bool, "there are more bytes after the value"),
            (b"\xc1", &Type::Bool, "a byte that MessagePack does not define"),
            (b"\xa1\xff", &Type::String, "text is not valid UTF-8"),
            (b"\x01", &Type::String, "a value of type string was expected, not a number"),
            (b"\xc4\x01a", &Type::String, "a value of type string was expected, not bytes"),
            (b"\x90", &Type::Number, "a value of type number was expected, not a sequence"),
            (b"\xa4true", &Type::Bool, "a value of type bool was expected, not text"),
            (b"\x80", &list(Type::Bool), "a value of type list of bool was expected, not a map"),
            (b"\xcb\x7f\xf8\0\0\0\0\0\0", &Type::Number, "a number is NaN"),
            (
                b"\xa3abc",
                &Type::Number,
                "not a decimal number of at most 20000 digits with an exponent of at most 20000",
            ),
            (b"\x93\xc3\xc2\x01", &list(Type::Bool), "[2]: a value of type bool was expected, not a number"),
            (b"\x91\xa1a", &pair, "a tuple of length 2 was expected, not of 1"),
            (b"\x92\xa1a\xc3", &pair, "[1]: a value of type number was expected, not a boolean"),
            (b"\x80", &row, "a: this attribute is missing"),
            (b"\x81\xa1a\xc0", &row, "b: this attribute is missing"),
            (b"\x81\xa1c\xc0", &row, "c: the object has no such attribute"),
            (b"\x82\xa1a\xc0\xa1a\xc0", &row, "a: this attribute is given twice"),
            (b"\x82\xa1a\xc0\xa1b\x92\xc0\x05", &row, "b[1]: a value of type bool was expected, not a number"),
            (b"\x81\x01\xc3", &map, "a name was expected, not a number"),
            (b"\x81\xa1k\x05", &map, "[\"k\"]: a value of type bool was expected, not a number"),
            (b"\x82\xa1k\xc3\xa1k\xc3", &map, "[\"k\"]: this key is given twice"),
            (b"\xa1a", &Type::Dynamic, "a type and a value were expected, not text"),
            (b"\x91\xc0", &Type::Dynamic, "a type and a value were expected, not a sequence"),
            (b"\x92\x01\xc0", &Type::Dynamic, "a type was expected, not a number"),
            (b"\x92\xc4\x03\"x\"\xc0", &Type::Dynamic, "there is no type \"x\""),
            (b"\x92\xc4\x06\"bool\"\x01", &Type::Dynamic, "a value of type bool was expected, not a number"),
        ] {
            let error = decode(bytes, ty).unwrap_err();
            assert_eq!(error.to_string(), message, "{bytes:x?}");
        }
    }

    #[test]
    fn a_value_that_does_not_fit_its_type_is_not_written() {
        let row = object(&[("a", Type::String), ("b", list(Type::Bool))]);
        let typed = Value::Dynamic(Box::new(Typed { ty: Type::Bool, value: true.into() }));
        for (value, ty, message) in [
            (Value::from("x"), &Type::Bool, "a value of type bool was expected, not text"),
            (Value::from("x"), &Type::Dynamic, "a value of type dynamic was expected, not text"),
            (typed, &Type::Bool, "a value of type bool was expected, not a value with a type of its own"),
            (Value::object([("a", Value::Null)]), &row, "b: this attribute is missing"),
            (
                Value::object([("a", Value::Null), ("b", Value::Null), ("c", Value::Null)]),
                &row,
                "c: the object has no such attribute",
            ),
            (
                Value::object([("a", Value::Null), ("b", Value::List(vec![Value::Null, 1_i64.into()]))]),
                &row,
                "b[1]: a value of type bool was expected, not a number",
            ),
            (Value::List(vec![]), &Type::Tuple(vec![Type::Bool]), "a tuple of length 1 was expected, not of 0"),
            (
                Value::object([("k", Value::List(vec![1_i64.into()]))]),
                &Type::Map(Box::new(Type::Set(Box::new(Type::String)))),
                "[\"k\"][0]: a value of type string was expected, not a number",
            ),
        ] {
            assert_eq!(encode(&value, ty).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn nesting_has_a_limit_both_ways() {
        let too_deep = "the value is nested more than 200 levels deep";
        let dynamic = |depth| [b"\x92\xc4\x09\"dynamic\"".repeat(depth), vec![0xc0]].concat();
        assert_eq!(decode(&dynamic(200), &Type::Dynamic), Ok(Value::Null));
        assert_eq!(decode(&dynamic(201), &Type::Dynamic).unwrap_err().message, too_deep);
        assert_eq!(decode(&dynamic(1_000_000), &Type::Dynamic).unwrap_err().message, too_deep);

        let nested =
            |depth| (0..depth).fold((Value::Null, Type::Bool), |(value, ty), _| (Value::List(vec![value]), list(ty)));
        let (value, ty) = nested(200);
        assert_eq!(decode(&encode(&value, &ty).unwrap(), &ty), Ok(value));
        let (value, ty) = nested(201);
        assert_eq!(encode(&value, &ty).unwrap_err().message, too_deep);
    }
}
