//! Whether two values are equal to the CLI: text in normal form, sets without order, unknowns whatever is known of them.
//!
//! Both sides are brought to one form and then compared as trees.

use unicode_normalization::UnicodeNormalization;

use crate::types::Type;
use crate::value::{Typed, Value};

/// Whether two values of the type are equal.
pub(super) fn same(ty: &Type, left: &Value, right: &Value) -> bool {
    form(ty, left) == form(ty, right)
}

fn form(ty: &Type, value: &Value) -> Value {
    match (ty, value) {
        (_, Value::Unknown(_)) => Value::unknown(),
        (_, Value::String(text)) => Value::String(text.nfc().collect()),
        (Type::Set(element), Value::List(items)) => {
            let mut items: Vec<_> = items.iter().map(|item| form(element, item)).collect();
            items.sort();
            Value::List(items)
        }
        (Type::List(element), Value::List(items)) => {
            Value::List(items.iter().map(|item| form(element, item)).collect())
        }
        (Type::Tuple(types), Value::List(items)) if types.len() == items.len() => {
            Value::List(types.iter().zip(items).map(|(ty, item)| form(ty, item)).collect())
        }
        (Type::Map(element), Value::Map(items)) => {
            Value::Map(items.iter().map(|(key, item)| (key.nfc().collect(), form(element, item))).collect())
        }
        (Type::Object(types), Value::Map(items)) => Value::Map(
            items
                .iter()
                .map(|(name, item)| (name.clone(), types.get(name).map_or_else(|| item.clone(), |ty| form(ty, item))))
                .collect(),
        ),
        (_, Value::Dynamic(typed)) => {
            let Typed { ty, value } = &**typed;
            Value::Dynamic(Box::new(Typed { ty: ty.clone(), value: form(ty, value) }))
        }
        (_, other) => other.clone(),
    }
}

/// What kind of value it is, and the value where it is short.
pub(super) fn show(value: &Value) -> String {
    let text = format!("{value:?}");
    if text.len() <= 120 { text } else { format!("{}...", text.chars().take(117).collect::<String>()) }
}
