//! The life of a vector index: built, rebuilt as something else, tainted, refreshed, imported, dropped.

use proptest::prelude::*;
use tfplugin::Value;
use tfplugin::testing::conformance::{Action, PlanOptions, Resource};

use crate::index::{self, Index, index};
use crate::stage::{Stage, play};
use crate::unknowns::{Veil, hide, veils};

/// What happens before a change.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Nothing,
    WithoutRefresh,
    Refreshed,
    Tainted,
    Replaced,
    Imported {
        by_identity: bool,
    },
    /// Somebody drops it.
    Lost,
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        3 => Just(Turn::Nothing),
        1 => Just(Turn::WithoutRefresh),
        1 => Just(Turn::Refreshed),
        1 => Just(Turn::Tainted),
        1 => Just(Turn::Replaced),
        2 => any::<bool>().prop_map(|by_identity| Turn::Imported { by_identity }),
        1 => Just(Turn::Lost),
    ]
}

#[test]
fn vector_indexes_live_by_the_rules() {
    // Often the same again, with other parts of it unknown.
    let steps = (index(), prop::collection::vec((prop::option::of(index()), veils(), turn()), 1..5)).prop_map(
        |(first, more)| {
            more.into_iter().fold(Vec::new(), |mut steps: Vec<(Index, _, _)>, (other, veils, turn)| {
                let before = steps.last().map_or(&first, |(index, ..)| index);
                let index = other.unwrap_or_else(|| before.clone());
                steps.push((index, veils, turn));
                steps
            })
        },
    );
    play(12, steps, async |stage: &Stage<'_>, steps: &Vec<(Index, Vec<Veil>, Turn)>| {
        let mut table = stage.session.resource("pg_table_target").map_err(|e| e.to_string())?;
        table.converge(&index::table("t")).await.map_err(|e| format!("the table: {e}"))?;
        let id = table.value().get("id").clone();
        let mut resource = stage.session.resource("pg_vector_index").map_err(|e| e.to_string())?;
        let mut before: Option<&Index> = None;
        for (index, veils, turn) in steps {
            let mut options = PlanOptions::default();
            let mut expected = None;
            if let Some(before) = before {
                let name = before.index_name("t");
                match turn {
                    Turn::Nothing => {}
                    Turn::WithoutRefresh => options.refresh = false,
                    Turn::Refreshed => {
                        if resource.refresh().await.map_err(|e| format!("refresh: {e}"))? {
                            return Err("the refresh sees a drift that there is not".to_owned());
                        }
                    }
                    Turn::Tainted => {
                        resource.taint();
                        expected = Some(Action::Replace);
                    }
                    Turn::Replaced => {
                        options.replace = true;
                        expected = Some(Action::Replace);
                    }
                    Turn::Imported { by_identity } => {
                        resource.forget();
                        import(stage, &mut resource, &name, *by_identity).await?;
                        // What the catalogue holds is all there is to say about an index, but for how it is built.
                        let planned =
                            resource.plan(&before.config(id.clone())).await.map_err(|e| format!("plan: {e}"))?;
                        if !matches!(planned.action, Action::NoOp | Action::Update) {
                            return Err(format!("what was just imported is to {:?}", planned.action));
                        }
                    }
                    Turn::Lost => {
                        stage.sql(&format!("drop index \"{name}\"")).await;
                        expected = Some(Action::Create);
                    }
                }
            }
            let config = index.config(id.clone());
            let hidden = hide(&config, veils, &["table"]);
            let planned =
                resource.plan_with(&hidden, options).await.map_err(|e| format!("plan: {e}\nof {hidden:?}"))?;
            let action = planned.action;
            if expected.is_some_and(|expected| expected != action) {
                return Err(format!("after {turn:?} it is to {action:?}"));
            }
            let done = |e| format!("apply ({action:?}): {e}\nof {config:?}");
            resource.apply_with(planned, &config).await.map_err(done)?;
            resource.expect_no_change(&config).await.map_err(|e| format!("after {action:?}: {e}\nof {config:?}"))?;
            let names = "select string_agg(relname, ',') from pg_class where relname like '%\\_\\_vector\\_\\_%'
                         or relname like 'terraform\\_pg%' and relkind = 'i'";
            let there = stage.sql(names).await;
            if there != index.index_name("t") {
                return Err(format!("the indexes that are there: {there}\nof {config:?}"));
            }
            before = Some(index);
        }
        resource.destroy().await.map_err(|e| format!("destroy: {e}"))?;
        table.destroy().await.map_err(|e| format!("destroy of the table: {e}"))?;
        Ok(())
    });
}

async fn import(stage: &Stage<'_>, resource: &mut Resource, name: &str, by_identity: bool) -> Result<(), String> {
    let imported = if by_identity && stage.session.flavour().identities {
        let identity = Value::object([("schema_name", Value::from("public")), ("index_name", name.into())]);
        resource.import_identity(&identity).await
    } else {
        resource.import_id(&format!("public.\"{name}\"")).await
    };
    imported.map(|_| ()).map_err(|e| format!("import: {e}"))
}
