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
        let ours = tracked.remove(&new.name).filter(|_| is_there);
        let mut states = ours.map_or_else(Vec::new, |ours| ours.former(&new.table, &new.name));
        match states.pop() {
            None => set_up.push(AttachmentWork::SetUp(new)),
            // Whatever an interrupted run left of it goes first, and so does what is on a table that is dropped.
            Some(old) if fresh || old.in_part => {
                states.push(old);
                plan.attachments.push(AttachmentWork::TearDown { name: new.name.clone(), states });
                set_up.push(AttachmentWork::SetUp(new));
            }
            Some(old) if old.setup_sql != new.setup_sql => set_up.push(AttachmentWork::Change(old, new)),
            Some(_) if new.check_sql.is_some() && !attachment::read(&plan.database, scope, &new).await? => {
                set_up.push(AttachmentWork::SetUp(new));
            }
            Some(_) => {
                plan.settled.attachments.insert(new.name.clone(), TrackedAttachment::certain(&new));
            }
        }
    }
    for (name, ours) in tracked.into_iter().filter(|_| is_there) {
        let states = ours.former(&plan.name, &name);
        plan.attachments.push(AttachmentWork::TearDown { name, states });
    }
    plan.attachments.extend(set_up);
    Ok(())
}
