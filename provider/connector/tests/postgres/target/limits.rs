//! What a target refuses, and says.

use super::ColumnKind::Nullable;
use super::*;

fn declared(rows: Vec<Value>) -> Declared {
    Declared {
        columns: &[("id", Nullable("int4")), ("n", Nullable("numeric(3,1)")), ("e", Nullable("vector(2)"))],
        key: &["id"],
        rows,
        ..Declared::default()
    }
}

async fn refused(b: &Bench, target: TableTarget) -> String {
    let errors = match b.plan(target).await {
        Err(errors) => errors,
        Ok(plan) => plan.apply(&b.scope).await.unwrap_err().errors,
    };
    let said = errors.0.iter().map(|error| format!("{error} {}", error.advised().unwrap_or_default()));
    said.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn all_faults_of_a_declaration_are_said_at_once_and_nothing_is_done() {
    let b = Bench::new(18).await;
    let mut target = declared(vec![json!({"id": 1, "n": 1234})]).target();
    target.declare_vector_index(VectorIndex::on("e").lists(0));
    target.declare_vector_index(VectorIndex::on("e").name("x"));
    target.declare_vector_index(VectorIndex::on("e").name("x"));
    target.declare_sql_command_attachment(SqlCommandAttachment::new("a", ""));
    let said = refused(&b, target).await;
    for part in [
        "`lists` must be between 1 and 32768",
        "vector index x of table public.t: it is declared twice",
        "`setup_sql` is empty",
    ] {
        assert!(said.contains(part), "{part}\nis not in\n{said}");
    }
    for (rows, part) in [
        (vec![json!({"id": 1, "n": 1234})], "declared row 1, column n"),
        (vec![json!({"id": 1}), json!({"id": 1})], "declared row 2: the key id = 1 is declared twice, first as row 1"),
        (vec![json!({"n": 1})], "declared row 1"),
        (vec![json!({"id": null})], "declared row 1, column id"),
        (vec![json!({"id": 1, "nope": 2})], "nope"),
        (vec![json!({"id": 1, "e": [1]})], "declared row 1, column e"),
    ] {
        let said = refused(&b, declared(rows).target()).await;
        assert!(said.contains(part), "{part}\nis not in\n{said}");
    }
    let mut target = declared(Vec::new()).target();
    target.declare_vector_index(VectorIndex::on("n"));
    assert!(refused(&b, target).await.contains("\"n\""));
    let mut target = declared(Vec::new()).target();
    target.declare_vector_index(VectorIndex::on("nope"));
    assert!(refused(&b, target).await.contains("the table has no column \"nope\"; it has id, n, e"));
}

#[tokio::test]
async fn what_others_made_is_neither_taken_nor_lost() {
    let b = Bench::new(18).await;
    b.server.query("create table t (id int primary key)").await;
    let said = refused(&b, declared(Vec::new()).target()).await;
    assert!(said.contains("It was not made by this target"), "{said}");
    b.server.query("drop table t").await;
    b.apply(|| declared(vec![json!({"id": 1})]).target()).await.unwrap();
    b.server.query("insert into t values (2, 2, null)").await;
    let said = refused(&b, declared(vec![json!({"id": 2, "n": 3})]).target()).await;
    assert!(said.contains("force_destroy"), "{said}");
    let errors = TableTarget::remove(&b.database, &b.scope, &t(), false).await.unwrap_err();
    assert!(errors.to_string().contains("1 row"), "{errors}");
    b.server.query("create index t__vector__e on t using hnsw (e vector_l2_ops)").await;
    let with_index = || Declared { index: Some((Metric::L2, Method::Hnsw)), ..declared(vec![json!({"id": 1})]) };
    let said = refused(&b, with_index().target()).await;
    assert!(said.contains("It was not made by this target"), "{said}");
    let forced = TableTarget::remove(&b.database, &b.scope, &t(), true).await.unwrap();
    forced.apply(&b.scope).await.unwrap();
    assert_eq!(b.server.query("select to_regclass('t') is null").await, "t");
}

#[tokio::test]
async fn a_table_that_was_made_anew_is_not_taken_for_ours_without_a_word() {
    let b = Bench::new(18).await;
    let declared = || declared(vec![json!({"id": 1})]).target();
    b.apply(declared).await.unwrap();
    b.server.query("drop table t; create table t (id int primary key, n numeric(3,1), e vector(2))").await;
    let plan = b.plan(declared()).await.unwrap();
    assert!(plan.to_string().contains("is not the table that this target made"), "{plan}");
    let removal = TableTarget::remove(&b.database, &b.scope, &t(), false).await.unwrap();
    assert!(removal.to_string().contains("is not the table that this target made"), "{removal}");
    plan.apply(&b.scope).await.unwrap();
    assert!(b.plan(declared()).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_remembered_is_read_or_said_to_be_damaged() {
    let b = Bench::new(18).await;
    b.apply(|| declared(vec![json!({"id": 1})]).target()).await.unwrap();
    b.server.query("update terraform_pg.tracking set tracking = '{\"table\": 1}'").await;
    let said = refused(&b, declared(Vec::new()).target()).await;
    assert!(said.contains("terraform_pg.tracking holds was damaged, or written by a later version"), "{said}");
    // What later versions add is passed over.
    b.server.query("update terraform_pg.tracking set tracking = '{\"more\": 1}'").await;
    let said = refused(&b, declared(Vec::new()).target()).await;
    assert!(said.contains("It was not made by this target"), "{said}");
}

#[tokio::test]
async fn a_role_without_rights_is_told_what_it_needs() {
    let b = Bench::new(18).await;
    b.server.query("create role limited login; grant create on schema public to limited").await;
    let url = b.server.url().replacen(&format!("{}@", b.server.user), "limited@", 1);
    let database = Database::from_url(&url).unwrap();
    let plan = declared(Vec::new()).target().reconcile(&database, &b.scope).await.unwrap();
    let failure = plan.apply(&b.scope).await.unwrap_err();
    let advice = failure.errors.0[0].advised().unwrap_or_default().to_owned();
    assert!(advice.contains("grant usage, create on schema terraform_pg to limited"), "{failure} {advice}");
    b.apply(|| declared(Vec::new()).target()).await.unwrap();
    let error = declared(Vec::new()).target().reconcile(&database, &b.scope).await.unwrap_err();
    let advice = error.0[0].advised().unwrap_or_default().to_owned();
    assert!(advice.contains("select, insert, update, delete on terraform_pg.tracking"), "{error} {advice}");
    b.server.query("drop owned by limited; drop role limited").await;
}
