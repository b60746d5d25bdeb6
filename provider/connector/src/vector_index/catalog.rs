//! Reads pgvector indexes and the columns they can be over from the catalogue.
//!
//! Facts come from `pg_index` and its neighbours, never from a printed definition, which leaves defaults out.
//!
//! **Invariant:** only reads.

use std::collections::BTreeMap;

use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, Row};

use super::key::{ColumnType, Key};
use super::operator_class::{Method, Quantize, VectorType, of_operator_class};
use super::plan::ObservedIndex;
use crate::error::Error;
use crate::name::TableName;

/// A table that an index is to be on.
#[derive(Clone, Debug)]
pub(super) struct Table {
    oid: u32,
    /// Whether it is the parent of partitions.
    pub partitioned: bool,
    /// Whether indexes on it are possible.
    pub indexable: bool,
    /// Its columns: name, type as the server spells it, and what pgvector makes of it.
    pub columns: Vec<(String, String, Option<ColumnType>)>,
}

/// The vector extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extension {
    /// Its schema.
    pub schema: String,
    /// Its version.
    pub version: String,
}

/// What bears a name.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// A pgvector index on the table.
    Index(Box<ObservedIndex>),
    /// Something else; this.
    Foreign(String),
}

impl Table {
    /// The types of the columns, as the server spells them.
    pub(super) fn types(&self) -> BTreeMap<String, String> {
        self.columns.iter().map(|(name, spelled, _)| (name.clone(), spelled.clone())).collect()
    }

    /// The columns that pgvector can index.
    pub(super) fn vectors(&self) -> BTreeMap<String, ColumnType> {
        self.columns.iter().filter_map(|(name, _, vector)| vector.map(|vector| (name.clone(), vector))).collect()
    }
}

/// Makes names in printed expressions qualified, for the rest of the transaction.
pub(super) async fn pin_search_path(client: &impl GenericClient) -> Result<(), Error> {
    client
        .batch_execute("set local search_path = pg_catalog")
        .await
        .map_err(|error| Error::postgres("read the catalogue", &error))
}

/// The table; `None` where there is no relation of that name.
pub(super) async fn table(client: &impl GenericClient, name: &TableName) -> Result<Option<Table>, Error> {
    let doing = format!("look for table {name}");
    let relations = client
        .query_typed(
            "select c.oid, c.relkind::text from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where n.nspname = $1 and c.relname = $2",
            &[(&name.schema, Type::TEXT), (&name.name, Type::TEXT)],
        )
        .await
        .map_err(|error| Error::postgres(&doing, &error))?;
    let Some(relation) = relations.first() else { return Ok(None) };
    let (oid, kind): (u32, &str) = (relation.get(0), relation.get(1));
    let columns = client
        .query_typed(
            "select a.attname::text, format_type(a.atttypid, a.atttypmod), t.typname::text, a.atttypmod, \
             t.oid = 'bit'::regtype or exists (select from pg_depend d join pg_extension e on e.oid = d.refobjid \
             where d.classid = 'pg_type'::regclass and d.objid = t.oid and d.refclassid = 'pg_extension'::regclass \
             and d.deptype = 'e' and e.extname = 'vector') \
             from pg_attribute a join pg_type t on t.oid = a.atttypid \
             where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped order by a.attnum",
            &[(&oid, Type::OID)],
        )
        .await
        .map_err(|error| Error::postgres(&doing, &error))?;
    let column = |row: &Row| {
        let vector = row.get::<_, bool>(4).then(|| row.get::<_, &str>(2).parse::<VectorType>().ok()).flatten();
        let dimensions = u32::try_from(row.get::<_, i32>(3)).ok();
        (row.get(0), row.get(1), vector.map(|ty| ColumnType { ty, dimensions }))
    };
    Ok(Some(Table {
        oid,
        partitioned: kind == "p",
        indexable: matches!(kind, "r" | "p" | "m"),
        columns: columns.iter().map(column).collect(),
    }))
}

/// The vector extension, where it is installed.
pub(super) async fn extension(client: &impl GenericClient) -> Result<Option<Extension>, Error> {
    let rows = client
        .query_typed(
            "select n.nspname::text, e.extversion from pg_extension e join pg_namespace n on n.oid = e.extnamespace \
             where e.extname = 'vector'",
            &[],
        )
        .await
        .map_err(|error| Error::postgres("look for the extension vector", &error))?;
    Ok(rows.first().map(|row| Extension { schema: row.get(0), version: row.get(1) }))
}

/// Whether the installed pgvector has an operator class.
pub(super) async fn has_class(client: &impl GenericClient, class: &str, method: Method) -> Result<bool, Error> {
    let rows = client
        .query_typed(
            "select 1 from pg_opclass c join pg_am a on a.oid = c.opcmethod where c.opcname = $1 and a.amname = $2",
            &[(&class, Type::TEXT), (&method.word(), Type::TEXT)],
        )
        .await
        .map_err(|error| Error::postgres(format!("look for the operator class {class}"), &error))?;
    Ok(!rows.is_empty())
}

