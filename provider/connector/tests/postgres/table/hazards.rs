//! What is said before it happens, compared with what the server then does.

use super::*;

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
        let fill = "insert into t select i, i, 'x' from generate_series";
        t.query(&format!("{fill}(1, 1000) i")).await;
        // So few are read within a moment.
        assert_eq!(summaries(&t, &rewriting).await, ["The table is rewritten"]);
        t.query(&format!("{fill}(1001, 200000) i; analyze t")).await;
        assert_eq!(summaries(&t, &rewriting).await, ["The table is rewritten", "The table is scanned under a lock"]);
        assert_eq!(summaries(&t, &[("a", "int"), ("b", "text not null")]).await, [""; 0]);
        assert_eq!(summaries(&t, &[("a", "int -- c"), ("b", "varchar"), ("c", "int default 1")]).await, [""; 0]);
        assert_eq!(
            summaries(&t, &[("a", "int"), ("b", "text"), ("c", "uuid default gen_random_uuid()")]).await,
            ["The table is rewritten"]
        );
        let warnings = t.veto(&t.spec(&rewriting)).await.unwrap();
        assert!(warnings[0].detail.contains("about 200 thousand rows"), "{}", warnings[0].detail);
    }
}

/// Only the server knows what a domain is, so it is asked; an enum, or a domain that demands nothing, is no hazard.
#[tokio::test]
async fn a_new_column_of_a_domain_is_announced_exactly_when_it_rewrites() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        t.query(
            "create schema app; create type mood as enum ('sad'); create type pair as (a int, b int); \
             create domain plain as text; create domain checked as int check (value > 0); \
             create domain over as checked; create domain filled as int not null; create domain app.named as text default 'x'; \
             create domain drawn as text default random()::text",
        )
        .await;
        let mut columns = vec![("a".to_owned(), "int".to_owned())];
        t.apply(&[("a", "int")]).await.unwrap();
        t.query("insert into t values (1, 1)").await;
        for (at, column) in [
            "mood",
            "mood default 'sad'",
            "pair",
            "plain",
            "checked",
            "checked default 5",
            "checked[]",
            "over",
            "filled default 4",
            "app.named",
            "drawn",
            "drawn default 'x'",
            "drawn default random()::text",
            "int",
        ]
        .into_iter()
        .enumerate()
        {
            columns.push((format!("c{at}"), column.to_owned()));
            let desired: Vec<(&str, &str)> = columns.iter().map(|(n, text)| (n.as_str(), text.as_str())).collect();
            let told: Vec<&str> = t.veto(&t.spec(&desired)).await.unwrap().iter().map(|w| w.summary).collect();
            let file = "select pg_relation_filenode('t')";
            let before = t.query(file).await;
            t.apply(&desired).await.unwrap();
            let expected: &[&str] = if t.query(file).await == before { &[] } else { &["The table is rewritten"] };
            assert_eq!(told, expected, "{column} on Postgres {major}");
        }
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

/// The strongest mode that a backend holds on `t`, as steps spell it.
const HELD: &str = "select coalesce(max(array_position(array['AccessShareLock', 'RowShareLock', 'RowExclusiveLock', \
        'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'], mode)), 0) \
    from pg_locks where pid = pg_backend_pid() and relation = 't'::regclass and locktype = 'relation'";

/// What else a statement has done by then: which file the table is in, and how often it was read from end to end.
const DONE: &str = "select pg_relation_filenode('t')::bigint, \
    coalesce((select seq_scan from pg_stat_xact_user_tables where relid = 't'::regclass), 0)";

fn rank(lock: Lock) -> i32 {
    match lock {
        Lock::None => 0,
        Lock::AccessShare => 1,
        Lock::RowExclusive => 3,
        Lock::ShareUpdateExclusive => 4,
        Lock::Share => 5,
        Lock::ShareRowExclusive => 6,
        Lock::AccessExclusive => 8,
    }
}

