//! Tables on a real server.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use pg_connector::catalog::ObservedTable;
use pg_connector::error::{Blame, RowLabel};
use pg_connector::rows::{self, Declared, Owned};
use pg_connector::settings::Settings;
use pg_connector::spec::{ColumnSpec, ManagedBy, TableSpec};
use pg_connector::table::{self, Look, Applied, TableChange, TableDrop, Warning};
use pg_connector::{Database, Error, Hazard, Scope, TableName};
use serde_json::{Value, json};
use testbed::TestDatabase;
use tokio_util::sync::CancellationToken;

/// One declaration after the other for one table, as a user of the library would make them.
struct Target {
    server: TestDatabase,
    database: Database,
    name: TableName,
    prior: Option<TableSpec>,
    observed: Option<ObservedTable>,
    owned: Option<Owned>,
    force: bool,
}

/// A column as `type [not null] [default …] [-- comment]`.
fn column(name: &str, text: &str) -> ColumnSpec {
    let (text, comment) =
        text.split_once(" -- ").map_or((text, None), |(text, comment)| (text, Some(comment.to_owned())));
    let (text, default) = text.split_once(" default ").map_or((text, None), |(text, d)| (text, Some(d.to_owned())));
    let (text, nullable) = text.strip_suffix(" not null").map_or((text, true), |text| (text, false));
    ColumnSpec { name: name.to_owned(), type_name: text.to_owned(), nullable, default, comment }
}

/// A table with the key `id bigint` and these columns.
fn spec(name: &TableName, columns: &[(&str, &str)]) -> TableSpec {
    let id = column("id", "bigint not null");
    TableSpec {
        name: name.clone(),
        managed_by: ManagedBy::System,
        comment: None,
        columns: std::iter::once(id).chain(columns.iter().map(|(name, text)| column(name, text))).collect(),
        primary_key: vec!["id".to_owned()],
    }
}

fn scope() -> Scope {
    Scope::new(CancellationToken::new(), Some(Duration::from_mins(1)))
}

fn database(server: &TestDatabase) -> Database {
    Database::new(Settings::parse(&server.url()).unwrap()).unwrap()
}

impl Target {
    async fn new(major: u32) -> Self {
        Self::named(major, TableName::new("public", "t")).await
    }

    async fn named(major: u32, name: TableName) -> Self {
        let server = TestDatabase::new(major).await;
        let database = database(&server);
        Self { server, database, name, prior: None, observed: None, owned: None, force: false }
    }

    fn spec(&self, columns: &[(&str, &str)]) -> TableSpec {
        spec(&self.name, columns)
    }

    fn change(&self, desired: &TableSpec, rows: &Value) -> TableChange {
        let objects = rows.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone());
        let rows: Vec<_> = objects.enumerate().map(|(i, row)| (RowLabel::Index(i), row)).collect();
        TableChange {
            desired: desired.clone(),
            prior: self.prior.clone(),
            observed: self.observed.clone(),
            rows: (!rows.is_empty()).then(|| rows::declare(desired, &rows).unwrap().into()),
            owned: self.owned.clone(),
            server_digest: None,
            rows_drifted: false,
            force_destroy: self.force,
            create_vector_extension: true,
        }
    }

    async fn veto(&self, desired: &TableSpec) -> Result<Vec<Warning>, Vec<Error>> {
        table::veto(&self.database, &scope(), &self.change(desired, &json!([]))).await
    }

    /// Applies, and shows that there is nothing left to do.
    async fn apply_rows(&mut self, desired: &TableSpec, rows: &Value) -> Result<Applied, Error> {
        let change = self.change(desired, rows);
        let decided = table::plan(&change);
        assert!(decided.replace.is_empty(), "{:?}", decided.replace);
        let applied = table::apply(&self.database, &scope(), &change, true).await?;
        self.prior = Some(desired.clone());
        self.observed = Some(applied.observed.clone());
        self.owned = match change.rows {
            Some(Declared::Inline(rows)) => Some(rows.into()),
            _ => None,
        };
        self.assert_nothing_left(desired, rows);
        let look = match &self.owned {
            Some(owned) => Look::Rows { table: desired, owned, digest: true },
            None => Look::Table,
        };
        let found = table::read(&self.database, &scope(), &self.name, look).await.unwrap().unwrap();
        assert_eq!(found.rows_digest, applied.rows_digest);
        let mut seen = found.observed;
        seen.remember(&applied.observed);
        assert_eq!(seen, applied.observed);
        self.observed = Some(seen);
        self.assert_nothing_left(desired, rows);
        Ok(applied)
    }

    fn assert_nothing_left(&self, desired: &TableSpec, rows: &Value) {
        let next = table::plan(&self.change(desired, rows));
        assert!(next.refusals.is_empty() && next.replace.is_empty(), "{next:?}");
        assert_eq!(next.steps.iter().map(|step| &step.sql).collect::<Vec<_>>(), [""; 0], "the second plan is empty");
    }

    async fn apply(&mut self, columns: &[(&str, &str)]) -> Result<Applied, Error> {
        self.apply_rows(&self.spec(columns), &json!([])).await
    }

    async fn refresh(&mut self) {
        let found = table::read(&self.database, &scope(), &self.name, Look::Table).await.unwrap();
        self.observed = found.map(|seen| seen.observed);
    }

    async fn drop(&self) -> Result<Vec<Warning>, Error> {
        table::drop(&self.database, &scope(), &self.to_drop()).await
    }

    fn to_drop(&self) -> TableDrop {
        TableDrop {
            declared: self.prior.clone().unwrap(),
            observed: self.observed.clone(),
            owned: self.owned.clone(),
            force_destroy: self.force,
        }
    }

    async fn query(&self, sql: &str) -> String {
        self.server.query(sql).await
    }

    /// Every column as the catalogue prints it.
    async fn columns(&self) -> String {
        self.query(&format!(
            "select string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), case when attnotnull then '!' end, \
             pg_get_expr(adbin, adrelid)), ', ' order by attnum) from pg_attribute left join pg_attrdef on adrelid = attrelid \
             and adnum = attnum where attrelid = '{}'::regclass and attnum > 0 and not attisdropped",
            self.name
        ))
        .await
    }
}

