//! From rows to the values of a Rust type, through serde.
//!
//! **Invariant:** a type that asks for nothing in particular, such as [`serde_json::Value`], gets what the cell means as
//! JSON; nothing is rounded on the way to a type that can hold it.

use std::any::type_name;
use std::fmt;
use std::str::FromStr;
use std::vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::value::{SeqDeserializer, StrDeserializer, StringDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Value;
use tokio_postgres::Row;

use super::wire::{Cell, Form, Garbled, List, Sent, numbers};

/// Why a row does not fit a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The column, where one is to blame.
    pub(super) column: Option<String>,
    /// What is wrong.
    pub(super) message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "column {column:?}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { column: None, message: message.to_string() }
    }
}

/// A column of a result: its name, and how its cells come.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) form: Form,
}

/// Makes a value of a row.
pub(super) fn row<T: DeserializeOwned>(columns: &[Column], row: &Row) -> Result<T, Fault> {
    T::deserialize(Cells { columns, row, at: 0 })
}

/// What a cell means as JSON.
#[cfg(feature = "surfaces")]
pub(super) fn value(cell: Cell<'_>) -> Option<Value> {
    serde::Deserialize::deserialize(cell).ok()
}

/// The cells of a row that were not asked for yet.
struct Cells<'r> {
    columns: &'r [Column],
    row: &'r Row,
    at: usize,
}

impl<'r> Cells<'r> {
    fn value<S: DeserializeSeed<'r>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let column = self.columns.get(self.at).ok_or_else(|| Fault::custom("there is no further column"))?;
        let blame = |fault: Fault| Fault { column: Some(column.name.clone()), ..fault };
        let cell = self
            .row
            .try_get::<_, Sent<'r>>(self.at)
            .map_err(Fault::custom)
            .and_then(|sent| column.form.read(sent).ok_or_else(|| Fault::custom("the server sent something else")))
            .map_err(blame)?;
        self.at += 1;
        seed.deserialize(cell).map_err(blame)
    }
}

impl<'r> MapAccess<'r> for Cells<'r> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'r>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        let column = self.columns.get(self.at);
        column.map(|column| seed.deserialize(StrDeserializer::new(&column.name))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'r>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        self.value(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.columns.len() - self.at)
    }
}

impl<'r> SeqAccess<'r> for Cells<'r> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'r>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        if self.at == self.columns.len() { Ok(None) } else { self.value(seed).map(Some) }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.columns.len() - self.at)
    }
}

impl<'r> Deserializer<'r> for Cells<'r> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_map(self)
    }

    fn deserialize_seq<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_seq(self)
    }

    fn deserialize_tuple<V: Visitor<'r>>(self, length: usize, visitor: V) -> Result<V::Value, Fault> {
        if length == self.columns.len() {
            visitor.visit_seq(self)
        } else {
            Err(Fault::custom(format!("the row has {} columns, and the type has {length}", self.columns.len())))
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'r>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'r>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! { <W: Visitor<'r>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct map
        struct enum identifier ignored_any
    }
}

/// What JSON has no number for is text.
fn visit_number<'r, V: Visitor<'r>>(number: f64, shortest: &str, visitor: V) -> Result<V::Value, Fault> {
    if number.is_nan() {
        visitor.visit_str("NaN")
    } else if number.is_infinite() {
        visitor.visit_str(if number > 0.0 { "Infinity" } else { "-Infinity" })
    } else {
        visitor.visit_f64(shortest.parse().unwrap_or(number))
    }
}

fn hyphenated(uuid: [u8; 16]) -> String {
    let hex = format!("{:032x}", u128::from_be_bytes(uuid));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn misread(error: serde_json::Error) -> Fault {
    Fault::custom(error)
}

/// Numbers in printed form, that a type asks for as one of its own numbers.
macro_rules! numbers {
    ($($method:ident $visit:ident $type:ty),*) => {$(
        fn $method<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Fault> {
            match printed_number(&self) {
                Some(text) => match text.parse::<$type>() {
                    Ok(number) => visitor.$visit(number),
                    Err(_) => Err(Fault::custom(format!("{text} is no {}", stringify!($type)))),
                },
                None => self.deserialize_any(visitor),
            }
        }
    )*};
}

fn printed_number(cell: &Cell<'_>) -> Option<String> {
    match cell {
        Cell::Printed(Value::Number(number)) => Some(number.to_string()),
        Cell::Json(text) if text.trim_start().starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
            Some(text.trim().to_owned())
        }
        Cell::Printed(Value::String(text)) if matches!(text.as_str(), "NaN" | "Infinity" | "-Infinity") => {
            Some(text.clone())
        }
        _ => None,
    }
}

/// A printed number as a floating point number that can hold it.
fn within<F: FromStr + Into<f64> + Copy>(text: &str) -> Result<F, Fault> {
    match text.parse::<F>() {
        Ok(number) if !number.into().is_infinite() || text.ends_with("Infinity") => Ok(number),
        _ => Err(beyond::<F>(text)),
    }
}

fn beyond<F>(number: impl fmt::Display) -> Fault {
    Fault::custom(format!("{number} is no {}", type_name::<F>()))
}