/// Each form of statement, run alone: the lock that it holds then, and whether it has read or written the whole table.
#[tokio::test]
async fn each_statement_takes_the_lock_and_does_the_harm_that_its_step_says() {
    const FILL: &str = "insert into t (id, a, b) select i, i, i::text from generate_series(1, 1000) i";
    const INDEX: &str = "create index t__vector__e on t using hnsw (e vector_l2_ops)";
    type Columns<'a> = &'a [(&'a str, &'a str)];
    let cases: [(Columns<'_>, &str, Columns<'_>); 21] = [
        (&[("a", "int"), ("b", "text")], FILL, &[("a", "int"), ("b", "text"), ("c", "int")]),
        (&[("a", "int"), ("b", "text")], FILL, &[("a", "int"), ("b", "text"), ("c", "int not null default 5")]),
        (&[("a", "int"), ("b", "text")], FILL, &[("a", "int"), ("b", "text"), ("c", "timestamptz default now()")]),
        (&[("a", "int"), ("b", "text")], FILL, &[("a", "int"), ("b", "text"), ("c", "uuid default gen_random_uuid()")]),
        (&[("a", "int"), ("b", "text")], FILL, &[("a", "int")]),
        (&[("a", "int"), ("b", "text")], FILL, &[("a", "int default 5"), ("b", "text")]),
        (&[("a", "int default 5"), ("b", "text")], FILL, &[("a", "int"), ("b", "text")]),
        (&[("a", "int"), ("b", "text")], FILL, &[("a", "int not null"), ("b", "text")]),
        (&[("a", "int"), ("b", "text")], FILL, &[("a", "int not null"), ("b", "text not null -- c")]),
        (&[("a", "int not null"), ("b", "text")], FILL, &[("a", "int"), ("b", "text")]),
        (&[("a", "int"), ("b", "text")], FILL, &[("a", "int -- c"), ("b", "text")]),
        (&[("a", "int"), ("b", "text")], FILL, &[("a", "bigint"), ("b", "text")]),
        (&[("a", "int"), ("b", "text")], FILL, &[("a", "text"), ("b", "int")]),
        (&[("a", "int"), ("b", "varchar(5)")], FILL, &[("a", "int"), ("b", "varchar(9)")]),
        (&[("a", "int"), ("b", "varchar(5)")], FILL, &[("a", "int"), ("b", "text")]),
        (&[("a", "numeric(8,2)"), ("b", "text")], FILL, &[("a", "numeric(9,2)"), ("b", "text")]),
        (&[("a", "numeric(8,2)"), ("b", "text")], FILL, &[("a", "int"), ("b", "text")]),
        (
            &[("a", "int"), ("b", "text"), ("e", "vector(3)")],
            INDEX,
            &[("a", "int"), ("b", "text"), ("e", "halfvec(3)")],
        ),
        (&[("a", "int"), ("b", "text"), ("e", "vector(3)")], INDEX, &[("a", "int"), ("b", "text")]),
        (&[("a", "int"), ("b", "text")], FILL, &[("a", "int"), ("b", "text"), ("e", "vector(3)")]),
        (&[], "select", &[("a", "int not null default null")]),
    ];
    for major in TestDatabase::VERSIONS {
        for (at, (from, fill, to)) in cases.iter().enumerate() {
            let mut t = Target::new(major).await;
            t.apply(from).await.unwrap();
            t.query(fill).await;
            t.query(if *fill == INDEX { "insert into t (id, e) values (1, '[1,2,3]')" } else { "select" }).await;
            t.refresh().await;
            let steps = table::plan(&t.change(&t.spec(to), &json!([]))).steps;
            assert!(!steps.is_empty(), "{at}");
            let client = crate::rows::connect(&t.server).await;
            for step in &steps {
                client.batch_execute("begin").await.unwrap();
                let look = async || {
                    let row = client.query_one(DONE, &[]).await.unwrap();
                    (row.get::<_, i64>(0), row.get::<_, i64>(1))
                };
                let before = look().await;
                client.batch_execute(&step.sql).await.unwrap();
                let after = look().await;
                let held: i32 = client.query_one(HELD, &[]).await.unwrap().get(0);
                client.batch_execute("commit").await.unwrap();
                assert_eq!(held, rank(step.lock), "{step:?}");
                let (rewritten, scanned) = (after.0 != before.0, after.1 != before.1);
                assert_eq!(rewritten, step.hazards.contains(&Hazard::RewritesTable), "{step:?}");
                if step.sql.starts_with("lock table") {
                    // What it is taken for reads the table next.
                    assert!(step.hazards.contains(&Hazard::ScansTable));
                } else if !rewritten {
                    assert_eq!(scanned, step.hazards.contains(&Hazard::ScansTable), "{step:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn row_statements_take_the_lock_that_their_steps_say() {
    for major in TestDatabase::VERSIONS {
        let mut t = Target::new(major).await;
        let spec = t.spec(&[("a", "text")]);
        t.apply_rows(&spec, &json!([{"id": 1, "a": "x"}, {"id": 2, "a": "y"}])).await.unwrap();
        let steps = table::plan(&t.change(&spec, &json!([{"id": 1, "a": "z"}, {"id": 3, "a": "y"}]))).steps;
        assert_eq!(steps.len(), 4);
        let client = crate::rows::connect(&t.server).await;
        client
            .batch_execute(
                "create temp table terraform_pg_declared (id bigint, a text); \
                 create temp table terraform_pg_owned (id bigint); \
                 insert into terraform_pg_declared values (1, 'z'), (3, 'y'); \
                 insert into terraform_pg_owned values (1), (2)",
            )
            .await
            .unwrap();
        for step in &steps {
            client.batch_execute(&format!("begin; {}", step.sql)).await.unwrap();
            let held: i32 = client.query_one(HELD, &[]).await.unwrap().get(0);
            client.batch_execute("commit").await.unwrap();
            assert_eq!(held, rank(step.lock), "{step:?}");
        }
        assert_eq!(t.query("select * from t order by id").await, "1|z\n3|y");
    }
}

#[tokio::test]
async fn many_rows_are_announced_as_keeping_writers_out() {
    let mut t = Target::new(TestDatabase::VERSIONS[1]).await;
    let spec = t.spec(&[("a", "int")]);
    let rows = |count: i32, a: i32| Value::Array((0..count).map(|id| json!({"id": id, "a": a})).collect());
    t.apply_rows(&spec, &rows(10, 1)).await.unwrap();
    for (count, said) in [(10, false), (20_000, true)] {
        let change = t.change(&spec, &rows(count, 2));
        let lock = &table::plan(&change).steps[0];
        assert_eq!(lock.hazards.contains(&Hazard::BlocksWrites), said, "{lock:?}");
        let warnings = table::veto(&t.database, &scope(), &change).await.unwrap();
        assert_eq!(warnings.iter().any(|w| w.summary == "Writers wait while rows are written"), said, "{warnings:?}");
    }
}

/// Every type to every other: what the plan says can be done is done, and the question which values would be others is one
/// that the server understands.
#[tokio::test]
async fn every_pair_of_types_that_is_planned_can_be_carried_out() {
    const TYPES: &[&str] = &[
        "bit(3)",
        "varbit",
        "boolean",
        "box",
        "bytea",
        "\"char\"",
        "cidr",
        "circle",
        "date",
        "daterange",
        "real",
        "double precision",
        "inet",
        "smallint",
        "integer",
        "bigint",
        "int4range",
        "int4multirange",
        "interval",
        "interval(3)",
        "interval year",
        "json",
        "jsonb",
        "lseg",
        "macaddr",
        "macaddr8",
        "money",
        "name",
        "numeric",
        "numeric(10,2)",
        "numeric(6,1)",
        "numrange",
        "oid",
        "path",
        "pg_lsn",
        "point",
        "polygon",
        "text",
        "varchar(3)",
        "varchar(9)",
        "char(3)",
        "time",
        "time(2)",
        "timetz",
        "timestamp",
        "timestamp(3)",
        "timestamptz",
        "tsvector",
        "tsquery",
        "uuid",
        "xid",
        "xid8",
        "integer[]",
        "bigint[]",
        "numeric[]",
        "text[]",
        "real[]",
        "timestamp[]",
        "date[]",
        "varchar(3)[]",
        "vector(3)",
        "halfvec(3)",
        "sparsevec(3)",
        "mood",
        "positive",
    ];
    let major = TestDatabase::VERSIONS[1];
    let mut t = Target::new(major).await;
    t.query(
        "create extension vector; create type mood as enum ('ok'); create domain positive as int check (value > 0)",
    )
    .await;
    let names: Vec<String> = (0..TYPES.len()).map(|at| format!("c{at}")).collect();
    let mut pairs = 0;
    for from in TYPES {
        // What the plan refuses alone is left as it is.
        let planned = |to: &str| {
            let (prior, desired) = (t.spec(&[("a", from)]), t.spec(&[("a", to)]));
            let column = |c: &ColumnSpec| pg_connector::catalog::ObservedColumn {
                name: c.name.clone(),
                type_name: c.type_name.clone(),
                nullable: c.nullable,
                default: None,
                generated: false,
                comment: None,
                spelled: None,
            };
            let observed = ObservedTable {
                oid: 1,
                kind: pg_connector::catalog::RelationKind::Table,
                columns: prior.columns.iter().map(column).collect(),
                primary_key: prior.primary_key.clone(),
                comment: None,
                vector_indexes: Vec::new(),
                not_null_checks: Vec::new(),
            };
            let change = TableChange { prior: Some(prior), observed: Some(observed), ..t.change(&desired, &json!([])) };
            // A pair that is not built in counts as having a cast, and only the server knows.
            let known = |kind: &str| !matches!(kind, "mood" | "positive");
            table::plan(&change).refusals.is_empty() && (known(from) && known(to) || [*from, to].contains(&"text"))
        };
        let to: Vec<&str> = TYPES.iter().map(|to| if planned(to) { *to } else { *from }).collect();
        pairs += to.iter().filter(|to| *to != from).count();
        let before: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), *from)).collect();
        let after: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(to).collect();
        t.query("drop table if exists t").await;
        (t.prior, t.observed) = (None, None);
        t.apply(&before).await.unwrap();
        t.query("insert into t (id) values (1)").await;
        t.apply(&after).await.unwrap_or_else(|error| panic!("from {from}: {error} {:?}", error.failed_statement()));
    }
    assert!(pairs > 500, "{pairs}");
}