#[tokio::test]
async fn a_table_lives_from_creation_to_drop() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::named(major, TableName::new("app", "t")).await;
        let mut wanted = t.spec(&[
            ("e", "vector(3)"),
            ("n", "DECIMAL(10,2) not null default 0 -- the price"),
            ("tags", "text[] default '{}'"),
            ("at", "timestamptz default now()"),
            ("u", "uuid default gen_random_uuid()"),
            ("sum", "int default 1 + 1"),
            ("v", "varchar(5)"),
            ("bits", "bit varying(8)"),
            ("i", "interval day to second(3)"),
            ("c", "char"),
            ("internal", "\"char\""),
            ("ts", "timestamp(3)"),
        ]);
        wanted.comment = Some("it's ours".to_owned());
        t.apply_rows(&wanted, &json!([])).await.unwrap();
        assert_eq!(
            t.columns().await,
            "id bigint !, e vector(3), n numeric(10,2) ! 0, tags text[] '{}'::text[], at timestamp with time zone now(), \
             u uuid gen_random_uuid(), sum integer (1 + 1), v character varying(5), bits bit varying(8), \
             i interval day to second(3), c character(1), internal \"char\", ts timestamp(3) without time zone"
        );
        assert_eq!(
            t.query("select obj_description('app.t'::regclass), col_description('app.t'::regclass, 3)").await,
            "it's ours|the price"
        );
        t.apply(&[("e", "vector(3)"), ("n", "numeric(12,2) default 1")]).await.unwrap();
        assert_eq!(t.columns().await, "id bigint !, e vector(3), n numeric(12,2) 1");
        assert_eq!(
            t.query("select obj_description('app.t'::regclass), col_description('app.t'::regclass, 3)").await,
            "|"
        );
        t.drop().await.unwrap();
        assert_eq!(
            t.query("select to_regclass('app.t') is null, exists (select from pg_namespace where nspname = 'app')")
                .await,
            "t|t"
        );
        t.drop().await.unwrap();
    }
}

#[tokio::test]
async fn columns_change_and_keep_what_they_hold() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        t.apply(&[("a", "int"), ("b", "varchar(5)"), ("c", "numeric(5,2)"), ("d", "text"), ("e", "vector(3)")])
            .await
            .unwrap();
        t.query("insert into t values (1, 7, 'abc', 1.25, '2020-01-02', '[1,2,3]'), (2, null, null, null, null, null)")
            .await;
        let file = "select pg_relation_filenode('t')";
        let before = t.query(file).await;
        // Types that are stored alike are not written again.
        t.apply(&[("a", "int"), ("b", "varchar(9)"), ("c", "numeric(8,2)"), ("d", "varchar"), ("e", "vector")])
            .await
            .unwrap();
        t.apply(&[("a", "int"), ("b", "text"), ("c", "numeric"), ("d", "text"), ("e", "vector")]).await.unwrap();
        assert_eq!(t.query(file).await, before);
        // With a cast of any kind.
        t.apply(&[("a", "bigint"), ("b", "text"), ("c", "int"), ("d", "date"), ("e", "halfvec(3)")]).await.unwrap();
        assert_ne!(t.query(file).await, before);
        t.apply(&[("a", "text"), ("b", "char(4)"), ("c", "text"), ("d", "timestamptz"), ("e", "real[]")])
            .await
            .unwrap();
        assert_eq!(t.query("select a, b, c, d::date, e from t order by id").await, "7|abc |1|2020-01-02|{1,2,3}\n||||");
        // New columns, with and without a default, and one that may not be null.
        t.apply(&[("f", "int not null default 5"), ("g", "int")]).await.unwrap_err();
        t.force = true;
        t.apply(&[("f", "int not null default 5"), ("g", "int")]).await.unwrap();
        assert_eq!(t.query("select * from t order by id").await, "1|5|\n2|5|");
    }
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_named_and_nothing_is_cut_off() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        let cases: [(&str, &str, &str, &str); 7] = [
            ("text", "int", "'abc'", "\"abc\""),
            ("text", "varchar(2)", "'abc'", "\"abc\""),
            ("varchar(5)", "char(2)", "'abc'", "\"abc\""),
            ("bit(5)", "bit(3)", "b'10101'", "\"10101\""),
            ("bigint", "smallint", "70000", "\"70000\""),
            ("vector", "vector(2)", "'[1,2,3]'", "\"[1,2,3]\""),
            ("text", "date", "'2020-13-01'", "\"2020-13-01\""),
        ];
        for (at, (from, to, value, shown)) in cases.into_iter().enumerate() {
            t.force = true;
            t.apply(&[]).await.unwrap();
            t.apply(&[("a", from)]).await.unwrap();
            t.query(&format!("truncate t; insert into t values (1, null), (42, {value})")).await;
            t.force = at % 2 == 0;
            let error = t.apply(&[("a", to)]).await.unwrap_err();
            assert!(error.message().contains("id = 42") && error.message().contains(shown), "{from} to {to}: {error}");
            assert_eq!(error.blamed(), Some(&Blame::Column("a".to_owned(), Some("type"))));
            assert_eq!(t.query("select count(*) from t where a is not null").await, "1", "nothing is lost");
            t.query("delete from t where id = 42").await;
            t.apply(&[("a", to)]).await.unwrap();
        }
    }
}

#[tokio::test]
async fn null_is_forbidden_and_allowed() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        t.apply(&[("a", "text"), ("b", "text")]).await.unwrap();
        t.query("insert into t values (1, 'x', 'y'), (2, null, 'y'), (3, null, null)").await;
        // Alone, and together with another change.
        for (columns, refused) in [
            (&[("a", "text not null"), ("b", "text")][..], "2 rows"),
            (&[("a", "text"), ("b", "text not null"), ("c", "int")], "1 row"),
            (&[("a", "text"), ("b", "text"), ("c", "int not null")], "3 rows"),
        ] {
            let vetoed = t.veto(&t.spec(columns)).await.unwrap_err();
            let error = t.apply(columns).await.unwrap_err();
            for error in vetoed.iter().chain([&error]) {
                assert!(error.message().contains(refused), "{error}");
                assert!(matches!(error.blamed(), Some(Blame::Column(_, Some("nullable")))));
                assert!(error.advised().unwrap().contains("nullable = true"));
            }
            assert_eq!(t.columns().await, "id bigint !, a text, b text");
            assert_eq!(
                t.query("select count(*) from pg_constraint where conrelid = 't'::regclass and contype = 'c'").await,
                "0"
            );
        }
        t.query("update t set a = 'z', b = 'z'").await;
        t.apply(&[("a", "text not null"), ("b", "text not null")]).await.unwrap();
        assert_eq!(t.columns().await, "id bigint !, a text !, b text !");
        assert_eq!(
            t.query("select count(*) from pg_constraint where conrelid = 't'::regclass and contype = 'c'").await,
            "0"
        );
        t.apply(&[("a", "text"), ("b", "text not null"), ("c", "int not null default 1")]).await.unwrap();
        assert_eq!(t.columns().await, "id bigint !, a text, b text !, c integer ! 1");
    }
}

