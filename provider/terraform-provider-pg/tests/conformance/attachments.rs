//! The life of an attachment: set up, changed, tainted, refreshed, lost, torn down.

use proptest::prelude::*;
use tfplugin::Value;
use tfplugin::testing::conformance::{Action, PlanOptions};

use crate::attachment::{Attachment, attachment};
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
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        3 => Just(Turn::Nothing),
        1 => Just(Turn::WithoutRefresh),
        1 => Just(Turn::Refreshed),
        1 => Just(Turn::Tainted),
        1 => Just(Turn::Replaced),
    ]
}

#[test]
fn attachments_live_by_the_rules() {
    let step = (attachment(), any::<bool>(), veils(), turn());
    // Often the same again, with other parts of it unknown.
    let steps = prop::collection::vec(step, 1..5).prop_map(|steps| {
        steps.into_iter().fold(Vec::new(), |mut steps: Vec<(Attachment, _, _)>, (other, again, veils, turn)| {
            let before = steps.last().filter(|_| again).map(|(attachment, ..)| attachment.clone());
            steps.push((before.unwrap_or(other), veils, turn));
            steps
        })
    });
    play(12, steps, async |stage: &Stage<'_>, steps: &Vec<(Attachment, Vec<Veil>, Turn)>| {
        stage.sql("create table t (id bigint primary key, a text)").await;
        let mut resource = stage.session.resource("pg_sql_attachment").map_err(|e| e.to_string())?;
        for (attachment, veils, turn) in steps {
            let mut options = PlanOptions::default();
            let exists = resource.kept().is_some();
            match turn {
                Turn::Nothing => {}
                Turn::WithoutRefresh => options.refresh = false,
                Turn::Refreshed => {
                    if resource.refresh().await.map_err(|e| format!("refresh: {e}"))? {
                        return Err("the refresh sees a drift that there is not".to_owned());
                    }
                }
                Turn::Tainted => resource.taint(),
                Turn::Replaced => options.replace = true,
            }
            let config = attachment.config(Value::from("public.t"));
            let hidden = hide(&config, veils, &[]);
            let planned =
                resource.plan_with(&hidden, options).await.map_err(|e| format!("plan: {e}\nof {hidden:?}"))?;
            let action = planned.action;
            if exists && matches!(turn, Turn::Tainted | Turn::Replaced) && action != Action::Replace {
                return Err(format!("after {turn:?} it is to {action:?}"));
            }
            let done = |e| format!("apply ({action:?}): {e}\nof {config:?}");
            resource.apply_with(planned, &config).await.map_err(done)?;
            resource.expect_no_change(&config).await.map_err(|e| format!("after {action:?}: {e}\nof {config:?}"))?;
            if stage.sql(&attachment.check()).await != "1" {
                return Err(format!("what is attached is not there\nof {config:?}"));
            }
        }
        resource.destroy().await.map_err(|e| format!("destroy: {e}"))?;
        Ok(())
    });
}
