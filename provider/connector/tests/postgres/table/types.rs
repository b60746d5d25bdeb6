//! Every type of a server is a type of ours, in each of its spellings.

use std::collections::BTreeMap;

use pg_connector::catalog::{ObservedColumn, RelationKind};

use super::*;

/// Types of our own, some under names that need quotes, and the extensions with types that the server may have.
const SETUP: &str = r#"
    create schema app; create schema "Other Schema"; create schema extensions;
    create type app.mood as enum ('happy', 'sad'); create type "Mood" as enum ('x'); create type "order" as enum ('x');
    create type "we""ird" as enum ('x'); create type "Other Schema"."a.b" as enum ('x'); create type app.int4 as enum ('x');
    create type "timestamp(3)" as enum ('x'); create type "x[]" as enum ('x'); create type größe as enum ('x');
    create domain app.positive as int check (value > 0); create domain "Other Schema".text as varchar(5);
    create domain app.list as int[]; create type app.pair as (a int, b app.mood); create table app.rows (id int);
    create type app.span as range (subtype = app.mood);
    do $$ declare name text; begin
        for name in select e.name from pg_available_extensions e
            where e.name in ('citext', 'cube', 'hstore', 'intarray', 'isn', 'lo', 'ltree', 'seg', 'vector')
        loop execute format('create extension %I schema extensions', name); end loop;
    end $$"#;

/// The types that the server lets a column have, each in the server's spelling and in some that it reads as the same.
const TYPES: &str = r#"
    do $$ declare f record; begin
        create table public.types (own text, spellings text[]);
        perform set_config('search_path', 'pg_catalog', false);
        for f in
            select format_type(t.oid, -1) as own, n.nspname as schema, t.typname as name, t.typcategory = 'A' as list,
                t.typcategory <> 'A' or n.nspname = 'pg_catalog' as named,
                quote_ident(n.nspname) || '.' || quote_ident(t.typname) as qualified, n.nspname = 'extensions' as extension
            from pg_type t join pg_namespace n on n.oid = t.typnamespace left join pg_type e on e.oid = t.typelem
            where t.typtype <> 'p' and n.nspname !~ '^pg_t' and t.typname !~ '^_?types$'
                -- Row types of a few tables stand for those of all.
                and (n.nspname !~ '^(pg_catalog|information_schema)$' or t.typrelid = 0 and coalesce(e.typrelid, 0) = 0)
        loop
            begin
                execute format('create table public.probe (c %s)', f.own);
            exception when others then continue; end;
            drop table public.probe;
            insert into public.types values (f.own, array_remove(array[
                f.own,
                case when f.named then f.qualified end,
                case when f.named and f.schema <> 'pg_catalog'
                    then format(' "%s" . %s ', replace(f.schema, '"', '""'), quote_ident(f.name)) end,
                case when f.list and f.name like '\_%' then left(f.own, -2) || ' array' end,
                case when f.list and f.name ~ '^_[cdi]' then left(f.own, -2) || ' ARRAY [3]' end,
                case when f.list and f.name ~ '^_[abt]' then left(f.own, -2) || '[2] [][ 7 ]' end,
                case when f.extension then replace(f.own, 'extensions.', '') end,
                case when f.schema = 'pg_catalog' and f.own !~ '"' then upper(f.own) end,
                case when f.schema = 'pg_catalog' then f.own || ' ' end,
                case when f.schema = 'pg_catalog' and f.named then '"' || f.name || '"' end
            ], null));
        end loop;
        perform set_config('search_path', 'public', false);
    end $$"#;

