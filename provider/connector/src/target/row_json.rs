//! Rows as lines of JSON that lose nothing: NaN and the infinities, which JSON has no numbers for, become the texts that
//! Postgres reads, and bytes become base64.
//!
//! **Invariant:** all else is what `serde_json` writes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// Appends a value as JSON.
pub(super) fn write<T: Serialize + ?Sized>(value: &T, line: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    value.serialize(Exact(&mut serde_json::Serializer::new(line)))
}

/// A serializer, and the parts that it hands out, that nothing is lost through.
struct Exact<S>(S);

/// A value that is written through [`Exact`].
struct Through<'v, T: ?Sized>(&'v T);

impl<T: Serialize + ?Sized> Serialize for Through<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(Exact(serializer))
    }
}

/// The text of what is no number in JSON.
fn no_number(number: f64) -> Option<&'static str> {
    match number {
        number if number.is_nan() => Some("NaN"),
        f64::INFINITY => Some("Infinity"),
        f64::NEG_INFINITY => Some("-Infinity"),
        _ => None,
    }
}

macro_rules! as_it_is {
    ($($method:ident $type:ty),*) => {$(
        fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
            self.0.$method(value)
        }
    )*};
}

impl<S: Serializer> Serializer for Exact<S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Exact<S::SerializeSeq>;
    type SerializeTuple = Exact<S::SerializeTuple>;
    type SerializeTupleStruct = Exact<S::SerializeTupleStruct>;
    type SerializeTupleVariant = Exact<S::SerializeTupleVariant>;
    type SerializeMap = Exact<S::SerializeMap>;
    type SerializeStruct = Exact<S::SerializeStruct>;
    type SerializeStructVariant = Exact<S::SerializeStructVariant>;

    as_it_is! {
        serialize_bool bool, serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64,
        serialize_i128 i128, serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64,
        serialize_u128 u128, serialize_char char, serialize_str &str
    }

    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        match no_number(value.into()) {
            Some(text) => self.0.serialize_str(text),
            None => self.0.serialize_f32(value),
        }
    }

    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        match no_number(value) {
            Some(text) => self.0.serialize_str(text),
            None => self.0.serialize_f64(value),
        }
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<S::Ok, S::Error> {
        self.0.serialize_str(&STANDARD.encode(value))
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.0.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.0.serialize_some(&Through(value))
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.0.serialize_unit()
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<S::Ok, S::Error> {
        self.0.serialize_unit_struct(name)
    }

    fn serialize_unit_variant(self, name: &'static str, at: u32, variant: &'static str) -> Result<S::Ok, S::Error> {
        self.0.serialize_unit_variant(name, at, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_struct(name, &Through(value))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        at: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        self.0.serialize_newtype_variant(name, at, variant, &Through(value))
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        self.0.serialize_seq(length).map(Exact)
    }

    fn serialize_tuple(self, length: usize) -> Result<Self::SerializeTuple, S::Error> {
        self.0.serialize_tuple(length).map(Exact)
    }

    fn serialize_tuple_struct(self, name: &'static str, length: usize) -> Result<Self::SerializeTupleStruct, S::Error> {
        self.0.serialize_tuple_struct(name, length).map(Exact)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        at: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        self.0.serialize_tuple_variant(name, at, variant, length).map(Exact)
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        self.0.serialize_map(length).map(Exact)
    }

    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Self::SerializeStruct, S::Error> {
        self.0.serialize_struct(name, length).map(Exact)
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        at: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        self.0.serialize_struct_variant(name, at, variant, length).map(Exact)
    }
}

macro_rules! parts {
    ($($part:ident $method:ident),*) => {$(
        impl<P: $part> $part for Exact<P> {
            type Ok = P::Ok;
            type Error = P::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), P::Error> {
                self.0.$method(&Through(value))
            }

            fn end(self) -> Result<P::Ok, P::Error> {
                self.0.end()
            }
        }
    )*};
}

parts! {
    SerializeSeq serialize_element, SerializeTuple serialize_element, SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
}

macro_rules! named_parts {
    ($($part:ident),*) => {$(
        impl<P: $part> $part for Exact<P> {
            type Ok = P::Ok;
            type Error = P::Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), P::Error> {
                self.0.serialize_field(name, &Through(value))
            }

            fn skip_field(&mut self, name: &'static str) -> Result<(), P::Error> {
                self.0.skip_field(name)
            }

            fn end(self) -> Result<P::Ok, P::Error> {
                self.0.end()
            }
        }
    )*};
}

named_parts! { SerializeStruct, SerializeStructVariant }

impl<P: SerializeMap> SerializeMap for Exact<P> {
    type Ok = P::Ok;
    type Error = P::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), P::Error> {
        self.0.serialize_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), P::Error> {
        self.0.serialize_value(&Through(value))
    }

    fn end(self) -> Result<P::Ok, P::Error> {
        self.0.end()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn line<T: Serialize>(value: &T) -> String {
        let mut line = Vec::new();
        write(value, &mut line).unwrap();
        String::from_utf8(line).unwrap()
    }

    #[derive(serde::Serialize)]
    enum Shape {
        Unit,
        New(f64),
        Tuple(f64, f32),
        Struct { x: f64 },
    }

    #[derive(serde::Serialize)]
    struct Wrapped(f64);

    #[derive(serde::Serialize)]
    struct Row {
        a: Option<f64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        gone: Option<f64>,
        b: (f32, f64),
        c: Vec<f64>,
        d: BTreeMap<String, f64>,
        e: Vec<Shape>,
        f: Wrapped,
        g: u128,
        h: serde_json::Value,
    }

    #[test]
    fn nothing_becomes_null() {
        let row = Row {
            a: Some(f64::NAN),
            gone: None,
            b: (f32::INFINITY, -0.0),
            c: vec![f64::NEG_INFINITY, 0.1],
            d: BTreeMap::from([("x".to_owned(), f64::NAN)]),
            e: vec![Shape::Unit, Shape::New(f64::NAN), Shape::Tuple(1.5, f32::NAN), Shape::Struct { x: f64::INFINITY }],
            f: Wrapped(f64::NAN),
            g: u128::MAX,
            h: serde_json::from_str("{\"n\": 1.10}").unwrap(),
        };
        assert_eq!(
            line(&row),
            "{\"a\":\"NaN\",\"b\":[\"Infinity\",-0.0],\"c\":[\"-Infinity\",0.1],\"d\":{\"x\":\"NaN\"},\
             \"e\":[\"Unit\",{\"New\":\"NaN\"},{\"Tuple\":[1.5,\"NaN\"]},{\"Struct\":{\"x\":\"Infinity\"}}],\"f\":\"NaN\",\
             \"g\":340282366920938463463374607431768211455,\"h\":{\"n\":1.10}}"
        );
    }

    struct Bytes<'b>(&'b [u8]);

    impl Serialize for Bytes<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0)
        }
    }

    #[test]
    fn bytes_are_base64_and_all_else_is_json() {
        assert_eq!(line(&Bytes(&[0, 255])), "\"AP8=\"");
        let value = json!({"a": [1, null, "x", {"b": true}], "ä": 1.5});
        assert_eq!(line(&value), value.to_string());
    }
}
