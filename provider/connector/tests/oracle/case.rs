//! The recording: pairs of declarations, and what the reference connector does about each.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use pg_connector::TableName;
use pg_connector::attachment::{Attachment, OnTeardownError};
use pg_connector::error::RowLabel;
use pg_connector::spec::{ColumnSpec, ManagedBy, TableSpec};
use pg_connector::vector_index::{Declaration, Given};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Fact, Run};

/// The first line.
#[derive(Debug, Deserialize)]
pub(crate) struct Header {
    pub(crate) connector: String,
}

/// Each other line.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) previous: Option<Table>,
    /// What an earlier apply wanted and did not finish.
    pub(crate) failed: Option<Table>,
    pub(crate) next: Option<Table>,
    #[serde(default)]
    pub(crate) actions: Vec<Action>,
    /// Why the connector refuses the next declaration.
    pub(crate) error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Table {
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
    pub(crate) managed_by: String,
    pub(crate) columns: Vec<(String, String, bool)>,
    pub(crate) primary_key: Vec<String>,
    pub(crate) indexes: Vec<Index>,
    pub(crate) attachments: Vec<(String, String, Option<String>)>,
    pub(crate) rows: Vec<Map<String, Value>>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Index {
    pub(crate) column: String,
    pub(crate) name: String,
    pub(crate) metric: Option<String>,
    pub(crate) method: Option<String>,
    pub(crate) lists: Option<i64>,
    pub(crate) m: Option<i64>,
    pub(crate) ef_construction: Option<i64>,
}

/// What the connector does.
#[derive(Debug, Deserialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub(crate) enum Action {
    Table { schema: Option<String>, name: String, does: Option<String>, columns: Map<String, Value> },
    Index { name: String, does: String },
    Attachment { name: String, teardown: Option<String>, setup: Option<String> },
    Row { does: String },
}

pub(crate) fn recording() -> (Header, Vec<Case>) {
    let mut text = String::new();
    flate2::read::GzDecoder::new(&include_bytes!("recording.jsonl.gz")[..]).read_to_string(&mut text).unwrap();
    let mut lines = text.lines();
    let header = serde_json::from_str(lines.next().unwrap()).unwrap();
    (header, lines.map(|line| serde_json::from_str(line).unwrap()).collect())
}

impl Table {
    pub(crate) fn place(&self) -> TableName {
        TableName::new(self.schema.as_deref().unwrap_or("public"), &self.name)
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.managed_by == "system"
    }

    pub(crate) fn type_of(&self, column: &str) -> Option<&str> {
        self.columns.iter().find(|c| c.0 == column).map(|c| c.1.as_str())
    }

    pub(crate) fn spec(&self) -> TableSpec {
        let column = |(name, type_name, nullable): &(String, String, bool)| ColumnSpec {
            name: name.clone(),
            type_name: type_name.clone(),
            nullable: *nullable,
            default: None,
            comment: None,
        };
        TableSpec {
            name: self.place(),
            managed_by: if self.is_ours() { ManagedBy::System } else { ManagedBy::User },
            comment: None,
            columns: self.columns.iter().map(column).collect(),
            primary_key: self.primary_key.clone(),
        }
    }

    pub(crate) fn labelled_rows(&self) -> Vec<(RowLabel, Map<String, Value>)> {
        self.rows.iter().cloned().enumerate().map(|(at, row)| (RowLabel::Index(at), row)).collect()
    }

    /// The keys of the rows, as text.
    pub(crate) fn keys(&self) -> BTreeSet<String> {
        let key = |row: &Map<String, Value>| self.primary_key.iter().map(|name| row[name].to_string() + ",").collect();
        self.rows.iter().map(key).collect()
    }

    pub(crate) fn index(&self, name: &str) -> Option<&Index> {
        self.indexes.iter().find(|index| index.name == name)
    }

