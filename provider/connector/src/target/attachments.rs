//! What is done about the attachments of a target.

use std::collections::BTreeMap;

use super::plan::{AttachmentWork, TargetPlan};
use super::tracking::TrackedAttachment;
use crate::attachment::{self, Attachment};
use crate::database::Scope;
use crate::error::Errors;

/// Decides about all attachments, the declared ones and those that are no longer declared. `is_there` says whether the table
/// is there now, and `fresh` whether it is made now.
pub(super) async fn plan(
    plan: &mut TargetPlan,
    scope: &Scope,
    is_there: bool,
    fresh: bool,
    declared: Vec<Attachment>,
) -> Result<(), Errors> {
    let mut tracked: BTreeMap<String, TrackedAttachment> = std::mem::take(&mut plan.settled.attachments);
    let mut set_up = Vec::new();
    for new in declared {
        let ours = tracked.remove(&new.name);
        let former = ours.as_ref().filter(|_| is_there).and_then(|ours| ours.former(&new.table, &new.name));
        let Some(old) = former else {
            set_up.push(AttachmentWork::SetUp(new));
            continue;
        };
        if fresh {
            plan.attachments.push(AttachmentWork::TearDown(old));
            set_up.push(AttachmentWork::SetUp(new));
        } else if old.in_part {
            // Whatever an interrupted run left of it goes first.
            if old.teardown_sql.is_some() {
                plan.attachments.push(AttachmentWork::TearDown(old));
            }
            set_up.push(AttachmentWork::SetUp(new));
        } else if old.setup_sql != new.setup_sql {
            set_up.push(AttachmentWork::Change(old, new));
        } else if new.check_sql.is_some() && !attachment::read(&plan.database, scope, &new).await? {
            set_up.push(AttachmentWork::SetUp(new));
        } else {
            plan.settled.attachments.insert(new.name.clone(), TrackedAttachment::certain(&new));
        }
    }
    if is_there {
        for (name, ours) in &tracked {
            plan.attachments.extend(ours.former(&plan.name, name).map(AttachmentWork::TearDown));
        }
    }
    plan.attachments.extend(set_up);
    Ok(())
}
