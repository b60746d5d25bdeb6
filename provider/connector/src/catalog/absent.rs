//! Why a name stands for nothing: no such database object, no such schema, or another spelling.
//!
//! **Invariant:** only looks, and only at names; what is there under other names is a hint and never acted on.

use tokio_postgres::types::{ToSql, Type};

use crate::database::{Database, Scope};
use crate::error::Error;
use crate::name::{LEDGER_SCHEMA, TableName};

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// An ordinary or partitioned table.
    Table,
    /// A pgvector index.
    VectorIndex,
}

/// So many names are compared at most.
const MOST_NAMES: i64 = 5000;

/// So many names are shown at most.
const SHOWN: usize = 3;

const LOOK: &str = "select pg_catalog.quote_ident(pg_catalog.current_database()), \
    exists (select from pg_catalog.pg_namespace where nspname = $1), \
    exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
        where n.nspname = $1 and c.relname = $2)";

/// Those in the schema first, since there may be more than are compared.
const NAMES: &str = "select n.nspname::text, c.relname::text from pg_catalog.pg_class c \
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace left join pg_catalog.pg_am m on m.oid = c.relam \
    where n.nspname <> 'information_schema' and n.nspname <> $2 and not pg_catalog.starts_with(n.nspname::text, 'pg_') \
        and case when $3 then c.relkind in ('i', 'I') and m.amname in ('hnsw', 'ivfflat') else c.relkind in ('r', 'p') end \
    order by n.nspname <> $1, 1, 2 limit $4";

/// The error for an object that is not there; `None` where something bears the name.
pub async fn absent(
    database: &Database,
    scope: &Scope,
    doing: &str,
    wanted: Wanted,
    name: &TableName,
) -> Result<Option<Error>, Error> {
    let failed = |error| scope.explain(Error::postgres(doing, &error));
    let session = database.connect(scope).await?;
    let both: [(&(dyn ToSql + Sync), Type); 2] = [(&name.schema, Type::TEXT), (&name.name, Type::TEXT)];
    let row = session.query_typed_one(LOOK, &both).await.map_err(failed)?;
    if row.try_get(2).map_err(failed)? {
        session.give_back();
        return Ok(None);
    }
    let is_index = wanted == Wanted::VectorIndex;
    let parameters: [(&(dyn ToSql + Sync), Type); 4] =
        [(&name.schema, Type::TEXT), (&LEDGER_SCHEMA, Type::TEXT), (&is_index, Type::BOOL), (&MOST_NAMES, Type::INT8)];
    let rows = session.query_typed(NAMES, &parameters).await.map_err(failed)?;
    let names = rows.iter().map(|row| Ok(TableName::new(row.try_get::<_, String>(0)?, row.try_get::<_, String>(1)?)));
    let names = names.collect::<Result<Vec<_>, tokio_postgres::Error>>().map_err(failed)?;
    let (database, schema_exists) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
    session.give_back();
    Ok(Some(said(doing, wanted, name, database, schema_exists, &names)))
}

fn said(
    doing: &str,
    wanted: Wanted,
    name: &TableName,
    database: &str,
    schema_exists: bool,
    names: &[TableName],
) -> Error {
    let noun = if wanted == Wanted::Table { "table" } else { "index" };
    let message = if schema_exists {
        format!("the database {database} has no {noun} {name}")
    } else {
        let schema = crate::name::quote_ident(&name.schema);
        format!("the database {database} has no schema {schema}, and so no {noun} {name}")
    };
    let alike: Vec<String> = alike(name, names).into_iter().map(ToString::to_string).collect();
    let hint = if alike.is_empty() { String::new() } else { format!("There is {}. ", alike.join(", ")) };
    Error::new(doing, message).advice(format!(
        "{hint}Check the name, which counts upper and lower case, and whether the provider connects to the database that you \
         mean."
    ))
}

/// The names that are most like one, the most alike first.
fn alike<'a>(name: &TableName, names: &'a [TableName]) -> Vec<&'a TableName> {
    let wanted = name.name.to_lowercase();
    // A third of the letters may be others.
    let most = wanted.chars().count().div_ceil(3);
    let mut found: Vec<(usize, bool, &TableName)> = names
        .iter()
        .filter_map(|other| {
            let distance = distance(&wanted, &other.name.to_lowercase(), most)?;
            // In another schema only the very name is a good guess.
            (distance == 0 || other.schema == name.schema).then_some((distance, other.schema != name.schema, other))
        })
        .collect();
    found.sort();
    found.into_iter().take(SHOWN).map(|(_, _, other)| other).collect()
}

/// How many letters have to be put in, taken out or changed to make one text of the other; `None` where it is more.
fn distance(a: &str, b: &str, most: usize) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let mut before: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let changed = before[j] + usize::from(x != y);
            row.push(changed.min(before[j + 1] + 1).min(row[j] + 1));
        }
        before = row;
    }
    before.last().copied().filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str]) -> Vec<TableName> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn names_that_are_alike_are_found_and_others_are_not() {
        let there = names(&["public.products", "public.\"Product\"", "public.orders", "shop.product", "shop.products"]);
        for (wanted, expected) in [
            ("public.product", vec!["public.\"Product\"", "shop.product", "public.products"]),
            ("public.prodcuts", vec!["public.products", "public.\"Product\""]),
            ("public.customers", vec![]),
            ("nowhere.products", vec!["public.products", "shop.products"]),
            ("public.o", vec![]),
        ] {
            let found: Vec<String> = alike(&wanted.parse().unwrap(), &there).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{wanted}");
        }
    }

    #[test]
    fn the_distance_counts_letters() {
        for (a, b, expected) in [
            ("a", "a", Some(0)),
            ("", "ab", Some(2)),
            ("größe", "grösse", Some(2)),
            ("abc", "xyz", None),
            ("ab", "abcde", None),
        ] {
            assert_eq!(distance(a, b, 2), expected, "{a} {b}");
        }
    }

    #[test]
    fn it_is_said_what_is_missing() {
        let name = "shop.product".parse().unwrap();
        let error = said("import shop.product", Wanted::Table, &name, "db", true, &names(&["shop.products"]));
        assert_eq!(error.message(), "the database db has no table shop.product");
        assert!(error.advised().unwrap().starts_with("There is shop.products. "), "{error:?}");
        let error = said("import shop.product", Wanted::VectorIndex, &name, "db", false, &[]);
        assert_eq!(error.message(), "the database db has no schema shop, and so no index shop.product");
        assert!(error.advised().unwrap().starts_with("Check the name"), "{error:?}");
    }
}
