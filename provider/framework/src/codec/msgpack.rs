//! MessagePack, as the CLI and the provider exchange values.

use std::collections::BTreeMap;

use bigdecimal::BigDecimal;
use rmp::{Marker, decode, encode};
use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::{CodecError, MAX_DEPTH, MAX_DIGITS, refinement, type_name};
use crate::number::Number;
use crate::path::{Path, Step};
use crate::types::Type;
use crate::value::{Refinement, Typed, Value};

/// Reads a value of this type.
pub fn decode(bytes: &[u8], ty: &Type) -> Result<Value, CodecError> {
    let mut reader = Reader::new(bytes);
    let mut path = Path::default();
    let value = Decoder { reader: &mut reader, path: &mut path }.value(ty, 0)?;
    if reader.rest.is_empty() {
        Ok(value)
    } else {
        Err(CodecError::new(&Path::default(), format!("{} bytes follow the value", reader.rest.len())))
    }
}

/// Writes a value of this type.
pub fn encode(value: &Value, ty: &Type) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::new();
    write(&mut out, value, ty, &mut Path::default())?;
    Ok(out)
}

/// Reads the pieces of MessagePack from a slice. `None` means that the bytes are something else or end too early.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn marker(&self) -> Option<Marker> {
        self.rest.first().map(|byte| Marker::from_u8(*byte))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    /// The number of elements of an array; never more than there are bytes left, since each takes one at least.
    pub(super) fn array_len(&mut self) -> Option<usize> {
        let length = usize::try_from(decode::read_array_len(&mut self.rest).ok()?).ok()?;
        (length <= self.rest.len()).then_some(length)
    }

    /// The number of pairs of a map; never more than there can be in the bytes left.
    pub(super) fn map_len(&mut self) -> Option<usize> {
        let length = usize::try_from(decode::read_map_len(&mut self.rest).ok()?).ok()?;
        (length <= self.rest.len() / 2).then_some(length)
    }

    pub(super) fn boolean(&mut self) -> Option<bool> {
        decode::read_bool(&mut self.rest).ok()
    }

    pub(super) fn unsigned(&mut self) -> Option<u64> {
        decode::read_int(&mut self.rest).ok()
    }

    pub(super) fn text(&mut self) -> Option<String> {
        let length = decode::read_str_len(&mut self.rest).ok()?;
        let text = std::str::from_utf8(self.take(usize::try_from(length).ok()?)?).ok()?;
        Some(if is_nfc(text) { text.to_owned() } else { text.nfc().collect() })
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = decode::read_bin_len(&mut self.rest).ok()?;
        self.take(usize::try_from(length).ok()?)
    }

    pub(super) fn number(&mut self) -> Option<Number> {
        match self.marker()? {
            Marker::F32 => Number::from_f64(decode::read_f32(&mut self.rest).ok()?.into()),
            Marker::F64 => Number::from_f64(decode::read_f64(&mut self.rest).ok()?),
            Marker::U64 => decode::read_u64(&mut self.rest).ok().map(Number::from),
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
                let text = self.text()?;
                if text.len() > MAX_DIGITS { None } else { text.parse().ok() }
            }
            _ => decode::read_int::<i64, _>(&mut self.rest).ok().map(Number::from),
        }
    }

    /// The body and type of an extension; `None` in front of anything else.
    fn extension(&mut self) -> Option<(i8, &'a [u8])> {
        let is_extension = matches!(
            self.marker()?,
            Marker::FixExt1
                | Marker::FixExt2
                | Marker::FixExt4
                | Marker::FixExt8
                | Marker::FixExt16
                | Marker::Ext8
                | Marker::Ext16
                | Marker::Ext32
        );
        if !is_extension {
            return None;
        }
        let meta = decode::read_ext_meta(&mut self.rest).ok()?;
        self.take(usize::try_from(meta.size).ok()?).map(|body| (meta.typeid, body))
    }

    fn null(&mut self) -> bool {
        let null = self.marker() == Some(Marker::Null);
        if null {
            self.rest = &self.rest[1..];
        }
        null
    }

    /// Passes over one value of any kind.
    pub(super) fn skip(&mut self) -> Option<()> {
        let mut values = 1_usize;
        while values > 0 {
            values -= 1;
            if self.null() || self.boolean().is_some() || self.extension().is_some() {
                continue;
            }
            match self.marker()? {
                Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => values += self.array_len()?,
                Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => values += self.map_len()? * 2,
                Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
                    let length = decode::read_str_len(&mut self.rest).ok()?;
                    self.take(usize::try_from(length).ok()?)?;
                }
                Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => drop(self.bytes()?),
                Marker::F32 | Marker::F64 => {
                    let length = if self.marker() == Some(Marker::F32) { 5 } else { 9 };
                    self.take(length)?;
                }
                Marker::U64 => drop(decode::read_u64(&mut self.rest).ok()?),
                _ => drop(decode::read_int::<i64, _>(&mut self.rest).ok()?),
            }
        }
        Some(())
    }
}

