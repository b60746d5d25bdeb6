//! Row changes on a real server.

use pg_connector::error::{Blame, RowLabel};
use pg_connector::rows::{self, Declared, DeclaredRows, Owned, RowChange, RowOutcome};
use pg_connector::spec::{ColumnSpec, ManagedBy, TableSpec};
use pg_connector::{Error, TableName};
use serde_json::{Value, json};
use testbed::TestDatabase;
use tokio_postgres::{Client, NoTls};

/// A plain connection, for what a session of the pool would be used for.
pub(crate) async fn connect(database: &TestDatabase) -> Client {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

pub(crate) fn table(columns: &[(&str, &str)], primary_key: &[&str]) -> TableSpec {
    table_named(TableName::new("public", "t"), columns, primary_key)
}

fn table_named(name: TableName, columns: &[(&str, &str)], primary_key: &[&str]) -> TableSpec {
    let column = |(name, type_name): &(&str, &str)| ColumnSpec {
        name: (*name).to_owned(),
        type_name: (*type_name).to_owned(),
        nullable: !primary_key.contains(name),
        default: None,
        comment: None,
    };
    TableSpec {
        name,
        managed_by: ManagedBy::System,
        comment: None,
        columns: columns.iter().map(column).collect(),
        primary_key: primary_key.iter().map(|&name| name.to_owned()).collect(),
    }
}

/// The statement that makes such a table.
pub(crate) fn creation(table: &TableSpec) -> String {
    let quote = |name: &String| format!("\"{}\"", name.replace('"', "\"\""));
    let columns: Vec<String> = table.columns.iter().map(|c| format!("{} {}", quote(&c.name), c.type_name)).collect();
    let key: Vec<String> = table.primary_key.iter().map(quote).collect();
    format!("create table {} ({}, primary key ({}))", table.name, columns.join(", "), key.join(", "))
}

pub(crate) fn declare(table: &TableSpec, rows: &Value) -> DeclaredRows {
    let rows = rows.as_array().unwrap().iter().enumerate();
    let rows: Vec<_> = rows.map(|(i, row)| (RowLabel::Index(i), row.as_object().unwrap().clone())).collect();
    rows::declare(table, &rows).unwrap()
}

/// One table whose rows are reconciled again and again.
pub(crate) struct Bench {
    pub(crate) database: TestDatabase,
    pub(crate) client: Client,
    pub(crate) table: TableSpec,
    owned: Option<Owned>,
    force: bool,
}

impl Bench {
    pub(crate) async fn new(major: u32, columns: &[(&str, &str)], primary_key: &[&str]) -> Self {
        let table = table(columns, primary_key);
        let this = Self::without_table(major, table).await;
        this.client.batch_execute(&creation(&this.table)).await.unwrap();
        this
    }

    pub(crate) async fn without_table(major: u32, table: TableSpec) -> Self {
        let database = TestDatabase::new(major).await;
        let client = connect(&database).await;
        Self { database, client, table, owned: None, force: false }
    }

    pub(crate) async fn apply(&mut self, rows: &Value) -> Result<RowOutcome, Error> {
        let declared = Declared::from(declare(&self.table, rows));
        let change = RowChange {
            table: &self.table,
            owned: self.owned.as_ref(),
            declared: Some(&declared),
            force: self.force,
            server_digest: None,
        };
        let transaction = self.client.transaction().await.unwrap();
        let outcome = rows::reconcile(&transaction, &change).await?;
        transaction.commit().await.unwrap();
        self.owned = Some(declare(&self.table, rows).into());
        Ok(outcome)
    }

    fn steps(&self, rows: &Value) -> Vec<String> {
        let declared = Declared::from(declare(&self.table, rows));
        let change = RowChange {
            table: &self.table,
            owned: self.owned.as_ref(),
            declared: Some(&declared),
            force: self.force,
            server_digest: None,
        };
        rows::steps(&change).into_iter().map(|step| step.sql).collect()
    }

    pub(crate) async fn digest(&mut self) -> String {
        let transaction = self.client.build_transaction().read_only(true).start().await.unwrap();
        rows::digest(&transaction, &self.table, self.owned.as_ref().unwrap()).await.unwrap()
    }

    async fn foreign(&mut self) -> u64 {
        let transaction = self.client.build_transaction().read_only(true).start().await.unwrap();
        rows::count_foreign(&transaction, &self.table, self.owned.as_ref()).await.unwrap()
    }

    pub(crate) async fn query(&self, sql: &str) -> String {
        self.database.query(sql).await
    }
}

pub(crate) fn counts(outcome: &RowOutcome) -> (u64, u64, u64, u64) {
    (outcome.deleted, outcome.updated, outcome.inserted, outcome.adopted.count)
}

#[tokio::test]
async fn what_is_declared_exists_and_what_is_no_longer_declared_is_gone() {
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::new(major, &[("id", "bigint"), ("a", "text")], &["id"]).await;
        let first = json!([{"id": 1, "a": "x"}, {"id": 2, "a": "y"}, {"id": 3, "a": null}]);
        assert_eq!(counts(&t.apply(&first).await.unwrap()), (0, 0, 3, 0));
        t.client.batch_execute("insert into t values (9, 'theirs')").await.unwrap();
        assert_eq!(t.foreign().await, 1);
        let second = json!([{"id": 2, "a": "Y"}, {"id": 3, "a": null}, {"id": 4, "a": "n"}]);
        assert_eq!(counts(&t.apply(&second).await.unwrap()), (1, 1, 1, 0));
        assert_eq!(t.query("select id, a from t order by id").await, "2|Y\n3|\n4|n\n9|theirs");
        assert_eq!(counts(&t.apply(&json!([])).await.unwrap()), (3, 0, 0, 0));
        assert_eq!(t.query("select id, a from t order by id").await, "9|theirs");
        assert_eq!(counts(&t.apply(&json!([])).await.unwrap()), (0, 0, 0, 0));
    }
}