    pub(crate) fn declaration(&self, index: &Index) -> Declaration {
        fn given<T: Clone>(value: Option<&T>) -> Given<T> {
            value.map_or(Given::Unset, |value| Given::Now(value.clone()))
        }
        Declaration {
            table: Given::Now(self.place().to_string()),
            column: Given::Now(index.column.clone()),
            name: Given::Now(index.name.clone()),
            metric: given(index.metric.as_ref()),
            method: given(index.method.as_ref()),
            lists: given(index.lists.as_ref()),
            m: given(index.m.as_ref()),
            ef_construction: given(index.ef_construction.as_ref()),
            ..Declaration::default()
        }
    }

    pub(crate) fn attachments(&self) -> BTreeMap<String, Attachment> {
        let attachment = |(name, setup, teardown): &(String, String, Option<String>)| Attachment {
            table: self.place(),
            name: name.clone(),
            setup_sql: setup.clone(),
            teardown_sql: teardown.clone(),
            check_sql: None,
            transactional: true,
            on_teardown_error: OnTeardownError::Fail,
            in_part: false,
        };
        self.attachments.iter().map(|a| (a.0.clone(), attachment(a))).collect()
    }
}

impl Case {
    /// What the connector does, as facts.
    pub(crate) fn theirs(&self) -> BTreeSet<Fact> {
        let mut facts = BTreeSet::new();
        let uses_pgvector = || {
            let is = |t: &str| ["vector", "halfvec"].iter().any(|name| t.to_lowercase().starts_with(name));
            self.next.iter().flat_map(|t| &t.columns).any(|c| is(&c.1))
        };
        for action in &self.actions {
            match action {
                Action::Table { schema, name, does, columns } => {
                    let table = TableName::new(schema.as_deref().unwrap_or("public"), name);
                    let made = match does.as_deref() {
                        Some("insert") => Some(Fact::CreateTable(table)),
                        Some("upsert") => Some(Fact::CreateTableIfMissing(table)),
                        Some("replace") => Some(Fact::ReplaceTable(table)),
                        Some("delete") => {
                            facts.insert(Fact::DropTable(table));
                            continue;
                        }
                        _ => None,
                    };
                    if made.is_some() && uses_pgvector() {
                        facts.insert(Fact::Extension);
                    }
                    facts.extend(made);
                    facts.extend(columns.iter().filter_map(|(name, does)| match (name.as_str(), does.as_str()?) {
                        ("ext:pgvector", "delete") => None,
                        ("ext:pgvector", _) => Some(Fact::Extension),
                        (name, "insert" | "upsert") => Some(Fact::AddColumn(name.to_owned())),
                        (name, "delete") => Some(Fact::DropColumn(name.to_owned())),
                        (name, _) => Some(Fact::AlterColumn(name.to_owned())),
                    }));
                    let at = |wanted: &dyn Fn(&str) -> bool| columns.keys().position(|name| wanted(name));
                    let vector = |name: &str| {
                        let type_name = self.next.as_ref().and_then(|t| t.type_of(name)).unwrap_or_default();
                        ["vector", "halfvec"].iter().any(|v| type_name.to_lowercase().starts_with(v))
                    };
                    if let (Some(column), Some(extension)) = (at(&vector), at(&|name| name == "ext:pgvector"))
                        && column < extension
                    {
                        facts.insert(Fact::ExtensionComesLate);
                    }
                }
                Action::Index { name, does } => {
                    facts.insert(if does == "drop" { Fact::DropIndex } else { Fact::BuildIndex }(name.clone()));
                }
                Action::Attachment { name, teardown, setup } => {
                    let run = |text, sql: &String| Fact::Run(name.clone(), text, sql.clone());
                    facts.extend(teardown.as_ref().map(|sql| run(Run::Teardown, sql)));
                    facts.extend(setup.as_ref().map(|sql| run(Run::Setup, sql)));
                }
                Action::Row { does } => {
                    facts.insert(if does == "delete" { Fact::DeleteRows } else { Fact::WriteRows });
                }
            }
        }
        facts
    }

    /// Whether the connector writes every row and builds every index and attachment again because some column changed.
    pub(crate) fn is_lossy(&self) -> bool {
        let columns = self.actions.iter().filter_map(|action| match action {
            Action::Table { columns, .. } => Some(columns),
            _ => None,
        });
        columns.flatten().any(|(_, does)| does != "insert")
    }
}
