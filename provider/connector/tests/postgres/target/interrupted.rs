//! Runs that end before they say how: whatever was done until then, the next run ends where it should.

use super::ColumnKind::{NotNull, Nullable};
use super::*;

/// Declarations that runs go between.
fn declarations() -> Vec<Declared> {
    let one = Declared {
        columns: &[("id", Nullable("int8")), ("n", Nullable("int4"))],
        key: &["id"],
        rows: vec![json!({"id": 1, "n": 10}), json!({"id": 2, "n": 20})],
        attachments: &[("view", "create view v as select id from public.t", Some("drop view if exists v"))],
        force: true,
        ..Declared::default()
    };
    let vector = Declared {
        columns: &[("id", Nullable("int8")), ("e", Nullable("vector(2)")), ("n", NotNull("int8"))],
        rows: vec![json!({"id": 2, "n": 21, "e": [1, 2]}), json!({"id": 3, "n": 30, "e": [3, 4]})],
        index: Some((Metric::Cosine, Method::Hnsw)),
        attachments: &[("view", "create view v as select id + 1 as id from public.t", Some("drop view if exists v"))],
        ..one.clone()
    };
    vec![
        one.clone(),
        vector.clone(),
        Declared {
            rows: vec![json!({"id": 3, "n": 30, "e": [9, 9]})],
            index: Some((Metric::L2, Method::Ivfflat)),
            attachments: &[],
            ..vector.clone()
        },
        Declared {
            columns: &[("id", Nullable("text")), ("e", Nullable("vector(3)"))],
            rows: vec![json!({"id": "x", "e": [1, 2, 3]})],
            attachments: &[("other", "create index if not exists t_id on t (lower(id))", None)],
            ..vector
        },
        Declared { rows: Vec::new(), attachments: &[], ..one },
    ]
}

async fn run(b: &Bench, declared: &Declared, tracking: Tracking) -> Tracking {
    let plan = declared.target().reconcile_from(tracking, &b.database, &b.scope).await;
    let plan = plan.unwrap_or_else(|errors| panic!("{declared:?}: {errors}"));
    let shown = plan.to_string();
    plan.apply(&b.scope).await.unwrap_or_else(|failure| panic!("{declared:?}: {failure}\n{shown}")).tracking
}

const CLEAR: &str = "set client_min_messages = error; drop schema public cascade; create schema public; \
    drop schema if exists terraform_pg cascade";

/// Tracking survives being written down.
fn kept(tracking: &Tracking) -> Tracking {
    serde_json::from_str(&serde_json::to_string(tracking).unwrap()).unwrap()
}

#[tokio::test]
async fn every_change_can_be_interrupted_before_and_after_it_is_made() {
    let all = declarations();
    let mut fresh = Vec::new();
    for declared in &all {
        let b = Bench::new(18).await;
        run(&b, declared, Tracking::default()).await;
        fresh.push(b.content().await);
    }
    let b = Bench::new(18).await;
    for from in 0..=all.len() {
        for (to, declared) in all.iter().enumerate() {
            for made in [false, true] {
                b.server.query(CLEAR).await;
                let tracking = match all.get(from) {
                    Some(before) => run(&b, before, Tracking::default()).await,
                    None => Tracking::default(),
                };
                let plan = declared.target().reconcile_from(kept(&tracking), &b.database, &b.scope).await.unwrap();
                let mut tracking = kept(&plan.pending());
                if made {
                    plan.apply(&b.scope).await.unwrap();
                } else {
                    drop(plan);
                }
                for then in [(to + from) % all.len(), to] {
                    tracking = run(&b, &all[then], kept(&tracking)).await;
                    assert_eq!(b.content().await, fresh[then], "{from} to {to}, made: {made}, then {then}");
                    let again =
                        all[then].target().reconcile_from(kept(&tracking), &b.database, &b.scope).await.unwrap();
                    assert!(again.is_empty(), "{from} to {to}, made: {made}, then {then}: a second plan:\n{again}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_failing_attachment_leaves_the_rest_done_and_is_finished_later() {
    let b = Bench::new(18).await;
    let broken = Declared {
        attachments: &[("view", "create view v as select nope from public.t", Some("drop view v"))],
        ..declarations().remove(1)
    };
    let failure = b.plan(broken.target()).await.unwrap().apply(&b.scope).await.unwrap_err();
    assert!(failure.to_string().contains("nope"), "{failure}");
    assert_eq!(b.server.query("select count(*) from t").await, "2");
    let plan = b.plan(broken.target()).await.unwrap();
    assert!(plan.steps().next().is_none(), "only the attachment is left:\n{plan}");
    b.apply(|| declarations().remove(1).target()).await.unwrap();
    assert_eq!(b.server.query("select count(*) from v").await, "2");

    let step_by_step = || {
        let mut target = declarations().remove(1).target();
        target.declare_sql_command_attachment(
            SqlCommandAttachment::new("two", "create index i on t (n); create index j on t (nope)")
                .teardown("drop index i; drop index j")
                .transactional(false),
        );
        target
    };
    b.plan(step_by_step()).await.unwrap().apply(&b.scope).await.unwrap_err();
    assert_eq!(b.server.query("select count(*) from pg_class where relname = 'i'").await, "1");
    b.apply(|| declarations().remove(1).target()).await.unwrap();
    assert_eq!(b.server.query("select count(*) from pg_class where relname = 'i'").await, "0");
}

#[tokio::test]
async fn of_two_plans_only_one_is_carried_out() {
    let b = Bench::new(18).await;
    let one = b.plan(declarations().remove(0).target()).await.unwrap();
    let other = b.plan(declarations().remove(1).target()).await.unwrap();
    one.apply(&b.scope).await.unwrap();
    let content = b.content().await;
    let failure = other.apply(&b.scope).await.unwrap_err();
    assert!(failure.to_string().contains("another run changed it since the plan was made"), "{failure}");
    assert_eq!(b.content().await, content);
}