#[tokio::test]
async fn a_row_that_is_as_declared_is_never_touched() {
    let columns = [
        ("id", "int"),
        ("n", "numeric"),
        ("n2", "numeric(10,2)"),
        ("f", "float8"),
        ("j", "json"),
        ("jb", "jsonb"),
        ("p", "point"),
        ("v", "vector(2)"),
        ("ts", "timestamptz"),
        ("c", "char(5)"),
        ("b", "bytea"),
        ("a", "text[]"),
        ("i", "interval"),
        ("ip", "inet"),
        ("t", "text"),
    ];
    let row = |id: u32| {
        json!({
            "id": id, "n": "1.00", "n2": 1.5, "f": "NaN", "j": {"b": 1, "a": [1.0]}, "jb": {"b": 1, "a": [1.0]},
            "p": "(1,2)", "v": [0.1, 2], "ts": "2024-01-01 12:00+02", "c": "ab", "b": "AAH/",
            "a": ["x", null, "y\"z\\"], "i": "1 day", "ip": "10.0.0.1", "t": "a\tb\nc\\d",
        })
    };
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::without_table(major, table(&columns, &["id"])).await;
        t.client.batch_execute("create extension vector").await.unwrap();
        t.client.batch_execute(&creation(&t.table)).await.unwrap();
        t.apply(&json!([row(1), row(2)])).await.unwrap();
        let digest = t.digest().await;
        let before = t.query("select ctid, xmin from t order by id").await;
        // Another session's settings change neither what is compared nor the digest.
        t.client
            .batch_execute(
                "set TimeZone = 'Asia/Tokyo'; set DateStyle = 'German'; set IntervalStyle = 'sql_standard'; \
                 set extra_float_digits = -5; set bytea_output = 'escape'",
            )
            .await
            .unwrap();
        assert_eq!(counts(&t.apply(&json!([row(2), row(1)])).await.unwrap()), (0, 0, 0, 0));
        assert_eq!(t.digest().await, digest);
        assert_eq!(t.query("select ctid, xmin from t order by id").await, before);
        // Equal to `=`, yet stored otherwise.
        let mut other = row(1);
        other["n"] = json!("1.0");
        assert_eq!(counts(&t.apply(&json!([other, row(2)])).await.unwrap()), (0, 1, 0, 0));
        assert_eq!(t.query("select n from t where id = 1").await, "1.0");
        assert_ne!(t.digest().await, digest);
        let zone = t.client.query_one("show TimeZone", &[]).await.unwrap();
        assert_eq!(zone.get::<_, &str>(0), "Asia/Tokyo");
    }
}

