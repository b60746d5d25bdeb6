//! Reading rows from a real server.

use pg_connector::error::Blame;
use pg_connector::settings::Settings;
use pg_connector::source::{self, Kind, Rows, SourceQuery};
use pg_connector::{Database, Error, Scope, TableName};
use serde_json::{Value, json};
use testbed::TestDatabase;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

use super::rows::connect;

pub(super) struct Bench {
    database: TestDatabase,
    pub(super) client: Client,
}

impl Bench {
    pub(super) async fn new(major: u32, setup: &str) -> Self {
        let database = TestDatabase::new(major).await;
        let client = connect(&database).await;
        client.batch_execute(setup).await.unwrap();
        Self { database, client }
    }

    pub(super) async fn read(&mut self, query: &SourceQuery) -> Result<Rows, Error> {
        let transaction = self.client.transaction().await.unwrap();
        transaction.batch_execute("set local lock_timeout = '1s'").await.unwrap();
        source::read(&transaction, query).await
    }

    /// The rows as lists.
    pub(super) async fn values(&mut self, query: &SourceQuery) -> Value {
        self.read(query).await.unwrap().rows.into_iter().map(Value::from).collect()
    }
}

pub(super) fn query(table: &str) -> SourceQuery {
    SourceQuery::new(TableName::new("public", table))
}

pub(super) fn columns(table: &str, names: &[&str]) -> SourceQuery {
    SourceQuery { columns: Some(names.iter().map(|&name| name.to_owned()).collect()), ..query(table) }
}

pub(super) fn filtered(table: &str, filter: &str, params: &[&str]) -> SourceQuery {
    SourceQuery {
        filter: Some(filter.to_owned()),
        params: params.iter().map(|&text| Some(text.to_owned())).collect(),
        ..columns(table, &["id"])
    }
}

const PEOPLE: &str = "create table p (id bigint primary key, name text); \
    insert into p values (3, 'c'), (1, 'a'), (2, null)";

#[tokio::test]
async fn rows_come_in_the_order_of_the_key_with_the_columns_asked_for() {
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::new(major, PEOPLE).await;
        assert_eq!(t.values(&query("p")).await, json!([[1, "a"], [2, null], [3, "c"]]));
        assert_eq!(t.values(&columns("p", &["name", "id"])).await, json!([["a", 1], [null, 2], ["c", 3]]));
        let order = |text: &str| SourceQuery { order_by: vec![text.parse().unwrap()], ..columns("p", &["id"]) };
        assert_eq!(t.values(&order("name desc nulls last")).await, json!([[3], [1], [2]]));
        assert_eq!(t.values(&order("name nulls first")).await, json!([[2], [1], [3]]));
        assert_eq!(t.values(&SourceQuery { limit: Some(2), ..order("id desc") }).await, json!([[3], [2]]));
        assert_eq!(t.values(&SourceQuery { limit: Some(0), ..order("id") }).await, json!([]));
    }
}

