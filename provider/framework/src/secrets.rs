//! What must not be shown while a request runs: the sensitive and write-only texts that it, or the provider block, holds.
//!
//! Only a panic needs this, since a panic's message is made where nobody thinks of showing it: `unwrap` and `assert_eq`
//! print the values that they met.
//!
//! **Invariant:** outside of a request a message with values in it is not shown at all, since nobody knows what to hide.

use std::cell::RefCell;
use std::sync::Arc;

use crate::schema::{Attribute, Kind};
use crate::value::Value;

const MASK: &str = "***";

tokio::task_local! {
    static SCOPE: Scope;
}

/// The request that runs in a task.
struct Scope {
    request: String,
    provider: Arc<[String]>,
    noted: RefCell<Vec<String>>,
}

/// Runs a request's work, with what the provider block holds.
pub(crate) async fn scope<T>(request: &str, provider: Arc<[String]>, work: impl Future<Output = T>) -> T {
    let scope = Scope { request: request.to_owned(), provider, noted: RefCell::default() };
    SCOPE.scope(scope, work).await
}

/// Notes what a value of the running request holds.
pub(crate) fn note(attributes: &[Attribute], value: &Value) {
    let _ = SCOPE.try_with(|scope| collect(attributes, value, &mut scope.noted.borrow_mut()));
}

/// The name of the running request.
pub(crate) fn request() -> Option<String> {
    SCOPE.try_with(|scope| scope.request.clone()).ok()
}

/// A message made while a request runs, without what must not be shown; `None` when no request runs.
pub(crate) fn masked(message: &str) -> Option<String> {
    let mask_all = |scope: &Scope| {
        let noted = scope.noted.borrow();
        let mut hidden: Vec<&str> = scope.provider.iter().chain(noted.iter()).map(String::as_str).collect();
        // A secret that is part of another must not cut it in two.
        hidden.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        hidden.dedup();
        hidden.iter().fold(message.to_owned(), |message, secret| message.replace(secret, MASK))
    };
    SCOPE.try_with(mask_all).ok()
}

/// The texts of a value's sensitive and write-only attributes.
pub(crate) fn of(attributes: &[Attribute], value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(attributes, value, &mut found);
    found
}

fn collect(attributes: &[Attribute], value: &Value, found: &mut Vec<String>) {
    for attribute in attributes {
        let value = value.get(attribute.name);
        match &attribute.kind {
            _ if attribute.sensitive || attribute.write_only => texts(value, found),
            Kind::Nested(_, inner) => match value {
                Value::List(items) => items.iter().for_each(|item| collect(inner, item, found)),
                // One object, or a map of them.
                Value::Map(items) => {
                    collect(inner, value, found);
                    for item in items.values() {
                        collect(inner, item, found);
                    }
                }
                _ => {}
            },
            Kind::Plain(_) => {}
        }
    }
}

fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if !text.is_empty() => {
            // As `{:?}` prints it, where that differs.
            let printed = format!("{text:?}");
            let printed = &printed[1..printed.len() - 1];
            if printed != text {
                found.push(printed.to_owned());
            }
            found.push(text.clone());
        }
        Value::Number(number) => found.push(number.to_string()),
        Value::List(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Map(items) => items.values().for_each(|item| texts(item, found)),
        Value::Dynamic(typed) => texts(&typed.value, found),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Mode, Nesting};
    use crate::types::Type;

    #[tokio::test]
    async fn what_a_request_holds_is_masked_wherever_it_stands() {
        let text = |name| Attribute::new(name, Type::String, Mode::Optional, "");
        let attributes = [
            text("name"),
            text("password").sensitive(),
            Attribute::nested("keys", Nesting::Map, vec![text("key").write_only(), text("plain")], Mode::Optional, ""),
        ];
        let key = Value::object([("key", Value::from("k\n9")), ("plain", "shown".into())]);
        let keys = Value::object([("one", key)]);
        let value = Value::object([("name", Value::from("visible")), ("password", "geheim".into()), ("keys", keys)]);

        assert_eq!(masked("geheim"), None);
        let provider: Arc<[String]> = ["geheimer".to_owned()].into();
        let shown = scope("plan", provider, async {
            note(&attributes, &value);
            assert_eq!(request().as_deref(), Some("plan"));
            masked(&format!("visible geheim geheimer {:?} shown", value.get("keys")))
        });
        let shown = shown.await.unwrap();
        assert!(shown.starts_with("visible *** *** ") && shown.ends_with(" shown"), "{shown}");
        assert!(
            !shown.contains('9') && shown.contains("String(\"***\")") && shown.contains("String(\"shown\")"),
            "{shown}"
        );
        assert_eq!(request(), None);
    }
}
