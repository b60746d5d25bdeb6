//! Finds what a schema refers to.
//!
//! **Invariant:** a reference is followed to its end or is a fault that names its place; none is followed in a circle.

use serde_json::Value;

/// A schema in its document.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    document: &'a Value,
    /// The schema.
    pub(crate) schema: &'a Value,
    /// Where it stands, as a JSON pointer.
    pub(crate) at: String,
    /// The references that led here, in order.
    followed: Vec<String>,
}

impl<'a> Place<'a> {
    /// The schema of the whole document.
    pub(crate) fn root(document: &'a Value) -> Self {
        Self { document, schema: document, at: String::new(), followed: Vec::new() }
    }

    /// A schema that stands in this one, under keys or positions.
    pub(crate) fn inner(&self, schema: &'a Value, tokens: &[&str]) -> Self {
        let escaped = tokens.iter().map(|token| format!("/{}", token.replace('~', "~0").replace('/', "~1")));
        Self { schema, at: self.at.clone() + &escaped.collect::<String>(), ..self.clone() }
    }

    /// A schema with a value of its own inside this one, so that a reference back is no circle.
    pub(crate) fn nested(&self, schema: &'a Value, tokens: &[&str]) -> Self {
        Self { followed: Vec::new(), ..self.inner(schema, tokens) }
    }

    /// The schema that says something itself: references and `allOf` with one member are followed. Also whether anything on
    /// the way says that null is allowed, as `OpenAPI` does.
    pub(crate) fn resolved(&self) -> Result<(Self, bool), String> {
        let mut place = self.clone();
        let mut allows_null = false;
        loop {
            allows_null |= place.schema.get("nullable").and_then(Value::as_bool) == Some(true);
            if let Some(reference) = place.schema.get("$ref") {
                place = place.target(reference)?;
                continue;
            }
            match place.schema.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
                // Beside a type, it only limits the values.
                Some([only]) if place.schema.get("type").is_none() => place = place.inner(only, &["allOf", "0"]),
                _ => return Ok((place, allows_null)),
            }
        }
    }

    pub(crate) fn target(&self, reference: &Value) -> Result<Self, String> {
        let at = format!("{}/$ref", self.at);
        let Some(text) = reference.as_str() else {
            return Err(format!("{at} is {reference}, and a reference is a text"));
        };
        let Some(pointer) = text.strip_prefix('#').filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
            return Err(format!(
                "{at} refers to {text:?}, and only references into the schema itself are followed, such as #/$defs/Name"
            ));
        };
        let pointer = decoded(pointer);
        if self.followed.contains(&pointer) {
            return Err(format!("{at} refers to {text:?}, which leads back to itself"));
        }
        let Some(schema) = self.document.pointer(&pointer) else {
            let known = self.definitions();
            return Err(format!("{at} refers to {text:?}, which the schema does not have; it defines {known}"));
        };
        let mut followed = self.followed.clone();
        followed.push(pointer.clone());
        Ok(Self { document: self.document, schema, at: pointer, followed })
    }

    /// The names of the document's definitions, as a sentence lists them.
    fn definitions(&self) -> String {
        let sets = ["$defs", "definitions"].iter().filter_map(|set| self.document.get(*set)?.as_object());
        let names: Vec<&str> = sets.flat_map(|set| set.keys().map(String::as_str)).collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    }
}

/// The pointer of a reference, whose characters may be percent-encoded.
fn decoded(pointer: &str) -> String {
    let bytes = pointer.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let code = (byte == b'%').then(|| pointer.get(at + 1..at + 3)).flatten();
        let code = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        plain.push(code.unwrap_or(byte));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8(plain).unwrap_or_else(|_| pointer.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_followed_to_their_end() {
        let document = json!({
            "a": {"$ref": "#/$defs/A"},
            "escaped": {"$ref": "#/$defs/a~1b%20%C3%BC~0"},
            "old": {"allOf": [{"$ref": "#/definitions/D"}], "description": "x"},
            "open": {"$ref": "#/$defs/N"},
            "$defs": {
                "A": {"$ref": "#/$defs/B"}, "B": {"allOf": [{"type": "integer"}]}, "a/b ü~": {"type": "string"},
                "N": {"type": "string", "nullable": true}
            },
            "definitions": {"D": {"type": "boolean"}}
        });
        for (name, type_name, at, null) in [
            ("a", "integer", "/$defs/B/allOf/0", false),
            ("escaped", "string", "/$defs/a~1b ü~0", false),
            ("old", "boolean", "/definitions/D", false),
            ("open", "string", "/$defs/N", true),
        ] {
            let (place, allows_null) = Place::root(&document).inner(&document[name], &[name]).resolved().unwrap();
            assert_eq!(place.schema["type"], type_name);
            assert_eq!((place.at.as_str(), allows_null), (at, null));
        }
    }

    #[test]
    fn what_leads_nowhere_names_its_place() {
        let document = json!({
            "missing": {"$ref": "#/$defs/Nope"},
            "remote": {"$ref": "https://example.com/schema.json"},
            "anchor": {"$ref": "#Name"},
            "number": {"$ref": 1},
            "circle": {"$ref": "#/$defs/A"},
            "self": {"allOf": [{"$ref": "#/self"}]},
            "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"allOf": [{"$ref": "#/$defs/A"}]}}
        });
        for (name, message) in [
            ("missing", "/missing/$ref refers to \"#/$defs/Nope\", which the schema does not have; it defines A, B"),
            (
                "remote",
                "/remote/$ref refers to \"https://example.com/schema.json\", and only references into the schema itself are \
                 followed, such as #/$defs/Name",
            ),
            (
                "anchor",
                "/anchor/$ref refers to \"#Name\", and only references into the schema itself are followed, such as \
                 #/$defs/Name",
            ),
            ("number", "/number/$ref is 1, and a reference is a text"),
            ("circle", "/$defs/B/allOf/0/$ref refers to \"#/$defs/A\", which leads back to itself"),
            ("self", "/self/allOf/0/$ref refers to \"#/self\", which leads back to itself"),
        ] {
            let place = Place::root(&document).inner(&document[name], &[name]);
            assert_eq!(place.resolved().unwrap_err(), message);
        }
    }
}
