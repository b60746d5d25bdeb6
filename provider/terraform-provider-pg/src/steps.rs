//! The attribute `steps`: the statements of an apply, as tables and vector indexes show them.
//!
//! **Invariant:** no string literal of a default, a comment or a condition is shown.

use pg_connector::Step;
use pg_connector::sql_text::mask_literals;
use tfplugin::{Attribute, Mode, Nesting, Plan, Type, Value};

/// The attribute.
pub fn attribute() -> Attribute {
    Attribute::nested(
        "steps",
        Nesting::List,
        vec![
            Attribute::new(
                "sql",
                Type::String,
                Mode::Computed,
                "The statement. String literals of defaults and comments are masked; rows never appear.",
            ),
            Attribute::new("lock", Type::String, Mode::Computed, "The strongest lock that it takes on the table."),
            Attribute::new(
                "hazards",
                Type::List(Box::new(Type::String)),
                Mode::Computed,
                "The harm it can do: `rewrites table` (all of it is written again under the lock), `scans table` (all of \
                 it is read), `destroys data` (it may, and never without consent), `blocks writes` (for longer than a \
                 moment). A plan warns of them with the size of the table, where there is something to hurt.",
            ),
            Attribute::new(
                "skippable",
                Type::Bool,
                Mode::Computed,
                "Whether apply leaves it out when it finds that it is not needed.",
            ),
        ],
        Mode::Computed,
        "The statements that the apply runs, in order; in the state those of the last apply.",
    )
}

/// The steps as users see them: string literals are masked.
pub fn shown(steps: &[Step]) -> Value {
    Value::List(
        steps
            .iter()
            .map(|step| {
                Value::object([
                    ("sql", Value::String(mask_literals(&step.sql))),
                    ("lock", Value::String(step.lock.to_string())),
                    ("hazards", Value::List(step.hazards.iter().map(|h| Value::String(h.to_string())).collect())),
                    ("skippable", Value::Bool(step.skippable)),
                ])
            })
            .collect(),
    )
}

/// The steps that a plan for what is there shows: those of the last apply, unless something changes. While it is not known
/// whether something does, neither are they.
pub fn shown_of_update(steps: &[Step], prior: &Value, plan: &mut Plan) -> Value {
    plan.value.set("steps", prior.get("steps").clone());
    match (steps, plan.value == *prior) {
        ([], true) => prior.get("steps").clone(),
        ([], false) if !plan.value.is_wholly_known() => Value::unknown(),
        (steps, _) => shown(steps),
    }
}
