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
