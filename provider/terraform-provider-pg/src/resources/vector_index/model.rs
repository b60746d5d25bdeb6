//! Attributes to declaration and back: [`Value`] to [`Declaration`], [`Seen`] to [`Value`].

use pg_connector::vector_index::{
    BuildSettings, DEFAULT_EF_CONSTRUCTION, DEFAULT_LISTS, DEFAULT_M, Declaration, Given, Key, Quantize, Seen,
};
use pg_connector::{Blame, TableName};
use tfplugin::{Diagnostic, Diagnostics, Path, Private, Value};

/// The key of private state under which the last sight of the index is kept.
const SEEN: &str = "seen";

/// The attribute that is to blame.
pub fn path(blame: &Blame) -> Path {
    match blame {
        Blame::Attribute(name) => name.split('.').fold(Path::default(), Path::attribute),
        Blame::Element(name, _) => Path::root(name),
        Blame::Column(..) => Path::root("column"),
        Blame::Row(..) => Path::default(),
    }
}

/// The declaration, and the errors of its numbers that are not whole; these count as not known.
pub fn declaration(value: &Value) -> (Declaration, Diagnostics) {
    let mut faults = Diagnostics::default();
    let mut whole = |name: &str| number(value.get(name), &Path::root(name), &mut faults);
    let declaration = Declaration {
        lists: whole("lists"),
        m: whole("m"),
        ef_construction: whole("ef_construction"),
        subvector: whole("subvector"),
        table: table(value.get("table")),
        column: text(value.get("column")),
        name: text(value.get("name")),
        metric: text(value.get("metric")),
        method: text(value.get("method")),
        quantize: text(value.get("quantize")),
        predicate: text(value.get("where")),
    };
    (declaration, faults)
}

/// The table's text. Of a table that is still to be created only the beginning of its id is known: all of it, so that an
/// over-long name shows in the plan.
fn table(value: &Value) -> Given<String> {
    match value {
        Value::Unknown(refinement) => match &refinement.prefix {
            Some(prefix) if prefix.parse::<TableName>().is_ok() => Given::Now(prefix.clone()),
            _ => Given::Later,
        },
        other => text(other),
    }
}

fn text(value: &Value) -> Given<String> {
    given(value, |v| v.as_str().map(str::to_owned))
}

fn given<T>(value: &Value, read: impl Fn(&Value) -> Option<T>) -> Given<T> {
    match read(value) {
        Some(read) => Given::Now(read),
        None if value.is_null() => Given::Unset,
        None => Given::Later,
    }
}

fn number(value: &Value, path: &Path, faults: &mut Diagnostics) -> Given<i64> {
    if value.as_number().is_some() && value.as_i64().is_none() {
        let detail = format!("{path} must be a whole number.");
        faults.push(Diagnostic::error("Invalid number", detail).at(path.clone()));
    }
    given(value, Value::as_i64)
}

/// The settings of the build, as far as they are known.
pub fn build_settings(value: &Value) -> Result<BuildSettings, Diagnostics> {
    let build = value.get("build");
    let mut faults = Diagnostics::default();
    let path = Path::root("build").attribute("max_parallel_maintenance_workers");
    let workers = number(build.get("max_parallel_maintenance_workers"), &path, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(BuildSettings {
        maintenance_work_mem: build.get("maintenance_work_mem").as_str().map(str::to_owned),
        max_parallel_maintenance_workers: workers.now().copied(),
    })
}

/// Where a state's index is: its table and its own qualified name.
pub fn place(state: &Value) -> Option<(TableName, TableName)> {
    let table: TableName = state.get("table").as_str()?.parse().ok()?;
    let index = TableName::new(&table.schema, state.get("index_name").as_str()?);
    Some((table, index))
}

/// The last sight of the index.
pub fn seen(private: &Private) -> Option<Seen> {
    serde_json::from_value(private.get(SEEN)?.clone()).ok()
}

/// Keeps the sight of the index.
pub fn remember(private: &mut Private, seen: &Seen) {
    if let Ok(seen) = serde_json::to_value(seen) {
        private.insert(SEEN.to_owned(), seen);
    }
}

/// Shows what was seen in a state, in the words that the state has for it already where they mean the same.
pub fn show(state: &mut Value, seen: &Seen, before: Option<&Seen>) {
    let index = &seen.index;
    state.set("method", index.method.word().into());
    state.set("metric", index.metric.word().into());
    state.set("operator_class", index.operator_class.as_str().into());
    state.set("valid", seen.usable().into());
    for (name, default) in [("lists", DEFAULT_LISTS), ("m", DEFAULT_M), ("ef_construction", DEFAULT_EF_CONSTRUCTION)] {
        let effective = state.get(name).as_i64().unwrap_or_else(|| default.into());
        let live = index.option(name);
        if effective != i64::from(live.unwrap_or(default)) || state.get("id").is_null() {
            state.set(name, live.map(i64::from).into());
        }
    }
    let (column, quantize, subvector) = match &index.key {
        Ok(Key { column, quantize, subvector }) => (column, *quantize, *subvector),
        Err(expression) => (expression, None, None),
    };
    state.set("column", column.as_str().into());
    state.set("quantize", quantize.map(Quantize::word).into());
    state.set("subvector", subvector.map(i64::from).into());
    if before.is_none_or(|before| before.index.predicate != index.predicate) {
        state.set("where", index.predicate.clone().into());
    }
}

/// The index's identity.
pub fn identity(index: &TableName) -> Value {
    Value::object([("schema_name", index.schema.as_str().into()), ("index_name", index.name.as_str().into())])
}