/// What bears the name of an index. The search path must be pinned.
pub(super) async fn find(client: &impl GenericClient, index: &TableName, table: &Table) -> Result<Found, Error> {
    let rows = client
        .query_typed(
            "select c.relkind::text, i.indrelid, i.indrelid::regclass::text, m.amname::text, o.opcname::text, \
             coalesce(c.reloptions, '{}'), a.attname::text, pg_get_expr(i.indexprs, i.indrelid), \
             pg_get_expr(i.indpred, i.indrelid), i.indisvalid and i.indisready and i.indislive, \
             coalesce(pg_relation_filenode(c.oid), 0::oid) \
             from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             left join pg_index i on i.indexrelid = c.oid \
             left join pg_am m on m.oid = c.relam \
             left join pg_opclass o on o.oid = i.indclass[0] \
             left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0] and i.indkey[0] <> 0 \
             where n.nspname = $1 and c.relname = $2",
            &[(&index.schema, Type::TEXT), (&index.name, Type::TEXT)],
        )
        .await
        .map_err(|error| Error::postgres(format!("look for index {index}"), &error))?;
    let Some(row) = rows.first() else { return Ok(Found::Nothing) };
    let Some(on) = row.get::<_, Option<u32>>(1) else {
        return Ok(Found::Foreign(relation_word(row.get(0)).to_owned()));
    };
    if on != table.oid {
        return Ok(Found::Foreign(format!("an index on the table {}", row.get::<_, String>(2))));
    }
    let method: Option<Method> = row.get::<_, Option<&str>>(3).and_then(|word| word.parse().ok());
    let class: &str = row.get::<_, Option<&str>>(4).unwrap_or_default();
    let (Some(method), Some((_, metric))) = (method, of_operator_class(class)) else {
        return Ok(Found::Foreign(format!(
            "an index with method {} and operator class {class}",
            row.get::<_, String>(3)
        )));
    };
    Ok(Found::Index(Box::new(ObservedIndex {
        method,
        metric,
        operator_class: class.to_owned(),
        key: key(row, table),
        options: options(row.get(5)),
        predicate: row.get(8),
        valid: row.get(9),
        file: row.get(10),
    })))
}

/// How many vectors an index held when it was built; `None` where the server does not say, as for one with partitions.
pub(super) async fn vectors(client: &impl GenericClient, index: &TableName) -> Result<Option<u64>, Error> {
    let rows = client
        .query_typed(
            "select c.reltuples::bigint from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where n.nspname = $1 and c.relname = $2 and c.relkind = 'i'",
            &[(&index.schema, Type::TEXT), (&index.name, Type::TEXT)],
        )
        .await
        .map_err(|error| Error::postgres(format!("count the vectors of index {index}"), &error))?;
    Ok(rows.first().and_then(|row| u64::try_from(row.get::<_, i64>(0)).ok()))
}

/// The process that is building an index right now.
pub(super) async fn builder(client: &impl GenericClient, index: &TableName) -> Result<Option<i32>, Error> {
    let rows = client
        .query_typed(
            "select p.pid from pg_stat_progress_create_index p join pg_class c on c.oid = p.index_relid \
             join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = $2",
            &[(&index.schema, Type::TEXT), (&index.name, Type::TEXT)],
        )
        .await
        .map_err(|error| Error::postgres(format!("see whether index {index} is being built"), &error))?;
    Ok(rows.first().map(|row| row.get(0)))
}

fn key(row: &Row, table: &Table) -> Result<Key, String> {
    if let Some(column) = row.get::<_, Option<String>>(6) {
        return Ok(Key { column, quantize: None, subvector: None });
    }
    let expression: String = row.get::<_, Option<String>>(7).unwrap_or_default();
    let Some(mut key) = Key::of_expression(&expression) else { return Err(expression) };
    let halfvec = table.vectors().get(&key.column).is_some_and(|c| c.ty == VectorType::Halfvec);
    if halfvec && key.quantize == Some(Quantize::Half) && key.subvector.is_some() {
        key.quantize = None;
    }
    Ok(key)
}

fn options(reloptions: Vec<String>) -> BTreeMap<String, String> {
    let pair = |option: String| match option.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (option, String::new()),
    };
    reloptions.into_iter().map(pair).collect()
}

fn relation_word(kind: &str) -> &'static str {
    match kind {
        "r" | "p" => "a table",
        "v" => "a view",
        "m" => "a materialized view",
        "S" => "a sequence",
        "c" => "a composite type",
        "f" => "a foreign table",
        _ => "another kind of object",
    }
}
