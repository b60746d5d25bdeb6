//! Drift: what somebody changed behind our back is seen exactly, and the next apply repairs it.

use crate::support::{alternating, describe, exists, index, once, shape, table};

fn declared() -> String {
    table("a text; n integer", "rows = [{ id = 1, a = \"x\", n = 1 }, { id = 2, a = \"y\", n = 2 }]")
}

#[test]
fn a_table_that_was_dropped_comes_back() {
    alternating(|w| {
        w.apply(&declared());
        w.sql("drop table t");
        assert_eq!(w.plan(&declared()).action("pg_table_target.t"), "create");
        w.apply_plan();
        assert_eq!(w.sql("select id, a, n from t order by id"), "1|x|1\n2|y|2");
    });
}

#[test]
fn a_column_that_was_changed_is_changed_back() {
    alternating(|w| {
        w.apply(&declared());
        for (behind, seen) in [
            ("alter table t drop column a", "add column"),
            ("alter table t alter column n type bigint", "integer"),
            ("alter table t alter column n set not null", "drop not null"),
        ] {
            println!("{behind}");
            w.sql(behind);
            let plan = w.plan(&declared());
            assert_eq!(plan.action("pg_table_target.t"), "update");
            let steps = plan.steps("pg_table_target.t").join("\n");
            assert!(steps.contains(seen), "no {seen} in\n{steps}");
            w.apply_plan();
            assert_eq!(w.sql("select id, a, n from t order by id"), "1|x|1\n2|y|2");
        }
    });
}

#[test]
fn a_column_of_somebody_else_is_left_alone() {
    alternating(|w| {
        w.apply(&declared());
        w.sql("alter table t add column theirs text default 'z'");
        w.assert_empty_plan();
        w.apply(&declared().replace("\"x\"", "\"changed\""));
        assert_eq!(w.sql("select a, theirs from t order by id"), "changed|z\ny|z");
    });
}

#[test]
fn rows_that_were_changed_are_changed_back() {
    alternating(|w| {
        w.apply(&declared());
        for behind in ["update t set a = 'other' where id = 1", "delete from t where id = 2", "truncate t"] {
            println!("{behind}");
            w.sql(behind);
            assert_eq!(w.plan(&declared()).action("pg_table_target.t"), "update");
            w.apply_plan();
            assert_eq!(w.sql("select id, a, n from t order by id"), "1|x|1\n2|y|2");
        }
    });
}

#[test]
fn rows_that_nobody_looks_at_are_not_drift() {
    alternating(|w| {
        let blind = declared().replace("rows =", "row_drift = \"none\"\n  rows =");
        w.apply(&blind);
        w.sql("update t set a = 'other' where id = 1");
        w.assert_empty_plan();
    });
}

#[test]
fn an_index_that_was_dropped_or_changed_is_built_again() {
    alternating(|w| {
        let all = format!("{}{}", table("e vector(3)", ""), index("column = \"e\"\n  method = \"hnsw\""));
        w.apply(&all);
        w.sql("drop index t__vector__e");
        assert_eq!(w.plan(&all).action("pg_vector_index.i"), "create");
        w.apply_plan();
        assert!(exists(w, "t__vector__e"));

        w.sql("drop index t__vector__e; create index t__vector__e on t using hnsw (e vector_l2_ops) with (m = 5)");
        assert_eq!(w.plan(&all).action("pg_vector_index.i"), "update");
        w.apply_plan();
        assert_eq!(describe(w, "t__vector__e"), "hnsw vector_cosine_ops valid");
    });
}

#[test]
fn every_property_of_an_index_is_looked_at() {
    // The property, how it is declared, what somebody makes of the index instead, and how the plan shows that.
    let cases = [
        ("metric", "", "hnsw (e vector_l2_ops) with (m = 8)", "l2"),
        ("method", "", "ivfflat (e vector_cosine_ops)", "ivfflat"),
        ("m", "", "hnsw (e vector_cosine_ops) with (m = 9)", "9"),
        ("ef_construction", "", "hnsw (e vector_cosine_ops) with (m = 8, ef_construction = 70)", "70"),
        ("where", "", "hnsw (e vector_cosine_ops) with (m = 8) where id > 3", "(id > 3)"),
        ("quantize", "", "hnsw ((e::halfvec(3)) halfvec_cosine_ops) with (m = 8)", "half"),
        ("subvector", "", "hnsw ((subvector(e, 1, 2)::vector(2)) vector_cosine_ops) with (m = 8)", "2"),
        ("column", "", "hnsw (h halfvec_cosine_ops) with (m = 8)", "h"),
        ("operator_class", "", "hnsw (h halfvec_cosine_ops) with (m = 8)", "halfvec_cosine_ops"),
        ("quantize", "quantize = \"half\"", "hnsw (e vector_cosine_ops) with (m = 8)", "null"),
        ("where", "where = \"id>3\"", "hnsw (e vector_cosine_ops) with (m = 8)", "null"),
        ("where", "where = \"id>3\"", "hnsw (e vector_cosine_ops) with (m = 8) where id >= 3", "(id >= 3)"),
    ];
    alternating(|w| {
        let indexes: String = (0..=cases.len())
            .map(|n| {
                let more = cases.get(n).map_or("", |case| case.1);
                index(&format!("column = \"e\"\n  name = \"n{n}\"\n  method = \"hnsw\"\n  m = 8\n  {more}"))
                    .replace("\"i\"", &format!("\"i{n}\""))
            })
            .collect();
        let all = format!("{}{indexes}", table("e vector(3); h halfvec(3)", "rows = [{ id = 1, e = [1, 2, 3] }]"));
        let definitions = "select string_agg(pg_get_indexdef(indexrelid), '; ' order by indexrelid::regclass::text)
                           from pg_index where indrelid = 't'::regclass";
        w.apply(&all);
        let declared = w.sql(definitions);
        for (n, (.., other, _)) in cases.iter().enumerate() {
            w.sql(&format!("drop index t__vector__n{n}; create index t__vector__n{n} on t using {other}"));
        }
        // The last one is not built again, so it is only described otherwise.
        let last = cases.len();
        w.sql(&format!("alter index t__vector__n{last} set (m = 20)"));
        let plan = w.plan(&all);
        let before = |n: usize, property: &str| {
            let changes = plan.json["resource_changes"].as_array().into_iter().flatten();
            let mut found = changes.filter(|change| change["address"] == format!("pg_vector_index.i{n}"));
            let value =
                found.next_back().map(|change| change["change"]["before"][property].to_string()).unwrap_or_default();
            value.trim_matches('"').to_owned()
        };
        for (n, (property, .., shown)) in cases.iter().enumerate() {
            assert_eq!(before(n, property), *shown, "{property} of n{n}");
        }
        assert_eq!((before(last, "m"), before(last, "valid")), ("20".to_owned(), "false".to_owned()));
        assert!(plan.actions().iter().all(|(address, action)| address.contains("index") == (action == "update")));
        plan.text.says(&["without a rebuild"]);
        w.apply_plan();
        assert_eq!(w.sql(definitions), declared);
    });
}