#[tokio::test]
async fn values_are_exact_and_of_one_type() {
    let setup = "create extension vector; create type mood as enum ('happy'); create domain small as int check (value < 10); \
        create domain smalls as small[]; create type pair as (a int, b text); \
        create table p (id bigint primary key, n numeric, f float8, r real, b boolean, t text, by bytea, d date, \
          ti timetz, ts timestamptz, tn timestamp, iv interval, j json, jb jsonb, a bigint[], a2 text[], m mood, s small, \
          ss smalls, pr pair, v vector(3), h halfvec(2), va vector(2)[], ip inet, u uuid, c char(3), fn numeric); \
        set TimeZone = 'Asia/Tokyo'; \
        insert into p values (9223372036854775807, 12345678901234567890.10, 1e22, 0.1, true, 'é', '\\x00ff', '2024-02-29', \
          '12:34:56+02', '2024-01-02T03:04:05.6Z', '2024-01-02 03:04:05', '1 day 02:03:04.5', '{\"k\" : 1.0}', '{\"k\":[1,2]}', \
          '{1,null}', '{\"a,b\",\"q\\\"\"}', 'happy', 5, '{1,2}', '(1,\"x y\")', '[1,2.5,-3]', '[0.5,1]', '{\"[1,2]\"}', \
          '10.0.0.1', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'ab', 'NaN'); insert into p (id) values (1), (2); \
        update p set a = '{}', fn = 1.50, f = '-0' where id = 2; set DateStyle = 'German'; set IntervalStyle = 'postgres_verbose'; \
        set extra_float_digits = -5; set bytea_output = 'escape'";
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::new(major, setup).await;
        let rows = t.read(&query("p")).await.unwrap();
        let list = |kind| Kind::List(Box::new(kind));
        let expected = [
            ("id", "9223372036854775807", Kind::Number),
            ("n", "12345678901234567890.10", Kind::Number),
            ("f", "1e+22", Kind::Number),
            ("r", "0.1", Kind::Number),
            ("b", "true", Kind::Bool),
            ("t", "\"é\"", Kind::String),
            ("by", "\"AP8=\"", Kind::String),
            ("d", "\"2024-02-29\"", Kind::String),
            ("ti", "\"12:34:56+02:00\"", Kind::String),
            ("ts", "\"2024-01-02T03:04:05.6Z\"", Kind::String),
            ("tn", "\"2024-01-02T03:04:05\"", Kind::String),
            ("iv", "\"P1DT2H3M4.5S\"", Kind::String),
            ("j", r#""{\"k\" : 1.0}""#, Kind::String),
            ("jb", r#""{\"k\": [1, 2]}""#, Kind::String),
            ("a", "[1,null]", list(Kind::Number)),
            ("a2", r#"["a,b","q\""]"#, list(Kind::String)),
            ("m", "\"happy\"", Kind::String),
            ("s", "5", Kind::Number),
            ("ss", "[1,2]", list(Kind::Number)),
            ("pr", r#""(1,\"x y\")""#, Kind::String),
            ("v", "[1,2.5,-3]", list(Kind::Number)),
            ("h", "[0.5,1]", list(Kind::Number)),
            ("va", "[[1,2]]", list(list(Kind::Number))),
            ("ip", "\"10.0.0.1\"", Kind::String),
            ("u", "\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"", Kind::String),
            ("c", "\"ab \"", Kind::String),
            ("fn", "\"NaN\"", Kind::String),
        ];
        assert_eq!(rows.columns.len(), expected.len());
        for (at, (name, text, kind)) in expected.iter().enumerate() {
            assert_eq!((&rows.columns[at].name.as_str(), &rows.columns[at].kind), (name, kind));
            assert_eq!(rows.rows[2][at].to_string(), *text, "{name}");
        }
        assert!(rows.rows[0][1..].iter().all(Value::is_null));
        assert_eq!(
            (&rows.rows[1][14], &rows.rows[1][26], rows.rows[1][2].to_string()),
            (&json!([]), &json!("1.50"), "-0".to_owned())
        );
        // The session is as it was.
        let zone = t.client.query_one("show TimeZone", &[]).await.unwrap();
        assert_eq!(zone.get::<_, &str>(0), "Asia/Tokyo");
    }
}

#[tokio::test]
async fn an_empty_result_still_has_its_types() {
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::new(major, "create table p (a int[], j jsonb, n numeric, \"Odd \"\"name\" bool)").await;
        let rows = t.read(&query("p")).await.unwrap();
        let kinds: Vec<_> = rows.columns.into_iter().map(|column| (column.name, column.kind)).collect();
        assert_eq!(
            kinds,
            [
                ("a".to_owned(), Kind::List(Box::new(Kind::Number))),
                ("j".to_owned(), Kind::String),
                ("n".to_owned(), Kind::Number),
                ("Odd \"name".to_owned(), Kind::Bool)
            ]
        );
    }
}

#[tokio::test]
async fn arrays_of_different_dimensions_become_json_text() {
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::new(major, "create table p (id int primary key, a int[]); insert into p values (1, '{1,2}'), (2, '{{3}}'), (3, '{}'), (4, null)").await;
        assert_eq!(t.values(&columns("p", &["a"])).await, json!([["[1,2]"], ["[[3]]"], ["[]"], [null]]));
    }
}

#[tokio::test]
async fn a_condition_takes_parameters_of_any_type_and_nothing_else() {
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::new(major, PEOPLE).await;
        let injected = "a'; drop table p; --";
        assert_eq!(t.values(&filtered("p", "name = $1 or id = $2::bigint", &[injected, "3"])).await, json!([[3]]));
        assert_eq!(t.values(&filtered("p", "id = any($1)", &["{1,3}"])).await, json!([[1], [3]]));
        assert_eq!(t.values(&filtered("p", "p.name is not null -- a comment", &[])).await, json!([[1], [3]]));
        let null = SourceQuery { params: vec![None], ..filtered("p", "name is not distinct from $1", &[]) };
        assert_eq!(t.values(&null).await, json!([[2]]));
        for (filter, params, blamed, why) in [
            ("true) union select 1 --", &[][..], "where", "no opening"),
            ("true; drop table p", &[], "where", "semicolon"),
            ("nmae = 'secret'", &[], "where", "nmae"),
            ("id = $1", &["x"], "params", "invalid input syntax"),
            ("id = $2", &["1", "2"], "params", "could not determine"),
            ("id = $1 and id = $2", &["1"], "params", "requires 2"),
            ("id = 1", &["1"], "params", "could not determine"),
            ("id / 0 = 1", &[], "where", "division by zero"),
        ] {
            let error = t.read(&filtered("p", filter, params)).await.unwrap_err();
            assert!(error.message().contains(why), "{filter}: {error:?}");
            assert_eq!(error.blamed(), Some(&Blame::Attribute(blamed)), "{filter}: {error:?}");
            assert!(!error.failed_statement().unwrap_or_default().contains("secret"), "{error:?}");
        }
        // The connection is still good, and nothing was changed.
        assert_eq!(t.values(&columns("p", &["id"])).await, json!([[1], [2], [3]]));
    }
}

#[tokio::test]
async fn a_condition_cannot_write() {
    let setup = format!(
        "{PEOPLE}; create function evil() returns bool language plpgsql as \
         $$begin delete from p; return true; end$$; \
         create function evil2() returns bool language plpgsql as \
         $$begin set transaction read write; delete from p; return true; end$$"
    );
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::new(major, &setup).await;
        for filter in [
            "evil()",
            "evil2()",
            "set_config('transaction_read_only', 'off', false) = 'off' and evil()",
            "set_config('transaction_read_only', 'off', true) = 'off' and evil()",
            "(select lo_create(0)) > 0",
            "exists (select from pg_notify('a', 'b'), lo_creat(-1))",
        ] {
            let error = t.read(&filtered("p", filter, &[])).await.unwrap_err();
            assert!(["25006", "25001", "42501"].contains(&error.sqlstate().unwrap()), "{filter}: {error:?}");
        }
        t.client.batch_execute("create view w as select evil() as e from p").await.unwrap();
        let error = t.read(&query("w")).await.unwrap_err();
        assert_eq!((error.sqlstate(), error.blamed()), (Some("25006"), None), "{error:?}");
        assert!(error.advised().unwrap().contains("a view that writes"), "{error:?}");
        assert_eq!(t.values(&columns("p", &["id"])).await, json!([[1], [2], [3]]));
    }
}