/// What users write for built-in types, and what the server makes of it.
const ALIASES: [(&str, &[&str]); 33] = [
    ("bigint", &["int8", "BigInt", "pg_catalog.int8"]),
    ("integer", &["int", "int4", "INT", " integer"]),
    ("smallint", &["int2"]),
    ("real", &["float4", "float(1)", "float(24)"]),
    ("double precision", &["float", "float8", "float(25)", "Double  Precision"]),
    ("numeric", &["decimal", "dec"]),
    ("numeric(10,2)", &["DECIMAL(10,2)", "dec( 10 , 2 )"]),
    ("numeric(5,0)", &["numeric(5)"]),
    ("numeric(3,-2)", &["decimal(3,-2)"]),
    ("boolean", &["bool"]),
    ("character varying", &["varchar", "char varying", "national character varying"]),
    ("character varying(20)", &["varchar(20)", "CHARACTER VARYING (20)", "nchar varying(20)"]),
    ("character(1)", &["char", "character", "nchar", "char(1)"]),
    ("character(7)", &["char(7)", "national char(7)", "bpchar(7)"]),
    ("bpchar", &["bpchar", "pg_catalog.bpchar"]),
    ("\"char\"", &["\"char\"", "pg_catalog.\"char\""]),
    ("bit(1)", &["bit"]),
    ("bit(5)", &["BIT(5)", "\"bit\"(5)"]),
    ("bit varying(5)", &["varbit(5)", "bit  varying (5)"]),
    ("timestamp with time zone", &["timestamptz", "TIMESTAMP WITH TIME ZONE"]),
    ("timestamp(3) with time zone", &["timestamptz(3)", "timestamp (3) with  time zone"]),
    ("timestamp without time zone", &["timestamp"]),
    ("timestamp(6) without time zone", &["timestamp(6)", "timestamp(9)"]),
    ("time with time zone", &["timetz"]),
    ("time(0) without time zone", &["time(0)"]),
    ("interval", &["INTERVAL"]),
    ("interval(3)", &["interval (3)"]),
    ("interval year to month", &["interval YEAR TO MONTH"]),
    ("interval day to second(3)", &["interval day to second (3)"]),
    ("interval minute", &["interval minute"]),
    ("integer[]", &["int[]", "int array", "_int4", "int4[3][3]", "INTEGER ARRAY[4]", "pg_catalog._int4"]),
    ("character varying(9)[]", &["varchar(9)[]", "varchar(9) array"]),
    ("timestamp(3) with time zone[]", &["timestamptz(3)[]"]),
];

/// Each type under its own spelling, with all of its spellings.
async fn types(t: &Target) -> BTreeMap<String, Vec<String>> {
    t.query(SETUP).await;
    t.query(TYPES).await;
    let found = t.query("select jsonb_object_agg(own, spellings) from types").await;
    let mut types: BTreeMap<String, Vec<String>> = serde_json::from_str(&found).unwrap();
    t.query("drop table types").await;
    for (own, spellings) in ALIASES {
        types.entry(own.to_owned()).or_default().extend(spellings.iter().map(|&spelling| spelling.to_owned()));
    }
    types
}

/// The types of the columns after the key, in the server's spelling of the search path that we read with.
async fn made(t: &Target) -> Vec<String> {
    let columns = t
        .query(&format!(
            "set search_path = pg_catalog; select jsonb_agg(format_type(atttypid, atttypmod) order by attnum) from pg_attribute \
             where attrelid = '{}'::regclass and attnum > 1 and not attisdropped",
            t.name
        ))
        .await;
    serde_json::from_str(&columns).unwrap()
}

#[tokio::test]
async fn each_spelling_of_each_type_makes_that_type_and_is_never_a_change() {
    for major in [15, 16, 18] {
        let mut t = Target::new(major).await;
        let types = types(&t).await;
        for own in [
            "app.mood",
            "app.pair[]",
            "public.\"we\"\"ird\"",
            "\"Other Schema\".text",
            "app.rows",
            "xid8",
            "tsvector[]",
        ] {
            assert!(types.contains_key(own), "{own} on {major}");
        }
        // Our servers have pgvector or the extensions that come with Postgres.
        assert!(types.contains_key("extensions.vector") || types.contains_key("extensions.citext"), "{major}");
        // A column for each spelling, declared in the spelling that comes so many places after it.
        let each: Vec<(String, &str, usize, &Vec<String>)> = types
            .iter()
            .flat_map(|(own, spellings)| (0..spellings.len()).map(move |at| (own.as_str(), at, spellings)))
            .enumerate()
            .map(|(column, (own, at, spellings))| (format!("c{column}"), own, at, spellings))
            .collect();
        let spelled = |after: usize| -> Vec<(&str, &str)> {
            let spelling = |at: usize, spellings: &'_ [String]| (at + after) % spellings.len();
            each.iter().map(|(name, _, at, all)| (name.as_str(), all[spelling(*at, all)].as_str())).collect()
        };
        t.apply(&spelled(0)).await.unwrap_or_else(|error| panic!("{major}: {error}"));
        for ((_, own, at, spellings), made) in each.iter().zip(made(&t).await) {
            assert_eq!(*own, made, "{major}: made from {:?}", spellings[*at]);
        }
        // Any other spelling is the same, both for who made the table and for who imports it.
        for imported in [false, true] {
            if imported {
                t.refresh().await;
                t.prior = None;
            }
            for after in [0, 1] {
                t.assert_nothing_left(&t.spec(&spelled(after)), &json!([]));
            }
        }
    }
}