#[tokio::test]
async fn the_listed_statements_are_those_that_run() {
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::new(major, &[("id", "bigint"), ("a", "text"), ("b", "text")], &["id"]).await;
        t.apply(&json!([{"id": 1, "a": "x", "b": "y"}, {"id": 2, "a": "x"}, {"id": 5}])).await.unwrap();
        let next = json!([{"id": 1, "a": "x"}, {"id": 2, "a": "x", "b": "z"}, {"id": 4}]);
        let steps = t.steps(&next);
        assert_eq!(
            steps,
            [
                "lock table public.t in share row exclusive mode",
                "delete from public.t as t using pg_temp.terraform_pg_owned as o where t.id = o.id and not exists \
                 (select from pg_temp.terraform_pg_declared as n where n.id = o.id)",
                "update public.t as t set a = n.a, b = default from pg_temp.terraform_pg_declared as n, \
                 pg_temp.terraform_pg_owned as o where t.id = n.id and o.id = n.id and n.row_group = 2 and o.row_group = 3",
                "update public.t as t set a = n.a from pg_temp.terraform_pg_declared as n where t.id = n.id and \
                 n.row_group = 2 and row(t.a)::record *<> row(n.a)::record",
                "update public.t as t set a = n.a, b = n.b from pg_temp.terraform_pg_declared as n where t.id = n.id \
                 and n.row_group = 3 and row(t.a, t.b)::record *<> row(n.a, n.b)::record",
                "insert into public.t (id) select n.id from pg_temp.terraform_pg_declared as n where not exists \
                 (select from public.t as t where t.id = n.id) and n.row_group = 1 order by n.id",
                "insert into public.t (id, a) select n.id, n.a from pg_temp.terraform_pg_declared as n where not exists \
                 (select from public.t as t where t.id = n.id) and n.row_group = 2 order by n.id",
                "insert into public.t (id, a, b) select n.id, n.a, n.b from pg_temp.terraform_pg_declared as n where \
                 not exists (select from public.t as t where t.id = n.id) and n.row_group = 3 order by n.id",
            ]
        );
        // The server itself says what runs on the table.
        t.client
            .batch_execute(
                "create table ran (n serial, sql text); \
                 create function note() returns trigger language plpgsql as \
                 $$begin insert into ran (sql) values (current_query()); return null; end$$; \
                 create trigger note after insert or update or delete on t for each statement execute function note()",
            )
            .await
            .unwrap();
        t.apply(&next).await.unwrap();
        assert_eq!(t.query("select sql from ran order by n").await, steps[1..].join("\n"));
    }
}

#[tokio::test]
async fn a_column_that_its_row_stops_naming_goes_back_to_its_default() {
    for major in TestDatabase::VERSIONS {
        let columns = [("id", "bigint"), ("a", "text"), ("b", "text")];
        let mut t = Bench::without_table(major, table(&columns, &["id"])).await;
        let sql = "create table t (id bigint primary key, a text, b text default 'the default')";
        t.client.batch_execute(sql).await.unwrap();
        t.apply(&json!([{"id": 1, "a": "x", "b": "y"}, {"id": 2, "a": "x", "b": "y"}, {"id": 3, "a": "z"}]))
            .await
            .unwrap();
        assert_eq!(t.query("select b from t where id = 3").await, "the default");
        t.client.batch_execute("update t set b = 'written by the application' where id = 3").await.unwrap();
        let outcome = t.apply(&json!([{"id": 1, "a": "x"}, {"id": 2, "a": "x", "b": "y"}, {"id": 3, "a": "z"}])).await;
        assert_eq!(counts(&outcome.unwrap()), (0, 1, 0, 0));
        assert_eq!(
            t.query("select id, b from t order by id").await,
            "1|the default\n2|y\n3|written by the application"
        );
    }
}

