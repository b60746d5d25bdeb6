//! The life of a table: created, changed, tainted, replaced, refreshed, forgotten and imported, upgraded, destroyed; with
//! parts of the configuration unknown until apply.

use proptest::prelude::*;
use tfplugin::Value;
use tfplugin::testing::conformance::{Action, Kept, PlanOptions, Resource, Source, Trouble};

use crate::stage::{Stage, play};
use crate::table::{Edit, NOT_HIDDEN, RowsAs, Table, edit, table};
use crate::unknowns::{Veil, hide, veils};

/// What happens before a change.
#[derive(Clone, Copy, Debug)]
enum Turn {
    Nothing,
    /// The plan does not look at the database.
    WithoutRefresh,
    /// The state is refreshed by itself.
    Refreshed,
    /// It is marked for replacement.
    Tainted,
    /// The plan is told to replace it.
    Replaced,
    /// The state was written by an earlier version.
    Upgraded,
    /// It is forgotten and imported, by its id or by its identity where the CLI knows of identities.
    Imported {
        by_identity: bool,
    },
    /// It comes from another address of the provider.
    Moved,
    /// Somebody drops it.
    Lost,
    /// Somebody deletes its rows.
    Emptied,
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        3 => Just(Turn::Nothing),
        1 => Just(Turn::WithoutRefresh),
        1 => Just(Turn::Refreshed),
        1 => Just(Turn::Tainted),
        1 => Just(Turn::Replaced),
        1 => Just(Turn::Upgraded),
        2 => any::<bool>().prop_map(|by_identity| Turn::Imported { by_identity }),
        1 => Just(Turn::Moved),
        1 => Just(Turn::Lost),
        1 => Just(Turn::Emptied),
    ]
}

/// A table and what becomes of it.
#[derive(Clone, Debug)]
struct Life {
    table: Table,
    veils: Vec<Veil>,
    changes: Vec<(Edit, Vec<Veil>, Turn)>,
    /// Whether what is replaced under another name is made before the old one goes.
    create_before_destroy: bool,
}

fn life() -> impl Strategy<Value = Life> {
    let changes = prop::collection::vec((edit(), veils(), turn()), 0..4);
    (table(), veils(), changes, any::<bool>()).prop_map(|(table, veils, changes, create_before_destroy)| Life {
        table,
        veils,
        changes,
        create_before_destroy,
    })
}

#[test]
fn tables_live_by_the_rules() {
    play(20, life(), async |stage: &Stage<'_>, life: &Life| {
        let mut resource = stage.session.resource("pg_table_target").map_err(|e| e.to_string())?;
        let mut table = life.table.clone();
        let action = change(stage, &mut resource, &table, &life.veils, PlanOptions::default(), false).await?;
        if action != Action::Create {
            return Err(format!("what is not there is to {action:?}"));
        }
        for (edit, veils, turn) in &life.changes {
            let after = edit.of(&table);
            let before = std::mem::replace(&mut table, after);
            let (mut options, mut expected) = (PlanOptions::default(), None);
            // What we drop is not made again by somebody else.
            let given_away = table.managed_by == Some("user") && before.managed_by != Some("user");
            let turn = match turn {
                Turn::Tainted | Turn::Replaced | Turn::Lost if given_away => &Turn::Nothing,
                turn => turn,
            };
            let veils = if given_away { &[][..] } else { veils };
            match turn {
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
                Turn::Upgraded => resource.keep(resource.kept().map(of_an_earlier_version)),
                Turn::Imported { by_identity } => {
                    let state = resource.value();
                    resource.forget();
                    import(stage, &mut resource, &before, &state, *by_identity).await?;
                    // What was declared is ours again once it was declared again; until then the rows are somebody else's.
                    let again = change(stage, &mut resource, &before, &[], PlanOptions::default(), false).await;
                    let again = again.map_err(|e| format!("after the import: {e}"))?;
                    if !matches!(again, Action::NoOp | Action::Update) {
                        return Err(format!("what was just imported is to {again:?}"));
                    }
                }
                Turn::Moved => moved(&mut resource).await.map_err(|e| format!("move: {e}"))?,
                Turn::Lost if before.managed_by != Some("user") => {
                    stage.sql(&format!("drop table {}", before.sql_name())).await;
                    expected = Some(Action::Create);
                }
                // What others do to rows is only seen where somebody looks.
                Turn::Emptied if before.row_drift != Some("none") => {
                    stage.sql(&format!("delete from {}", before.sql_name())).await;
                }
                Turn::Nothing | Turn::Lost | Turn::Emptied => {}
            }
            // Two tables cannot have one name, not even for a moment.
            let create_first = life.create_before_destroy && before.sql_name() != table.sql_name();
            let action = change(stage, &mut resource, &table, veils, options, create_first)
                .await
                .map_err(|e| format!("{edit:?}: {e}"))?;
            if expected.is_some_and(|expected| expected != action) {
                return Err(format!("{edit:?} after {turn:?} is to {action:?}"));
            }
        }
        resource.destroy().await.map_err(|e| format!("destroy: {e}"))?;
        let left = stage.sql(&format!("select to_regclass('{}') is null", table.sql_name().replace('\'', "''"))).await;
        if left != "t" && table.managed_by != Some("user") {
            return Err("the table is still there".to_owned());
        }
        Ok(())
    });
}

