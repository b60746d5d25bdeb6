//! Whether two values are the same to the CLI.
//!
//! The CLI compares text in Unicode normal form C, sets without regard to order, and knows nothing of the refinements of
//! an unknown when it compares a plan with a configuration.
//!
//! **Invariant:** only a type says that a list is a set; so no value is compared without its type.

use std::collections::VecDeque;

use unicode_normalization::UnicodeNormalization;

use crate::types::Type;
use crate::value::Value;

/// Whether two values of one type are the same. Two unknowns are, whatever is known about them; a null that carries a
/// type differs from one that does not, as it does on the wire.
pub(crate) fn equal(ty: &Type, left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Unknown(_), Value::Unknown(_)) => true,
        (Value::String(left), Value::String(right)) => left == right || left.nfc().eq(right.nfc()),
        (Value::Dynamic(left), Value::Dynamic(right)) => {
            left.ty == right.ty && equal(&left.ty, &left.value, &right.value)
        }
        (Value::List(left), Value::List(right)) if left.len() == right.len() => match ty {
            Type::Set(element) => same_elements(element, left, right),
            Type::List(element) => left.iter().zip(right).all(|(l, r)| equal(element, l, r)),
            Type::Tuple(types) => types.iter().zip(left.iter().zip(right)).all(|(ty, (l, r))| equal(ty, l, r)),
            _ => left == right,
        },
        (Value::Map(left), Value::Map(right)) if left.len() == right.len() => {
            left.iter().zip(right).all(|((left_key, l), (right_key, r))| {
                left_key == right_key
                    && match ty {
                        Type::Map(element) => equal(element, l, r),
                        Type::Object(types) => types.get(left_key).map_or(l == r, |ty| equal(ty, l, r)),
                        _ => l == r,
                    }
            })
        }
        _ => left == right,
    }
}

/// Whether two sets of the same size hold the same elements.
fn same_elements(element: &Type, left: &[Value], right: &[Value]) -> bool {
    // The CLI sends sets sorted, so most pairs meet at the same place.
    if left.iter().zip(right).all(|(l, r)| equal(element, l, r)) {
        return true;
    }
    // What is left stays in its order, so that the elements of two sorted sets keep meeting at the front.
    let mut rest: VecDeque<&Value> = right.iter().collect();
    left.iter().all(|l| {
        let found = rest.iter().position(|r| equal(element, l, r));
        found.and_then(|found| rest.remove(found)).is_some()
    })
}

#[cfg(test)]
mod tests {
    use crate::value::{Refinement, Typed};

    use super::*;

    fn list(items: &[&str]) -> Value {
        items.to_vec().into()
    }

    #[test]
    fn order_counts_in_lists_and_not_in_sets() {
        let text = Box::new(Type::String);
        assert!(!equal(&Type::List(text.clone()), &list(&["a", "b"]), &list(&["b", "a"])));
        assert!(equal(&Type::Set(text.clone()), &list(&["a", "b"]), &list(&["b", "a"])));
        assert!(!equal(&Type::Set(text.clone()), &list(&["a", "a", "b"]), &list(&["b", "b", "a"])));
        assert!(!equal(&Type::Set(text), &list(&["a"]), &list(&["a", "b"])));
    }

    #[test]
    fn sets_are_found_inside_objects_and_dynamic_values() {
        let set = Type::Set(Box::new(Type::String));
        let object = Type::Object([("s".to_owned(), set.clone())].into());
        let value = |items| Value::object([("s", list(items))]);
        assert!(equal(&object, &value(&["a", "b"]), &value(&["b", "a"])));
        let dynamic = |items| Value::Dynamic(Box::new(Typed { ty: set.clone(), value: list(items) }));
        assert!(equal(&Type::Dynamic, &dynamic(&["a", "b"]), &dynamic(&["b", "a"])));
    }

    #[test]
    fn text_is_compared_in_normal_form() {
        assert!(equal(&Type::String, &"e\u{301}".into(), &"\u{e9}".into()));
        assert!(!equal(&Type::String, &"e".into(), &"\u{e9}".into()));
    }

    #[test]
    fn refinements_of_unknowns_do_not_count_and_types_of_nulls_do() {
        let refined = Value::Unknown(Refinement { not_null: Some(true), ..Refinement::default() });
        assert!(equal(&Type::String, &refined, &Value::unknown()));
        assert!(!equal(&Type::String, &Value::Null, &Value::unknown()));
        let typed = Value::Dynamic(Box::new(Typed { ty: Type::String, value: Value::Null }));
        assert!(!equal(&Type::Dynamic, &typed, &Value::Null));
    }
}