#[tokio::test]
async fn a_row_of_somebody_else_is_overwritten_only_with_consent() {
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::new(major, &[("id", "bigint"), ("a", "text"), ("b", "text")], &["id"]).await;
        t.client.batch_execute("insert into t values (1, 'same', 'kept'), (2, 'theirs', 'kept')").await.unwrap();
        let rows = json!([{"id": 1, "a": "same"}, {"id": 2, "a": "ours"}, {"id": 3, "a": "new"}]);
        let error = t.apply(&rows).await.unwrap_err();
        assert!(error.message().contains("(id = 2), row 1,"), "{error}");
        assert!(error.message().contains("in a"), "{error}");
        assert!(error.advised().unwrap().contains("force_destroy"), "{error}");
        assert_eq!(error.blamed(), Some(&Blame::Row(RowLabel::Index(1), None)));
        assert_eq!(t.query("select id, a from t order by id").await, "1|same\n2|theirs");
        t.force = true;
        let outcome = t.apply(&rows).await.unwrap();
        assert_eq!((outcome.updated, outcome.inserted, outcome.adopted.first), (1, 1, vec!["id = 1".to_owned()]));
        assert_eq!(t.query("select id, a, b from t order by id").await, "1|same|kept\n2|ours|kept\n3|new|");
        // From now on they are ours.
        t.force = false;
        assert_eq!(counts(&t.apply(&json!([{"id": 1, "a": "changed"}])).await.unwrap()), (2, 1, 0, 0));
    }
}

#[tokio::test]
async fn odd_names_composite_keys_and_partitions() {
    for major in TestDatabase::VERSIONS {
        let name = TableName::new("My \"Schema\"", "order");
        let columns = [("Lang \"x\"", "varchar(5)"), ("row_group", "int"), ("select", "text"), ("naïve", "date")];
        let mut t = Bench::without_table(major, table_named(name, &columns, &["Lang \"x\"", "row_group"])).await;
        let create = creation(&t.table);
        t.client
            .batch_execute(&format!(
                "create schema \"My \"\"Schema\"\"\"; {create} partition by list (row_group); \
                 create table one partition of {0} for values in (1); create table rest partition of {0} default",
                t.table.name
            ))
            .await
            .unwrap();
        let row = |lang: &str, n: u32, rest: &str| json!({"Lang \"x\"": lang, "row_group": n, "select": rest, "naïve": "2024-02-29"});
        let first = json!([row("de", 1, "a"), row("de", 2, "b"), row("en", 1, "c")]);
        assert_eq!(counts(&t.apply(&first).await.unwrap()), (0, 0, 3, 0));
        let digest = t.digest().await;
        let second = json!([row("de", 1, "a"), row("en", 1, "C"), {"Lang \"x\"": "fr", "row_group": 7}]);
        assert_eq!(counts(&t.apply(&second).await.unwrap()), (1, 1, 1, 0));
        assert_ne!(t.digest().await, digest);
        assert_eq!(t.query("select * from one order by 1").await, "de|1|a|2024-02-29\nen|1|C|2024-02-29");
        assert_eq!(t.query("select * from rest").await, "fr|7||");
        assert_eq!(t.foreign().await, 0);
    }
}

#[tokio::test]
async fn the_same_key_in_another_spelling_is_the_same_row() {
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::new(major, &[("at", "timestamptz"), ("a", "text")], &["at"]).await;
        t.client.batch_execute("create table child (at timestamptz references t on delete cascade)").await.unwrap();
        t.apply(&json!([{"at": "2024-01-01T00:00:00Z", "a": "x"}])).await.unwrap();
        t.client
            .batch_execute("insert into child values ('2024-01-01T00:00:00Z'); set TimeZone = 'Asia/Tokyo'")
            .await
            .unwrap();
        let before = t.query("select ctid, xmin from t").await;
        assert_eq!(counts(&t.apply(&json!([{"at": "2024-01-01 02:00:00+02", "a": "x"}])).await.unwrap()), (0, 0, 0, 0));
        assert_eq!(counts(&t.apply(&json!([{"at": "2024-01-01 00:00:00", "a": "x"}])).await.unwrap()), (0, 0, 0, 0));
        assert_eq!(t.query("select ctid, xmin from t").await, before);
        assert_eq!(t.query("select count(*) from child").await, "1");
        assert_eq!(t.foreign().await, 0);
        let twice = json!([{"at": "2024-01-01 02:00:00+02", "a": "x"}, {"at": "2024-01-01 00:00:00", "a": "y"}]);
        let error = t.apply(&twice).await.unwrap_err();
        assert!(error.message().contains("declared twice"), "{error}");
    }
}

