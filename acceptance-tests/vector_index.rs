//! Vector indexes: built as declared, rebuilt beside the old one, and never half there.

use crate::support::{alternating, describe, everywhere, index, index_count, once, table};

const ROWS: &str = "rows = [for i in range(30) : { id = i, e = [i, 1, 2], h = [1, i, 2] }]";

fn with(more: &str) -> String {
    format!("{}{}", table("e vector(3); h halfvec(3)", ROWS), index(more))
}

#[test]
fn an_hnsw_index_with_its_options() {
    everywhere(|w| {
        w.apply(&with("column = \"e\"\n  method = \"hnsw\"\n  metric = \"l2\"\n  m = 8\n  ef_construction = 32"));
        assert_eq!(describe(w, "t__vector__e"), "hnsw vector_l2_ops ef_construction=32,m=8 valid");
        let state = w.state("pg_vector_index.i");
        assert_eq!(state["index_name"], "t__vector__e");
        assert_eq!(state["operator_class"], "vector_l2_ops");
        assert_eq!(state["valid"], true);

        w.apply(&table("e vector(3); h halfvec(3)", ROWS));
        assert_eq!(index_count(w, "t"), "1");
    });
}

#[test]
fn the_defaults_are_ivfflat_and_cosine() {
    alternating(|w| {
        w.apply(&with("column = \"e\""));
        assert_eq!(describe(w, "t__vector__e"), "ivfflat vector_cosine_ops valid");
        w.apply(&with("column = \"e\"\n  lists = 2"));
        assert_eq!(describe(w, "t__vector__e"), "ivfflat vector_cosine_ops lists=2 valid");
    });
}

#[test]
fn every_metric_of_both_types() {
    alternating(|w| {
        for (column, kind) in [("e", "vector"), ("h", "halfvec")] {
            for metric in ["cosine", "l2", "ip", "l1"] {
                w.apply(&with(&format!("column = \"{column}\"\n  method = \"hnsw\"\n  metric = \"{metric}\"")));
                assert_eq!(describe(w, &format!("t__vector__{column}")), format!("hnsw {kind}_{metric}_ops valid"));
                assert_eq!(index_count(w, "t"), "2");
            }
        }
    });
}

#[test]
fn the_build_is_concurrent_and_under_the_reserved_name() {
    alternating(|w| {
        w.apply(&with("column = \"e\"\n  method = \"hnsw\""));
        let log = w.log();
        let built = log.lines().find(|line| line.contains("create index concurrently")).unwrap_or_default();
        assert!(built.contains("terraform_pg_build_"), "no concurrent build under the reserved name\n{log}");

        w.apply(&with("column = \"h\"\n  method = \"hnsw\"\n  concurrently = false"));
        let log = w.log();
        let blocking = log.lines().filter(|line| line.contains("create index") && !line.contains("concurrently"));
        assert_eq!(blocking.count(), 1, "{log}");
        assert_eq!(describe(w, "t__vector__h"), "hnsw halfvec_cosine_ops valid");
    });
}

#[test]
fn settings_are_for_the_session_that_builds() {
    alternating(|w| {
        let with = |memory: &str| {
            with(&format!(
                "column = \"e\"\n  method = \"hnsw\"\n  build = {{ maintenance_work_mem = \"{memory}\", max_parallel_maintenance_workers = 0 }}"
            ))
        };
        w.apply(&with("32MB"));
        let log = w.log();
        for setting in ["set maintenance_work_mem = '32MB'", "set max_parallel_maintenance_workers = 0"] {
            assert!(log.contains(setting), "{log}");
        }
        assert_eq!(w.plan(&with("48MB")).steps("pg_vector_index.i"), [""; 0], "a change of them alone builds nothing");
        w.apply_plan();
        assert_eq!(w.log().matches("statement: create index concurrently").count(), 1);
        w.apply_fails(
            &with("1kB").replace("\"hnsw\"", "\"hnsw\"\n  m = 8"),
            &["maintenance_work_mem", "outside the valid range"],
        );
        assert_eq!(describe(w, "t__vector__e"), "hnsw vector_cosine_ops valid");
    });
}