#[tokio::test]
async fn an_interrupted_set_not_null_is_finished_or_cleared_up() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        t.apply(&[("a", "text")]).await.unwrap();
        let steps = table::plan(&t.change(&t.spec(&[("a", "text not null")]), &json!([]))).steps;
        // Whatever of it has run when the process is killed: the next apply finishes it, or takes it back.
        for run in [1, 2] {
            for finish in [true, false] {
                for step in &steps[..run] {
                    t.query(&step.sql).await;
                }
                let stale = t.change(&t.spec(&[("a", "text not null")]), &json!([]));
                t.refresh().await;
                if finish {
                    // Also with a plan that was made before.
                    table::apply(&t.database, &scope(), &stale, false).await.unwrap();
                    t.refresh().await;
                    t.apply(&[("a", "text not null")]).await.unwrap();
                    assert_eq!(t.columns().await, "id bigint !, a text !");
                }
                t.apply(&[("a", "text")]).await.unwrap();
                assert_eq!(t.columns().await, "id bigint !, a text");
                assert_eq!(
                    t.query("select count(*) from pg_constraint where conrelid = 't'::regclass and contype = 'c'")
                        .await,
                    "0"
                );
            }
        }
    }
}

#[tokio::test]
async fn defaults_and_comments_are_set_changed_and_dropped() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        t.query("create sequence s").await;
        for (text, live) in [
            ("text", ""),
            ("text default 'x'", "'x'::text"),
            ("text default 'y'", "'y'::text"),
            ("text default upper('z')", "upper('z'::text)"),
            ("text default nextval('s')", "nextval('s'::regclass)"),
            ("text default null", ""),
            ("text default 'a' || 'b' -- c", "('a'::text || 'b'::text)"),
            ("varchar(3) default 'ab'", "'ab'::character varying"),
            ("jsonb default '{\"a\": 1}'::jsonb", "'{\"a\": 1}'::jsonb"),
            ("jsonb", ""),
        ] {
            t.force = true;
            t.apply(&[("a", text)]).await.unwrap();
            let shown = "select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 't'::regclass";
            assert_eq!(t.query(shown).await, live, "{text}");
        }
        // Of somebody else.
        t.query(
            "alter table t alter a set default '[]'; comment on column t.a is 'theirs'; comment on table t is 'theirs'",
        )
        .await;
        t.refresh().await;
        t.apply(&[("a", "jsonb"), ("b", "int")]).await.unwrap();
        assert_eq!(
            t.query("select col_description('t'::regclass, 2), obj_description('t'::regclass)").await,
            "theirs|theirs"
        );
        assert_eq!(t.query("insert into t(id) values (1) returning a").await, "[]");
    }
}

#[tokio::test]
async fn data_of_others_is_not_lost_without_consent() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        let full = t.spec(&[("a", "text"), ("b", "text default 'b'")]);
        let ours = json!([{"id": 1, "a": "x"}, {"id": 2}]);
        t.apply_rows(&full, &ours).await.unwrap();
        t.query("insert into t values (3, null, null)").await;
        let without_a = t.spec(&[("b", "text default 'b'")]);
        // What our rows name, and what our default filled, is ours.
        let change = t.change(&without_a, &json!([{"id": 1}, {"id": 2}]));
        table::veto(&t.database, &scope(), &change).await.unwrap();
        for (theirs, count) in
            [("update t set a = 'theirs' where id = 3", "1 row"), ("update t set a = 'theirs' where id > 1", "2 rows")]
        {
            t.query(theirs).await;
            let errors = table::veto(&t.database, &scope(), &change).await.unwrap_err();
            let error = table::apply(&t.database, &scope(), &change, true).await.unwrap_err();
            for error in errors.iter().chain([&error]) {
                assert!(error.message().contains(count) && error.message().contains("column a"), "{error}");
                assert!(error.advised().unwrap().contains("force_destroy"));
            }
        }
        // The table itself.
        let drop = table::veto_drop(&t.database, &scope(), &t.to_drop()).await.unwrap_err();
        assert!(drop[0].message().contains("1 row not declared here and data in column a of 1 row"), "{}", drop[0]);
        let error = t.drop().await.unwrap_err();
        assert!(error.advised().unwrap().contains("force_destroy"));
        assert_eq!(t.query("select count(*) from t").await, "3");
        t.force = true;
        let warnings = t.veto(&without_a).await.unwrap();
        assert!(
            warnings.iter().any(|w| w.summary == "Data is destroyed" && w.detail.contains("2 rows")),
            "{warnings:?}"
        );
        t.apply_rows(&without_a, &json!([{"id": 1}, {"id": 2}])).await.unwrap();
        assert_eq!(t.query("select * from t order by id").await, "1|b\n2|b\n3|");
        t.force = false;
        t.query("delete from t where id = 3").await;
        t.drop().await.unwrap();
        assert_eq!(t.query("select to_regclass('t') is null").await, "t");
    }
}

#[tokio::test]
async fn an_existing_table_is_not_touched() {
    for major in TestDatabase::VERSIONS {
        for existing in ["create table t (id int primary key)", "create view t as select 1 as id", "create sequence t"]
        {
            let mut t = Target::new(major).await;
            t.query(existing).await;
            let warnings = t.veto(&t.spec(&[("a", "text"), ("e", "vector(3)")])).await.unwrap();
            assert_eq!(warnings[0].summary, "The table exists already");
            let error = t.apply(&[("a", "text"), ("e", "vector(3)")]).await.unwrap_err();
            let advice = error.advised().unwrap();
            assert!(error.message().contains("exists already"), "{error}");
            assert!(advice.contains("import") && advice.contains("managed_by"), "{advice}");
            assert_eq!(
                t.query("select count(*) from pg_extension where extname = 'vector'").await,
                "0",
                "nothing was written"
            );
        }
    }
}