#[tokio::test]
async fn errors_of_the_server_name_the_row_and_the_column() {
    let columns = [("id", "bigint"), ("d", "date"), ("mail", "text"), ("parent", "bigint"), ("n", "int")];
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::without_table(major, table(&columns, &["id"])).await;
        t.client
            .batch_execute(
                "create table t (id bigint primary key, d date, mail text unique, parent bigint references t, \
                 n int not null default 1 check (n > 0), g bigint generated always as (id * 2) stored, \
                 i bigint generated always as identity)",
            )
            .await
            .unwrap();
        t.client.batch_execute("insert into t values (100, null, 'taken@x')").await.unwrap();
        let blame =
            |row: usize, column: Option<&str>| Some(Blame::Row(RowLabel::Index(row), column.map(str::to_owned)));
        let good = json!({"id": 1, "d": "2024-01-01"});
        for (bad, sqlstate, blamed) in [
            (json!({"id": 2, "d": "2024-02-30"}), "22008", blame(1, Some("d"))),
            (json!({"id": 2, "d": "no date"}), "22007", blame(1, Some("d"))),
            (json!({"id": 2, "mail": "taken@x"}), "23505", blame(1, Some("mail"))),
            (json!({"id": 2, "parent": 77}), "23503", blame(1, Some("parent"))),
            (json!({"id": 2, "n": 0}), "23514", blame(1, None)),
            (json!({"id": 2, "n": null}), "23502", blame(1, Some("n"))),
        ] {
            let error = t.apply(&json!([good, bad])).await.unwrap_err();
            assert_eq!(error.sqlstate(), Some(sqlstate), "{bad}: {error:?}");
            assert_eq!(error.blamed(), blamed.as_ref(), "{bad}: {error:?}");
            let detail = error.server().unwrap().detail.clone().unwrap_or_default();
            assert!(!detail.contains("Failing row"), "no cells in an error: {error:?}");
        }
        for name in ["g", "i"] {
            let columns = [("id", "bigint"), (name, "bigint")];
            t.table = table(&columns, &["id"]);
            let error = t.apply(&json!([{"id": 1, name: 5}])).await.unwrap_err();
            assert_eq!(error.blamed(), Some(&Blame::Column(name.to_owned(), None)), "{error:?}");
            assert!(error.advised().unwrap().contains("computes"), "{error:?}");
        }
        assert_eq!(t.query("select count(*) from t").await, "1");
    }
}

#[tokio::test]
async fn under_a_key_of_another_type_no_row_is_ours() {
    for major in TestDatabase::VERSIONS {
        for (declared, using) in [("text", "7::bigint"), ("bigint", "id::text"), ("uuid", "1")] {
            let mut t = Bench::new(major, &[("id", declared), ("a", "text")], &["id"]).await;
            let key = if declared == "uuid" { "018f0000-0000-7000-8000-000000000000" } else { "7" };
            t.apply(&json!([{"id": key, "a": "x"}])).await.unwrap();
            let before = t.digest().await;
            assert_eq!(t.foreign().await, 0);
            let to = if declared == "bigint" { "text" } else { "bigint" };
            t.client.batch_execute(&format!("alter table t alter id type {to} using {using}")).await.unwrap();
            assert_ne!(t.digest().await, before);
            assert_eq!(t.foreign().await, 1);
        }
    }
}