struct Decoder<'r, 'a> {
    reader: &'r mut Reader<'a>,
    path: &'r mut Path,
}

impl Decoder<'_, '_> {
    fn fault<T>(&self, message: impl Into<String>) -> Result<T, CodecError> {
        Err(CodecError::new(self.path, message))
    }

    fn expect<T>(&self, piece: Option<T>, ty: &Type) -> Result<T, CodecError> {
        piece.map_or_else(|| self.fault(format!("the bytes are not those of {}", type_name(ty))), Ok)
    }

    fn value(&mut self, ty: &Type, depth: usize) -> Result<Value, CodecError> {
        if depth > MAX_DEPTH {
            return self.fault(format!("the value is nested more than {MAX_DEPTH} deep"));
        }
        if self.reader.rest.is_empty() {
            return self.fault("the bytes end before the value does");
        }
        if self.reader.null() {
            return Ok(Value::Null);
        }
        if let Some((kind, body)) = self.reader.extension() {
            let refinement = if kind == 12 { refinement::read(body) } else { Refinement::default() };
            return Ok(Value::Unknown(refinement));
        }
        match ty {
            Type::String => {
                let text = self.reader.text();
                self.expect(text, ty).map(Value::String)
            }
            Type::Number => {
                let number = self.reader.number();
                self.expect(number, ty).map(Value::Number)
            }
            Type::Bool => {
                let boolean = self.reader.boolean();
                self.expect(boolean, ty).map(Value::Bool)
            }
            Type::Dynamic => self.dynamic(depth),
            Type::List(element) | Type::Set(element) => {
                let length = self.reader.array_len();
                let length = self.expect(length, ty)?;
                let mut items = Vec::new();
                for index in 0..length {
                    let item = self.inside(Step::position(index), element, depth)?;
                    if !(matches!(ty, Type::Set(_)) && item.is_wholly_known() && items.contains(&item)) {
                        items.push(item);
                    }
                }
                Ok(Value::List(items))
            }
            Type::Tuple(elements) => {
                let length = self.reader.array_len();
                let length = self.expect(length, ty)?;
                if length != elements.len() {
                    return self.fault(format!("a tuple of {} elements is required, {length} given", elements.len()));
                }
                let mut items = Vec::with_capacity(length);
                for (index, element) in elements.iter().enumerate() {
                    items.push(self.inside(Step::position(index), element, depth)?);
                }
                Ok(Value::List(items))
            }
            Type::Map(element) => {
                let length = self.reader.map_len();
                let length = self.expect(length, ty)?;
                let mut items = BTreeMap::new();
                for _ in 0..length {
                    let key = self.reader.text();
                    let key = self.expect(key, ty)?;
                    let item = self.inside(Step::Key(key.clone()), element, depth)?;
                    items.insert(key, item);
                }
                Ok(Value::Map(items))
            }
            Type::Object(attributes) => {
                let length = self.reader.map_len();
                let length = self.expect(length, ty)?;
                let mut items = BTreeMap::new();
                for _ in 0..length {
                    let name = self.reader.text();
                    let name = self.expect(name, ty)?;
                    let Some(attribute) = attributes.get(&name) else {
                        return self.fault(format!("the object has an attribute {name:?} that its type does not have"));
                    };
                    let item = self.inside(Step::Attribute(name.clone()), attribute, depth)?;
                    items.insert(name, item);
                }
                match attributes.keys().find(|name| !items.contains_key(*name)) {
                    Some(missing) => self.fault(format!("the object lacks its attribute {missing:?}")),
                    None => Ok(Value::Map(items)),
                }
            }
        }
    }

    fn inside(&mut self, step: Step, ty: &Type, depth: usize) -> Result<Value, CodecError> {
        self.path.0.push(step);
        let value = self.value(ty, depth + 1)?;
        self.path.0.pop();
        Ok(value)
    }