#[tokio::test]
async fn a_table_that_changed_since_the_plan_is_left_as_it_is() {
    for major in TestDatabase::VERSIONS {
        for (meanwhile, word) in [
            ("alter table t alter a type int using 1", "column a was text and is integer"),
            ("alter table t alter a set not null", "column a was nullable and is not null"),
            ("alter table t drop column a", "column a was dropped"),
            ("alter table t add column n int", "column n was added"),
            ("alter table t drop constraint t_pkey", "the primary key was (id) and is none"),
            ("alter table t alter d set default 'other'", "the default of column d is another"),
            ("comment on column t.d is 'other'", "the comment of column d is another"),
            ("drop table t", "it is gone"),
            ("alter table t rename to t2; create view t as select 1 as id", "it was a table and is a view"),
        ] {
            let mut t = Target::new(major).await;
            t.apply(&[("a", "text"), ("d", "text default 'x' -- c")]).await.unwrap();
            t.query(meanwhile).await;
            let error = t.apply(&[("a", "text"), ("d", "text default 'x' -- c"), ("n", "int")]).await.unwrap_err();
            assert!(error.message().contains("changed since the plan was made"), "{meanwhile}: {error}");
            assert!(error.message().contains(word), "{meanwhile}: {error}");
            assert_eq!(
                t.query("select count(*) from pg_attribute where attname = 'n' and attrelid = to_regclass('t')").await,
                if meanwhile.contains(" n ") { "1" } else { "0" }
            );
        }
        // Columns that are not declared are nobody's business.
        let mut t = Target::new(major).await;
        t.apply(&[("a", "text")]).await.unwrap();
        t.query("alter table t add column theirs int; create index on t (a)").await;
        t.apply(&[("a", "text"), ("n", "int")]).await.unwrap();
        assert_eq!(t.columns().await, "id bigint !, a text, theirs integer, n integer");
    }
}

#[tokio::test]
async fn a_failure_in_the_middle_leaves_everything_as_it_was() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        let first = t.spec(&[("a", "text"), ("b", "int"), ("v", "text")]);
        t.apply_rows(&first, &json!([{"id": 1, "a": "x"}])).await.unwrap();
        t.query("create view v as select v from t").await;
        let before = (t.columns().await, t.query("select * from t").await);
        // The last of many steps fails: a row of ours meets a unique index.
        t.query("create unique index on t (b)").await;
        let failing = t.spec(&[("a", "varchar(9)"), ("b", "int"), ("c", "int default 7"), ("v", "text")]);
        let error = t.apply_rows(&failing, &json!([{"id": 1, "b": 5}, {"id": 2, "b": 5}])).await.unwrap_err();
        assert_eq!(error.sqlstate(), Some("23505"));
        assert_eq!((t.columns().await, t.query("select * from t").await), before);
        // Something depends on a column that is dropped, or changes its type.
        for columns in [
            &[("a", "text"), ("b", "int"), ("c", "int")][..],
            &[("a", "text"), ("b", "int"), ("c", "int"), ("v", "varchar(5)")],
        ] {
            t.force = true;
            let rows = json!([{"id": 1, "a": "x"}]);
            let error = t.apply_rows(&t.spec(columns), &rows).await.unwrap_err();
            assert!(matches!(error.sqlstate(), Some("2BP01" | "0A000")), "{error}");
            assert!(error.advised().unwrap().contains("lifecycle { replace_triggered_by = [...] }"));
            assert!(error.server().unwrap().detail.as_ref().unwrap().contains("view v"), "{error:?}");
            assert!(error.failed_statement().unwrap().contains(" v"));
            assert_eq!((t.columns().await, t.query("select * from t").await), before);
        }
        t.query("drop view v").await;
        t.apply_rows(&t.spec(&[("a", "text"), ("b", "int"), ("c", "int")]), &json!([{"id": 1, "a": "x"}]))
            .await
            .unwrap();
        // A view on the table keeps the table.
        t.query("create view v as select a from t").await;
        let error = t.drop().await.unwrap_err();
        assert_eq!(error.sqlstate(), Some("2BP01"));
        assert!(error.advised().unwrap().contains("attachment"));
    }
}

#[tokio::test]
async fn a_type_that_nobody_knows_is_refused_before_anything_is_written() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::named(major, TableName::new("app", "t")).await;
        for (text, message) in [
            ("mood", "no type mood"),
            ("nowhere.mood", "no type nowhere.mood"),
            ("text; drop table x", "not the name of one type"),
        ] {
            let error = t.apply(&[("x", "int"), ("a", text)]).await.unwrap_err();
            assert!(error.message().contains(message), "{error}");
            assert_eq!(error.blamed(), Some(&Blame::Column("a".to_owned(), Some("type"))));
        }
        // The server objects to a part of a statement: that part is to blame.
        for (text, part) in [
            ("varchar(0)", "type"),
            ("vector(20000)", "type"),
            ("int default 'x'", "default"),
            ("int default nope()", "default"),
        ] {
            for known in [false, true] {
                let error = if known {
                    t.apply(&[("x", "int")]).await.unwrap();
                    t.apply(&[("x", "int"), ("a", text)]).await.unwrap_err()
                } else {
                    t.apply(&[("x", "int"), ("a", text)]).await.unwrap_err()
                };
                match error.blamed() {
                    Some(Blame::Column(name, at)) => {
                        assert_eq!(name, "a", "{text}");
                        assert!(at.is_none() || *at == Some(part), "{text}: {at:?}");
                    }
                    other => panic!("{text}: {other:?}: {error}"),
                }
                assert!(!error.failed_statement().unwrap_or_default().contains("'x'"), "literals are masked");
                if known {
                    t.drop().await.unwrap();
                    (t.prior, t.observed) = (None, None);
                }
            }
        }
        // With a schema that both the type and the table are in.
        t.query("create type app.mood as enum ('sad'); create domain app.\"Positive\" as int check (value > 0); create type public.pair as (a int, b int)").await;
        t.apply(&[
            ("a", "mood default 'sad'"),
            ("b", "app.mood[]"),
            ("c", "\"Positive\""),
            ("d", "pair"),
            ("e", "_int4"),
        ])
        .await
        .unwrap();
        assert_eq!(
            t.columns().await,
            "id bigint !, a app.mood 'sad'::app.mood, b app.mood[], c app.\"Positive\", d pair, e integer[]"
        );
        t.query("insert into app.t (id) values (1)").await;
        t.force = true;
        t.apply(&[("a", "text default 'sad'"), ("b", "app.mood[]"), ("c", "bigint"), ("d", "pair")]).await.unwrap();
    }
}

