//! Reads tables from the catalogue, any number with one query for each kind of object.
//!
//! What does not depend on an answer is sent before any answer is waited for.
//!
//! **Invariant:** only looks; the settings that it changes are set again.

use std::collections::HashMap;

use futures_util::future::{try_join, try_join4};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{GenericClient, Row};

use super::{DependentIndex, NOT_NULL_CHECK, NotNullCheck, ObservedColumn, ObservedTable, RelationKind};
use crate::name::TableName;
use crate::pinned;
use crate::sql_text::{Kind, lex};

/// The relations that are wanted, as `w`.
const WANTED: &str = "from unnest($1, $2) as w (schema, name) \
    join pg_catalog.pg_namespace n on n.nspname = w.schema \
    join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = w.name";

const RELATIONS: &str = "select w.schema, w.name, c.oid, c.relkind::text, \
    pg_catalog.obj_description(c.oid, 'pg_class'), \
    (select pg_catalog.array_agg(a.attname::text order by k.n) from pg_catalog.pg_constraint p, \
        unnest(p.conkey) with ordinality as k (attnum, n) \
        join pg_catalog.pg_attribute a on a.attnum = k.attnum \
        where p.conrelid = c.oid and p.contype = 'p' and a.attrelid = c.oid)";

/// The type of an extension is printed without its schema: where the extension is installed says nothing about the type.
const COLUMNS: &str = "select c.oid, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, \
    case when a.attgenerated = '' then pg_catalog.pg_get_expr(d.adbin, d.adrelid) end, \
    a.attgenerated <> '' or a.attidentity <> '', pg_catalog.col_description(c.oid, a.attnum), \
    (select pg_catalog.quote_ident(tn.nspname) || '.' from pg_catalog.pg_type e \
        join pg_catalog.pg_namespace tn on tn.oid = e.typnamespace \
        join pg_catalog.pg_depend x on x.classid = 'pg_catalog.pg_type'::pg_catalog.regclass and x.objid = e.oid \
            and x.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and x.deptype = 'e' \
        where e.oid = case when t.typcategory = 'A' then t.typelem else t.oid end limit 1)";

const OF_COLUMNS: &str = "join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped \
    join pg_catalog.pg_type t on t.oid = a.atttypid \
    left join pg_catalog.pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum \
    where c.relkind in ('r', 'p', 'v', 'm', 'f') order by c.oid, a.attnum";

const CHECKS: &str = "select c.oid, k.conname::text, a.attname::text";

const OF_CHECKS: &str = "join pg_catalog.pg_constraint k on k.conrelid = c.oid and k.contype = 'c' \
    and pg_catalog.starts_with(k.conname::text, $3) \
    join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = k.conkey[1] order by 1, 2";

const INDEXES: &str = "select c.oid, i.relname::text, pg_catalog.pg_get_indexdef(i.oid), \
    (select coalesce(pg_catalog.array_agg(distinct a.attname::text), '{}') from pg_catalog.pg_depend x \
        join pg_catalog.pg_attribute a on a.attrelid = x.refobjid and a.attnum = x.refobjsubid \
        where x.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and x.objid = i.oid \
            and x.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and x.refobjid = c.oid and x.refobjsubid > 0)";

const OF_INDEXES: &str = "join pg_catalog.pg_index x on x.indrelid = c.oid \
    join pg_catalog.pg_class i on i.oid = x.indexrelid \
    join pg_catalog.pg_am m on m.oid = i.relam \
    where m.amname in ('hnsw', 'ivfflat') order by 1, 2";

const EXTENSION_SCHEMAS: &str = "select distinct n.nspname::text from pg_catalog.pg_extension e \
    join pg_catalog.pg_namespace n on n.oid = e.extnamespace where n.nspname <> 'pg_catalog' order by 1";

