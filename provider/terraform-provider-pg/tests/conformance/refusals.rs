//! What must be refused, in words that say what to do instead; and what a provider does that does not know its database
//! yet, or is told to stop.

use testbed::Held;
use tfplugin::testing::conformance::{Action, Kept, PlanOptions, Source, Trouble};
use tfplugin::{Diagnostics, Severity, Value};

use crate::stage::{Stage, each_phase_alone};

const TYPES: [&str; 3] = ["pg_table_target", "pg_vector_index", "pg_sql_attachment"];

/// The one error that this is.
#[track_caller]
fn refusal(outcome: Result<Diagnostics, Trouble>, words: &[&str]) {
    let trouble = outcome.expect_err("this must be refused");
    let told = trouble.refusal().unwrap_or_else(|| panic!("{trouble}"));
    let errors: Vec<_> = told.0.iter().filter(|told| told.severity == Severity::Error).collect();
    let [error] = errors[..] else { panic!("not one error: {told:?}") };
    let text = format!("{}: {}", error.summary, error.detail);
    for word in words {
        assert!(text.contains(word), "the error does not say {word}: {text}");
    }
}

/// A table `t` with an `id` and a text.
fn table() -> Value {
    let column = |ty: &str| Value::object([("type", ty.into())]);
    Value::object([
        ("table_name", Value::from("t")),
        ("primary_key", vec!["id"].into()),
        ("columns", Value::object([("id", column("bigint")), ("a", column("text"))])),
    ])
}

#[test]
fn what_is_no_object_of_ours_is_not_taken_over() {
    each_phase_alone(16, async |stage: &Stage<'_>, (): &()| {
        for target in TYPES {
            let mut resource = stage.session.resource(target).map_err(|e| e.to_string())?;
            for (provider, source) in [
                ("registry.terraform.io/hashicorp/null", "null_resource"),
                ("terraform.io/builtin/terraform", "terraform_data"),
                ("registry.opentofu.org/pgtarget/pg", "pg_sql_attachment"),
                ("registry.opentofu.org/pgtarget/pg", "pg_table_target"),
                ("registry.example.com/other/postgresql", target),
            ] {
                if provider.ends_with("/pg") && source == target {
                    continue;
                }
                let json = br#"{"id": "1", "triggers": {"sql": "create index"}}"#.to_vec();
                let (provider, type_name) = (provider.to_owned(), source.to_owned());
                let source = Source { provider, type_name: type_name.clone(), version: 0, json, private: Vec::new() };
                let outcome = resource.move_from(&source).await;
                let instead = if target == "pg_sql_attachment" { "if not exists" } else { "import block" };
                refusal(outcome, &[target, &type_name, "removed block", instead]);
            }
        }
        Ok(())
    });
}

#[test]
fn an_attachment_is_not_imported_and_says_why() {
    each_phase_alone(18, async |stage: &Stage<'_>, (): &()| {
        let mut resource = stage.session.resource("pg_sql_attachment").map_err(|e| e.to_string())?;
        refusal(resource.import_id("public.t/att").await, &["does not keep the texts", "if not exists"]);
        Ok(())
    });
}

#[test]
fn a_state_of_a_later_version_is_not_guessed_at() {
    each_phase_alone(18, async |stage: &Stage<'_>, (): &()| {
        let mut resource = stage.session.resource("pg_table_target").map_err(|e| e.to_string())?;
        resource.converge(&table()).await.map_err(|e| e.to_string())?;
        let kept = resource.kept().cloned().ok_or("nothing is kept")?;
        resource.keep(Some(Kept { version: 1, ..kept.clone() }));
        refusal(resource.plan(&table()).await.map(|_| Diagnostics::default()), &["later version of the provider"]);
        if stage.session.flavour().identities {
            resource.keep(Some(Kept { identity_version: 1, ..kept.clone() }));
            refusal(resource.plan(&table()).await.map(|_| Diagnostics::default()), &["identity", "later version"]);
        }
        resource.keep(Some(kept));
        resource.destroy().await.map_err(|e| e.to_string())?;
        Ok(())
    });
}