#[tokio::test]
async fn names_are_taken_as_they_are_written() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::named(major, TableName::new("My \"App\"", "T.größe'")).await;
        let mut wanted = t.spec(&[
            ("Select", "text default 'x' -- it's"),
            ("a\"b", "int"),
            ("日本語", "vector(3)"),
            (&"x".repeat(63), "text"),
        ]);
        wanted.primary_key = vec!["Select".to_owned(), "id".to_owned()];
        wanted.columns[1].nullable = false;
        let rows = json!([{"id": 1, "Select": "s'", "a\"b": 3}]);
        t.apply_rows(&wanted, &rows).await.unwrap();
        let mut changed = wanted.clone();
        changed.columns[2].type_name = "bigint".to_owned();
        changed.columns[2].nullable = false;
        changed.columns[3].type_name = "halfvec(3)".to_owned();
        changed.columns[4].name = "NEW $col".to_owned();
        t.apply_rows(&changed, &rows).await.unwrap();
        assert_eq!(t.query("select id, \"Select\", \"a\"\"b\" from \"My \"\"App\"\"\".\"T.größe'\"").await, "1|s'|3");
        t.drop().await.unwrap();
    }
}

#[tokio::test]
async fn pgvector_may_live_anywhere() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::named(major, TableName::new("app", "t")).await;
        t.query("create schema extensions; create extension vector schema extensions").await;
        t.apply(&[("e", "vector(3)"), ("f", "extensions.vector(3)")]).await.unwrap();
        t.query("insert into app.t values (1, '[1,2,3]', '[1,2,3]'); create index t__vector__e on app.t using hnsw (e extensions.vector_cosine_ops) with (m = 8)").await;
        t.query("create index half on app.t using ivfflat ((e::extensions.halfvec(3)) extensions.halfvec_l2_ops) where id > 0").await;
        t.refresh().await;
        assert_eq!(t.observed.as_ref().unwrap().vector_indexes.len(), 2);
        t.apply(&[("e", "halfvec(3)"), ("f", "vector(3)")]).await.unwrap();
        let definitions = "select indexdef from pg_indexes where schemaname = 'app' and indexdef ~ 'vec' order by 1";
        let indexes = t.query(definitions).await;
        assert!(indexes.contains("USING hnsw (e extensions.halfvec_cosine_ops) WITH (m='8')"), "{indexes}");
        assert!(indexes.contains("USING ivfflat"), "{indexes}");
        // An index that was dropped since then is not made again.
        t.query("drop index app.half").await;
        t.force = true;
        t.apply(&[("e", "halfvec(4)"), ("f", "vector(3)")]).await.unwrap();
        assert_eq!(t.query(definitions).await.lines().count(), 1);
        assert_eq!(t.query("select count(*), count(e) from app.t").await, "1|0");
    }
}

#[tokio::test]
async fn tables_of_others_are_filled_and_emptied_of_our_rows() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        let user = TableSpec { managed_by: ManagedBy::User, ..t.spec(&[("a", "text")]) };
        let warnings = t.veto(&user).await.unwrap();
        assert_eq!(warnings[0].summary, "The table does not exist yet");
        assert!(t.apply_rows(&user, &json!([])).await.unwrap_err().message().contains("no table"));
        t.query("create table t (id bigint primary key, a int, extra text default 'z'); insert into t values (9)")
            .await;
        assert!(t.veto(&user).await.unwrap_err()[0].message().contains("column a is integer and declared as text"));
        assert!(t.apply_rows(&user, &json!([{"id": 1}])).await.unwrap_err().message().contains("column a is integer"));
        t.query("alter table t alter a type text").await;
        t.apply_rows(&user, &json!([{"id": 1, "a": "ours"}])).await.unwrap();
        t.apply_rows(&user, &json!([{"id": 2, "a": "two"}])).await.unwrap();
        assert_eq!(t.query("select * from t order by id").await, "2|two|z\n9||z");
        t.drop().await.unwrap();
        assert_eq!(t.query("select * from t order by id").await, "9||z");
        // Taken over as it is, and dropped only with consent.
        t.owned = None;
        t.apply_rows(&TableSpec { managed_by: ManagedBy::System, ..user }, &json!([])).await.unwrap();
        assert!(t.drop().await.unwrap_err().message().contains("1 row not declared here"));
    }
}

#[tokio::test]
async fn rows_meet_new_columns_before_null_is_forbidden() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        let first = t.spec(&[("a", "text")]);
        t.apply_rows(&first, &json!([{"id": 1, "a": "x"}, {"id": 2, "a": "y"}])).await.unwrap();
        // A deferred constraint has work left when the table is to be altered.
        t.query(
            "create function f() returns trigger language plpgsql as 'begin return null; end'; \
             create constraint trigger c after insert or update on t deferrable initially deferred for each row execute function f()",
        )
        .await;
        let second = t.spec(&[("a", "text"), ("b", "int not null"), ("c", "uuid not null default gen_random_uuid()")]);
        let applied =
            t.apply_rows(&second, &json!([{"id": 1, "a": "x", "b": 1}, {"id": 3, "a": "z", "b": 3}])).await.unwrap();
        assert_eq!((applied.rows.deleted, applied.rows.updated, applied.rows.inserted), (1, 1, 1));
        assert_eq!(t.query("select id, a, b from t order by id").await, "1|x|1\n3|z|3");
        t.query("insert into t values (9, 'theirs', 9)").await;
        let third = t.spec(&[
            ("a", "text"),
            ("b", "int not null"),
            ("c", "uuid not null default gen_random_uuid()"),
            ("d", "int not null"),
        ]);
        let rows = json!([{"id": 1, "a": "x", "b": 1, "d": 1}]);
        let change = t.change(&third, &rows);
        let vetoed = table::veto(&t.database, &scope(), &change).await.unwrap_err();
        assert!(vetoed[0].message().contains("1 row of"), "{}", vetoed[0]);
        let error = t.apply_rows(&third, &rows).await.unwrap_err();
        assert!(error.message().contains("such as id = 9"), "{error}");
        assert_eq!(t.query("select count(*) from t").await, "3");
        // A row that is there and the same is taken over, and that is said.
        let applied = t.apply_rows(&second, &json!([{"id": 9, "a": "theirs", "b": 9}])).await.unwrap();
        assert!(applied.warnings[0].detail.contains("(id = 9)"), "{:?}", applied.warnings);
    }
}