#[test]
fn an_index_on_a_partitioned_table_is_built_and_changed() {
    alternating(|w| {
        w.sql(
            "create extension vector; create table t (id bigint, e vector(3)) partition by range (id);
             create table t1 partition of t for values from (0) to (100); create table t2 partition of t default;
             insert into t select i, array[i, 1, 2]::real[]::vector from generate_series(1, 150) i",
        );
        let on =
            |more: &str| index(&format!("column = \"e\"\n  {more}")).replace("pg_table_target.t.id", "\"public.t\"");
        w.apply_fails(&on("method = \"hnsw\""), &["partitioned", "concurrently = false"]);
        w.apply(&on("method = \"hnsw\"\n  concurrently = false"));
        w.apply(&on("method = \"hnsw\"\n  concurrently = false\n  m = 8"));
        assert_eq!(describe(w, "t__vector__e"), "hnsw vector_cosine_ops m=8 valid");
        w.plan_fails(&on("method = \"hnsw\"\n  m = 9"), &["concurrently = false"]);
        w.apply(&on("lists = 200\n  concurrently = false")).says(&["little data"]);
        w.destroy();
        assert_eq!(w.sql("select count(*) from pg_class where relam in (select oid from pg_am where amname in ('hnsw', 'ivfflat'))"), "0");
    });
}

#[test]
fn a_changed_index_is_built_before_the_old_one_goes() {
    alternating(|w| {
        w.apply(&with("column = \"e\"\n  method = \"hnsw\""));
        let before = w.sql("select 't__vector__e'::regclass::oid");
        let plan = w.plan(&with("column = \"e\"\n  method = \"hnsw\"\n  m = 24"));
        assert_eq!(plan.action("pg_vector_index.i"), "update");
        let steps = plan.steps("pg_vector_index.i").join("\n");
        let at = |part: &str| steps.find(part).unwrap_or_else(|| panic!("no {part} in\n{steps}"));
        assert!(at("create index concurrently") < at("drop index public.t__vector__e"), "{steps}");
        w.apply_plan();
        assert_eq!(describe(w, "t__vector__e"), "hnsw vector_cosine_ops m=24 valid");
        assert_ne!(w.sql("select 't__vector__e'::regclass::oid"), before);
        assert_eq!(index_count(w, "t"), "2");
    });
}

#[test]
fn another_name_leaves_one_index() {
    alternating(|w| {
        w.apply(&with("column = \"e\"\n  name = \"fast\""));
        w.apply(&with("column = \"e\"\n  name = \"faster\""));
        assert_eq!(describe(w, "t__vector__faster"), "ivfflat vector_cosine_ops valid");
        assert_eq!(index_count(w, "t"), "2");
    });
}

#[test]
fn an_invalid_index_is_built_again() {
    alternating(|w| {
        w.apply(&with("column = \"e\"\n  method = \"hnsw\""));
        w.sql("update pg_index set indisvalid = false where indexrelid = 't__vector__e'::regclass");
        w.apply(&with("column = \"e\"\n  method = \"hnsw\""));
        assert_eq!(describe(w, "t__vector__e"), "hnsw vector_cosine_ops valid");
        assert_eq!(index_count(w, "t"), "2");
    });
}

#[test]
fn an_index_follows_its_column_from_vector_to_halfvec() {
    alternating(|w| {
        w.apply(&with("column = \"e\"\n  method = \"hnsw\""));
        let changed = with("column = \"e\"\n  method = \"hnsw\"").replace("\"vector(3)\"", "\"halfvec(3)\"");
        let plan = w.plan(&changed);
        let steps = plan.steps("pg_table_target.t").join("\n");
        assert!(steps.contains("t__vector__e"), "the rebuild of the index is not among the steps\n{steps}");
        w.apply_plan();
        assert_eq!(describe(w, "t__vector__e"), "hnsw halfvec_cosine_ops valid");
    });
}

