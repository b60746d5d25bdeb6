//! Vector indexes on a real pgvector.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use pg_connector::attachment::{self, Attachment, OnTeardownError};
use pg_connector::settings::Settings;
use pg_connector::vector_index::{
    self, Action, Applied, Build, BuildSettings, Declaration, Given, Method, Metric, Prior, Quantize, Seen,
    VectorIndexSpec, VectorType, operator_class, reserved_name,
};
use pg_connector::{Blame, Database, Error, Scope, TableName};
use testbed::TestDatabase;
use tokio_postgres::SimpleQueryMessage;

use crate::sessions::database as connect_with;

const TABLE: &str = "create extension vector; create table t (id bigint primary key, kind text, \
    v vector(8), h halfvec(8), b bit(8), s sparsevec(8), open vector, wide vector(3072)); \
    insert into t select i, 'k' || i % 3, array_agg(i % j + 1)::real[]::vector, array_agg(i % j + 1)::real[]::halfvec, \
    (i % 256)::int::bit(8), array_agg(i % j + 1)::real[]::vector::sparsevec from generate_series(1, 50) i, \
    generate_series(1, 8) j group by i";

fn spec(column: &str) -> VectorIndexSpec {
    VectorIndexSpec {
        table: TableName::new("public", "t"),
        column: column.to_owned(),
        name: column.to_owned(),
        metric: Metric::L2,
        method: Method::Hnsw,
        lists: None,
        m: None,
        ef_construction: None,
        quantize: None,
        subvector: None,
        predicate: None,
    }
}

async fn build(
    database: &Database,
    spec: &VectorIndexSpec,
    concurrently: bool,
    prior: Option<Prior<'_>>,
) -> Result<Applied, Vec<Error>> {
    let build = Build { spec, concurrently, settings: &BuildSettings::default(), create_extension: false, prior };
    vector_index::apply(database, &Scope::default(), &build).await
}