#[tokio::test]
async fn hazards_are_warned_of_only_where_there_is_something_to_hurt() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        t.apply(&[("a", "int"), ("b", "text")]).await.unwrap();
        let summaries = async |t: &Target, columns: &[(&str, &str)]| {
            t.veto(&t.spec(columns)).await.unwrap().iter().map(|w| w.summary).collect::<Vec<_>>()
        };
        let rewriting = [("a", "bigint"), ("b", "text not null")];
        assert_eq!(summaries(&t, &rewriting).await, [""; 0]);
        t.query("insert into t select i, i, 'x' from generate_series(1, 20000) i; analyze t").await;
        assert_eq!(summaries(&t, &rewriting).await, ["The table is rewritten", "The table is scanned under a lock"]);
        assert_eq!(summaries(&t, &[("a", "int"), ("b", "text not null")]).await, [""; 0]);
        assert_eq!(summaries(&t, &[("a", "int -- c"), ("b", "varchar"), ("c", "int default 1")]).await, [""; 0]);
        assert_eq!(
            summaries(&t, &[("a", "int"), ("b", "text"), ("c", "uuid default gen_random_uuid()")]).await,
            ["The table is rewritten"]
        );
        let warnings = t.veto(&t.spec(&rewriting)).await.unwrap();
        assert!(warnings[0].detail.contains("about 20 thousand rows"), "{}", warnings[0].detail);
    }
}

#[tokio::test]
async fn many_tables_share_one_schema_and_one_extension() {
    for major in TestDatabase::VERSIONS {
        let server = TestDatabase::new(major).await;
        for round in 0..3 {
            let mut tasks = tokio::task::JoinSet::new();
            for i in 0..20 {
                // Every second one is another process.
                let database = database(&server);
                let name = TableName::new(format!("app{round}"), format!("t{i}"));
                let desired = spec(&name, &[("e", "vector(3)")]);
                tasks.spawn(async move {
                    let change = TableChange {
                        desired,
                        prior: None,
                        observed: None,
                        rows: None,
                        owned: None,
                        server_digest: None,
                        rows_drifted: false,
                        force_destroy: false,
                        create_vector_extension: true,
                    };
                    table::apply(&database, &scope(), &change, true).await.map(drop)
                });
            }
            while let Some(done) = tasks.join_next().await {
                done.unwrap().unwrap();
            }
            assert_eq!(
                server.query(&format!("select count(*) from pg_tables where schemaname = 'app{round}'")).await,
                "20"
            );
            server.query(&format!("drop schema app{round} cascade; drop extension vector")).await;
        }
    }
}

#[tokio::test]
async fn a_lock_that_is_not_granted_is_asked_for_again_and_nobody_waits_long() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        t.apply(&[("a", "text")]).await.unwrap();
        let reader = super::rows::connect(&t.server).await;
        reader.batch_execute("begin; select * from t").await.unwrap();
        let writer = super::rows::connect(&t.server).await;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let release = tokio::spawn(async move {
            stopped.await.ok();
            reader.batch_execute("commit").await.unwrap();
        });
        // While the reader holds its lock, a writer behind us waits no longer than our short patience.
        let writing = tokio::spawn(async move {
            let mut longest = Duration::ZERO;
            for i in 0..40 {
                let start = Instant::now();
                writer.batch_execute(&format!("insert into t (id) values ({i})")).await.unwrap();
                longest = longest.max(start.elapsed());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            stop.send(()).ok();
            longest
        });
        t.apply(&[("a", "text"), ("b", "int")]).await.unwrap();
        let longest = writing.await.unwrap();
        release.await.unwrap();
        assert!(longest < Duration::from_millis(3500), "{longest:?}");
        assert_eq!(t.columns().await, "id bigint !, a text, b integer");
        // And when the time is up, the error says so.
        let holder = super::rows::connect(&t.server).await;
        holder.batch_execute("begin; select * from t").await.unwrap();
        let short = Scope::new(CancellationToken::new(), Some(Duration::from_secs(1)));
        let change = t.change(&t.spec(&[("a", "text")]), &json!([]));
        let error = table::apply(&t.database, &short, &change, true).await.unwrap_err();
        assert!(error.message().contains("timed out after 1s"), "{error}");
    }
}

#[tokio::test]
async fn the_server_sees_the_planned_statements_and_no_others() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::named(major, TableName::new("logged", "t")).await;
        let first = t.spec(&[("a", "int -- c"), ("e", "vector(3)"), ("gone", "text")]);
        let rows = json!([{"id": 1, "a": 5}, {"id": 2, "a": 6}]);
        let second = t.spec(&[("a", "bigint default 7"), ("e", "halfvec(3)"), ("n", "int not null")]);
        let new_rows = json!([{"id": 1, "a": 5, "n": 1}]);
        let third = t.spec(&[("a", "bigint not null default 7"), ("e", "halfvec(3)"), ("n", "int not null")]);
        t.query(
            "create schema audit; create table audit.seen (n serial, tag text, command text); \
             create function audit.note() returns event_trigger language plpgsql as \
             'begin insert into audit.seen (tag, command) values (tg_tag, current_query()); end'; \
             create event trigger audit on ddl_command_end execute function audit.note()",
        )
        .await;
        for (at, (desired, rows)) in
            [(&first, &rows), (&second, &new_rows), (&third, &new_rows)].into_iter().enumerate()
        {
            if at == 1 {
                t.query("create index t__vector__e on logged.t using hnsw (e vector_l2_ops) with (m = 8)").await;
                t.refresh().await;
            }
            let steps = table::plan(&t.change(desired, rows)).steps;
            t.query("truncate audit.seen").await;
            t.apply_rows(desired, rows).await.unwrap();
            let ddl = |sql: &str| ["create", "alter", "drop", "comment"].iter().any(|word| sql.starts_with(word));
            let planned: Vec<&str> = steps.iter().map(|step| step.sql.as_str()).filter(|sql| ddl(sql)).collect();
            // Temporary tables are the rows' own business.
            let seen = t
                .query("select command from audit.seen where command !~ 'pg_temp|temp table|temporary' order by n")
                .await;
            // An extension's script is many statements.
            let mut seen: Vec<&str> = seen.lines().collect();
            seen.dedup();
            assert_eq!(seen, planned);
        }
    }
}