#[tokio::test]
async fn views_partitions_and_other_schemas_can_be_read() {
    let setup = format!(
        "{PEOPLE}; create view v as select id, name from p; create materialized view m as select * from p order by id; \
         create schema \"My s\"; create table \"My s\".\"T x\" (\"Id\" int primary key) partition by range (\"Id\"); \
         create table \"My s\".one partition of \"My s\".\"T x\" for values from (1) to (10); \
         insert into \"My s\".\"T x\" values (2), (1); create sequence s"
    );
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::new(major, &setup).await;
        let ordered = SourceQuery { order_by: vec!["id".parse().unwrap()], ..columns("v", &["id"]) };
        assert_eq!(t.values(&ordered).await, json!([[1], [2], [3]]));
        assert_eq!(t.values(&columns("m", &["id"])).await, json!([[1], [2], [3]]));
        assert_eq!(t.values(&SourceQuery::new(TableName::new("My s", "T x"))).await, json!([[1], [2]]));
        for (name, why) in [("s", "neither a table"), ("P", "no such table")] {
            let error = t.read(&query(name)).await.unwrap_err();
            assert!(error.message().contains(why), "{error:?}");
        }
        let error = t.read(&columns("p", &["id", "nmae"])).await.unwrap_err();
        assert!(error.message().contains("no column \"nmae\"; it has id, name"), "{error:?}");
        assert_eq!(error.blamed(), Some(&Blame::Attribute("columns")));
    }
}