/// Makes a configuration true of which a part is not known in the plan.
async fn change(
    stage: &Stage<'_>,
    resource: &mut Resource,
    table: &Table,
    veils: &[Veil],
    options: PlanOptions,
    create_first: bool,
) -> Result<Action, String> {
    table.write(stage.folder);
    let config = table.config(stage.folder);
    let hidden = hide(&config, veils, &NOT_HIDDEN);
    let planned = resource.plan_with(&hidden, options).await.map_err(|e| format!("plan: {e}\nof {hidden:?}"))?;
    let action = planned.action;
    let applied = if create_first && action == Action::Replace {
        resource.apply_create_before_destroy(&planned, &config).await
    } else {
        resource.apply_with(planned, &config).await
    };
    applied.map_err(|e| format!("apply ({action:?}): {e}\nof {config:?}"))?;
    resource.expect_no_change(&config).await.map_err(|e| format!("after {action:?}: {e}\nof {config:?}"))?;
    let declared = if table.rows_as == RowsAs::None { 0 } else { table.rows.len() };
    let count = resource.value().get("row_count").as_i64();
    if count != i64::try_from(declared).ok() {
        return Err(format!("row_count is {count:?}, and {declared} rows are declared"));
    }
    let live = stage.sql(&format!("select count(*) from {}", table.sql_name())).await;
    if live != declared.to_string() {
        return Err(format!("there are {live} rows, and {declared} are declared"));
    }
    Ok(action)
}

/// Imports what was forgotten.
async fn import(
    stage: &Stage<'_>,
    resource: &mut Resource,
    table: &Table,
    state: &Value,
    by_identity: bool,
) -> Result<(), String> {
    let imported = if by_identity && stage.session.flavour().identities {
        let identity = [("schema_name", table.schema_name()), ("table_name", table.name)];
        resource.import_identity(&Value::object(identity.map(|(name, text)| (name, Value::from(text))))).await
    } else {
        resource.import_id(state.get("id").as_str().unwrap_or_default()).await
    };
    imported.map_err(|e| format!("import: {e}"))?;
    if resource.value().get("id") != state.get("id") {
        return Err("another table was imported".to_owned());
    }
    Ok(())
}

/// Takes the state over as a `moved` block does that only says that the provider has another address now.
async fn moved(resource: &mut Resource) -> Result<(), Trouble> {
    let kept = resource.kept().cloned().unwrap();
    let source = Source {
        provider: "registry.example.com/fork/pg".to_owned(),
        type_name: "pg_table_target".to_owned(),
        version: kept.version,
        json: kept.json,
        private: kept.private,
    };
    resource.forget();
    resource.move_from(&source).await.map(|_| ())
}

/// The same state as an older provider might have written it: what is null now was not there, something else was, and the
/// text is laid out otherwise.
fn of_an_earlier_version(kept: &Kept) -> Kept {
    let mut state: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&kept.json).unwrap();
    state.retain(|_, value| !value.is_null());
    state.insert("gone".to_owned(), serde_json::json!({"deep": [1, {"digits": 1.5}]}));
    Kept { json: serde_json::to_vec_pretty(&state).unwrap(), ..kept.clone() }
}
