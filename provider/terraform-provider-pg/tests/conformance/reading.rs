//! The data source and its ephemeral twin: they take the same arguments, and read the same.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;
use tfplugin::Value;

use crate::stage::{Stage, play};
use crate::unknowns::{Veil, hide, veils};

/// What is read.
#[derive(Clone, Debug)]
struct Query {
    schema: Option<&'static str>,
    table: &'static str,
    columns: Option<Vec<&'static str>>,
    record_schema: bool,
    condition: Option<(&'static str, Vec<&'static str>)>,
    order: Option<Vec<&'static str>>,
    limit: Option<i64>,
}

const SETUP: &str = r#"
    create extension vector; create schema "S p";
    create table "S p"."T" (id bigint primary key, "A b" text, n numeric, j jsonb, e vector(3), ts timestamptz, arr text[]);
    insert into "S p"."T" select i, case when i % 3 > 0 then 'text ' || i end, i * 12345678901234567890.5, '{"k": [1, null]}',
      case when i % 2 = 0 then '[1,2,3]'::vector end, '2024-01-02T03:04:05Z', array['a', null, i::text]
      from generate_series(1, 20) i;
    create table t as select * from "S p"."T"; create view v as select * from t"#;

impl Query {
    fn config(&self) -> Value {
        let list = |list: &Option<Vec<&str>>| Value::from(list.clone().map(Value::from));
        let record = r#"{"type": "object", "properties": {"id": {"type": "integer"}, "A b": {"type": ["string", "null"]}},
                         "required": ["id"]}"#;
        Value::object([
            ("schema_name", Value::from(self.schema.map(Value::from))),
            ("table_name", self.table.into()),
            ("columns", list(&self.columns)),
            ("record_schema", self.record_schema.then_some(record).map(Value::from).into()),
            ("where", self.condition.as_ref().map(|(sql, _)| Value::from(*sql)).into()),
            ("params", list(&self.condition.as_ref().map(|(_, params)| params.clone()))),
            ("order_by", list(&self.order)),
            ("limit", self.limit.into()),
        ])
    }
}

fn query() -> impl Strategy<Value = Query> {
    let columns = vec!["id", "A b", "n", "j", "e", "ts", "arr"];
    let columns = prop::option::of(prop::sample::subsequence(columns, 1..=7).prop_shuffle());
    let condition = select(vec![
        None,
        Some(("id > $1::bigint", vec!["5"])),
        Some(("\"A b\" = $1 or id = any($2::bigint[])", vec!["text 2", "{7,9}"])),
        Some(("true", vec![])),
        Some(("id < 0", vec![])),
    ]);
    let order = select(vec![None, Some(vec!["id desc"]), Some(vec!["\"A b\" nulls first", "id"]), Some(vec!["n asc"])]);
    let place = select(vec![(Some("S p"), "T"), (Some("public"), "t"), (None, "t"), (None, "v")]);
    (place, columns, any::<bool>(), condition, order, select(vec![None, Some(0), Some(3), Some(100)])).prop_map(
        |((schema, table), columns, record_schema, condition, order, limit)| {
            // A record schema names the columns, and those that it requires must be among the chosen ones.
            let columns = columns.filter(|_| !record_schema);
            Query { schema, table, columns, record_schema, condition, order, limit }
        },
    )
}

#[test]
fn a_data_source_and_its_ephemeral_twin_read_the_same() {
    play(16, (query(), veils()), async |stage: &Stage<'_>, (query, veils): &(Query, Vec<Veil>)| {
        stage.sql(SETUP).await;
        let config = query.config();
        let read = async |config: &Value| stage.session.read_data("pg_table_rows", config).await;
        // While something is not known the CLI waits with the read, but it validates.
        read(&hide(&config, veils, &[])).await.map_err(|e| format!("validate: {e}"))?;
        let (data, told) = read(&config).await.map_err(|e| format!("read: {e}\nof {config:?}"))?;
        let open =
            stage.session.open("pg_table_rows", &config).await.map_err(|e| format!("open: {e}\nof {config:?}"))?;
        if query.order.is_some() || query.table == "T" {
            // Only an order, or a primary key, makes two reads alike.
            if open.value != data {
                return Err(format!("the twin read {:?}\nand the data source {data:?}", open.value));
            }
        }
        let renews = open.renews;
        open.close().await.map_err(|e| format!("close: {e}"))?;
        if renews || !told.is_empty() {
            return Err(format!("nothing is to be renewed or said: {told:?}"));
        }
        expected(query, data.get("rows"))
    });
}

/// The rows are as many as asked for, and each has the columns that were asked for.
fn expected(query: &Query, rows: &Value) -> Result<(), String> {
    let matching = match query.condition.as_ref().map(|(sql, _)| *sql) {
        None | Some("true") => 20,
        Some("id > $1::bigint") => 15,
        Some("id < 0") => 0,
        Some(_) => 3,
    };
    let wanted =
        query.limit.and_then(|limit| usize::try_from(limit).ok()).map_or(matching, |limit| limit.min(matching));
    let all = ["id", "A b", "n", "j", "e", "ts", "arr"];
    let columns: BTreeSet<&str> = match (&query.columns, query.record_schema) {
        (Some(columns), _) => columns.iter().copied().collect(),
        (None, true) => BTreeSet::from(["id", "A b"]),
        (None, false) => all.into_iter().collect(),
    };
    let rows = rows.as_list().ok_or("rows are no list")?;
    if rows.len() != wanted {
        return Err(format!("{} rows, not {wanted}", rows.len()));
    }
    for row in rows {
        let names: BTreeSet<&str> = row.as_map().ok_or("a row is no object")?.keys().map(String::as_str).collect();
        if names != columns {
            return Err(format!("a row has {names:?}, not {columns:?}"));
        }
    }
    Ok(())
}