#[test]
fn a_provider_that_does_not_know_its_database_plans_and_does_not_read() {
    each_phase_alone(16, async |stage: &Stage<'_>, (): &()| {
        let known = crate::stage::provider(stage.database);
        let mut later = known.clone();
        later.set("database", Value::unknown());
        let mut resource = stage.session.resource("pg_table_target").map_err(|e| e.to_string())?;

        stage.session.configure(later.clone()).await.map_err(|e| e.to_string())?;
        let planned = resource.plan(&table()).await.map_err(|e| e.to_string())?;
        assert_eq!((planned.action, planned.warnings.0.len()), (Action::Create, 0));
        stage.session.configure(known.clone()).await.map_err(|e| e.to_string())?;
        resource.apply(planned).await.map_err(|e| e.to_string())?;
        resource.expect_no_change(&table()).await.map_err(|e| e.to_string())?;

        stage.session.configure(later.clone()).await.map_err(|e| e.to_string())?;
        let (before, after, told) = resource.drift().await.map_err(|e| e.to_string())?;
        assert_eq!(before, after);
        let [warning] = &told.0[..] else { panic!("one warning: {told:?}") };
        assert_eq!(warning.severity, Severity::Warning);
        assert!(warning.detail.contains("database of the provider block is only known after apply"), "{warning:?}");
        resource.import_id("public.t").await.expect_err("an import needs the database");

        let rows = Value::object([("table_name", Value::from("t"))]);
        let read = stage.session.read_data("pg_table_rows", &rows).await.map(|(_, told)| told);
        refusal(read, &["pg_table_rows", "database of the provider block is only known after apply", "-target"]);
        stage.session.configure(known).await.map_err(|e| e.to_string())?;
        resource.destroy().await.map_err(|e| e.to_string())?;
        Ok(())
    });
}

#[test]
fn an_apply_that_is_told_to_stop_says_that_it_was_and_leaves_nothing() {
    each_phase_alone(18, async |stage: &Stage<'_>, (): &()| {
        let mut resource = stage.session.resource("pg_table_target").map_err(|e| e.to_string())?;
        resource.converge(&table()).await.map_err(|e| e.to_string())?;
        let state = resource.value();
        let mut wider = table();
        let Value::Map(attributes) = &mut wider else { panic!("an object") };
        attributes.get_mut("columns").unwrap().set("b", Value::object([("type", Value::from("text"))]));

        let planned = resource.plan(&wider).await.map_err(|e| e.to_string())?;
        let lock = Held::new(stage.database, "begin; lock table t in access share mode")?;
        let waits = async {
            let waiting = "select count(*) > 0 from pg_stat_activity
                           where datname = current_database() and wait_event_type = 'Lock'";
            while stage.sql(waiting).await != "t" {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        refusal(
            resource.apply_and_stop(planned, waits).await,
            &["alter table public.t", "The run was stopped", "Plan again"],
        );
        drop(lock);
        assert_eq!(resource.value(), state);
        resource.expect_no_change(&table()).await.map_err(|e| e.to_string())?;
        resource.converge(&wider).await.map_err(|e| e.to_string())?;
        resource.destroy().await.map_err(|e| e.to_string())?;
        Ok(())
    });
}

#[test]
fn a_table_is_not_dropped_for_somebody_else_to_make_it_again() {
    each_phase_alone(18, async |stage: &Stage<'_>, (): &()| {
        let mut resource = stage.session.resource("pg_table_target").map_err(|e| e.to_string())?;
        resource.converge(&table()).await.map_err(|e| e.to_string())?;
        let mut given_away = table();
        given_away.set("managed_by", "user".into());
        let options = PlanOptions { refresh: true, replace: true };
        let planned = resource.plan_with(&given_away, options).await.map(|planned| planned.warnings);
        refusal(planned, &["drop public.t", "nothing here makes it again", "by itself"]);
        given_away.set("managed_by", Value::unknown());
        let planned = resource.plan_with(&given_away, options).await.map(|planned| planned.warnings);
        refusal(planned, &["drop public.t", "known in the plan"]);
        given_away.set("managed_by", "user".into());
        let action = resource.converge(&given_away).await.map_err(|e| e.to_string())?;
        assert_eq!(action, Action::Update, "without a replacement it is nothing but a note");
        Ok(())
    });
}

#[test]
fn a_table_is_not_made_before_the_one_of_its_name_is_gone() {
    each_phase_alone(16, async |stage: &Stage<'_>, (): &()| {
        let mut resource = stage.session.resource("pg_table_target").map_err(|e| e.to_string())?;
        resource.converge(&table()).await.map_err(|e| e.to_string())?;
        let kept = resource.kept().cloned();
        let options = PlanOptions { refresh: true, replace: true };
        let planned = resource.plan_with(&table(), options).await.map_err(|e| e.to_string())?;
        let outcome = resource.apply_create_before_destroy(&planned, &table()).await;
        refusal(outcome, &["public.t", "create_before_destroy"]);
        resource.keep(kept);
        resource.expect_no_change(&table()).await.map_err(|e| e.to_string())?;
        resource.destroy().await.map_err(|e| e.to_string())?;
        Ok(())
    });
}
