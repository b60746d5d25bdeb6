//! Reads pgvector indexes and the columns they can be over from the catalogue.
//!
//! Facts come from `pg_index` and its neighbours, never from a printed definition, which leaves defaults out.
//!
//! **Invariant:** only reads.

use std::collections::{BTreeMap, HashMap};

use futures_util::future::try_join;
use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, Row};

use super::key::{ColumnType, Key};
use super::operator_class::{Method, Quantize, VectorType, of_operator_class};
use super::plan::ObservedIndex;
use crate::error::Error;
use crate::name::{TableName, quote_literal};

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

/// The statements of [`pin_printing`].
pub(super) fn printing() -> String {
    let set = |(name, value)| format!("set local {name} = {}; ", quote_literal(value));
    crate::catalog::printing().map(set).collect()
}

/// Makes printed expressions look alike, with qualified names, for the rest of the transaction.
pub(super) async fn pin_printing(client: &impl GenericClient) -> Result<(), Error> {
    client.batch_execute(&printing()).await.map_err(|error| Error::postgres("read the catalogue", &error))
}

/// The relations that are wanted.
const WANTED: &str = "from unnest($1, $2) as w (schema, name) join pg_namespace n on n.nspname = w.schema \
    join pg_class c on c.relnamespace = n.oid and c.relname = w.name";

/// Asks a query about many relations; each row begins with the oid, or with the schema and name, of one of them.
async fn query_all(
    client: &impl GenericClient,
    sql: &str,
    names: &[&TableName],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let schemas: Vec<&str> = names.iter().map(|name| name.schema.as_str()).collect();
    let relations: Vec<&str> = names.iter().map(|name| name.name.as_str()).collect();
    client.query_typed(sql, &[(&schemas, Type::TEXT_ARRAY), (&relations, Type::TEXT_ARRAY)]).await
}

/// The table; `None` where there is no relation of that name.
pub(super) async fn table(client: &impl GenericClient, name: &TableName) -> Result<Option<Table>, Error> {
    let found = tables(client, &[name]).await;
    let mut found = found.map_err(|error| Error::postgres(format!("look for table {name}"), &error))?;
    Ok(found.remove(name))
}

/// Those of the tables that are there; each is named once.
pub(super) async fn tables(
    client: &impl GenericClient,
    names: &[&TableName],
) -> Result<HashMap<TableName, Table>, tokio_postgres::Error> {
    let relations = format!("select w.schema, w.name, c.oid, c.relkind::text {WANTED}");
    let columns = format!(
        "select c.oid, a.attname::text, format_type(a.atttypid, a.atttypmod), t.typname::text, a.atttypmod, \
         t.oid = 'bit'::regtype or exists (select from pg_depend d join pg_extension e on e.oid = d.refobjid \
         where d.classid = 'pg_type'::regclass and d.objid = t.oid and d.refclassid = 'pg_extension'::regclass \
         and d.deptype = 'e' and e.extname = 'vector') {WANTED} \
         join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped \
         join pg_type t on t.oid = a.atttypid order by c.oid, a.attnum"
    );
    let (relations, columns) =
        try_join(query_all(client, &relations, names), query_all(client, &columns, names)).await?;
    let column = |row: &Row| {
        let vector = row.get::<_, bool>(5).then(|| row.get::<_, &str>(3).parse::<VectorType>().ok()).flatten();
        let dimensions = u32::try_from(row.get::<_, i32>(4)).ok();
        (row.get(1), row.get(2), vector.map(|ty| ColumnType { ty, dimensions }))
    };
    let table = |row: &Row| {
        let (oid, kind): (u32, &str) = (row.get(2), row.get(3));
        Table {
            oid,
            partitioned: kind == "p",
            indexable: matches!(kind, "r" | "p" | "m"),
            columns: columns.iter().filter(|row| row.get::<_, u32>(0) == oid).map(column).collect(),
        }
    };
    Ok(relations.iter().map(|row| (name_of(row), table(row))).collect())
}

fn name_of(row: &Row) -> TableName {
    TableName::new(row.get::<_, String>(0), row.get::<_, String>(1))
}