#[test]
fn a_foreign_index_of_that_name_is_an_error() {
    alternating(|w| {
        w.apply(&table("e vector(3); h halfvec(3)", ROWS));
        w.sql("create index t__vector__e on t using hnsw (e vector_l2_ops)");
        w.apply_fails(&with("column = \"e\"\n  method = \"hnsw\""), &["t__vector__e", "already", "import"]);
        assert_eq!(describe(w, "t__vector__e"), "hnsw vector_l2_ops valid");
    });
}

#[test]
fn what_is_wrong_is_said_before_anything_is_built() {
    once(18, |w| {
        w.apply(&table("e vector(3); h halfvec(3); plain text; wide vector(3000)", ""));
        let on = |more: &str| {
            format!("{}{}", table("e vector(3); h halfvec(3); plain text; wide vector(3000)", ""), index(more))
        };
        let at_plan = [
            ("column = \"e\"\n  metric = \"manhattan\"", vec!["manhattan", "cosine"]),
            ("column = \"e\"\n  method = \"btree\"", vec!["btree", "hnsw"]),
            ("column = \"e\"\n  m = 8", vec!["m", "hnsw"]),
            ("column = \"e\"\n  method = \"hnsw\"\n  lists = 8", vec!["lists", "ivfflat"]),
            ("column = \"e\"\n  method = \"hnsw\"\n  m = 1", vec!["m"]),
            ("column = \"e\"\n  method = \"hnsw\"\n  m = 40\n  ef_construction = 20", vec!["ef_construction"]),
            ("column = \"e\"\n  name = \"this_name_is_long_enough_to_be_cut_by_the_server_when_joined\"", vec!["63"]),
        ];
        for (more, words) in at_plan {
            println!("{more}");
            w.plan_fails(&on(more), &words);
        }
        let at_apply = [
            ("column = \"plain\"", vec!["plain", "text"]),
            ("column = \"nope\"", vec!["nope"]),
            ("column = \"wide\"\n  method = \"hnsw\"", vec!["2000"]),
            ("column = \"e\"\n  metric = \"hamming\"", vec!["hamming"]),
        ];
        for (more, words) in at_apply {
            println!("{more}");
            w.apply_fails(&on(more), &words);
        }
        assert_eq!(index_count(w, "t"), "1");
        assert!(!w.log().contains("create index concurrently"), "something was built");
    });
}

#[test]
fn parts_of_a_column_and_of_a_table_can_be_indexed() {
    alternating(|w| {
        for (more, definition) in [
            ("quantize = \"half\"", "((e)::halfvec(3)) halfvec_cosine_ops)"),
            ("quantize = \"binary\"\n  metric = \"hamming\"", "((binary_quantize(e))::bit(3)) bit_hamming_ops)"),
            ("subvector = 2", "subvector(e, 1, 2)"),
            ("where = \"id > 3\"", "WHERE (id > 3)"),
        ] {
            println!("{more}");
            w.apply(&with(&format!("column = \"e\"\n  method = \"hnsw\"\n  {more}")));
            let now = w.sql("select pg_get_indexdef('t__vector__e'::regclass)");
            assert!(now.contains(definition), "{now}");
            assert_eq!(index_count(w, "t"), "2");
        }
    });
}

