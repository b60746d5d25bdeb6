//! Random valid configurations of `pg_table_target`, and edits of them.
//!
//! **Invariant:** every configuration that comes out of here is one that the provider must take, and every edit leads from
//! one to another without the loss of data that nobody consented to.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;
use tfplugin::Value;

use crate::cells::{Cell, KINDS, kind};

/// A table and its rows.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) schema: Option<&'static str>,
    pub(crate) name: &'static str,
    pub(crate) comment: Option<String>,
    pub(crate) managed_by: Option<&'static str>,
    pub(crate) columns: Vec<Column>,
    /// How many of the first columns are the key.
    pub(crate) keys: usize,
    /// Whether the key lists its columns the other way round.
    pub(crate) key_reversed: bool,
    /// Whether the columns are inferred.
    pub(crate) inferred: bool,
    pub(crate) rows: Vec<Row>,
    pub(crate) rows_as: RowsAs,
    pub(crate) row_drift: Option<&'static str>,
    pub(crate) force_destroy: Option<bool>,
    pub(crate) timeout: Option<&'static str>,
}

/// A column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: usize,
    pub(crate) spelling: usize,
    pub(crate) nullable: Option<bool>,
    pub(crate) default: bool,
    pub(crate) comment: Option<String>,
}

/// A row; its cells follow from its seed.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) seed: u32,
    /// Which of the cells that may be left out are.
    pub(crate) omitted: u32,
    /// Which of the cells that may be null are.
    pub(crate) nulls: u32,
}

/// How the rows are declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowsAs {
    /// Not at all.
    None,
    /// As a list of objects.
    List,
    /// As a map of objects.
    Map,
    /// In a file of JSON lines.
    JsonLines,
    /// In a CSV file.
    Csv,
}

const SCHEMAS: [Option<&str>; 4] = [None, Some("public"), Some("app"), Some("My \"Schema\"")];
const TABLES: [&str; 7] = ["t", "Items", "order", "my table", "t.x", "q\"t", "größe"];
const COLUMNS: [&str; 12] =
    ["id", "a", "b", "select", "Weird Name", "naïve", "q\"c", "c.d", "x$1", "UPPER", "_", "comment"];

impl Column {
    fn kind(&self) -> &'static crate::cells::Kind {
        &KINDS[self.kind]
    }

    fn type_name(&self) -> &'static str {
        let spellings = self.kind().spellings;
        spellings[self.spelling % spellings.len()]
    }
}

impl Table {
    /// The folder of its file of rows is `folder`.
    pub(crate) fn config(&self, folder: &Path) -> Value {
        let mut config = Value::object([
            ("schema_name", Value::from(self.schema.map(Value::from))),
            ("table_name", self.name.into()),
            ("comment", self.comment.clone().into()),
            ("managed_by", self.managed_by.map(Value::from).into()),
            ("row_drift", self.row_drift.map(Value::from).into()),
            ("force_destroy", self.force_destroy.into()),
            ("primary_key", self.key().into()),
            // Nulls that are written down can turn out not to be known as well.
            ("columns", Value::Null),
            ("record_schema", Value::Null),
            ("column_overrides", Value::Null),
            ("rows", Value::Null),
            ("rows_file", Value::Null),
            ("csv_null", Value::Null),
            ("timeouts", Value::Null),
        ]);
        if self.inferred {
            config.set("record_schema", self.record_schema().into());
            config.set("column_overrides", self.overrides());
        } else {
            config.set("columns", Value::object(self.columns.iter().map(|c| (c.name, self.column(c)))));
        }
        match self.rows_as {
            RowsAs::None => {}
            RowsAs::List => config.set("rows", Cell::List(self.objects().map(Cell::Object).collect()).dynamic()),
            RowsAs::Map => {
                let rows = self.objects().enumerate().map(|(i, row)| (format!("row {i}"), Cell::Object(row)));
                config.set("rows", Cell::Object(rows.collect()).dynamic());
            }
            RowsAs::JsonLines | RowsAs::Csv => {
                config.set("rows_file", self.file(folder).to_string_lossy().into_owned().into());
            }
        }
        if let Some(timeout) = self.timeout {
            config.set(
                "timeouts",
                Value::object([("create", timeout), ("update", timeout)].map(|(n, t)| (n, Value::from(t)))),
            );
        }
        config
    }