#[tokio::test]
async fn an_import_is_followed_by_an_empty_plan() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        t.query(
            "create table t (id bigint generated always as identity primary key, a varchar(10) default 'x', \
             twice int generated always as (2) stored, p numeric(5) not null); comment on column t.a is 'theirs'",
        )
        .await;
        t.refresh().await;
        let seen = t.observed.clone().unwrap();
        let declared = TableSpec {
            columns: seen
                .columns
                .iter()
                .map(|c| ColumnSpec {
                    name: c.name.clone(),
                    type_name: c.type_name.clone(),
                    nullable: c.nullable,
                    default: c.default.clone(),
                    comment: c.comment.clone(),
                })
                .collect(),
            ..t.spec(&[])
        };
        t.assert_nothing_left(&declared, &json!([]));
        t.apply_rows(&declared, &json!([])).await.unwrap();
        // Partitioned tables are tables too.
        let mut p = Target::new(major).await;
        p.query("create table t (id bigint primary key, a text) partition by range (id); create table t1 partition of t for values from (0) to (10)").await;
        p.refresh().await;
        p.apply(&[("a", "text not null")]).await.unwrap();
        p.apply(&[("a", "varchar(5)"), ("b", "int not null default 3")]).await.unwrap();
        assert_eq!(p.query("insert into t values (1, 'x') returning b").await, "3");
        p.force = true;
        p.drop().await.unwrap();
        assert_eq!(p.query("select to_regclass('t1') is null").await, "t");
    }
}

#[tokio::test]
async fn without_pgvector_or_the_right_to_create_it_the_error_says_what_to_do() {
    let server = TestDatabase::new(15).await;
    let change = |name: &str| TableChange {
        desired: spec(&TableName::new("public", name), &[("e", "vector(3)")]),
        prior: None,
        observed: None,
        rows: None,
        owned: None,
        server_digest: None,
        rows_drifted: false,
        force_destroy: false,
        create_vector_extension: true,
    };
    let error = table::apply(&database(&server), &scope(), &change("t"), true).await.unwrap_err();
    assert!(error.advised().unwrap().contains("not installed on the server"), "{error}");
    let without = TableChange { create_vector_extension: false, ..change("t") };
    let error = table::apply(&database(&server), &scope(), &without, true).await.unwrap_err();
    assert!(error.message().contains("no type vector"), "{error}");
    for major in TestDatabase::VERSIONS {
        let server = TestDatabase::new(major).await;
        let user = format!("u_{}", server.name);
        server.query(&format!("create role {user} login; grant all on schema public to {user}")).await;
        let url = server.url().replace("postgres@", &format!("{user}@"));
        let poor = Database::new(Settings::parse(&url).unwrap()).unwrap();
        let error = table::apply(&poor, &scope(), &change("t"), true).await.unwrap_err();
        assert_eq!(error.sqlstate(), Some("42501"));
        assert!(error.advised().unwrap().contains("rds_superuser"));
        let mut elsewhere = TableChange { desired: spec(&TableName::new("app", "t"), &[]), ..change("t") };
        let error = table::apply(&poor, &scope(), &elsewhere, true).await.unwrap_err();
        assert_eq!(error.blamed(), Some(&Blame::Attribute("schema_name")));
        // What is there needs no right to create it.
        server.query(&format!("create extension vector; create schema app; grant all on schema app to {user}")).await;
        table::apply(&poor, &scope(), &change("t"), true).await.unwrap();
        elsewhere.desired.columns.push(column("e", "vector(3)"));
        table::apply(&poor, &scope(), &elsewhere, true).await.unwrap();
        drop(poor);
        server.query(&format!("drop owned by {user} cascade; drop role {user}")).await;
    }
}

/// The same edits in every order, so that nothing depends on what came before.
#[tokio::test]
async fn every_edit_leads_from_every_table_to_every_other() {
    let tables: HashMap<&str, &[(&str, &str)]> = HashMap::from([
        ("bare", &[][..]),
        ("text", &[("a", "text"), ("b", "int not null default 1")]),
        ("number", &[("a", "numeric(10,2) default 0 -- n"), ("b", "bigint not null default 0")]),
        ("vector", &[("a", "vector(3)"), ("c", "timestamptz default now()")]),
        ("half", &[("a", "halfvec(3) -- h"), ("b", "text not null default '3'")]),
    ]);
    for major in TestDatabase::VERSIONS {
        for (from, from_columns) in &tables {
            let mut t = Target::new(major).await;
            t.force = true;
            for (to, to_columns) in &tables {
                t.apply(from_columns).await.unwrap_or_else(|e| panic!("{to} back to {from}: {e} {e:?}"));
                t.query("insert into t (id) values (1) on conflict do nothing").await;
                t.apply(to_columns).await.unwrap_or_else(|e| panic!("{from} to {to}: {e} {e:?}"));
                assert_eq!(t.query("select count(*) from t").await, "1");
            }
        }
    }
}