/// The vector extension, where it is installed.
pub(super) async fn extension(client: &impl GenericClient) -> Result<Option<Extension>, Error> {
    installed(client).await.map_err(|error| Error::postgres("look for the extension vector", &error))
}

/// The same.
pub(super) async fn installed(client: &impl GenericClient) -> Result<Option<Extension>, tokio_postgres::Error> {
    let rows = client
        .query_typed(
            "select n.nspname::text, e.extversion from pg_extension e join pg_namespace n on n.oid = e.extnamespace \
             where e.extname = 'vector'",
            &[],
        )
        .await?;
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
    let named = named(client, &[index]).await;
    let named = named.map_err(|error| Error::postgres(format!("look for index {index}"), &error))?;
    Ok(named.found(index, table))
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

/// What bears the names of indexes, and who is building under them right now.
#[derive(Debug)]
pub(super) struct Named {
    rows: HashMap<TableName, Row>,
    builders: HashMap<TableName, i32>,
}

/// What bears these names, each of which is given once. The search path must be pinned.
pub(super) async fn named(client: &impl GenericClient, names: &[&TableName]) -> Result<Named, tokio_postgres::Error> {
    let relations = format!(
        "select w.schema, w.name, c.relkind::text, i.indrelid, i.indrelid::regclass::text, m.amname::text, \
         o.opcname::text, coalesce(c.reloptions, '{{}}'), a.attname::text, pg_get_expr(i.indexprs, i.indrelid), \
         pg_get_expr(i.indpred, i.indrelid), i.indisvalid and i.indisready and i.indislive, \
         coalesce(pg_relation_filenode(c.oid), 0::oid) {WANTED} \
         left join pg_index i on i.indexrelid = c.oid \
         left join pg_am m on m.oid = c.relam \
         left join pg_opclass o on o.oid = i.indclass[0] \
         left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0] and i.indkey[0] <> 0"
    );
    let builders = format!(
        "select w.schema, w.name, p.pid {WANTED} join pg_stat_progress_create_index p on p.index_relid = c.oid"
    );
    let (rows, builders) = try_join(query_all(client, &relations, names), query_all(client, &builders, names)).await?;
    Ok(Named {
        rows: rows.into_iter().map(|row| (name_of(&row), row)).collect(),
        builders: builders.iter().map(|row| (name_of(row), row.get(2))).collect(),
    })
}

impl Named {
    /// The process that is building an index right now.
    pub(super) fn builder(&self, index: &TableName) -> Option<i32> {
        self.builders.get(index).copied()
    }

    /// What bears a name, seen from the table that an index of that name is to be on.
    pub(super) fn found(&self, index: &TableName, table: &Table) -> Found {
        let Some(row) = self.rows.get(index) else { return Found::Nothing };
        let Some(on) = row.get::<_, Option<u32>>(3) else {
            return Found::Foreign(relation_word(row.get(2)).to_owned());
        };
        if on != table.oid {
            return Found::Foreign(format!("an index on the table {}", row.get::<_, String>(4)));
        }
        let method: Option<Method> = row.get::<_, Option<&str>>(5).and_then(|word| word.parse().ok());
        let class: &str = row.get::<_, Option<&str>>(6).unwrap_or_default();
        let (Some(method), Some((_, metric))) = (method, of_operator_class(class)) else {
            return Found::Foreign(format!(
                "an index with method {} and operator class {class}",
                row.get::<_, String>(5)
            ));
        };
        Found::Index(Box::new(ObservedIndex {
            method,
            metric,
            operator_class: class.to_owned(),
            key: key(row, table),
            options: options(row.get(7)),
            predicate: row.get(10),
            valid: row.get(11),
            file: row.get(12),
        }))
    }
}

fn key(row: &Row, table: &Table) -> Result<Key, String> {
    if let Some(column) = row.get::<_, Option<String>>(8) {
        return Ok(Key { column, quantize: None, subvector: None });
    }
    let expression: String = row.get::<_, Option<String>>(9).unwrap_or_default();
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