    /// Writes the file of rows, where there is one.
    pub(crate) fn write(&self, folder: &Path) {
        let rows: Vec<_> = self.objects().collect();
        let text = match self.rows_as {
            RowsAs::JsonLines => lines(rows.iter().map(|row| Cell::Object(row.clone()).json().to_string())),
            RowsAs::Csv => {
                let names: Vec<_> = self.columns.iter().filter(|c| self.in_csv(c)).map(|c| c.name).collect();
                let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
                let head = names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(",");
                let cell = |row: &BTreeMap<String, Cell>, name: &str| row[name].csv().unwrap();
                let line = |row| names.iter().map(|name| cell(row, name)).collect::<Vec<_>>().join(",");
                lines(std::iter::once(head).chain(rows.iter().map(line)))
            }
            _ => return,
        };
        std::fs::write(self.file(folder), text).unwrap();
    }

    fn file(&self, folder: &Path) -> std::path::PathBuf {
        folder.join(if self.rows_as == RowsAs::Csv { "rows.csv" } else { "rows.jsonl" })
    }

    /// The names of the key's columns.
    pub(crate) fn key(&self) -> Vec<&'static str> {
        let mut key: Vec<_> = self.columns[..self.keys].iter().map(|c| c.name).collect();
        if self.key_reversed {
            key.reverse();
        }
        key
    }

    /// The table's name as SQL writes it.
    pub(crate) fn sql_name(&self) -> String {
        let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        format!("{}.{}", quote(self.schema_name()), quote(self.name))
    }

    pub(crate) fn schema_name(&self) -> &'static str {
        self.schema.unwrap_or("public")
    }

    fn is_key(&self, column: &Column) -> bool {
        self.columns[..self.keys].iter().any(|key| key.name == column.name)
    }

    /// Whether cells of the column must be there and not null.
    fn is_vital(&self, column: &Column) -> bool {
        self.is_key(column) || column.nullable == Some(false)
    }

    fn in_csv(&self, column: &Column) -> bool {
        (column.kind().cell)(0).csv().is_some()
            && (column.kind().cell)(1).csv().is_some()
            && !matches!(column.kind().spellings[0], "jsonb")
            || self.is_vital(column)
    }

    fn column(&self, column: &Column) -> Value {
        let default = column.kind().default.filter(|_| column.default && !self.is_key(column));
        Value::object([
            ("type", Value::from(column.type_name())),
            ("nullable", column.nullable.into()),
            ("default", default.map(Value::from).into()),
            ("comment", column.comment.clone().into()),
        ])
    }

    /// What a schema generator would print for the columns.
    fn record_schema(&self) -> String {
        let property = |column: &Column| {
            let property = match column.kind().spellings[0] {
                "bigint" => json!({"type": "integer"}),
                "integer" => json!({"type": "integer", "format": "int32"}),
                "boolean" => json!({"type": "boolean"}),
                "double precision" => json!({"type": "number"}),
                "date" => json!({"type": "string", "format": "date"}),
                "timestamptz" => json!({"type": "string", "format": "date-time"}),
                "uuid" => json!({"type": "string", "format": "uuid"}),
                "bytea" => json!({"type": "string", "contentEncoding": "base64"}),
                "numeric" => json!({"anyOf": [{"type": "number"}, {"type": "string"}]}),
                "vector(3)" | "halfvec(3)" | "text[]" | "integer[]" | "bigint[]" => json!({"type": "array"}),
                "jsonb" | "json" => json!({"$ref": "#/$defs/Anything"}),
                _ => json!({"type": "string"}),
            };
            let nullable = column.nullable != Some(false) && column.spelling % 2 == 1;
            let property = if nullable { json!({"anyOf": [property, {"type": "null"}]}) } else { property };
            (column.name.to_owned(), property)
        };
        let required: Vec<_> = self.columns.iter().filter(|c| self.is_vital(c)).map(|c| c.name).collect();
        let properties: serde_json::Map<_, _> = self.columns.iter().map(property).collect();
        let schema = json!({
            "$defs": {"Anything": {"type": "object"}}, "type": "object", "properties": properties, "required": required,
        });
        schema.to_string()
    }

    /// What the record schema cannot say.
    fn overrides(&self) -> Value {
        let change = |column: &Column| {
            let nothing = || Value::object([("type", Value::Null), ("vector", Value::Null), ("nullable", Value::Null)]);
            let mut change = nothing();
            match column.kind().spellings[0] {
                vector @ ("vector(3)" | "halfvec(3)") => {
                    let dtype = if vector == "halfvec(3)" { Value::from("float16") } else { Value::Null };
                    change.set("vector", Value::object([("dimension", Value::from(3)), ("dtype", dtype)]));
                }
                "varchar(60)" | "varchar" | "numeric(12,2)" | "json" | "bit(8)" | "text[]" | "integer[]"
                | "bigint[]" => {
                    change.set("type", column.type_name().into());
                }
                _ => {}
            }
            if column.nullable == Some(true) && !self.is_key(column) {
                change.set("nullable", true.into());
            }
            (change != nothing()).then(|| (column.name.to_owned(), change))
        };
        let changes: BTreeMap<_, _> = self.columns.iter().filter_map(change).collect();
        if changes.is_empty() { Value::Null } else { Value::Map(changes) }
    }

    /// The rows as objects; in files every row names the same columns.
    fn objects(&self) -> impl Iterator<Item = BTreeMap<String, Cell>> + '_ {
        let csv = self.rows_as == RowsAs::Csv;
        self.rows.iter().map(move |row| {
            let cell = |(i, column): (usize, &Column)| {
                let bit = |bits: u32| bits & (1 << (i % 32)) != 0;
                let vital = self.is_vital(column);
                // A cell that is left out gets the default, which must then be there for one that cannot be null.
                let free = !(vital || csv && self.in_csv(column));
                if free && bit(row.omitted) || csv && !self.in_csv(column) {
                    return None;
                }
                let seed = if self.is_key(column) { row.seed } else { row.seed.wrapping_mul(7) % 999_983 };
                let cell = if !vital && bit(row.nulls) { Cell::Null } else { (column.kind().cell)(seed) };
                Some((column.name.to_owned(), cell))
            };
            self.columns.iter().enumerate().filter_map(cell).collect()
        })
    }

    /// Makes what an edit left wrong right again.
    fn mended(mut self) -> Self {
        self.keys = self.keys.clamp(1, self.columns.len());
        while self.keys > 1 && !self.columns[..self.keys].iter().all(|c| c.kind().key) {
            self.keys -= 1;
        }
        let keys = self.keys;
        for column in &mut self.columns[..keys] {
            column.nullable = column.nullable.filter(|nullable| !nullable);
        }
        if self.inferred {
            for column in &mut self.columns {
                (column.default, column.comment) = (false, None);
            }
        }
        if self.rows_as == RowsAs::Csv
            && self.columns.iter().any(|c| self.is_vital(c) && (c.kind().cell)(0).csv().is_none())
        {
            self.rows_as = RowsAs::JsonLines;
        }
        self
    }
}