#[tokio::test]
async fn the_digest_sees_what_happened_to_declared_cells_and_nothing_else() {
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::new(major, &[("id", "numeric(5,2)"), ("a", "text"), ("b", "text")], &["id"]).await;
        t.apply(&json!([{"id": "1.005", "a": "x"}, {"id": 2, "a": null}, {"id": 3, "b": "y"}])).await.unwrap();
        let digest = t.digest().await;
        for (change, seen) in [
            ("update t set b = 'theirs' where id = 2", false),
            ("insert into t values (9, 'x', 'y')", false),
            ("update t set a = 'y' where id = 1.01", true),
            ("update t set a = '' where id = 2", true),
            ("update t set b = null where id = 3", true),
            ("delete from t where id = 3", true),
            ("update t set id = 7 where id = 2", true),
            ("alter table t drop column a", true),
            ("alter table t drop column id cascade", true),
        ] {
            let transaction = t.client.transaction().await.unwrap();
            transaction.batch_execute(change).await.unwrap();
            let now = rows::digest(&transaction, &t.table, t.owned.as_ref().unwrap()).await.unwrap();
            assert_eq!(now != digest, seen, "{change}");
        }
        assert_eq!(t.digest().await, digest);
        // What was tampered with is repaired, and the digest is as before.
        t.client.batch_execute("update t set a = 'tampered'; delete from t where id = 3").await.unwrap();
        let again = json!([{"id": "1.005", "a": "x"}, {"id": 2, "a": null}, {"id": 3, "b": "y"}]);
        assert_eq!(counts(&t.apply(&again).await.unwrap()), (0, 2, 1, 0));
        assert_eq!(t.digest().await, digest);
    }
}

#[tokio::test]
async fn writers_wait_and_are_neither_lost_nor_deadlocked() {
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::new(major, &[("id", "bigint"), ("a", "text")], &["id"]).await;
        t.apply(&json!([{"id": 1, "a": "x"}, {"id": 2, "a": "x"}])).await.unwrap();
        let mut writer = connect(&t.database).await;
        let theirs = writer.transaction().await.unwrap();
        // The application holds row 2 and then wants row 1, while we want both.
        theirs.batch_execute("update t set a = 'app' where id = 2; insert into t values (3, 'app')").await.unwrap();
        let other = connect(&t.database).await;
        let waiting = async {
            loop {
                let sql = "select count(*) from pg_locks where not granted and mode = 'ShareRowExclusiveLock'";
                let row = other.query_one(sql, &[]).await.unwrap();
                if row.get::<_, i64>(0) > 0 {
                    break;
                }
                tokio::task::yield_now().await;
            }
            theirs.batch_execute("update t set a = 'app' where id = 1").await.unwrap();
            theirs.commit().await.unwrap();
        };
        let rows = json!([{"id": 1, "a": "y"}, {"id": 2, "a": "y"}, {"id": 3, "a": "ours"}]);
        let (outcome, ()) = tokio::join!(t.apply(&rows), waiting);
        // Row 3 came from somebody else while we waited: it is not overwritten.
        assert!(outcome.unwrap_err().message().contains("(id = 3)"));
        assert_eq!(t.query("select id, a from t order by id").await, "1|app\n2|app\n3|app");
    }
}

#[tokio::test]
async fn ten_thousand_rows_are_no_trouble() {
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::new(major, &[("id", "bigint"), ("a", "text"), ("n", "numeric")], &["id"]).await;
        let rows = |changed: u32| -> Value {
            (0..10_000u32)
                .map(|id| json!({"id": id, "a": format!("row {id}"), "n": if id < changed { 2 } else { 1 }}))
                .collect()
        };
        assert_eq!(counts(&t.apply(&rows(0)).await.unwrap()), (0, 0, 10_000, 0));
        let digest = t.digest().await;
        let touched = "select count(distinct xmin::text) from t";
        assert_eq!(counts(&t.apply(&rows(100)).await.unwrap()), (0, 100, 0, 0));
        assert_eq!(t.query(touched).await, "2");
        assert_ne!(t.digest().await, digest);
        assert_eq!(t.foreign().await, 0);
    }
}