    fn dynamic(&mut self, depth: usize) -> Result<Value, CodecError> {
        let pair = self.reader.array_len();
        if self.expect(pair, &Type::Dynamic)? != 2 {
            return self.fault("a value with its type is an array of two");
        }
        let json = self.reader.bytes();
        let json = self.expect(json, &Type::Dynamic)?;
        let ty = Type::from_json(json).map_err(|e| CodecError::new(self.path, e.message))?;
        let value = self.value(&ty, depth + 1)?;
        Ok(Value::Dynamic(Box::new(Typed { ty, value })))
    }
}

fn write(out: &mut Vec<u8>, value: &Value, ty: &Type, path: &mut Path) -> Result<(), CodecError> {
    let mismatch = |path: &Path| Err(CodecError::new(path, format!("the value is not {}", type_name(ty))));
    match (ty, value) {
        (_, Value::Null) => drop(encode::write_nil(out)),
        (_, Value::Unknown(refinement)) => refinement::write(out, refinement),
        (Type::Dynamic, Value::Dynamic(typed)) => {
            let _ = encode::write_array_len(out, 2);
            let _ = encode::write_bin(out, &typed.ty.to_json());
            write(out, &typed.value, &typed.ty, path)?;
        }
        (_, Value::Dynamic(typed)) => write(out, &typed.value, ty, path)?,
        (Type::String, Value::String(text)) => drop(encode::write_str(out, text)),
        (Type::Bool, Value::Bool(boolean)) => drop(encode::write_bool(out, *boolean)),
        (Type::Number, Value::Number(number)) => write_number(out, number),
        (Type::List(element) | Type::Set(element), Value::List(items)) => {
            array(out, items.len());
            for (index, item) in items.iter().enumerate() {
                inside(out, Step::position(index), item, element, path)?;
            }
        }
        (Type::Tuple(elements), Value::List(items)) if elements.len() == items.len() => {
            array(out, items.len());
            for (index, (item, element)) in items.iter().zip(elements).enumerate() {
                inside(out, Step::position(index), item, element, path)?;
            }
        }
        (Type::Map(element), Value::Map(items)) => {
            let _ = encode::write_map_len(out, u32::try_from(items.len()).unwrap_or(u32::MAX));
            for (key, item) in items {
                let _ = encode::write_str(out, key);
                inside(out, Step::Key(key.clone()), item, element, path)?;
            }
        }
        (Type::Object(attributes), Value::Map(items)) => {
            if let Some(extra) = items.keys().find(|name| !attributes.contains_key(*name)) {
                return Err(CodecError::new(
                    path,
                    format!("the object has an attribute {extra:?} that its type does not have"),
                ));
            }
            let _ = encode::write_map_len(out, u32::try_from(attributes.len()).unwrap_or(u32::MAX));
            for (name, attribute) in attributes {
                let Some(item) = items.get(name) else {
                    return Err(CodecError::new(path, format!("the object lacks its attribute {name:?}")));
                };
                let _ = encode::write_str(out, name);
                inside(out, Step::Attribute(name.clone()), item, attribute, path)?;
            }
        }
        _ => return mismatch(path),
    }
    Ok(())
}

fn array(out: &mut Vec<u8>, length: usize) {
    let _ = encode::write_array_len(out, u32::try_from(length).unwrap_or(u32::MAX));
}

fn inside(out: &mut Vec<u8>, step: Step, value: &Value, ty: &Type, path: &mut Path) -> Result<(), CodecError> {
    path.0.push(step);
    write(out, value, ty, path)?;
    path.0.pop();
    Ok(())
}

/// Writes a number in the smallest form that is exact: an integer, a float, or decimal text.
pub(super) fn write_number(out: &mut Vec<u8>, number: &Number) {
    match number {
        Number::Infinity => drop(encode::write_f64(out, f64::INFINITY)),
        Number::NegativeInfinity => drop(encode::write_f64(out, f64::NEG_INFINITY)),
        Number::Finite(decimal) => {
            if let Some(integer) = number.to_i64() {
                let _ = encode::write_sint(out, integer);
            } else if let Some(float) = exact_float(decimal) {
                let _ = encode::write_f64(out, float);
            } else {
                let _ = encode::write_str(out, &number.to_string());
            }
        }
    }
}

/// The float that is exactly this fraction.
fn exact_float(decimal: &BigDecimal) -> Option<f64> {
    // A float's fraction has at most 1,074 binary digits, and so as many decimal ones.
    if decimal.is_integer() || decimal.digits() > 1100 {
        return None;
    }
    let float: f64 = decimal.to_plain_string().parse().ok()?;
    (float.is_finite() && BigDecimal::try_from(float).ok()? == *decimal).then_some(float)
}