#[tokio::test]
async fn many_rows_are_read_only_when_asked_for() {
    let setup = "create table p (id int primary key, a text); \
                 insert into p select n, repeat('x', n % 100) from generate_series(1, 10001) n";
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::new(major, setup).await;
        let error = t.read(&query("p")).await.unwrap_err();
        assert!(
            error.message().contains("more than 10000 rows") && error.advised().unwrap().contains("limit"),
            "{error:?}"
        );
        assert_eq!(error.blamed(), Some(&Blame::Attribute("limit")));
        let all = t.values(&SourceQuery { limit: Some(20_000), ..columns("p", &["id"]) }).await;
        assert_eq!(all, (1..=10_001).map(|id| json!([id])).collect::<Value>());
        let exactly = filtered("p", "id <= 10000", &[]);
        assert_eq!(t.read(&exactly).await.unwrap().rows.len(), 10_000);
    }
}

#[tokio::test]
async fn a_result_that_is_too_large_is_refused() {
    let mut t =
        Bench::new(18, "create view p as select repeat('x', 1000000) as a from generate_series(1, 100000)").await;
    let error = t.read(&SourceQuery { limit: Some(100_000), ..query("p") }).await.unwrap_err();
    assert!(error.message().contains("more than 200 MiB"), "{error:?}");
}

#[tokio::test]
async fn few_large_rows_are_refused_one_by_one() {
    let mut t =
        Bench::new(18, "create view p as select repeat('x', 100000000) as a from generate_series(1, 400)").await;
    let error = t.read(&query("p")).await.unwrap_err();
    assert!(error.message().contains("more than 200 MiB, and 3 of them were read"), "{error:?}");
    t.client.batch_execute("select 1").await.unwrap();
}

#[tokio::test]
async fn rows_without_a_key_come_in_one_order() {
    let setup = "create table p (n numeric, j json, a int[], t text); \
        insert into p values (2, '{}', '{1}', 'x'), (10, '{}', null, 'y'), (2, '[]', '{1}', 'x'), (null, null, null, 'z'); \
        create view v as select t, n from p order by n desc nulls last, t; create view u as select t, n from p; \
        create materialized view m as select n, t from p order by t desc";
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::new(major, setup).await;
        let all = json!([[2, "[]", [1], "x"], [2, "{}", [1], "x"], [10, "{}", null, "y"], [null, null, null, "z"]]);
        assert_eq!(t.values(&query("p")).await, all);
        let own = json!([["y", 10], ["x", 2], ["x", 2], ["z", null]]);
        let by_text = json!([["x", 2], ["x", 2], ["y", 10], ["z", null]]);
        assert_eq!(t.values(&query("v")).await, own);
        assert_eq!(t.values(&query("u")).await, by_text);
        // Other places on disk, the same rows.
        t.client.batch_execute("update p set t = t where n = 2; update p set t = t where n = 10").await.unwrap();
        assert_eq!(t.values(&query("p")).await, all);
        assert_eq!(t.values(&query("u")).await, by_text);
        assert_eq!(t.values(&columns("m", &["t", "n"])).await, json!([["x", 2], ["x", 2], ["y", 10], ["z", null]]));
        let level = SourceQuery { order_by: vec!["n desc".parse().unwrap()], ..columns("p", &["t", "j"]) };
        let level = SourceQuery { filter: Some("n is not null".to_owned()), ..level };
        assert_eq!(t.values(&level).await, json!([["y", "{}"], ["x", "[]"], ["x", "{}"]]));
    }
}