#[tokio::test]
async fn every_kind_of_type_is_written_once() {
    let setup = "create extension vector; create type mood as enum ('happy', 'sad'); \
        create domain must as text default 'by default' not null check (value <> ''); create domain small as int check (value < 10); \
        create type pair as (a int, b text)";
    let columns = [
        ("id", "uuid"),
        ("m", "mood"),
        ("must", "must"),
        ("s", "small"),
        ("p", "pair"),
        ("r", "tstzrange"),
        ("bit", "bit(3)"),
        ("sv", "sparsevec(5)"),
        ("hv", "halfvec(2)"),
        ("d", "date"),
        ("tz", "timetz"),
        ("iv", "interval"),
        ("n", "numeric"),
        ("f", "real"),
        ("ja", "jsonb[]"),
        ("ma", "mood[]"),
        ("da", "date[]"),
        ("fa", "float8[]"),
        ("m2", "int[]"),
        ("va", "vector(2)[]"),
        ("cash", "money"),
        ("mac", "macaddr"),
        ("t", "text"),
    ];
    let rows = json!([
        {
            "id": "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "m": "sad", "must": "x", "s": 5, "p": "(1,\"x y\")",
            "r": "[2024-01-01 00:00+02,)", "bit": "101", "sv": "{1:1,3:2.5}/5", "hv": [0.1, -1], "d": "infinity",
            "tz": "12:34:56+02", "iv": "P1DT2H", "n": "NaN", "f": "-Infinity", "ja": [{"a": [1, "x\"\\"]}, null, [1]],
            "ma": ["happy", null], "da": ["2024-02-29"], "fa": ["NaN", 1.5, "-0"], "m2": [[1, 2], [3, null]],
            "va": [[1, 2], [3, 4]], "cash": "12.50", "mac": "08:00:2b:01:02:03", "t": "nul\u{0}free",
        },
        {"id": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12"},
    ]);
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::without_table(major, table(&columns, &["id"])).await;
        t.client.batch_execute(setup).await.unwrap();
        t.client.batch_execute(&creation(&t.table)).await.unwrap();
        assert_eq!(counts(&t.apply(&rows).await.unwrap()), (0, 0, 2, 0));
        let digest = t.digest().await;
        let before = t.query("select ctid, xmin from t order by id").await;
        assert_eq!(counts(&t.apply(&rows).await.unwrap()), (0, 0, 0, 0));
        assert_eq!(t.query("select ctid, xmin from t order by id").await, before);
        assert_eq!(t.digest().await, digest);
        assert_eq!(
            t.query("select id, m, must, s, (p).b, hv, ja[1]->'a'->>1, m2[2][1], va[2], t from t where s = 5").await,
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11|sad|x|5|x y|[0.099975586,-1]|x\"\\|3|[3,4]|nulfree"
        );
        let error = t
            .apply(&json!([{"id": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "m": "angry", "must": "x"}]))
            .await
            .unwrap_err();
        assert_eq!(error.blamed(), Some(&Blame::Row(RowLabel::Index(0), Some("m".to_owned()))), "{error:?}");
        let error =
            t.apply(&json!([{"id": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "s": 11, "must": "x"}])).await.unwrap_err();
        assert_eq!(error.blamed(), Some(&Blame::Row(RowLabel::Index(0), Some("s".to_owned()))), "{error:?}");
    }
}

#[tokio::test]
async fn a_role_without_temporary_tables_is_told_what_to_grant() {
    for major in TestDatabase::VERSIONS {
        let mut t = Bench::new(major, &[("id", "bigint")], &["id"]).await;
        let role = format!("reader_{}", t.database.name);
        t.client
            .batch_execute(&format!(
                "create role {role}; grant all on t to {role}; revoke temporary on database {} from public; set role {role}",
                t.database.name
            ))
            .await
            .unwrap();
        let error = t.apply(&json!([{"id": 1}])).await.unwrap_err();
        t.client.batch_execute(&format!("reset role; drop owned by {role}; drop role {role}")).await.unwrap();
        assert!(error.advised().unwrap().contains("grant temporary on database"), "{error:?}");
    }
}

/// Not called: it is enough that it compiles, so that every operation can run as a task of its own.
#[expect(dead_code)]
fn every_operation_can_be_spawned(
    transaction: &'static tokio_postgres::Transaction<'static>,
    table: &'static TableSpec,
    declared: &'static Declared,
    owned: &'static Owned,
    query: &'static pg_connector::source::SourceQuery,
) {
    let change =
        RowChange { table, owned: Some(owned), declared: Some(declared), force: false, server_digest: Some("1") };
    tokio::spawn(async move { rows::reconcile(transaction, &change).await });
    tokio::spawn(rows::digest(transaction, table, owned));
    tokio::spawn(rows::count_foreign(transaction, table, None));
    tokio::spawn(pg_connector::source::read(transaction, query));
}