/// A text of these lines.
fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.flat_map(|line| [line, "\n".to_owned()]).collect()
}

fn comment() -> impl Strategy<Value = Option<String>> {
    prop_oneof![3 => Just(None), 1 => select(vec!["It's a comment", "", "π \"q\" \\ \n end"]).prop_map(|c| Some(c.to_owned()))]
}

fn column(kinds: Vec<usize>) -> impl Strategy<Value = Column> {
    let nullable = prop_oneof![2 => Just(None), 1 => any::<bool>().prop_map(Some)];
    (select(COLUMNS.to_vec()), select(kinds), 0..6_usize, nullable, any::<bool>(), comment()).prop_map(
        |(name, kind, spelling, nullable, default, comment)| Column {
            name,
            kind,
            spelling,
            nullable,
            default,
            comment,
        },
    )
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (any::<u16>(), any::<u32>(), any::<u32>());
    prop::collection::vec(row, 0..6).prop_map(|rows| {
        let mut seen = std::collections::BTreeSet::new();
        rows.into_iter()
            .filter(|(seed, ..)| seen.insert(*seed))
            .map(|(seed, omitted, nulls)| Row { seed: seed.into(), omitted, nulls })
            .collect()
    })
}

fn rows_as() -> impl Strategy<Value = RowsAs> {
    prop_oneof![
        1 => Just(RowsAs::None),
        3 => Just(RowsAs::List),
        2 => Just(RowsAs::Map),
        1 => Just(RowsAs::JsonLines),
        1 => Just(RowsAs::Csv)
    ]
}