#[tokio::test]
async fn an_array_under_its_internal_name_stays_what_it_is() {
    let mut t = Target::new(18).await;
    t.query("create schema app; create type app.mood as enum ('happy')").await;
    t.apply(&[("a", "app._mood")]).await.unwrap();
    assert_eq!(made(&t).await, ["app.mood[]"]);
    t.apply(&[("a", "app.mood[]")]).await.unwrap();
}

/// Casts that only some of the servers have: a plan does not know the server's version.
const OF_SOME_SERVERS: [&str; 6] = [
    "smallint to bytea",
    "integer to bytea",
    "bigint to bytea",
    "bytea to smallint",
    "bytea to integer",
    "bytea to bigint",
];

#[tokio::test]
async fn a_column_can_become_what_the_server_can_cast_it_to_and_nothing_else() {
    for major in [15, 16, 18] {
        let t = Target::new(major).await;
        // Each pair of built-in types, and whether the server has a cast; arrays stand for those of all types.
        let pairs = "create table pairs (a text, b text, castable boolean); \
            do $$ declare f record; begin \
                for f in with types as (select format_type(oid, -1) as name from pg_type \
                        where typnamespace = 'pg_catalog'::regnamespace and typtype in ('b', 'r', 'm') \
                            and (typcategory not in ('A', 'Z') or typname in ('_int4', '_text', '_date'))) \
                    select a.name as a, b.name as b from types a, types b where a.name <> b.name \
                loop begin \
                    execute format('select null::%s::%s', f.a, f.b); \
                    insert into pairs values (f.a, f.b, true); \
                exception when cannot_coerce then insert into pairs values (f.a, f.b, false); end; end loop; \
            end $$";
        t.query(pairs).await;
        let pairs = t.query("select jsonb_agg(jsonb_build_array(a, b, castable)) from pairs").await;
        let pairs: Vec<(String, String, bool)> = serde_json::from_str(&pairs).unwrap();
        assert!(pairs.len() > 3000 && pairs.iter().any(|pair| pair.2) && pairs.iter().any(|pair| !pair.2));
        let mut wrong = Vec::new();
        for (from, to, castable) in &pairs {
            let prior = t.spec(&[("a", from)]);
            let desired = t.spec(&[("a", to)]);
            let mut change = t.change(&desired, &json!([]));
            change.observed = Some(observed(&prior));
            change.prior = Some(prior);
            let planned = table::plan(&change);
            let pair = format!("{from} to {to}");
            if planned.refusals.is_empty() != *castable && !OF_SOME_SERVERS.contains(&pair.as_str()) {
                wrong.push(pair);
            }
        }
        assert_eq!(wrong, [""; 0], "{major}");
    }
}

fn observed(spec: &TableSpec) -> ObservedTable {
    let column = |column: &ColumnSpec| ObservedColumn {
        name: column.name.clone(),
        type_name: column.type_name.clone(),
        nullable: column.nullable,
        default: None,
        generated: false,
        comment: None,
        spelled: None,
    };
    ObservedTable {
        oid: 1,
        kind: RelationKind::Table,
        columns: spec.columns.iter().map(column).collect(),
        primary_key: spec.primary_key.clone(),
        comment: None,
        vector_indexes: Vec::new(),
        not_null_checks: Vec::new(),
    }
}
