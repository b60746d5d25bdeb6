//! How far a build is, for the log and for the error of one that takes too long.
//!
//! **Invariant:** only looks, through a connection of its own that it never waits long for.

use std::fmt::Write as _;
use std::time::Duration;

use tokio_postgres::types::Type;
use tokio_util::sync::CancellationToken;

use crate::database::{Database, Scope};

/// When the build is looked at first: soon, so that whoever blocks it is known before a short timeout passes.
const FIRST: Duration = Duration::from_secs(1);

/// How often it is looked at afterwards.
const EVERY: Duration = Duration::from_secs(5);

/// How long a look may take, the wait for a free connection included.
const PATIENCE: Duration = Duration::from_secs(2);

/// Waits for a build and tells the log how far it is. Returns what the build does and how far it was last seen.
pub(super) async fn watch<T>(
    database: &Database,
    pid: Option<i32>,
    title: &str,
    build: impl Future<Output = T>,
) -> (T, Option<String>) {
    let mut last = None;
    let mut pause = FIRST;
    let mut build = std::pin::pin!(build);
    let pid = pid.filter(|_| database.settings().max_connections > 1);
    loop {
        tokio::select! {
            done = &mut build => return (done, last),
            () = tokio::time::sleep(pause), if pid.is_some() => {}
        }
        pause = EVERY;
        let Some(pid) = pid else { continue };
        tokio::select! {
            done = &mut build => return (done, last),
            text = look(database, pid) => if let Some(text) = text {
                tracing::info!(progress = %text, "{title}");
                last = Some(text);
            }
        }
    }
}

async fn look(database: &Database, pid: i32) -> Option<String> {
    let scope = Scope::new(CancellationToken::new(), Some(PATIENCE));
    let session = database.connect(&scope).await.ok()?;
    let rows = session
        .query_typed(
            "select p.phase, p.lockers_total, p.lockers_done, p.blocks_total, p.blocks_done, p.tuples_total, \
             p.tuples_done, pg_blocking_pids($1) from (select) as one \
             left join pg_stat_progress_create_index p on p.pid = $1",
            &[(&pid, Type::INT4)],
        )
        .await
        .ok()?;
    let row = rows.first()?;
    let count = |column: usize| row.get::<_, Option<i64>>(column).unwrap_or(0);
    let parts = [("lockers", count(2), count(1)), ("blocks", count(4), count(3)), ("tuples", count(6), count(5))];
    Some(describe(row.get(0), &parts, &row.get::<_, Vec<i32>>(7)))
}

fn describe(phase: Option<&str>, parts: &[(&str, i64, i64)], blockers: &[i32]) -> String {
    let mut text = phase.unwrap_or("waiting for a lock").to_owned();
    // While the server waits for others, the numbers of the phase before are still there.
    let waits = text.starts_with("waiting");
    for (what, done, total) in parts {
        if *total > 0 && (*what == "lockers") == waits {
            let _ = write!(text, ", {done} of {total} {what}");
        }
    }
    if !blockers.is_empty() {
        let pids: Vec<String> = blockers.iter().map(ToString::to_string).collect();
        let _ = write!(text, ", blocked by process {}", pids.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_reads_well() {
        assert_eq!(
            describe(Some("building index: loading tuples"), &[("blocks", 5, 10), ("tuples", 0, 0)], &[]),
            "building index: loading tuples, 5 of 10 blocks"
        );
        let stale = [("lockers", 1, 3), ("blocks", 10, 10)];
        assert_eq!(
            describe(Some("waiting for old snapshots"), &stale, &[7]),
            "waiting for old snapshots, 1 of 3 lockers, blocked by process 7"
        );
        assert_eq!(describe(Some("building index"), &stale, &[]), "building index, 10 of 10 blocks");
        assert_eq!(describe(None, &[], &[1, 2]), "waiting for a lock, blocked by process 1, 2");
    }
}
