//! What is refused, and leaves everything as it was.

use super::*;

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
async fn what_a_default_did_not_fill_is_not_ours() {
    for major in TestDatabase::VERSIONS {
        for (text, theirs, lost) in [
            ("text default 'b'", "'theirs'", true),
            ("text default 'b'", "null", false),
            ("numeric(10,2) default 5", "5", false),
            ("numeric(10,2) default -5", "5", true),
            ("jsonb default '{}'::jsonb", "'{ }'", false),
            ("timestamptz default now()", "'2001-01-01'", false),
            ("text default null", "'theirs'", true),
        ] {
            let mut t = Target::new(major).await;
            t.apply_rows(&t.spec(&[("b", text)]), &json!([{"id": 1}, {"id": 2}])).await.unwrap();
            t.query(&format!("update t set b = {theirs} where id = 2")).await;
            let change = t.change(&t.spec(&[]), &json!([{"id": 1}, {"id": 2}]));
            let vetoes = [
                table::veto(&t.database, &scope(), &change).await,
                table::veto_drop(&t.database, &scope(), &t.to_drop()).await,
            ];
            for veto in vetoes {
                match veto {
                    Err(errors) => assert!(lost && errors[0].message().contains("1 row"), "{text}: {errors:?}"),
                    Ok(_) => assert!(!lost, "{text} {theirs}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn what_goes_with_a_column_is_said() {
    for major in TestDatabase::VERSIONS {
        for (made, refused) in [
            ("create unique index fellow on t (a, b)", true),
            ("create index fellow on t (b) where a > 1", true),
            ("create index fellow on t ((a + b))", true),
            ("alter table t add constraint fellow unique (a, b)", true),
            ("alter table t add constraint fellow check (a < b)", true),
            ("alter table t add constraint fellow foreign key (a, b) references t (b, a)", true),
            ("alter table t add constraint fellow check (a > 0)", false),
            ("create unique index fellow on t (a)", false),
            ("create index fellow on t (a)", false),
            ("create statistics fellow on a, b from t", false),
            ("create index other on t (b)", false),
        ] {
            let mut t = Target::new(major).await;
            t.apply(&[("a", "int"), ("b", "int")]).await.unwrap();
            let key = "alter table t add constraint other unique (b, a)";
            let is_reference = made.contains("references");
            t.query(if is_reference { key } else { "select" }).await;
            t.query(made).await;
            let narrow = t.spec(&[("b", "int")]);
            if refused {
                let change = t.change(&narrow, &json!([]));
                // What made it may be torn down before the column goes, so the plan only warns.
                let named = |text: &str| text.contains("fellow on") || text.contains("other on");
                let warnings = table::veto(&t.database, &scope(), &change).await.unwrap();
                assert!(
                    warnings.iter().any(|w| named(&w.detail) && w.detail.contains("apply will refuse")),
                    "{warnings:?}"
                );
                let error = table::apply(&t.database, &scope(), &change, true).await.unwrap_err();
                assert!(named(error.message()), "{error}");
                assert!(error.advised().unwrap().contains("force_destroy"));
                t.force = true;
            }
            let warnings = t.veto(&narrow).await.unwrap();
            let said =
                warnings.iter().any(|w| w.summary == "More goes with a column" && w.detail.contains(" fellow on "));
            assert_eq!(said, made.contains("fellow"), "{made}: {warnings:?}");
            if !is_reference {
                t.apply(&[("b", "int")]).await.unwrap();
            }
        }
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
        let error = t.apply(&[("a", "nowhere.vector(3)")]).await.unwrap_err();
        assert!(
            error.message().contains("no type nowhere.vector") && error.advised().unwrap().contains("another schema")
        );
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
async fn without_pgvector_or_the_right_to_create_it_the_error_says_what_to_do() {
    let server = TestDatabase::new(15).await;
    let change = |name: &str| TableChange::create(spec(&TableName::new("public", name), &[("e", "vector(3)")]));
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
async fn what_a_table_has_from_its_parent_is_changed_there() {
    for major in TestDatabase::VERSIONS {
        for (make, columns) in [
            (
                "create table p (id bigint primary key, a text) partition by range (id); \
              create table t partition of p for values from (0) to (9)",
                &[("a", "text"), ("b", "text")][..],
            ),
            ("create table p (id bigint, a text); create table t (primary key (id)) inherits (p)", &[]),
            (
                "create table p (id bigint, a text); create table t (primary key (id)) inherits (p)",
                &[("a", "varchar(9)")],
            ),
            (
                "create type p as (id bigint, a text); create table t of p (primary key (id))",
                &[("a", "text"), ("b", "text")],
            ),
            (
                "create table t (id bigint primary key, a text) partition by range (id); \
              create table p partition of t for values from (0) to (9)",
                &[("a", "text"), ("b", "text")],
            ),
        ] {
            let mut t = Target::new(major).await;
            t.query(make).await;
            t.refresh().await;
            t.prior = Some(t.spec(&[("a", "text")]));
            let before = t.columns().await;
            match t.apply(columns).await {
                Ok(_) => assert!(make.contains("partition of t"), "{make}"),
                Err(error) => {
                    assert!(error.advised().unwrap().contains("Declare the parent here instead"), "{make}: {error:?}");
                    assert_eq!(t.columns().await, before);
                }
            }
        }
    }
}