fn messages(result: Result<Applied, Vec<Error>>) -> String {
    result.unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

async fn read(database: &Database, spec: &VectorIndexSpec, before: Option<&Seen>) -> Option<Seen> {
    vector_index::read(database, &Scope::default(), &spec.table, &spec.qualified(), before).await.unwrap()
}

async fn indexes(test: &TestDatabase) -> String {
    test.query(
        "select relname || ' ' || indisvalid from pg_index join pg_class on oid = indexrelid \
         where indrelid = 't'::regclass and not indisprimary order by 1",
    )
    .await
}

async fn on_each_version<F: Future<Output = ()>>(run: impl Fn(TestDatabase) -> F) {
    for major in TestDatabase::VERSIONS {
        Box::pin(run(TestDatabase::new(major).await)).await;
    }
}

#[tokio::test]
async fn every_operator_class_is_built_and_used() {
    on_each_version(|test| async move {
        test.query(TABLE).await;
        let database = connect_with(&test, 10);
        for ty in VectorType::ALL {
            for metric in Metric::ALL {
                for method in Method::ALL {
                    let column = &ty.word()[..1];
                    let lists = (*method == Method::Ivfflat).then_some(1);
                    let spec = VectorIndexSpec { metric: *metric, method: *method, lists, ..spec(column) };
                    let result = build(&database, &spec, false, None).await;
                    let Some(class) = operator_class(*ty, *metric, *method) else {
                        assert!(messages(result).contains("valid: "), "{ty} {metric} {method}");
                        continue;
                    };
                    let applied = result.unwrap();
                    assert_eq!(applied.seen.index.operator_class, class);
                    let operator = match metric {
                        Metric::Cosine => "<=>",
                        Metric::L2 => "<->",
                        Metric::Ip => "<#>",
                        Metric::L1 => "<+>",
                        Metric::Hamming => "<~>",
                        Metric::Jaccard => "<%>",
                    };
                    let plan = test
                        .query(&format!(
                            "set enable_seqscan = off; explain select id from t order by {column} {operator} \
                             (select {column} from t where id = 1) limit 3"
                        ))
                        .await;
                    assert!(
                        plan.contains(&format!("Index Scan using t__vector__{column}")),
                        "{ty} {metric} {method}\n{plan}"
                    );
                    test.query(&format!("drop index t__vector__{column}")).await;
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn expressions_and_conditions_are_built_used_and_read_back() {
    on_each_version(|test| async move {
        test.query(TABLE).await;
        let database = connect_with(&test, 10);
        let half = Some(Quantize::Half);
        let binary = Some(Quantize::Binary);
        for (spec, query) in [
            (VectorIndexSpec { quantize: half, ..spec("v") }, "v::halfvec(8) <-> (select h from t where id = 1)"),
            (
                VectorIndexSpec { quantize: binary, metric: Metric::Hamming, ..spec("h") },
                "binary_quantize(h)::bit(8) <~> (select b from t where id = 1)",
            ),
            (
                VectorIndexSpec { subvector: Some(4), ..spec("v") },
                "subvector(v, 1, 4)::vector(4) <-> (select subvector(v, 1, 4) from t where id = 1)",
            ),
            (
                VectorIndexSpec { subvector: Some(4), ..spec("h") },
                "subvector(h, 1, 4)::halfvec(4) <-> (select subvector(h, 1, 4) from t where id = 1)",
            ),
            (
                VectorIndexSpec { subvector: Some(4), quantize: half, ..spec("v") },
                "subvector(v, 1, 4)::halfvec(4) <-> (select subvector(h, 1, 4) from t where id = 1)",
            ),
            (
                VectorIndexSpec { subvector: Some(4), quantize: binary, metric: Metric::Jaccard, ..spec("v") },
                "binary_quantize(subvector(v, 1, 4))::bit(4) <%> (select b::bit(4) from t where id = 1)",
            ),
            (
                VectorIndexSpec { subvector: Some(4), ..spec("open") },
                "subvector(open, 1, 4)::vector(4) <-> (select subvector(v, 1, 4) from t where id = 1)",
            ),
            (
                VectorIndexSpec { quantize: half, ..spec("wide") },
                "wide::halfvec(3072) <-> (select wide::halfvec(3072) from t where id = 1)",
            ),
            (
                VectorIndexSpec { predicate: Some("kind in ('k1','k2') -- two".to_owned()), ..spec("v") },
                "v <-> (select v from t where id = 1)",
            ),
        ] {
            let indexed = match (spec.quantize, spec.column.as_str()) {
                (Some(Quantize::Half), _) | (None, "h") => VectorType::Halfvec,
                (Some(Quantize::Binary), _) => VectorType::Bit,
                (None, _) => VectorType::Vector,
            };
            for method in Method::ALL {
                let Some(class) = operator_class(indexed, spec.metric, *method) else { continue };
                let lists = (*method == Method::Ivfflat).then_some(1);
                let spec = VectorIndexSpec { method: *method, lists, ..spec.clone() };
                let applied = build(&database, &spec, true, None).await.unwrap();
                assert_eq!(applied.seen.index.operator_class, class);
                let condition = spec.predicate.as_deref().unwrap_or("true");
                let plan = test
                    .query(&format!(
                        "set enable_seqscan = off; explain select id from t where {condition}\norder by {query} limit 3"
                    ))
                    .await;
                assert!(plan.contains(&format!("using {}", spec.index_name())), "{spec:?}\n{plan}");
                let seen = read(&database, &spec, Some(&applied.seen)).await.unwrap();
                assert_eq!(seen, applied.seen);
                let prior = Prior { index_name: &spec.index_name(), predicate: spec.predicate.as_deref(), seen: &seen };
                assert_eq!(vector_index::plan(&spec, true, &prior).unwrap().unwrap().action, Action::Keep, "{seen:?}");
                test.query(&format!("drop index {}", spec.index_name())).await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_changed_index_takes_the_place_of_the_old_one() {
    on_each_version(|test| async move {
        test.query(TABLE).await;
        let database = connect_with(&test, 10);
        let mut old = spec("v");
        let mut seen = build(&database, &old, true, None).await.unwrap().seen;
        let changes: [fn(&mut VectorIndexSpec); 6] = [
            |spec| spec.m = Some(8),
            |spec| (spec.method, spec.m, spec.lists) = (Method::Ivfflat, None, Some(2)),
            |spec| spec.name = "other".to_owned(),
            |spec| (spec.column, spec.name) = ("h".to_owned(), "h".to_owned()),
            |spec| spec.predicate = Some("id > 5".to_owned()),
            |spec| spec.predicate = Some("id > 6".to_owned()),
        ];
        for (i, change) in changes.into_iter().enumerate() {
            for concurrently in [true, false] {
                let mut new = old.clone();
                change(&mut new);
                let name = old.index_name();
                let prior = Prior { index_name: &name, predicate: old.predicate.as_deref(), seen: &seen };
                let planned = vector_index::plan(&new, concurrently, &prior).unwrap().unwrap();
                let applied = build(&database, &new, concurrently, Some(prior)).await.unwrap();
                assert_eq!(applied.steps, planned.steps, "apply does what the plan said ({i})");
                assert_eq!(applied.seen.index.operator_class, planned.operator_class);
                assert_eq!(indexes(&test).await, format!("{} true", new.index_name()), "case {i}");
                assert_eq!(read(&database, &new, Some(&applied.seen)).await, Some(applied.seen.clone()));
                (old, seen) = (new, applied.seen);
            }
        }
    })
    .await;
}

/// Asks for the plan of a nearest-neighbour query again and again, and counts the answers.
async fn read_all_the_time(database: Database, query: String, done: Arc<AtomicBool>, looks: Arc<AtomicU32>) {
    let session = database.connect(&Scope::default()).await.unwrap();
    session.batch_execute("set enable_seqscan = off").await.unwrap();
    while !done.load(Ordering::Acquire) {
        let messages = session.simple_query(&format!("explain {query}")).await.unwrap();
        let lines = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        let plan = lines.collect::<Vec<_>>().join("\n");
        assert!(plan.contains("Index Scan using"), "a query had no index:\n{plan}");
        assert_eq!(session.simple_query(&query).await.unwrap().len(), 5, "three rows, their shape and their number");
        looks.fetch_add(1, Ordering::AcqRel);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_never_without_an_index_while_it_changes() {
    on_each_version(|test| async move {
        test.query(TABLE).await;
        let database = connect_with(&test, 10);
        let mut old = spec("v");
        let mut seen = build(&database, &old, true, None).await.unwrap().seen;
        let (done, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let query = "select id from t order by v <-> '[1,2,3,4,5,6,7,8]' limit 3".to_owned();
        let reader =
            tokio::spawn(read_all_the_time(connect_with(&test, 1), query, Arc::clone(&done), Arc::clone(&looks)));
        let changes: [fn(&mut VectorIndexSpec); 5] = [
            |spec| spec.m = Some(8),
            |spec| (spec.method, spec.m, spec.lists) = (Method::Ivfflat, None, Some(1)),
            |spec| spec.name = "other".to_owned(),
            |spec| (spec.method, spec.lists, spec.name) = (Method::Hnsw, None, "third".to_owned()),
            |spec| spec.ef_construction = Some(70),
        ];
        for change in changes {
            for concurrently in [true, false] {
                let mut new = old.clone();
                change(&mut new);
                new.m = (new.method == Method::Hnsw).then_some(if concurrently { 9 } else { 10 });
                let before = looks.load(Ordering::Acquire);
                let name = old.index_name();
                let prior = Prior { index_name: &name, predicate: None, seen: &seen };
                seen = build(&database, &new, concurrently, Some(prior)).await.unwrap().seen;
                old = new;
                while looks.load(Ordering::Acquire) < before + 2 && !reader.is_finished() {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        }
        done.store(true, Ordering::Release);
        reader.await.unwrap();
        assert_eq!(indexes(&test).await, "t__vector__third true");
    })
    .await;
}

#[tokio::test]
async fn the_limits_are_those_of_pgvector() {
    on_each_version(|test| async move {
        test.query("create extension vector").await;
        let database = connect_with(&test, 10);
        let half = Some(Quantize::Half);
        for (ty, most, metric, quantize, refused) in [
            ("vector", 2_000, Metric::L2, None, "(c vector_l2_ops)"),
            ("vector", 4_000, Metric::L2, half, "((c::halfvec(4001)) halfvec_l2_ops)"),
            ("halfvec", 4_000, Metric::L2, None, "(c halfvec_l2_ops)"),
            ("bit", 64_000, Metric::Hamming, None, "(c bit_hamming_ops)"),
        ] {
            for method in Method::ALL {
                for (dimensions, fits) in [(most, true), (most + 1, false)] {
                    test.query(&format!("drop table if exists t; create table t (c {ty}({dimensions}))")).await;
                    let lists = (*method == Method::Ivfflat).then_some(1);
                    let spec = VectorIndexSpec { metric, method: *method, quantize, lists, ..spec("c") };
                    let result = build(&database, &spec, true, None).await;
                    assert_eq!(result.is_ok(), fits, "{ty}({dimensions}) {method}");
                    if fits {
                        continue;
                    }
                    let errors = result.unwrap_err();
                    assert!(errors[0].message().contains(&format!("at most {most} dimensions")), "{}", errors[0]);
                    assert!(errors[0].server().is_none() && errors[0].advised().is_some(), "{errors:?}");
                    // And the server would have said the same, only later.
                    let session = database.connect(&Scope::default()).await.unwrap();
                    let error = session
                        .batch_execute(&format!("create index on t using {method} {refused}"))
                        .await
                        .unwrap_err();
                    assert_eq!(error.code().unwrap().code(), "54000", "{error:?}");
                }
            }
        }
        test.query("drop table t; create table t (c vector(3))").await;
        let session = database.connect(&Scope::default()).await.unwrap();
        for (method, options, fits) in [
            ("hnsw", "m = 1", false),
            ("hnsw", "m = 2", true),
            ("hnsw", "m = 100, ef_construction = 200", true),
            ("hnsw", "m = 100, ef_construction = 199", false),
            ("hnsw", "m = 101, ef_construction = 1000", false),
            ("hnsw", "m = 2, ef_construction = 3", false),
            ("hnsw", "m = 2, ef_construction = 4", true),
            ("hnsw", "ef_construction = 1000", true),
            ("hnsw", "ef_construction = 1001", false),
            ("ivfflat", "lists = 0", false),
            ("ivfflat", "lists = 1", true),
            ("ivfflat", "lists = 32769", false),
        ] {
            let declared = |option: &str| {
                options.split(", ").find_map(|pair| pair.strip_prefix(option)?.strip_prefix(" = ")?.parse().ok())
            };
            let given = |option| declared(option).map_or(Given::Unset, Given::Now);
            let declaration = Declaration {
                method: Given::Now(method.to_owned()),
                lists: given("lists"),
                m: given("m"),
                ef_construction: given("ef_construction"),
                ..Declaration::default()
            };
            let sql = format!("create index on t using {method} (c vector_l2_ops) with ({options})");
            assert_eq!(session.batch_execute(&sql).await.is_ok(), fits, "the server: {options}");
            assert_eq!(declaration.faults().is_empty(), fits, "we: {options}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_sparse_vector_with_too_much_in_it_is_explained() {
    on_each_version(|test| async move {
        test.query(
            "create extension vector; create table t (id int, s sparsevec(2000)); \
             insert into t select 1, array_agg(1)::real[]::vector(2000)::sparsevec from generate_series(1, 2000)",
        )
        .await;
        let errors = build(&connect_with(&test, 10), &spec("s"), true, None).await.unwrap_err();
        assert_eq!(errors[0].sqlstate(), Some("54000"), "{errors:?}");
        assert!(errors[0].advised().unwrap().contains("at most 1,000 non-zero"), "{errors:?}");
        assert_eq!(indexes(&test).await, "");
    })
    .await;
}

#[tokio::test]
async fn a_condition_in_other_words_is_not_built_again() {
    on_each_version(|test| async move {
        test.query(TABLE).await;
        let database = connect_with(&test, 10);
        let old = VectorIndexSpec { predicate: Some("id>5 and kind<>''".to_owned()), ..spec("v") };
        let seen = build(&database, &old, true, None).await.unwrap().seen;
        for (predicate, same) in [("(id > 5) AND kind != ''::text", true), ("id > 5", false)] {
            let new = VectorIndexSpec { predicate: Some(predicate.to_owned()), ..old.clone() };
            let prior = Prior { index_name: "t__vector__v", predicate: old.predicate.as_deref(), seen: &seen };
            let planned = vector_index::plan(&new, true, &prior).unwrap().unwrap();
            assert_eq!(planned.action, Action::RebuildIfNeeded);
            assert!(planned.steps.iter().all(|step| step.skippable));
            let applied = build(&database, &new, true, Some(prior)).await.unwrap();
            assert_eq!(applied.seen.index.file == seen.index.file, same, "{predicate}");
        }
    })
    .await;
}

#[tokio::test]
async fn leftovers_are_finished_or_cleared_away() {
    on_each_version(|test| async move {
        test.query(TABLE).await;
        let database = connect_with(&test, 10);
        let spec = VectorIndexSpec { predicate: Some("id>5".to_owned()), ..spec("v") };
        let reserved = reserved_name(&spec.qualified());
        let wanted = format!("create index {reserved} on t using hnsw (v vector_l2_ops) where id > 5");
        let other = format!("create index {reserved} on t using hnsw (v vector_l2_ops) with (m = 4) where id > 5");
        let invalid =
            format!("{wanted}; update pg_index set indisvalid = false where indexrelid = '{reserved}'::regclass");
        for (leftover, is_taken) in [(wanted.as_str(), true), (&other, false), (&invalid, false)] {
            test.query(leftover).await;
            let file = || test.query("select relfilenode from pg_class where relname ~ '^(t__vector|terraform_pg)'");
            let before = file().await;
            let applied = build(&database, &spec, true, None).await.unwrap();
            assert_eq!(file().await == before, is_taken, "{leftover}");
            assert_eq!(applied.seen.index.option("m"), None);
            assert_eq!(indexes(&test).await, "t__vector__v true", "{leftover}");
            test.query(leftover).await;
            vector_index::drop(&database, &Scope::default(), &spec.table, &spec.qualified(), true).await.unwrap();
            assert_eq!(indexes(&test).await, "");
        }
        let seen = build(&database, &spec, false, None).await.unwrap().seen;
        test.query(&wanted).await;
        let other = VectorIndexSpec { m: Some(8), ..spec.clone() };
        for (concurrently, spec) in [(false, &spec), (false, &other), (true, &other)] {
            let before = read(&database, spec, Some(&seen)).await.unwrap();
            assert!(before.leftover);
            let prior = Prior { index_name: "t__vector__v", predicate: Some("id>5"), seen: &before };
            let planned = vector_index::plan(spec, concurrently, &prior).unwrap().unwrap();
            assert!(planned.steps[0].sql.starts_with("drop index"), "{planned:?}");
            let applied = build(&database, spec, concurrently, Some(prior)).await.unwrap();
            assert_eq!((applied.steps, applied.seen.leftover), (planned.steps, false));
            assert_eq!(indexes(&test).await, "t__vector__v true");
            test.query(&wanted).await;
        }
        vector_index::drop(&database, &Scope::default(), &spec.table, &spec.qualified(), false).await.unwrap();
        assert_eq!(indexes(&test).await, "");
        test.query(&format!("create sequence {reserved}")).await;
        let said = messages(build(&database, &spec, true, None).await);
        assert!(said.contains("taken by a sequence"), "{said}");
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_built_is_refused_before_anything_is() {
    on_each_version(|test| async move {
        test.query(TABLE).await;
        test.query("create view a_view as select * from t; create table p (id int, v vector(3)) partition by range (id); create table p1 partition of p for values from (0) to (9)").await;
        let database = connect_with(&test, 10);
        let on = |table: &str| TableName::new("public", table);
        for (wrong, attribute, why) in [
            (VectorIndexSpec { table: on("nowhere"), ..spec("v") }, "table", "there is no table public.nowhere"),
            (VectorIndexSpec { table: on("a_view"), ..spec("v") }, "table", "no table that can have indexes"),
            (spec("nope"), "column", "its columns are: id, kind, v"),
            (spec("kind"), "column", "has the type text, which pgvector does not index"),
            (spec("open"), "column", "does not say how many dimensions"),
            (spec("wide"), "column", "at most 2000 dimensions"),
            (spec("b"), "metric", "valid: hamming, jaccard"),
            (VectorIndexSpec { predicate: Some("nope > 1".to_owned()), ..spec("v") }, "where", "\"nope\" does not exist"),
            (VectorIndexSpec { predicate: Some("now() > '2020-01-01'".to_owned()), ..spec("v") }, "where", "IMMUTABLE"),
            (VectorIndexSpec { table: on("p"), ..spec("v") }, "concurrently", "partitioned"),
        ] {
            let errors = build(&database, &wrong, true, None).await.unwrap_err();
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert_eq!(errors[0].blamed(), Some(&Blame::Attribute(attribute)), "{}", errors[0]);
            assert!(errors[0].message().contains(why), "{}", errors[0]);
        }
        assert_eq!(indexes(&test).await, "");
        let on_parts = VectorIndexSpec { table: on("p"), ..spec("v") };
        build(&database, &on_parts, false, None).await.unwrap();
        vector_index::drop(&database, &Scope::default(), &on_parts.table, &on_parts.qualified(), true).await.unwrap();
        assert_eq!(read(&database, &on_parts, None).await, None);
    })
    .await;
    let bare = TestDatabase::new(15).await;
    bare.query("create table t (id int, b bit(8))").await;
    let spec = VectorIndexSpec { metric: Metric::Hamming, ..spec("b") };
    let said = messages(build(&connect_with(&bare, 10), &spec, true, None).await);
    assert!(said.contains("is not installed"), "{said}");
}

#[tokio::test]
async fn what_is_not_ours_is_never_touched() {
    on_each_version(|test| async move {
        test.query(TABLE).await;
        let database = connect_with(&test, 10);
        let spec = spec("v");
        for (make, why) in [
            (
                "create index t__vector__v on t using hnsw (v vector_l2_ops)",
                "import it (its id is public.t__vector__v)",
            ),
            ("create index t__vector__v on t (id)", "taken by an index with method btree"),
            (
                "create table o (v vector(3)); create index t__vector__v on o using hnsw (v vector_l2_ops)",
                "table public.o",
            ),
            ("create table t__vector__v (id int)", "taken by a table"),
        ] {
            test.query(make).await;
            let found = test.query("select oid from pg_class where relname = 't__vector__v'").await;
            let errors = build(&database, &spec, true, None).await.unwrap_err();
            let said = format!("{} {}", errors[0], errors[0].advised().unwrap());
            assert!(said.contains(why), "{said}");
            if !why.starts_with("import") {
                assert_eq!(read(&database, &spec, None).await, None, "{make}");
                vector_index::drop(&database, &Scope::default(), &spec.table, &spec.qualified(), true).await.unwrap();
            }
            assert_eq!(test.query("select oid from pg_class where relname = 't__vector__v'").await, found);
            let clean = if make.ends_with("(id int)") { "drop table t__vector__v" } else { "drop index t__vector__v" };
            test.query(clean).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_changed_since_the_plan_stops_the_apply() {
    on_each_version(|test| async move {
        test.query(TABLE).await;
        let database = connect_with(&test, 10);
        let old = spec("v");
        let new = VectorIndexSpec { m: Some(8), ..spec("v") };
        let seen = build(&database, &old, true, None).await.unwrap().seen;
        for (change, why) in [
            ("alter index t__vector__v set (m = 4)", "not as it was"),
            ("drop index t__vector__v; create index t__vector__v on t (id)", "is an index with method btree"),
            ("drop index t__vector__v", "is gone"),
        ] {
            test.query(change).await;
            let before = indexes(&test).await;
            let prior = Prior { index_name: "t__vector__v", predicate: None, seen: &seen };
            let said = messages(build(&database, &new, true, Some(prior)).await);
            assert!(said.contains("changed since the plan") && said.contains(why), "{said}");
            assert_eq!(indexes(&test).await, before);
        }
    })
    .await;
}

#[tokio::test]
async fn a_table_changed_in_the_same_apply_is_no_surprise() {
    on_each_version(|test| async move {
        test.query(TABLE).await;
        let database = connect_with(&test, 10);
        let old = spec("v");
        let seen = build(&database, &old, true, None).await.unwrap().seen;
        let prior = Prior { index_name: "t__vector__v", predicate: None, seen: &seen };
        test.query("alter table t drop v; alter table t add v vector(3)").await;
        assert_eq!(build(&database, &old, true, Some(prior)).await.unwrap().seen, seen, "nothing was planned");
        let new = VectorIndexSpec { m: Some(8), ..spec("v") };
        let planned = vector_index::plan(&new, true, &prior).unwrap().unwrap();
        let built = build(&database, &new, true, Some(prior)).await.unwrap();
        assert_eq!(indexes(&test).await, "t__vector__v true");
        assert!(planned.steps.len() == 3 && built.steps.iter().all(|step| planned.steps.contains(step)));

        let prior = Prior { seen: &built.seen, ..prior };
        test.query("drop index t__vector__v; alter table t alter v type halfvec(3)").await;
        let errors = build(&database, &old, true, Some(prior)).await.unwrap_err();
        let said = errors[0].message();
        assert!(said.contains("was changed in this apply") && said.contains("halfvec(3) now"), "{said}");
        assert!(errors[0].advised().unwrap().contains("apply again") && !said.contains("since the plan"), "{errors:?}");
        assert_eq!(indexes(&test).await, "");
    })
    .await;
}

#[tokio::test]
async fn options_changed_without_a_rebuild_are_noticed() {
    on_each_version(|test| async move {
        test.query(TABLE).await;
        let database = connect_with(&test, 10);
        let spec = spec("v");
        let first = build(&database, &spec, true, None).await.unwrap().seen;
        assert!(first.usable());
        test.query("alter index t__vector__v set (m = 4)").await;
        let stale = read(&database, &spec, Some(&first)).await.unwrap();
        assert!(!stale.usable() && stale.index.option("m") == Some(4));
        let wanted = VectorIndexSpec { m: Some(4), ..spec.clone() };
        let prior = Prior { index_name: "t__vector__v", predicate: None, seen: &stale };
        let applied = build(&database, &wanted, true, Some(prior)).await.unwrap();
        assert!(applied.seen.usable() && applied.seen.index.file != stale.index.file);
        test.query("alter index t__vector__v set (m = 8); reindex index t__vector__v").await;
        assert!(read(&database, &spec, Some(&applied.seen)).await.unwrap().usable());
    })
    .await;
}

#[tokio::test]
async fn an_invalid_index_is_built_again() {
    on_each_version(|test| async move {
        test.query(TABLE).await;
        let database = connect_with(&test, 10);
        let spec = spec("v");
        build(&database, &spec, true, None).await.unwrap();
        test.query("update pg_index set indisvalid = false where indexrelid = 't__vector__v'::regclass").await;
        let seen = read(&database, &spec, None).await.unwrap();
        assert!(!seen.usable());
        let prior = Prior { index_name: "t__vector__v", predicate: None, seen: &seen };
        build(&database, &spec, true, Some(prior)).await.unwrap();
        assert_eq!(indexes(&test).await, "t__vector__v true");
    })
    .await;
}

#[tokio::test]
async fn a_build_that_is_stopped_leaves_nothing() {
    on_each_version(|test| async move {
        test.query(TABLE).await;
        for (max_connections, cancelled, limit) in [(10, true, 0), (10, false, 8), (1, false, 2)] {
            let database = connect_with(&test, max_connections);
            // A concurrent build waits for every transaction that was there before it.
            let blocker = connect_with(&test, 10);
            let mut blocking = blocker.connect(&Scope::default()).await.unwrap();
            let transaction = blocking.begin().await.unwrap();
            transaction.batch_execute("set transaction isolation level repeatable read; select 1").await.unwrap();
            let pid = transaction.query_one("select pg_backend_pid()", &[]).await.unwrap().get::<_, i32>(0);
            let mut scope = Scope::default();
            if !cancelled {
                scope.deadline = Some(Instant::now() + Duration::from_secs(limit));
            }
            let spec = spec("v");
            let build = Build {
                spec: &spec,
                concurrently: true,
                settings: &BuildSettings::default(),
                create_extension: false,
                prior: None,
            };
            let stop = async {
                if cancelled {
                    wait_for_build(&test).await;
                    scope.cancel.cancel();
                }
            };
            let (result, ()) = tokio::join!(vector_index::apply(&database, &scope, &build), stop);
            let errors = result.unwrap_err();
            assert!(errors[0].message().contains(if cancelled { "cancelled" } else { "timed out" }), "{errors:?}");
            if limit > 5 {
                let advice = errors[0].advised().unwrap();
                assert!(
                    advice.contains(&format!("waiting for old snapshots, 0 of 1 lockers, blocked by process {pid}")),
                    "{advice}"
                );
            }
            transaction.rollback().await.unwrap();
            assert_eq!(indexes(&test).await, "");
            assert!(vector_index::apply(&database, &Scope::default(), &build).await.is_ok(), "the next one succeeds");
            vector_index::drop(&database, &Scope::default(), &spec.table, &spec.qualified(), true).await.unwrap();
        }
    })
    .await;
}

/// Waits until the build is in its last phase, which a snapshot of ours holds up.
async fn wait_for_build(test: &TestDatabase) {
    let phase = "select phase from pg_stat_progress_create_index where datname = current_database()";
    let start = Instant::now();
    while test.query(phase).await != "waiting for old snapshots" {
        assert!(start.elapsed() < Duration::from_mins(1), "the build never came to its last phase");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_swap_waits_for_a_long_reader_and_lets_others_pass() {
    let test = TestDatabase::new(18).await;
    test.query(TABLE).await;
    let mut settings = Settings::parse(&test.url()).unwrap();
    settings.lock_timeout = Some(Duration::from_millis(50));
    let database = Database::new(settings).unwrap();
    let old = spec("v");
    let seen = build(&database, &old, true, None).await.unwrap().seen;
    let new = VectorIndexSpec { m: Some(8), ..spec("v") };
    let prior = Prior { index_name: "t__vector__v", predicate: None, seen: &seen };
    let scope = Scope { deadline: Some(Instant::now() + Duration::from_mins(2)), ..Scope::default() };
    let settings = BuildSettings::default();
    let change =
        Build { spec: &new, concurrently: true, settings: &settings, create_extension: false, prior: Some(prior) };
    let mut reading = connect_with(&test, 1).connect(&Scope::default()).await.unwrap();
    let reader = reading.begin().await.unwrap();
    // The build waits for whoever writes or has a snapshot, and this session does neither; the swap waits for it.
    reader.batch_execute("lock table t in access share mode").await.unwrap();
    let disturb = async {
        // More often than anything else is tried again.
        while test.log().await.matches("canceling statement due to lock timeout").count() < 12 {
            assert_eq!(test.query("select count(*) from t").await, "50", "others pass");
            assert!(scope.stopped().is_none(), "the swap gave up, or never began");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        reader.rollback().await.unwrap();
    };
    let (result, ()) = tokio::join!(vector_index::apply(&database, &scope, &change), disturb);
    assert_eq!(result.unwrap().seen.index.option("m"), Some(8));
    assert_eq!(indexes(&test).await, "t__vector__v true");
}

#[tokio::test]
async fn a_build_whose_backend_is_killed_leaves_nothing() {
    on_each_version(|test| async move {
        test.query(TABLE).await;
        let database = connect_with(&test, 10);
        let mut holding = connect_with(&test, 1).connect(&Scope::default()).await.unwrap();
        let snapshot = holding.begin().await.unwrap();
        snapshot.batch_execute("set transaction isolation level repeatable read; select 1").await.unwrap();
        let kill = async {
            wait_for_build(&test).await;
            test.query("select pg_terminate_backend(pid) from pg_stat_progress_create_index where datname = current_database()").await;
        };
        let spec = spec("v");
        let (result, ()) = tokio::join!(build(&database, &spec, true, None), kill);
        let said = messages(result);
        assert!(said.contains("administrator command"), "{said}");
        assert_eq!(indexes(&test).await, "");
    })
    .await;
}

/// A pool whose connections to the server can be cut.
async fn cuttable(test: &TestDatabase) -> (Database, tokio::sync::watch::Sender<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let through = test.through("127.0.0.1", listener.local_addr().unwrap().port());
    let (cut, cutting) = tokio::sync::watch::channel(());
    let server = (test.host.clone(), test.port);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (server, mut cutting) = (server.clone(), cutting.clone());
            cutting.mark_unchanged();
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(server).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    _ = cutting.changed() => {}
                }
            });
        }
    });
    (connect_with(&through, 10), cut)
}

#[tokio::test]
async fn a_lost_connection_is_taken_up_again() {
    on_each_version(|test| async move {
        test.query(TABLE).await;
        let mut holding = connect_with(&test, 1).connect(&Scope::default()).await.unwrap();
        let snapshot = holding.begin().await.unwrap();
        snapshot.batch_execute("set transaction isolation level repeatable read; select 1").await.unwrap();
        let (database, cut) = cuttable(&test).await;
        let disturb = async {
            wait_for_build(&test).await;
            // The next try finds the build that goes on; only when it has looked once may that finish.
            let now = test.query("select clock_timestamp()").await;
            cut.send(()).unwrap();
            let looked = format!(
                "select 1 from pg_stat_activity where backend_start > '{now}' and datname = current_database() \
                 and query ilike 'rollback%'"
            );
            while test.query(&looked).await.is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            snapshot.rollback().await.unwrap();
        };
        let before = test.query("select max(oid::bigint) from pg_class").await;
        let spec = spec("v");
        let (result, ()) = tokio::join!(build(&database, &spec, true, None), disturb);
        result.unwrap();
        assert_eq!(indexes(&test).await, "t__vector__v true");
        let built = format!("select count(*) from pg_class where oid::bigint > {before} and relname = 't__vector__v'");
        assert_eq!(test.query(&built).await, "1");
    })
    .await;
}

#[tokio::test]
async fn settings_are_for_the_build_alone_and_remarks_come_back() {
    on_each_version(|test| async move {
        test.query(TABLE).await;
        let database = connect_with(&test, 1);
        let settings =
            BuildSettings { maintenance_work_mem: Some("2MB".to_owned()), max_parallel_maintenance_workers: Some(0) };
        let spec = VectorIndexSpec { method: Method::Ivfflat, ..spec("v") };
        let build =
            Build { spec: &spec, concurrently: true, settings: &settings, create_extension: false, prior: None };
        let applied = vector_index::apply(&database, &Scope::default(), &build).await.unwrap();
        let said =
            |applied: &Applied| applied.warnings.iter().map(|w| w.detail.as_str()).collect::<Vec<_>>().join("\n");
        assert!(said(&applied).contains("100 lists (the default), and 50 vectors were there"), "{applied:?}");
        assert!(!said(&applied).contains("little data"), "it is said once, and with what to do: {applied:?}");
        let part = VectorIndexSpec {
            predicate: Some("id <= 3".to_owned()),
            lists: Some(4),
            name: "part".to_owned(),
            ..spec.clone()
        };
        for concurrently in [true, false] {
            let build = Build { spec: &part, concurrently, ..build };
            let applied = vector_index::apply(&database, &Scope::default(), &build).await.unwrap();
            assert!(said(&applied).contains("4 lists, and 3 vectors were there"), "{applied:?}");
            vector_index::drop(&database, &Scope::default(), &part.table, &part.qualified(), true).await.unwrap();
        }
        let enough = VectorIndexSpec { lists: Some(3), ..part };
        let applied =
            vector_index::apply(&database, &Scope::default(), &Build { spec: &enough, ..build }).await.unwrap();
        assert_eq!(said(&applied), "");
        let session = database.connect(&Scope::default()).await.unwrap();
        let memory: String = session.query_one("show maintenance_work_mem", &[]).await.unwrap().get(0);
        assert_eq!(memory, "64MB");
        drop(session);
        let settings = BuildSettings { maintenance_work_mem: Some("1kB".to_owned()), ..BuildSettings::default() };
        let other = VectorIndexSpec { name: "other".to_owned(), ..spec };
        let build =
            Build { spec: &other, concurrently: true, settings: &settings, create_extension: false, prior: None };
        let errors = vector_index::apply(&database, &Scope::default(), &build).await.unwrap_err();
        assert_eq!(errors[0].blamed(), Some(&Blame::Attribute("build.maintenance_work_mem")));
    })
    .await;
}

#[tokio::test]
async fn an_extension_in_another_schema_is_found() {
    on_each_version(|test| async move {
        test.query(
            "create schema extensions; create extension vector schema extensions; create schema \"My s\"; \
             create table \"My s\".\"T\" (id int, \"We\"\"ird\" extensions.vector(3))",
        )
        .await;
        let database = connect_with(&test, 10);
        let spec = VectorIndexSpec {
            table: TableName::new("My s", "T"),
            quantize: Some(Quantize::Half),
            predicate: Some("\"We\"\"ird\" is not null".to_owned()),
            ..spec("We\"ird")
        };
        for concurrently in [true, false] {
            build(&database, &spec, concurrently, None).await.unwrap();
            let seen = read(&database, &spec, None).await.unwrap();
            assert_eq!(seen.index.key.as_ref().unwrap().column, "We\"ird");
            let table = vector_index::table_of(&database, &Scope::default(), &spec.qualified()).await.unwrap();
            assert_eq!(table, Some(spec.table.clone()));
            vector_index::drop(&database, &Scope::default(), &spec.table, &spec.qualified(), concurrently)
                .await
                .unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_on_one_table_do_not_deadlock() {
    on_each_version(|test| async move {
        test.query(TABLE).await;
        // Two processes, as far as the server can tell.
        for max_connections in [10, 1] {
            let databases = [connect_with(&test, max_connections), connect_with(&test, max_connections)];
            let mut running = tokio::task::JoinSet::new();
            for i in 0..10 {
                let database = databases[i % 2].clone();
                let name = format!("i{i}");
                let column = if i % 3 == 0 { "h" } else { "v" };
                running.spawn(async move {
                    let spec = VectorIndexSpec { name, ..spec(column) };
                    build(&database, &spec, true, None).await.unwrap();
                });
            }
            for i in 0..5 {
                let database = databases[i % 2].clone();
                running.spawn(async move {
                    let attachment = Attachment {
                        table: TableName::new("public", "t"),
                        name: format!("a{i}"),
                        setup_sql: format!("create index a{i} on t (kind)"),
                        teardown_sql: None,
                        check_sql: None,
                        transactional: true,
                        on_teardown_error: OnTeardownError::Fail,
                        in_part: false,
                    };
                    attachment::create(&database, &Scope::default(), &attachment).await.unwrap();
                });
            }
            while let Some(result) = running.join_next().await {
                result.unwrap();
            }
            let valid = test
                .query(
                    "select count(*) from pg_index where indrelid = 't'::regclass and indisvalid and not indisprimary",
                )
                .await;
            assert_eq!(valid, "15");
            for i in 0..10 {
                test.query(&format!("drop index t__vector__i{i}")).await;
            }
            test.query("drop index a0, a1, a2, a3, a4").await;
        }
    })
    .await;
}
