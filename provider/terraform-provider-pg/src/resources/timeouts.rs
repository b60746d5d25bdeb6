//! The `timeouts` attribute that every resource and data source has; the framework enforces it.

use tfplugin::{Attribute, Mode, Nesting, Type};

/// The attribute.
pub fn attribute() -> Attribute {
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

/// The attribute of what is only read.
pub fn reading() -> Attribute {
    let read = Attribute::new("read", Type::String, Mode::Optional, "How long reading may take. Defaults to `\"5m\"`.");
    let description = "How long reading may take, as text such as `\"30s\"` or `\"20m\"`.";
    Attribute::nested("timeouts", Nesting::Single, vec![read], Mode::Optional, description)
}