/// Any table.
pub(crate) fn table() -> impl Strategy<Value = Table> {
    let keys: Vec<_> = (0..KINDS.len()).filter(|kind| KINDS[*kind].key).collect();
    let all: Vec<_> = (0..KINDS.len()).collect();
    let key = prop::collection::vec(column(keys), 1..3);
    let others = prop::collection::vec(column(all), 0..5);
    let place = (select(SCHEMAS.to_vec()), select(TABLES.to_vec()), comment());
    let options = (
        select(vec![None, Some("digest"), Some("none")]),
        select(vec![None, Some(false), Some(true)]),
        select(vec![None, Some("30s"), Some("2m")]),
        any::<bool>(),
        select(vec![false, false, true]),
        select(vec![None, Some("system")]),
    );
    (place, key, others, rows(), rows_as(), options).prop_map(|(place, key, others, rows, rows_as, options)| {
        let (schema, name, comment) = place;
        let (row_drift, force_destroy, timeout, key_reversed, inferred, managed_by) = options;
        let mut columns: Vec<Column> = Vec::new();
        let mut keys = 0;
        for (i, column) in key.iter().chain(&others).enumerate() {
            if columns.iter().all(|c| c.name != column.name) {
                columns.push(column.clone());
                keys += usize::from(i < key.len());
            }
        }
        Table {
            schema,
            name,
            comment,
            managed_by,
            columns,
            keys,
            key_reversed,
            inferred,
            rows,
            rows_as,
            row_drift,
            force_destroy,
            timeout,
        }
        .mended()
    })
}