#[test]
fn an_index_under_another_name_is_no_longer_ours() {
    alternating(|w| {
        let all = format!("{}{}", table("e vector(3)", ""), index("column = \"e\"\n  method = \"hnsw\""));
        w.apply(&all);
        w.sql("alter index t__vector__e rename to theirs");
        assert_eq!(w.plan(&all).action("pg_vector_index.i"), "create");
        w.apply_plan();
        assert!(exists(w, "t__vector__e") && exists(w, "theirs"));
    });
}

#[test]
fn a_table_that_became_a_view_is_not_touched() {
    alternating(|w| {
        w.apply(&declared());
        w.sql("alter table t rename to real_t; create view t as select * from real_t");
        w.configure(&declared());
        w.tf(&["apply", "-auto-approve"]).failed_with(&["view"]);
        assert_eq!(shape(w, "real_t"), "id bigint!, a text, n integer");
    });
}

#[test]
fn a_primary_key_that_is_gone_is_said_and_not_paid_for_with_rows() {
    alternating(|w| {
        w.apply(&declared());
        w.sql("alter table t drop constraint t_pkey; insert into t values (9, 'theirs', 9)");
        w.plan_fails(&declared(), &["primary_key", "1 row not declared here", "add primary key (id)", "force_destroy"]);
        assert_eq!(w.sql("select count(*) from t"), "3");
        w.sql("alter table t add primary key (id)");
        w.assert_empty_plan();
        // Where nothing of others is in it, the table is made anew as declared.
        w.sql("delete from t where id = 9; alter table t drop constraint t_pkey");
        assert_eq!(w.plan(&declared()).action("pg_table_target.t"), "delete,create");
        w.apply_plan();
        assert_eq!(w.sql("select id, a, n from t order by id"), "1|x|1\n2|y|2");
    });
}

#[test]
fn a_table_that_was_renamed_is_made_again_and_the_other_is_kept() {
    alternating(|w| {
        w.apply(&declared());
        w.sql("alter table t rename to elsewhere; insert into elsewhere values (9, 'theirs', 9)");
        assert_eq!(w.plan(&declared()).action("pg_table_target.t"), "create");
        w.apply_plan();
        assert_eq!(w.sql("select count(*) from t"), "2");
        assert_eq!(w.sql("select count(*) from elsewhere"), "3");
    });
}

#[test]
fn a_default_or_comment_that_was_changed_is_changed_back() {
    alternating(|w| {
        let tf = table("b text", "comment = \"ours\"").replace(
            "\"bigint\" }",
            "\"bigint\" }\n    a = { type = \"text\", default = \"upper('x')\", comment = \"c\" }",
        );
        w.apply(&tf);
        for (behind, step) in [
            ("alter table t alter a set default 'other'", "alter table public.t alter column a set default upper("),
            ("alter table t alter a drop default", "alter table public.t alter column a set default upper("),
            ("comment on column t.a is 'theirs'", "comment on column public.t.a is "),
            ("comment on table t is null", "comment on table public.t is "),
        ] {
            println!("{behind}");
            w.sql(behind);
            let plan = w.plan(&tf);
            let steps = plan.steps("pg_table_target.t");
            assert!(matches!(steps.as_slice(), [only] if only.starts_with(step)), "{steps:?}");
            w.apply_plan();
        }
        // What was never set here is left alone.
        w.sql("alter table t alter b set default 'theirs'; comment on column t.b is 'theirs'");
        w.assert_empty_plan();
    });
}

#[test]
fn a_table_that_has_another_owner_now_is_refused_and_says_so() {
    once(18, |w| {
        let role = format!("{}_user", w.database().name);
        w.sql(&format!("create role {role} login; grant all on schema public to {role}"));
        w.folder().set("PGUSER", &role);
        w.apply(&declared());
        w.sql("alter table t owner to postgres");
        // Not even its rows can be read now.
        w.plan_fails(&declared(), &["public.t", "42501", "owner"]);
        w.sql(&format!("grant select, insert, update, delete on t to {role}"));
        w.assert_empty_plan();
        w.apply_fails(&declared().replace("type = \"integer\"", "type = \"bigint\""), &["42501", "owner"]);
        assert_eq!(shape(w, "t"), "id bigint!, a text, n integer");
        w.sql(&format!("alter table t owner to {role}"));
        w.destroy();
        w.sql(&format!("drop owned by {role}; drop role {role}"));
    });
}