#[test]
fn embeddings_of_3072_dimensions_are_indexed_and_found() {
    alternating(|w| {
        let embedding =
            |row: i32| (0..3_072).map(|d| (d * (row + 2) % 7 - 3).to_string()).collect::<Vec<_>>().join(",");
        let lines: Vec<String> = (0..12).map(|row| format!("{{\"id\":{row},\"e\":[{}]}}\n", embedding(row))).collect();
        w.folder().write("embeddings.jsonl", &lines.concat()).unwrap();
        let rows = "rows_file = \"embeddings.jsonl\"";
        let with = |more: &str| format!("{}{}", table("e vector(3072)", rows), index(more));
        let ways_out = ["at most 2000", "3072", "quantize = \"half\"", "quantize = \"binary\"", "`subvector`"];
        w.apply_fails(&with("column = \"e\"\n  method = \"hnsw\""), &ways_out);
        assert_eq!(index_count(w, "t"), "1");
        for (more, order) in [
            ("quantize = \"half\"", "e::halfvec(3072) <=> (select e::halfvec(3072) from t where id = 7)"),
            (
                "quantize = \"binary\"\n  metric = \"hamming\"",
                "binary_quantize(e)::bit(3072) <~> (select binary_quantize(e) from t where id = 7)",
            ),
            (
                "subvector = 512\n  where = \"id>1\"",
                "subvector(e, 1, 512)::vector(512) <=> (select subvector(e, 1, 512) from t where id = 7)",
            ),
        ] {
            println!("{more}");
            w.apply(&with(&format!("column = \"e\"\n  method = \"hnsw\"\n  {more}")));
            let query = format!("select id from t where id > 1 order by {order} limit 1");
            let plan = w.sql(&format!(
                "set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off; explain {query}"
            ));
            assert!(plan.contains("Index Scan using t__vector__e"), "{plan}");
            assert_eq!(w.sql(&format!("set enable_seqscan = off; {query}")), "7");
        }
        // What was an error when the index was to be made is one in the plan, now that the column is known.
        w.plan_fails(&with("column = \"e\"\n  method = \"hnsw\""), &ways_out);
        w.plan_fails(
            &with("column = \"e\"\n  method = \"hnsw\"\n  quantize = \"half\"\n  metric = \"jaccard\""),
            &["jaccard", "cosine"],
        );
    });
}

#[test]
fn a_column_and_its_index_are_changed_in_one_apply_when_the_index_follows_the_column() {
    let follows = "lifecycle {\n    replace_triggered_by = [pg_table_target.t.columns[\"e\"]]\n  }";
    let on = |ty: &str, value: &str, more: &str| {
        format!(
            "{}{}",
            table(&format!("e {ty}"), &format!("rows = [{{ id = 1, e = \"{value}\" }}]")),
            index(&format!("column = \"e\"\n  {more}"))
        )
    };
    alternating(|w| {
        w.apply(&on("vector(3)", "[1,2,3]", "method = \"hnsw\""));
        // The plan of the index was made with what the column was, and apply does what the plan said or refuses.
        let other = on("halfvec(3)", "[1,2,3]", "method = \"hnsw\"\n  m = 8");
        w.apply_fails(
            &other,
            &["column \"e\" was of type", "nothing was done", "apply again", "replace_triggered_by", "columns[\"e\"]"],
        );
        assert_eq!(describe(w, "t__vector__e"), "hnsw halfvec_cosine_ops valid");
        w.apply(&other);
        assert_eq!(describe(w, "t__vector__e"), "hnsw halfvec_cosine_ops m=8 valid");

        w.apply(&on("vector(3)", "[1,2,3]", &format!("method = \"hnsw\"\n  m = 9\n  {follows}")));
        assert_eq!(describe(w, "t__vector__e"), "hnsw vector_cosine_ops m=9 valid");

        w.apply(&on("vector(3)", "[1,2,3]", "lists = 1"));
        let sparse = |more: &str| on("sparsevec(3)", "{1:1,2:2,3:3}/3", &format!("method = \"hnsw\"\n  {more}"));
        w.apply_fails(&sparse(""), &["ivfflat", "Nothing was written", "replace_triggered_by"]);
        assert_eq!(describe(w, "t__vector__e"), "ivfflat vector_cosine_ops lists=1 valid");
        w.apply(&sparse(follows));
        assert_eq!(describe(w, "t__vector__e"), "hnsw sparsevec_cosine_ops valid");
    });
}

#[test]
fn what_the_server_remarks_on_a_build_is_a_warning() {
    alternating(|w| {
        let output = w.apply(&with("column = \"e\"\n  lists = 31"));
        output.says(&["few rows", "31 lists", "30 vectors", "reindex index concurrently public.t__vector__e"]);
        w.apply(&with("column = \"e\"\n  lists = 30")).never_says(&["few rows"]);
    });
}