/// A change of a table's configuration.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Nothing,
    AddColumn(Column),
    DropColumn(Index),
    Retype(Index, Index),
    Spelling(Index),
    Nullable(Index, Option<bool>),
    Default(Index),
    ColumnComment(Index, Option<String>),
    Comment(Option<String>),
    Rows(Vec<Row>),
    RowsAs(RowsAs),
    RowDrift(Option<&'static str>),
    Timeout(Option<&'static str>),
    Key(usize, bool),
    Name(&'static str),
    Schema(Option<&'static str>),
    Infer(bool),
    ManagedByUser(bool),
}

/// Any edit.
pub(crate) fn edit() -> impl Strategy<Value = Edit> {
    let all: Vec<_> = (0..KINDS.len()).collect();
    let index = any::<Index>;
    prop_oneof![
        1 => Just(Edit::Nothing),
        3 => column(all).prop_map(Edit::AddColumn),
        2 => index().prop_map(Edit::DropColumn),
        3 => (index(), index()).prop_map(|(column, to)| Edit::Retype(column, to)),
        1 => index().prop_map(Edit::Spelling),
        2 => (index(), select(vec![None, Some(true), Some(false)])).prop_map(|(column, to)| Edit::Nullable(column, to)),
        2 => index().prop_map(Edit::Default),
        1 => (index(), comment()).prop_map(|(column, comment)| Edit::ColumnComment(column, comment)),
        1 => comment().prop_map(Edit::Comment),
        3 => rows().prop_map(Edit::Rows),
        2 => rows_as().prop_map(Edit::RowsAs),
        1 => select(vec![None, Some("none"), Some("digest")]).prop_map(Edit::RowDrift),
        1 => select(vec![None, Some("1m")]).prop_map(Edit::Timeout),
        2 => (1..3_usize, any::<bool>()).prop_map(|(keys, reversed)| Edit::Key(keys, reversed)),
        1 => select(TABLES.to_vec()).prop_map(Edit::Name),
        1 => select(SCHEMAS.to_vec()).prop_map(Edit::Schema),
        1 => any::<bool>().prop_map(Edit::Infer),
        1 => any::<bool>().prop_map(Edit::ManagedByUser),
    ]
}

impl Edit {
    /// The table after the edit; it consents to every loss.
    pub(crate) fn of(&self, before: &Table) -> Table {
        let mut after = before.clone();
        after.force_destroy = Some(true);
        let at = |index: &Index| index.index(before.columns.len());
        // A table of somebody else's is changed by nobody but them.
        if before.managed_by == Some("user")
            && !matches!(self, Self::Rows(_) | Self::RowDrift(_) | Self::Timeout(_) | Self::ManagedByUser(_))
        {
            return after;
        }
        match self {
            Self::AddColumn(column) if before.columns.iter().all(|c| c.name != column.name) => {
                after.columns.push(column.clone());
            }
            Self::DropColumn(index) if at(index) >= before.keys => drop(after.columns.remove(at(index))),
            Self::Nothing | Self::AddColumn(_) | Self::DropColumn(_) => {}
            Self::Retype(index, to) => {
                let column = &mut after.columns[at(index)];
                let widens: Vec<_> = column.kind().widens.iter().map(|name| kind(name)).collect();
                let is_key = at(index) < before.keys;
                let widens: Vec<_> = widens.into_iter().filter(|to| !is_key || KINDS[*to].key).collect();
                if !widens.is_empty() {
                    column.kind = widens[to.index(widens.len())];
                    // A default of the old type may have no cast to the new one.
                    column.default = false;
                }
            }
            Self::Spelling(index) => after.columns[at(index)].spelling += 2,
            Self::Nullable(index, to) => after.columns[at(index)].nullable = *to,
            Self::Default(index) => {
                let column = &mut after.columns[at(index)];
                column.default = !column.default;
            }
            Self::ColumnComment(index, comment) => after.columns[at(index)].comment.clone_from(comment),
            Self::Comment(comment) => after.comment.clone_from(comment),
            Self::Rows(rows) => after.rows.clone_from(rows),
            Self::RowsAs(rows_as) => after.rows_as = *rows_as,
            Self::RowDrift(drift) => after.row_drift = *drift,
            Self::Timeout(timeout) => after.timeout = *timeout,
            Self::Key(keys, reversed) => (after.keys, after.key_reversed) = (*keys, *reversed),
            Self::Name(name) => after.name = name,
            Self::Schema(schema) => after.schema = *schema,
            Self::Infer(inferred) => after.inferred = *inferred,
            Self::ManagedByUser(user) => after.managed_by = user.then_some("user"),
        }
        after.mended()
    }
}

/// What cannot be unknown in a plan that may replace: whether it consents, and whether it makes the table again.
pub(crate) const NOT_HIDDEN: [&str; 2] = ["force_destroy", "managed_by"];