/// The schemas that extensions are installed in.
pub(crate) async fn extension_schemas(client: &impl GenericClient) -> Result<Vec<String>, tokio_postgres::Error> {
    let rows = client.query_typed(EXTENSION_SCHEMAS, &[]).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Operator classes are printed without a schema when they are on the path.
const PUT_EXTENSIONS_ON_PATH: &str = "select pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', 'pg_catalog', \
    (select pg_catalog.string_agg(distinct pg_catalog.quote_ident(n.nspname), ', ') from pg_catalog.pg_extension e \
        join pg_catalog.pg_namespace n on n.oid = e.extnamespace where n.nspname <> 'pg_catalog')), true)";

/// Reads those of the tables that are there. To be called inside a transaction: settings are fixed in it for a while.
pub async fn read(
    client: &impl GenericClient,
    names: &[&TableName],
) -> Result<HashMap<TableName, ObservedTable>, tokio_postgres::Error> {
    let (former, found) = look(client, names).await?;
    pinned::restore(client, former).await?;
    Ok(found)
}

/// Reads those of the tables that are there, each of which is named once, and leaves the search path changed; also says
/// what it was.
pub(crate) async fn look(
    client: &impl GenericClient,
    names: &[&TableName],
) -> Result<(pinned::Former, HashMap<TableName, ObservedTable>), tokio_postgres::Error> {
    let schemas: Vec<&str> = names.iter().map(|name| name.schema.as_str()).collect();
    let tables: Vec<&str> = names.iter().map(|name| name.name.as_str()).collect();
    let wanted: [(&(dyn ToSql + Sync), Type); 2] = [(&schemas, Type::TEXT_ARRAY), (&tables, Type::TEXT_ARRAY)];
    let with_prefix: [(&(dyn ToSql + Sync), Type); 3] =
        [(&schemas, Type::TEXT_ARRAY), (&tables, Type::TEXT_ARRAY), (&NOT_NULL_CHECK, Type::TEXT)];
    let [relations, columns, checks, indexes] = [
        format!("{RELATIONS} {WANTED}"),
        format!("{COLUMNS} {WANTED} {OF_COLUMNS}"),
        format!("{CHECKS} {WANTED} {OF_CHECKS}"),
        format!("{INDEXES} {WANTED} {OF_INDEXES}"),
    ];
    let settings: Vec<_> = super::printing().collect();
    // Polled, and so sent, in this order.
    let (former, relations, columns, checks) = try_join4(
        pinned::pin(client, &settings),
        client.query_typed(&relations, &wanted),
        client.query_typed(&columns, &wanted),
        client.query_typed(&checks, &with_prefix),
    )
    .await?;

    let mut found: HashMap<u32, (TableName, ObservedTable)> = HashMap::new();
    for row in &relations {
        let name = TableName::new(row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?);
        let table = relation(row)?;
        found.insert(table.oid, (name, table));
    }
    for row in &columns {
        if let Some((_, table)) = found.get_mut(&row.try_get(0)?) {
            table.columns.push(column(row)?);
        }
    }
    for row in &checks {
        if let Some((_, table)) = found.get_mut(&row.try_get(0)?) {
            table.not_null_checks.push(NotNullCheck { name: row.try_get(1)?, column: row.try_get(2)? });
        }
    }
    if found.values().any(|(_, table)| table.columns.iter().any(ObservedColumn::may_have_vector_index)) {
        let (_, indexes) =
            try_join(client.query_typed(PUT_EXTENSIONS_ON_PATH, &[]), client.query_typed(&indexes, &wanted)).await?;
        for row in &indexes {
            if let Some((_, table)) = found.get_mut(&row.try_get(0)?) {
                table.vector_indexes.push(index(row)?);
            }
        }
    }
    Ok((former, found.into_values().collect()))
}

fn relation(row: &Row) -> Result<ObservedTable, tokio_postgres::Error> {
    Ok(ObservedTable {
        oid: row.try_get(2)?,
        kind: match row.try_get(3)? {
            "r" => RelationKind::Table,
            "p" => RelationKind::PartitionedTable,
            "v" => RelationKind::View,
            "m" => RelationKind::MaterializedView,
            "f" => RelationKind::ForeignTable,
            _ => RelationKind::Other,
        },
        columns: Vec::new(),
        primary_key: row.try_get::<_, Option<Vec<String>>>(5)?.unwrap_or_default(),
        comment: row.try_get(4)?,
        vector_indexes: Vec::new(),
        not_null_checks: Vec::new(),
    })
}

fn column(row: &Row) -> Result<ObservedColumn, tokio_postgres::Error> {
    let type_name: String = row.try_get(2)?;
    let schema: Option<String> = row.try_get(7)?;
    let unqualified = schema.and_then(|schema| type_name.strip_prefix(&schema).map(str::to_owned));
    Ok(ObservedColumn {
        name: row.try_get(1)?,
        type_name: unqualified.unwrap_or(type_name),
        nullable: !row.try_get::<_, bool>(3)?,
        default: row.try_get(4)?,
        generated: row.try_get(5)?,
        comment: row.try_get(6)?,
        spelled: None,
    })
}

fn index(row: &Row) -> Result<DependentIndex, tokio_postgres::Error> {
    Ok(DependentIndex { name: row.try_get(1)?, definition: definition(row.try_get(2)?), columns: row.try_get(3)? })
}

/// The server's definition as we write statements: key words in lower case, numbers without quotes, and with the
/// partitions of the table.
fn definition(server: &str) -> String {
    let mut text = String::with_capacity(server.len());
    for lexeme in lex(server) {
        match lexeme.kind {
            Kind::Word if lexeme.text == "ONLY" => {
                text.truncate(text.trim_end().len());
            }
            Kind::Word if ["CREATE", "INDEX", "ON", "USING", "WITH", "WHERE"].contains(&lexeme.text) => {
                text.push_str(&lexeme.text.to_lowercase());
            }
            Kind::Text if text.ends_with('=') && lexeme.text.trim_matches('\'').bytes().all(|b| b.is_ascii_digit()) => {
                text.push_str(lexeme.text.trim_matches('\''));
            }
            _ => text.push_str(lexeme.text),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_read_like_our_statements() {
        for (server, ours) in [
            (
                "CREATE INDEX t__vector__e ON public.t USING hnsw (e vector_cosine_ops) WITH (m='16', ef_construction='64')",
                "create index t__vector__e on public.t using hnsw (e vector_cosine_ops) with (m=16, ef_construction=64)",
            ),
            (
                "CREATE INDEX i ON ONLY public.\"T ON\" USING ivfflat (((e)::halfvec(3)) halfvec_l2_ops) WHERE (lang = '12'::text)",
                "create index i on public.\"T ON\" using ivfflat (((e)::halfvec(3)) halfvec_l2_ops) where (lang = '12'::text)",
            ),
        ] {
            assert_eq!(definition(server), ours);
        }
    }
}
