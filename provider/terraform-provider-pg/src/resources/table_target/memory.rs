//! The hidden bookkeeping of a table: what was seen last, what was declared last, what the server said of it.
//!
//! **Invariant:** only Read and the end of an apply write it; a plan passes it on and adds nothing but the consent that
//! the delete half of a replacement needs.

use std::collections::BTreeMap;

use pg_connector::catalog::ObservedTable;
use pg_connector::rows::Ledger;
use pg_connector::spec::TableSpec;
use pg_connector::table::Applied;
use serde::{Deserialize, Serialize};
use tfplugin::{Diagnostic, Diagnostics, Private, Value};

/// The bookkeeping, as private state holds it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The table as it was seen last.
    pub observed: Option<ObservedTable>,
    /// The table as it was declared at the last apply. A default or comment in it was set here.
    pub declared: Option<TableSpec>,
    /// The defaults that were set here in the server's spelling, right after the last apply.
    pub default_forms: BTreeMap<String, Option<String>>,
    /// The server's digest of our rows, right after the last apply.
    pub rows_digest: Option<String>,
    /// Where the keys of our rows are, when they came from a file.
    pub ledger: Option<Ledger>,
    /// A ledger that the table had when it was imported.
    pub found_ledger: Option<Ledger>,
    /// The consent of the plan that replaces the table; only in planned bookkeeping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub force_destroy: Option<bool>,
}

impl Memory {
    /// Reads it from private state; keys it does not know stay where they are.
    pub fn from_private(private: &Private) -> Result<Self, Diagnostics> {
        serde_json::from_value(serde_json::Value::Object(private.clone())).map_err(|error| {
            Diagnostic::error(
                "Cannot read the table's private state",
                format!(
                    "The bookkeeping that this provider keeps beside the state is damaged or was written by a newer \
                     version: {error}. Remove the table from the state and import it again."
                ),
            )
            .into()
        })
    }

    /// Writes it into private state.
    pub fn write(&self, private: &mut Private) {
        private.remove("force_destroy");
        if let Ok(serde_json::Value::Object(keys)) = serde_json::to_value(self) {
            private.extend(keys);
        }
    }

    /// What to remember after an apply.
    pub fn after(applied: &Applied, declared: TableSpec) -> Self {
        // The CLI keeps this for every table and copies it often, so only what is needed.
        let has_default = |name: &str| declared.column(name).is_some_and(|column| column.default.is_some());
        let live = applied.observed.columns.iter().filter(|column| has_default(&column.name));
        Self {
            default_forms: live.map(|column| (column.name.clone(), column.default.clone())).collect(),
            observed: Some(applied.observed.clone()),
            declared: Some(declared),
            rows_digest: applied.rows_digest.clone(),
            ledger: applied.ledger.clone(),
            found_ledger: None,
            force_destroy: None,
        }
    }

    /// Whether the default (or comment) of a column was set here.
    pub fn manages(&self, column: &str, attribute: &str) -> bool {
        self.declared.as_ref().and_then(|d| d.column(column)).is_some_and(|c| match attribute {
            "default" => c.default.is_some(),
            _ => c.comment.is_some(),
        })
    }

    /// Whether the table's comment was set here.
    pub fn manages_comment(&self) -> bool {
        self.declared.as_ref().is_some_and(|d| d.comment.is_some())
    }

    /// The declaration of the state for the diff: of defaults and comments only those that were set here.
    pub fn prior_spec(&self, mut state: TableSpec) -> Option<TableSpec> {
        self.declared.as_ref()?;
        for column in &mut state.columns {
            if !self.manages(&column.name, "default") {
                column.default = None;
            }
            if !self.manages(&column.name, "comment") {
                column.comment = None;
            }
        }
        if !self.manages_comment() {
            state.comment = None;
        }
        Some(state)
    }

    /// Shows drift of defaults and comments that were set here in a state's columns.
    pub fn show_drift(&self, observed: &ObservedTable, columns: &mut Value) {
        let Value::Map(columns) = columns else { return };
        for live in &observed.columns {
            let Some(column) = columns.get_mut(&live.name) else { continue };
            let Some(declared) = self.declared.as_ref().and_then(|d| d.column(&live.name)) else { continue };
            if declared.default.is_some() {
                let unchanged = self.default_forms.get(&live.name) == Some(&live.default);
                let shown = if unchanged { declared.default.clone() } else { live.default.clone() };
                column.set("default", shown.into());
            }
            // The server does not keep an empty comment.
            let empty = declared.comment.as_deref() == Some("") && live.comment.is_none();
            if declared.comment.is_some() && !empty {
                column.set("comment", live.comment.clone().into());
            }
        }
    }
}
