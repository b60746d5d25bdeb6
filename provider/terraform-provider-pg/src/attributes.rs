//! Attributes, and checks of them, that more than one resource or data source has.

use pg_connector::TableName;
use tfplugin::{Attribute, Diagnostic, Diagnostics, Mode, Nesting, Path, Type, Value};

/// The attribute `timeouts` of what is created; the framework enforces it.
pub fn timeouts() -> Attribute {
    let operation = |name, description| Attribute::new(name, Type::String, Mode::Optional, description);
    Attribute::nested(
        "timeouts",
        Nesting::Single,
        vec![
            operation("create", "How long creating may take, such as `\"20m\"` (the default)."),
            operation("read", "How long reading may take. Defaults to `\"5m\"`."),
            operation("update", "How long changing may take. Defaults to `\"20m\"`."),
            operation("delete", "How long destroying may take. Defaults to `\"20m\"`."),
        ],
        Mode::Optional,
        "How long each operation may take, as text such as `\"500ms\"`, `\"5s\"`, `\"20m\"`.",
    )
}

/// The attribute `timeouts` of what is only read.
pub fn read_timeout() -> Attribute {
    let read = Attribute::new("read", Type::String, Mode::Optional, "How long reading may take. Defaults to `\"5m\"`.");
    let description = "How long reading may take, as text such as `\"30s\"` or `\"20m\"`.";
    Attribute::nested("timeouts", Nesting::Single, vec![read], Mode::Optional, description)
}

/// Whether two texts name the same table, however they quote it.
pub fn same_table(a: &Value, b: &Value) -> bool {
    match (a.as_str().map(str::parse::<TableName>), b.as_str().map(str::parse::<TableName>)) {
        (Some(Ok(a)), Some(Ok(b))) => a == b,
        _ => false,
    }
}

/// Checks that a text is one of these.
pub fn one_of(value: &Value, allowed: &[&str], path: &Path, diagnostics: &mut Diagnostics) {
    if let Some(text) = value.as_str()
        && !allowed.contains(&text)
    {
        let list = allowed.iter().map(|a| format!("{a:?}")).collect::<Vec<_>>().join(", ");
        diagnostics.push(
            Diagnostic::error("Invalid value", format!("{path} cannot be {text:?}; it must be one of {list}."))
                .at(path.clone()),
        );
    }
}
