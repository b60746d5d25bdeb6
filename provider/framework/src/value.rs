//! The value tree that every attribute is made of.
//!
//! A value does not know its type: the schema says whether a [`Value::List`] is a list, a set or a tuple, and whether a
//! [`Value::Map`] is a map or an object. Only a dynamic value carries its type, as it does on the wire.

use std::collections::BTreeMap;

use crate::number::Number;
use crate::types::Type;

/// One value of configuration, plan or state.
///
/// The order of the variants is the order of a set's elements, as the CLI sends them: null and unknown come last.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A boolean.
    Bool(bool),
    /// An exact number.
    Number(Number),
    /// Text in Unicode normal form C.
    String(String),
    /// The elements of a list, a set or a tuple.
    List(Vec<Self>),
    /// The elements of a map or the attributes of an object.
    Map(BTreeMap<String, Self>),
    /// The value of a dynamic attribute together with its type.
    Dynamic(Box<Typed>),
    /// No value.
    #[default]
    Null,
    /// A value that is only known after apply, with what is known about it already.
    Unknown(Refinement),
}

/// A value with its own type, as dynamic attributes hold it. `value` is never itself [`Value::Dynamic`] at the top.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Typed {
    /// The type of the value.
    pub ty: Type,
    /// The value.
    pub value: Value,
}

/// What is known about an unknown value. The empty refinement is the plain unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refinement {
    /// `Some(true)`: certainly not null; `Some(false)`: certainly null.
    pub not_null: Option<bool>,
    /// The first characters of the text.
    pub prefix: Option<String>,
    /// What is known about the size, if anything. Boxed because it is rare and would make every value thrice as large.
    pub bounds: Option<Box<Bounds>>,
}

/// The limits of an unknown number, or of the length of an unknown collection.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bounds {
    /// Lower bound of a number, and whether it is inclusive.
    pub number_min: Option<(Number, bool)>,
    /// Upper bound of a number, and whether it is inclusive.
    pub number_max: Option<(Number, bool)>,
    /// Smallest possible length of a collection.
    pub length_min: Option<u64>,
    /// Greatest possible length of a collection.
    pub length_max: Option<u64>,
}

/// The value with the elements of every set in one order, each known element once.
pub(crate) fn canonical(value: Value, ty: &Type) -> Value {
    let each = |items: Vec<Value>, ty: &Type| items.into_iter().map(|item| canonical(item, ty)).collect::<Vec<_>>();
    match (value, ty) {
        (Value::List(items), Type::List(element)) => Value::List(each(items, element)),
        (Value::List(items), Type::Set(element)) => Value::List(sorted_set(each(items, element))),
        (Value::List(items), Type::Tuple(types)) if items.len() == types.len() => {
            Value::List(items.into_iter().zip(types).map(|(item, ty)| canonical(item, ty)).collect())
        }
        (Value::Map(items), Type::Map(element)) => {
            Value::Map(items.into_iter().map(|(key, item)| (key, canonical(item, element))).collect())
        }
        (Value::Map(items), Type::Object(attributes)) => Value::Map(
            items
                .into_iter()
                .map(|(name, item)| match attributes.get(&name) {
                    Some(ty) => (name, canonical(item, ty)),
                    None => (name, item),
                })
                .collect(),
        ),
        (Value::Dynamic(typed), Type::Dynamic) => {
            let Typed { ty, value } = *typed;
            let value = canonical(value, &ty);
            Value::Dynamic(Box::new(Typed { ty, value }))
        }
        (other, _) => other,
    }
}

/// The elements of a set in order, each once. Elements that are not wholly known may yet differ, so they all stay.
pub(crate) fn sorted_set(mut items: Vec<Value>) -> Vec<Value> {
    items.sort();
    items.dedup_by(|a, b| a == b && a.is_wholly_known());
    items
}

impl Value {
    /// A plain unknown.
    pub fn unknown() -> Self {
        Self::Unknown(Refinement::default())
    }

    /// An object or map from pairs.
    pub fn object<K: Into<String>>(pairs: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Map(pairs.into_iter().map(|(k, v)| (k.into(), v)).collect())
    }

