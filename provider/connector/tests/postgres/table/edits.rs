//! What a table goes through, from its creation to its drop.

use super::*;

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
        t.query("insert into t values (1, 7, 'abc', 1.00, '2020-01-02', '[1,2,3]'), (2, null, null, null, null, null)")
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
async fn rows_that_changed_unseen_keep_showing_until_they_are_written() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        let rows = json!([{"id": 1, "a": "x"}]);
        let applied = t.apply_rows(&t.spec(&[("a", "text")]), &rows).await.unwrap();
        t.query("update t set a = 'theirs'").await;
        let wider = t.spec(&[("a", "text"), ("b", "int")]);
        let change = TableChange { server_digest: applied.rows_digest.clone(), ..t.change(&wider, &rows) };
        let after = table::apply(&t.database, &scope(), &change, true).await.unwrap();
        assert_eq!(after.rows_digest, applied.rows_digest, "what is there now is no measure");
        let unwatched = TableChange { observed: Some(after.observed), ..change };
        let after = table::apply(&t.database, &scope(), &unwatched, false).await.unwrap();
        assert_eq!(after.rows_digest, None);
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

#[tokio::test]
async fn how_the_server_is_set_to_print_is_no_drift() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        t.query("create extension vector; create type mood as enum ('sad'); create sequence s").await;
        t.apply(&[
            ("a", "text default 'x'::text || 'y'"),
            ("at", "timestamptz default '2020-01-01 10:00Z'"),
            ("b", "bytea default 'abc'"),
            ("e", "vector(3)"),
            ("f", "real default '0.1'"),
            ("i", "interval default '1 day 2 hours'"),
            ("m", "mood default 'sad'"),
            ("n", "bigint default nextval('s')"),
        ])
        .await
        .unwrap();
        t.query(
            "create index t__vector__e on t using hnsw (e vector_l2_ops) \
             where i > '1 day 2 hours' and b <> 'abc' and m = 'sad' and f > '0.1' and at > '2020-01-01 10:00Z'",
        )
        .await;
        let index = TableName::new("public", "t__vector__e");
        let look = async |database: &Database| {
            let seen = table::read(database, &scope(), &t.name, Look::Table).await.unwrap().unwrap();
            let found = pg_connector::vector_index::read(database, &scope(), &t.name, &index, None).await.unwrap();
            (seen.observed, found.unwrap())
        };
        let before = look(&t.database).await;
        for setting in [
            "quote_all_identifiers = on",
            "IntervalStyle = sql_standard",
            "bytea_output = escape",
            "extra_float_digits = -15",
            "DateStyle = 'SQL, DMY'",
            "TimeZone = 'Asia/Tokyo'",
            "standard_conforming_strings = off",
            "search_path = nowhere",
        ] {
            t.query(&format!("alter database {} set {setting}", t.server.name)).await;
            assert_eq!(look(&database(&t.server)).await, before, "{setting} on Postgres {major}");
            t.query(&format!("alter database {} reset all", t.server.name)).await;
        }
    }
}