/// Hands elements over, all of them: an array type that is shorter would lose the rest.
fn visit_all<'r, V: Visitor<'r>, S: SeqAccess<'r, Error = Fault>>(
    mut elements: S,
    visitor: V,
) -> Result<V::Value, Fault> {
    let sent = elements.size_hint().unwrap_or_default();
    let value = visitor.visit_seq(&mut elements)?;
    match elements.size_hint().unwrap_or_default() {
        0 => Ok(value),
        left => Err(Fault::custom(format!("there are {sent} elements, and the type has {}", sent - left))),
    }
}

impl<'r> Deserializer<'r> for Cell<'r> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Bool(value) => visitor.visit_bool(value),
            Self::Int(number) => visitor.visit_i64(number),
            Self::Float4(number) => visit_number(number.into(), &number.to_string(), visitor),
            Self::Float8(number) => visit_number(number, &number.to_string(), visitor),
            Self::Text(text) => visitor.visit_borrowed_str(text),
            Self::Bytes(bytes) => visitor.visit_string(STANDARD.encode(bytes)),
            Self::Uuid(uuid) => visitor.visit_string(hyphenated(uuid)),
            Self::Json(text) => serde_json::Deserializer::from_str(text).deserialize_any(visitor).map_err(misread),
            Self::Vector(bytes) => visit_all(Numbers(bytes), visitor),
            Self::List(list) => visit_all(list, visitor),
            Self::Printed(Value::Array(items)) => visit_all(Items(items.into_iter()), visitor),
            Self::Printed(value) => value.deserialize_any(visitor).map_err(misread),
        }
    }

    fn deserialize_option<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Null => visitor.visit_none(),
            // As serde reads JSON, which has one null only.
            Self::Json(text) if text.trim() == "null" => visitor.visit_none(),
            some => visitor.visit_some(some),
        }
    }

    fn deserialize_str<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Json(text) if text.trim_start().starts_with('"') => {
                serde_json::Deserializer::from_str(text).deserialize_str(visitor).map_err(misread)
            }
            Self::Json(text) => visitor.visit_borrowed_str(text),
            Self::Printed(Value::Number(number)) => visitor.visit_string(number.to_string()),
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Self::Uuid(uuid) => visitor.visit_bytes(&uuid),
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_seq<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Bytes(bytes) => visit_all(SeqDeserializer::new(bytes.iter().copied()), visitor),
            Self::Json(text) => serde_json::Deserializer::from_str(text).deserialize_seq(visitor).map_err(misread),
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'r>>(self, length: usize, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Bytes(_) => self.deserialize_seq(visitor),
            Self::Json(text) => {
                serde_json::Deserializer::from_str(text).deserialize_tuple(length, visitor).map_err(misread)
            }
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'r>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_enum<V: Visitor<'r>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self {
            Self::Text(text) => visitor.visit_enum(IntoDeserializer::<Fault>::into_deserializer(text)),
            Self::Printed(Value::String(text)) => {
                visitor.visit_enum(StringDeserializer::<Fault>::into_deserializer(StringDeserializer::new(text)))
            }
            Self::Json(text) => {
                serde_json::Deserializer::from_str(text).deserialize_enum(name, variants, visitor).map_err(misread)
            }
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'r>>(self, name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        match self {
            // Some types, such as raw JSON, are told apart by the name.
            Self::Json(text) => {
                serde_json::Deserializer::from_str(text).deserialize_newtype_struct(name, visitor).map_err(misread)
            }
            other => visitor.visit_newtype_struct(other),
        }
    }

    fn deserialize_f32<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Float4(number) => visitor.visit_f32(number),
            Self::Float8(number) if number.is_finite() && number.abs() > f32::MAX.into() => Err(beyond::<f32>(number)),
            Self::Float8(number) => visitor.visit_f64(number),
            other => match printed_number(&other) {
                Some(text) => visitor.visit_f32(within(&text)?),
                None => other.deserialize_any(visitor),
            },
        }
    }

    fn deserialize_f64<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Float8(number) => visitor.visit_f64(number),
            Self::Float4(number) => visitor.visit_f64(number.into()),
            other => match printed_number(&other) {
                Some(text) => visitor.visit_f64(within(&text)?),
                None => other.deserialize_any(visitor),
            },
        }
    }

    numbers! {
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_i128 visit_i128 i128, deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
        deserialize_u128 visit_u128 u128
    }

    forward_to_deserialize_any! { <W: Visitor<'r>>
        bool char unit unit_struct map struct identifier ignored_any
    }
}

impl<'r> SeqAccess<'r> for List<'r> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'r>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        match self.next() {
            None => Ok(None),
            Some(Ok(cell)) => seed.deserialize(cell).map(Some),
            Some(Err(Garbled)) => Err(Fault::custom("the server sent something else than an array")),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.len())
    }
}

/// The elements of an array in printed form that were not asked for yet.
struct Items(vec::IntoIter<Value>);

impl<'r> SeqAccess<'r> for Items {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'r>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let cell = self.0.next().map(|item| if item.is_null() { Cell::Null } else { Cell::Printed(item) });
        cell.map(|cell| seed.deserialize(cell)).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

/// The numbers of a vector that were not asked for yet.
struct Numbers<'r>(&'r [u8]);

impl<'r> SeqAccess<'r> for Numbers<'r> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'r>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let Some(number) = numbers(self.0).next() else { return Ok(None) };
        self.0 = &self.0[4..];
        seed.deserialize(Cell::Float4(number)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len() / 4)
    }
}
