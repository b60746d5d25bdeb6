//! What can be read from: a table or a view, its columns as they are read, and its primary key.

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Row, Transaction};

use super::convert::Scalar;
use crate::error::{Blame, Error};
use crate::name::TableName;
use crate::sql_text::{Kind, lex};

/// A relation that rows are read from.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub(super) columns: Vec<LiveColumn>,
    /// The primary key's columns, in order; empty without one.
    pub(super) primary_key: Vec<String>,
    /// Whether it is a view that says itself in what order its rows come.
    pub(super) is_ordered: bool,
}

/// One of its columns.
#[derive(Clone, Debug)]
pub(super) struct LiveColumn {
    pub(super) name: String,
    pub(super) type_name: String,
    /// What it is made of, domains and arrays aside: the type's schema and its name.
    pub(super) base: (String, String),
    pub(super) scalar: Scalar,
    /// What stands between the elements, when it holds arrays.
    pub(super) delimiter: Option<char>,
    /// Whether values of the type have an order; else their texts have.
    pub(super) is_sortable: bool,
}

const RELATION: &str = "select c.oid, c.relkind::text, \
       array(select a.attname::text from pg_catalog.pg_index i, unnest(i.indkey) with ordinality as k (attnum, n) \
             join pg_catalog.pg_attribute a on a.attnum = k.attnum \
             where i.indrelid = c.oid and i.indisprimary and a.attrelid = c.oid order by k.n), \
       case when c.relkind = 'v' then pg_catalog.pg_get_viewdef(c.oid) end \
     from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
     where n.nspname = $1::text and c.relname = $2::text";

/// Domains are followed to what they are made of, arrays to their elements; an array inside the domain of an array's
/// elements stays text.
const COLUMNS: &str = "with recursive part as ( \
       select a.attnum, a.attname, a.atttypid as type, a.atttypid as declared, a.atttypmod as modifier, \
              0 as depth, null::text as delimiter \
       from pg_catalog.pg_attribute a where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped \
       union all \
       select p.attnum, p.attname, case when t.typtype = 'd' then t.typbasetype else t.typelem end, p.declared, \
              p.modifier, p.depth + 1, case when t.typtype = 'd' then p.delimiter else e.typdelim::text end \
       from part p join pg_catalog.pg_type t on t.oid = p.type left join pg_catalog.pg_type e on e.oid = t.typelem \
       where t.typtype = 'd' or (p.delimiter is null and e.typarray = t.oid) \
     ) \
     select distinct on (p.attnum) p.attname::text, pg_catalog.format_type(p.declared, p.modifier), n.nspname::text, \
            t.typname::text, p.delimiter, t.typcategory::text \
     from part p join pg_catalog.pg_type t on t.oid = p.type join pg_catalog.pg_namespace n on n.oid = t.typnamespace \
     order by p.attnum, p.depth desc";

impl Relation {
    pub(super) async fn find(transaction: &Transaction<'_>, name: &TableName) -> Result<Self, Error> {
        let doing = || format!("read rows of {name}");
        let failed = |error| Error::postgres(doing(), &error);
        let parameters: [(&(dyn ToSql + Sync), Type); 2] = [(&name.schema, Type::TEXT), (&name.name, Type::TEXT)];
        let Some(row) = transaction.query_typed_opt(RELATION, &parameters).await.map_err(failed)? else {
            return Err(Error::new(doing(), "there is no such table or view")
                .advice("Check the schema and the name, which are case-sensitive, and the provider's database.")
                .blame(Blame::Attribute("table_name")));
        };
        let oid: u32 = row.try_get(0).map_err(failed)?;
        let kind: String = row.try_get(1).map_err(failed)?;
        let primary_key = row.try_get(2).map_err(failed)?;
        let definition: Option<String> = row.try_get(3).map_err(failed)?;
        if !["r", "p", "v", "m", "f"].contains(&kind.as_str()) {
            return Err(Error::new(doing(), "it is neither a table nor a view").blame(Blame::Attribute("table_name")));
        }
        let rows = transaction.query_typed(COLUMNS, &[(&oid, Type::OID)]).await.map_err(failed)?;
        let columns = rows.iter().map(column).collect::<Result<_, _>>().map_err(failed)?;
        Ok(Self { columns, primary_key, is_ordered: definition.is_some_and(|text| orders(&text)) })
    }

    pub(super) fn column(&self, name: &str) -> Option<&LiveColumn> {
        self.columns.iter().find(|column| column.name == name)
    }
}

fn column(row: &Row) -> Result<LiveColumn, tokio_postgres::Error> {
    let delimiter: Option<String> = row.try_get(4)?;
    let base: (String, String) = (row.try_get(2)?, row.try_get(3)?);
    let category: &str = row.try_get(5)?;
    let is_plain =
        "BNSDTEIV".contains(category) || base.0 == "pg_catalog" && ["uuid", "bytea", "jsonb"].contains(&&*base.1);
    Ok(LiveColumn {
        name: row.try_get(0)?,
        type_name: row.try_get(1)?,
        scalar: Scalar::of(&base.0, &base.1),
        base,
        is_sortable: delimiter.is_none() && is_plain,
        delimiter: delimiter.and_then(|delimiter| delimiter.chars().next()),
    })
}

/// Whether a query ends in an order of its own, outside of all parentheses.
fn orders(query: &str) -> bool {
    let mut depth = 0_usize;
    let mut before = false;
    for lexeme in lex(query).into_iter().filter(|lexeme| !lexeme.is_blank()) {
        match lexeme.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            _ if before && depth == 0 && lexeme.is("by") => return true,
            _ => {}
        }
        before = lexeme.is("order");
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_order_of_the_whole_query_counts() {
        for (query, expected) in [
            ("SELECT id FROM t ORDER BY id;", true),
            ("SELECT a FROM t UNION ALL SELECT b FROM u ORDER BY 1 LIMIT 5", true),
            ("SELECT row_number() OVER (ORDER BY id) FROM t", false),
            ("SELECT id FROM (SELECT id FROM t ORDER BY id) s", false),
            ("SELECT 'order by' AS \"order by\" FROM t /* order by */", false),
            ("SELECT \"order\", by FROM t", false),
        ] {
            assert_eq!(orders(query), expected, "{query}");
        }
    }
}
