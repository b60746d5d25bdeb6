//! The names of a record type's fields, as serde reads them.

use serde::de::value::Error;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

/// The names that a struct's fields are read by; `None` for a type that does not name them, such as a map, a tuple or a
/// struct with flattened fields.
pub(super) fn of<'de, T: Deserialize<'de>>() -> Option<&'static [&'static str]> {
    let mut names = None;
    // What is asked for is told by the call alone, so the value itself is never made.
    let _refused = T::deserialize(Asked(&mut names)).is_err();
    names
}

/// Notes what it is asked for, and has nothing to give.
struct Asked<'n>(&'n mut Option<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("only the names count"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = Some(fields);
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq
        tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape counts")]
    struct Product {
        #[serde(rename = "productId")]
        id: i64,
        #[serde(skip)]
        never: i32,
        name: Option<String>,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape counts")]
    struct Wrapped(Product);

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape counts")]
    struct Flattened {
        #[serde(flatten)]
        product: Product,
    }

    #[test]
    fn a_struct_tells_its_names_and_nothing_else_does() {
        assert_eq!(super::of::<Product>(), Some(&["productId", "name"][..]));
        assert_eq!(super::of::<Wrapped>(), Some(&["productId", "name"][..]));
        assert_eq!(super::of::<Flattened>(), None);
        assert_eq!(super::of::<BTreeMap<String, i64>>(), None);
        assert_eq!(super::of::<(i64, String)>(), None);
        assert_eq!(super::of::<i64>(), None);
    }
}