    /// Whether this is null, also when it is a typed null of a dynamic attribute.
    pub fn is_null(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Dynamic(typed) => typed.value.is_null(),
            _ => false,
        }
    }

    /// Whether this value itself is unknown (not whether it contains unknowns).
    pub fn is_unknown(&self) -> bool {
        match self {
            Self::Unknown(_) => true,
            Self::Dynamic(typed) => typed.value.is_unknown(),
            _ => false,
        }
    }

    /// Whether there is a value, and this value itself is known.
    pub fn is_given(&self) -> bool {
        !self.is_null() && !self.is_unknown()
    }

    /// Whether neither this value nor anything inside it is unknown.
    pub fn is_wholly_known(&self) -> bool {
        match self {
            Self::Unknown(_) => false,
            Self::List(items) => items.iter().all(Self::is_wholly_known),
            Self::Map(items) => items.values().all(Self::is_wholly_known),
            Self::Dynamic(typed) => typed.value.is_wholly_known(),
            _ => true,
        }
    }

    /// The value without its dynamic wrapper.
    pub fn inner(&self) -> &Self {
        match self {
            Self::Dynamic(typed) => typed.value.inner(),
            other => other,
        }
    }

    /// The attribute or element of that name; null when there is none.
    pub fn get(&self, name: &str) -> &Self {
        static NULL: Value = Value::Null;
        match self.inner() {
            Self::Map(items) => items.get(name).unwrap_or(&NULL),
            _ => &NULL,
        }
    }

    /// Sets an attribute of an object; does nothing when this is no object.
    pub fn set(&mut self, name: &str, value: Self) {
        if let Self::Map(items) = self {
            items.insert(name.to_owned(), value);
        }
    }

    /// The text, when this is known text.
    pub fn as_str(&self) -> Option<&str> {
        match self.inner() {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The boolean, when this is a known boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self.inner() {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The number, when this is a known number.
    pub fn as_number(&self) -> Option<&Number> {
        match self.inner() {
            Self::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The integer, when this is a known whole number that fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.as_number().and_then(Number::to_i64)
    }

    /// The elements, when this is a known list, set or tuple.
    pub fn as_list(&self) -> Option<&[Self]> {
        match self.inner() {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The elements, when this is a known map or object.
    pub fn as_map(&self) -> Option<&BTreeMap<String, Self>> {
        match self.inner() {
            Self::Map(items) => Some(items),
            _ => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Number(Number::from(value))
    }
}

impl<T: Into<Self>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equal(a: &Value, b: &Value, ty: &Type) -> bool {
        canonical(a.clone(), ty) == canonical(b.clone(), ty)
    }

    /// Puts a set into a value.
    type Wrap<'a> = &'a dyn Fn(&Value) -> Value;

    fn set_of_text(items: &[&str]) -> Value {
        Value::List(items.iter().map(|item| Value::from(*item)).collect())
    }

    fn boxed(ty: Type) -> Box<Type> {
        Box::new(ty)
    }

    #[test]
    fn a_value_is_small() {
        assert!(size_of::<Value>() <= 48, "{}", size_of::<Value>());
    }

    #[test]
    fn the_order_of_a_set_means_nothing() {
        let ty = Type::Set(boxed(Type::String));
        let (a, b) = (set_of_text(&["a", "b", "c"]), set_of_text(&["c", "a", "b", "a"]));
        assert!(equal(&a, &b, &ty));
        assert!(!equal(&a, &b, &Type::List(boxed(Type::String))));
        assert!(!equal(&a, &set_of_text(&["a", "b"]), &ty));
    }

    #[test]
    fn sets_inside_other_values_are_compared_as_sets() {
        let set = Type::Set(boxed(Type::String));
        let (a, b) = (set_of_text(&["a", "b"]), set_of_text(&["b", "a"]));
        let dynamic = |value: &Value| Value::Dynamic(Box::new(Typed { ty: set.clone(), value: value.clone() }));
        let cases: [(Type, Wrap<'_>); 6] = [
            (Type::Object(BTreeMap::from([("s".to_owned(), set.clone())])), &|set| Value::object([("s", set.clone())])),
            (Type::Map(boxed(set.clone())), &|set| Value::object([("s", set.clone())])),
            (Type::List(boxed(set.clone())), &|set| Value::List(vec![set.clone()])),
            (Type::Tuple(vec![set.clone()]), &|set| Value::List(vec![set.clone()])),
            (Type::Set(boxed(set.clone())), &|set| Value::List(vec![set.clone(), set.clone()])),
            (Type::Dynamic, &dynamic),
        ];
        for (ty, inside) in cases {
            assert!(equal(&inside(&a), &inside(&b), &ty), "{ty}");
            assert!(!equal(&inside(&a), &inside(&set_of_text(&["a", "c"])), &ty), "{ty}");
        }
    }

    #[test]
    fn unknown_elements_of_a_set_may_yet_differ() {
        let unknown = || Value::List(vec![Value::unknown()]);
        let known = || Value::List(vec![Value::Null]);
        let set = sorted_set(vec![unknown(), known(), unknown(), known()]);
        assert_eq!(set, [known(), unknown(), unknown()]);
    }

    #[test]
    fn null_and_empty_differ() {
        let ty = Type::Set(boxed(Type::String));
        assert!(!equal(&Value::Null, &Value::List(vec![]), &ty));
        assert!(!equal(&Value::unknown(), &Value::Null, &ty));
    }
}