#[tokio::test]
async fn the_rights_of_the_user_hold() {
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::new(major, PEOPLE).await;
        let role = format!("reader_{}", t.database.name);
        let setup = format!(
            "create role {role}; grant select (id) on p to {role}; create table own (id int primary key, who text); \
             insert into own values (1, 'a'), (2, 'b'); alter table own enable row level security; \
             create policy one on own using (id = 2); grant select on own to {role}; \
             create schema hidden; create table hidden.h (id int primary key); grant select on hidden.h to {role}; \
             set role {role}"
        );
        t.client.batch_execute(&setup).await.unwrap();
        assert_eq!(t.values(&columns("p", &["id"])).await, json!([[1], [2], [3]]));
        assert_eq!(t.values(&query("own")).await, json!([[2, "b"]]));
        let hidden = SourceQuery::new(TableName::new("hidden", "h"));
        for (query, why) in [
            (query("p"), "permission denied for table p"),
            (filtered("p", "name = 'a'", &[]), "permission denied for table p"),
            (hidden, "permission denied for schema hidden"),
        ] {
            let error = t.read(&query).await.unwrap_err();
            assert!(error.message().contains(why), "{error:?}");
            assert!(
                error.advised().unwrap().contains("select from the table, or from each of the columns"),
                "{error:?}"
            );
        }
        t.client.batch_execute(&format!("reset role; drop owned by {role}; drop role {role}")).await.unwrap();
    }
}

#[tokio::test]
async fn foreign_tables_can_be_read() {
    let mut t = Bench::new(15, PEOPLE).await;
    let setup = format!(
        "create extension postgres_fdw; create server here foreign data wrapper postgres_fdw options (dbname '{}', \
         host '127.0.0.1', port '{}'); create user mapping for current_user server here options (user '{}'); \
         create foreign table f (name text, id bigint) server here options (schema_name 'public', table_name 'p')",
        t.database.name, t.database.port, t.database.user
    );
    t.client.batch_execute(&setup).await.unwrap();
    assert_eq!(t.values(&query("f")).await, json!([["a", 1], ["c", 3], [null, 2]]));
    assert_eq!(t.values(&filtered("f", "id > $1", &["1"])).await, json!([[2], [3]]));
}

#[tokio::test]
async fn columns_that_are_gone_or_made_by_the_server_are_no_trouble() {
    let setup = "create table p (id int generated always as identity primary key, gone text, a int, \
                 twice int generated always as (a * 2) stored); insert into p (a) values (2), (3); \
                 alter table p drop column gone";
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::new(major, setup).await;
        assert_eq!(t.values(&query("p")).await, json!([[1, 2, 4], [2, 3, 6]]));
        let error = t.read(&columns("p", &["gone"])).await.unwrap_err();
        assert!(error.message().contains("no column \"gone\"; it has id, a, twice"), "{error:?}");
    }
}

#[tokio::test]
async fn time_limits_and_a_stop_end_a_read() {
    let slow = "create table p (id int primary key); insert into p select generate_series(1, 5); \
                create view slow as select id, pg_sleep(30)::text as s from p";
    for major in TestDatabase::VERSIONS {
        let t = Bench::new(major, slow).await;
        let mut settings = Settings::parse(&t.database.url()).unwrap();
        settings.statement_timeout = Some(std::time::Duration::from_millis(300));
        let database = Database::new(settings).unwrap();
        let scope = Scope::new(CancellationToken::new(), None);
        let read = async |database: &Database, scope: &Scope| {
            let mut session = database.connect(scope).await.unwrap();
            let transaction = session.begin().await.unwrap();
            source::read(&transaction, &query("slow")).await.map_err(|error| scope.explain(error)).unwrap_err()
        };
        let error = read(&database, &scope).await;
        assert!(error.message().contains("statement timeout"), "{error:?}");
        assert!(error.advised().unwrap().contains("statement_timeout"), "{error:?}");
        let database = Database::new(Settings::parse(&t.database.url()).unwrap()).unwrap();
        let stop = scope.cancel.clone();
        let client = connect(&t.database).await;
        let (error, ()) = tokio::join!(read(&database, &scope), async move {
            let sleeping = "select count(*) > 0 from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()";
            while !client.query_one(sleeping, &[]).await.unwrap().get::<_, bool>(0) {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            stop.cancel();
        });
        assert_eq!(error.message(), "cancelled");
    }
}
