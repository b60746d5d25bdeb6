//! What is done about the attachments of a target.

use std::collections::BTreeMap;

use super::plan::{AttachmentWork, TargetPlan};
use super::tracking::TrackedAttachment;
use crate::attachment::{self, Attachment};
use crate::database::Scope;
use crate::error::Errors;
use crate::name::TableName;

/// Every state that an attachment may be in. Where its table is gone, some of it went with that, and the rest did not.
pub(super) fn former(tracked: &TrackedAttachment, table: &TableName, name: &str, is_there: bool) -> Vec<Attachment> {
    let mut states = tracked.former(table, name);
    for state in &mut states {
        state.in_part |= !is_there;
    }
    states
}

/// What happens to the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    /// Whether it is there now.
    pub(super) is_there: bool,
    /// Whether it is made now.
    pub(super) fresh: bool,
    /// Whether columns go, or get another type.
    pub(super) reshaped: bool,
}

/// Decides about all attachments, the declared ones and those that are no longer declared.
pub(super) async fn plan(
    plan: &mut TargetPlan,
    scope: &Scope,
    table: Table,
    declared: Vec<Attachment>,
) -> Result<(), Errors> {
    let Table { is_there, fresh, reshaped } = table;
    let mut tracked: BTreeMap<String, TrackedAttachment> = std::mem::take(&mut plan.settled.attachments);
    let mut set_up = Vec::new();
    for new in declared {
        let ours = tracked.remove(&new.name);
        let mut states = ours.map_or_else(Vec::new, |ours| former(&ours, &new.table, &new.name, is_there));
        match states.pop() {
            None => set_up.push(AttachmentWork::SetUp(new)),
            // Whatever an interrupted run left of it goes first, and so does what is on a table that is dropped.
            // So does what may stand on a column that goes.
            Some(old) if fresh || old.in_part || reshaped && old.setup_sql != new.setup_sql => {
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
    for (name, ours) in tracked {
        let states = former(&ours, &plan.name, &name, is_there);
        plan.attachments.push(AttachmentWork::TearDown { name, states });
    }
    plan.attachments.extend(set_up);
    Ok(())
}