/// What is said about a change of type before it runs, compared with what the server then does.
#[tokio::test]
async fn a_rewrite_is_announced_exactly_when_it_happens() {
    const PAIRS: &[(&str, &str)] = &[
        ("varchar(5)", "varchar(9)"),
        ("varchar(5)", "varchar"),
        ("varchar(9)", "varchar(5)"),
        ("varchar(5)", "text"),
        ("text", "varchar"),
        ("text", "varchar(5)"),
        ("text", "bpchar"),
        ("char(3)", "bpchar"),
        ("char(3)", "char(5)"),
        ("bpchar", "text"),
        ("bit(3)", "varbit"),
        ("bit(3)", "bit(5)"),
        ("varbit(3)", "varbit(5)"),
        ("numeric(5,2)", "numeric(8,2)"),
        ("numeric(5,2)", "numeric(8,3)"),
        ("numeric(5,2)", "numeric"),
        ("numeric", "numeric(5,2)"),
        ("time(3)", "time(5)"),
        ("timetz(3)", "timetz"),
        ("timestamp", "timestamp(3)"),
        ("timestamp(3)", "timestamp(6)"),
        ("timestamptz(3)", "timestamptz"),
        ("interval year", "interval"),
        ("interval(3)", "interval(5)"),
        ("interval(5)", "interval(3)"),
        ("cidr", "inet"),
        ("int", "oid"),
        ("int", "bigint"),
        ("bigint", "text"),
        ("xml", "text"),
        ("json", "jsonb"),
        ("varchar(3)[]", "varchar[]"),
        ("varchar(3)[]", "varchar(5)[]"),
        ("int[]", "bigint[]"),
        ("vector(3)", "vector"),
        ("vector", "vector(3)"),
        ("vector(3)", "halfvec(3)"),
        ("real[]", "vector(3)"),
    ];
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        t.force = true;
        t.query("create extension vector").await;
        for (from, to) in PAIRS {
            t.apply(&[]).await.unwrap();
            t.apply(&[("a", from)]).await.unwrap();
            let steps = table::plan(&t.change(&t.spec(&[("a", to)]), &json!([]))).steps;
            let announced = steps.iter().any(|step| step.hazards.contains(&Hazard::RewritesTable));
            let file = t.query("select pg_relation_filenode('t')").await;
            t.apply(&[("a", to)]).await.unwrap();
            let rewritten = t.query("select pg_relation_filenode('t')").await != file;
            assert_eq!(announced, rewritten, "{from} to {to}: {steps:?}");
        }
        // And of a default of a new column.
        for (default, rewrites) in [
            ("0", false),
            ("now()", false),
            ("now() + interval '1 day'", false),
            ("random()", true),
            ("(random() * 5)::int", true),
        ] {
            let kind = if default.contains("now") { "timestamptz" } else { "double precision" };
            t.apply(&[]).await.unwrap();
            t.query("insert into t values (1) on conflict do nothing").await;
            let column = format!("{kind} default {default}");
            let steps = table::plan(&t.change(&t.spec(&[("a", &column)]), &json!([]))).steps;
            let file = t.query("select pg_relation_filenode('t')").await;
            t.apply(&[("a", &column)]).await.unwrap();
            let rewritten = t.query("select pg_relation_filenode('t')").await != file;
            assert_eq!(rewritten, rewrites, "{default}");
            assert_eq!(steps[0].hazards.contains(&Hazard::RewritesTable), rewrites, "{default}");
        }
    }
}

#[tokio::test]
async fn of_two_applies_at_once_one_waits_and_then_says_what_it_found() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        let other = database(&t.server);
        let create = t.change(&t.spec(&[("a", "text")]), &json!([]));
        let scope = scope();
        let (one, two) =
            tokio::join!(table::apply(&t.database, &scope, &create, true), table::apply(&other, &scope, &create, true));
        let errors: Vec<Error> = [&one, &two].into_iter().filter_map(|result| result.as_ref().err().cloned()).collect();
        assert!(matches!(errors.as_slice(), [error] if error.message().contains("exists already")), "{errors:?}");
        t.prior = Some(create.desired.clone());
        t.observed = one.or(two).ok().map(|applied| applied.observed);
        let add = |name: &str| t.change(&t.spec(&[("a", "text"), (name, "int not null default 1")]), &json!([]));
        let (b, c) = (add("b"), add("b"));
        let (one, two) =
            tokio::join!(table::apply(&t.database, &scope, &b, true), table::apply(&other, &scope, &c, true));
        let errors: Vec<Error> = [&one, &two].into_iter().filter_map(|result| result.as_ref().err().cloned()).collect();
        assert!(matches!(errors.as_slice(), [error] if error.message().contains("column b was added")), "{errors:?}");
        assert_eq!(t.columns().await, "id bigint !, a text, b integer ! 1");
    }
}

#[tokio::test]
async fn rows_that_a_policy_hides_are_not_lost() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        let user = format!("u_{}", t.server.name);
        t.query(&format!("create role {user} login; grant all on schema public to {user}")).await;
        let url = t.server.url().replace("postgres@", &format!("{user}@"));
        t.database = Database::new(Settings::parse(&url).unwrap()).unwrap();
        t.apply(&[("a", "text")]).await.unwrap();
        t.query("insert into t values (1, 'hidden'); alter table t enable row level security; alter table t force row level security").await;
        for error in [
            t.drop().await.unwrap_err(),
            table::veto_drop(&t.database, &scope(), &t.to_drop()).await.unwrap_err().remove(0),
            t.veto(&t.spec(&[])).await.unwrap_err().remove(0),
            t.apply(&[]).await.unwrap_err(),
        ] {
            assert!(error.message().contains("row-level security"), "{error}");
        }
        assert_eq!(t.query("select * from t").await, "1|hidden");
        t.database = database(&t.server);
        t.query(&format!("reassign owned by {user} to postgres; drop owned by {user}; drop role {user}")).await;
    }
}

#[tokio::test]
async fn null_is_forbidden_online_while_others_write() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        t.apply(&[("a", "text")]).await.unwrap();
        t.query("insert into t select i, repeat('x', 100) from generate_series(1, 200000) i").await;
        let writer = super::rows::connect(&t.server).await;
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let writing = tokio::spawn(async move {
            let (mut longest, mut count) = (Duration::ZERO, 0);
            while stopped.try_recv().is_err() {
                let start = Instant::now();
                writer.batch_execute(&format!("insert into t values (-{count} - 1, 'x')")).await.unwrap();
                longest = longest.max(start.elapsed());
                count += 1;
            }
            (longest, count)
        });
        t.apply(&[("a", "text not null")]).await.unwrap();
        stop.send(()).unwrap();
        let (longest, count) = writing.await.unwrap();
        assert!(count > 0 && longest < Duration::from_secs(2), "{count} writes, the longest took {longest:?}");
        assert_eq!(t.columns().await, "id bigint !, a text !");
    }
}
