//! Running an operation under its timeout and under the user's wish to stop.
//!
//! **Invariant:** nothing runs for ever. An operation that is told to stop gets a grace period to end by itself, so that it
//! can roll back and say what happened; after that it is dropped.

use tokio::time::{Instant, sleep_until, timeout};

use crate::context::Context;
use crate::diagnostics::{Diagnostic, Diagnostics, Severity};
use crate::resource::ApplyFailure;
use crate::timeouts::{ATTRIBUTE, GRACE, Limit, format_duration};

/// How operations fail.
pub(crate) trait Failure: From<Diagnostic> {
    /// The errors.
    fn diagnostics(&mut self) -> &mut Diagnostics;
}

impl Failure for Diagnostics {
    fn diagnostics(&mut self) -> &mut Diagnostics {
        self
    }
}

impl Failure for ApplyFailure {
    fn diagnostics(&mut self) -> &mut Diagnostics {
        &mut self.diagnostics
    }
}

/// Runs an operation that leaves nothing behind when it fails. What it warned of comes with its result, and before its errors.
pub(crate) async fn told<D, T>(
    context: &Context<D>,
    limit: Option<Limit>,
    act: &str,
    work: impl Future<Output = Result<T, Diagnostics>>,
) -> Result<(T, Diagnostics), Diagnostics> {
    let outcome = run(context, limit, act, work).await;
    let mut warnings = context.take_warnings();
    match outcome {
        Ok(result) => Ok((result, warnings)),
        Err(errors) => {
            warnings.extend(errors);
            Err(warnings)
        }
    }
}

/// Runs an operation; `act` says what it does to what, such as `create pg_table`.
pub(crate) async fn run<D, T, E: Failure>(
    context: &Context<D>,
    limit: Option<Limit>,
    act: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    if context.cancel.is_cancelled() {
        let detail = format!("Did not {act}: the run was stopped before it began.");
        return Err(Diagnostic::error("Stopped", detail).into());
    }
    let deadline = context.deadline.map(Instant::from_std);
    let passed = async {
        match deadline {
            Some(deadline) => sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(work);
    let stopped = tokio::select! {
        outcome = &mut work => {
            let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            return outcome.map_err(|error| match context.cancel.is_cancelled() {
                _ if late => with_timeout(error, limit),
                true => with_reason(error, STOPPED),
                false => error,
            });
        }
        () = context.cancel.cancelled() => true,
        () = passed => false,
    };
    context.cancel.cancel();
    let limit = limit.filter(|_| !stopped);
    match timeout(GRACE, work).await {
        Ok(Ok(outcome)) => Ok(outcome),
        Ok(Err(error)) if stopped => Err(with_reason(error, STOPPED)),
        Ok(Err(error)) => Err(with_timeout(error, limit)),
        Err(_) => Err(given_up(act, limit).into()),
    }
}

/// What is added to the errors that came of a stop.
const STOPPED: &str = "The run was stopped, and this with it. Plan again to see what is left to do.";

/// Adds that the timeout has passed to the errors that came of it.
fn with_timeout<E: Failure>(error: E, limit: Option<Limit>) -> E {
    match limit {
        Some(limit) => with_reason(error, &timeout_text(limit)),
        None => error,
    }
}

/// Adds to the errors why the operation was told to end.
fn with_reason<E: Failure>(mut error: E, reason: &str) -> E {
    for diagnostic in error.diagnostics().0.iter_mut().filter(|d| d.severity == Severity::Error) {
        let gap = if diagnostic.detail.is_empty() { "" } else { "\n\n" };
        diagnostic.detail = format!("{}{gap}{reason}", diagnostic.detail);
    }
    error
}

fn timeout_text(limit: Limit) -> String {
    let Limit { operation, duration, configured, adjustable } = limit;
    let whose = if configured { "" } else { " (the default)" };
    let (name, length) = (operation.name(), format_duration(duration));
    let passed = format!("The {name} timeout of {length}{whose} had passed.");
    if adjustable {
        let more = format_duration(duration.saturating_mul(2));
        format!("{passed} To allow more time, set {ATTRIBUTE} = {{ {name} = \"{more}\" }}.")
    } else {
        passed
    }
}

fn given_up(act: &str, limit: Option<Limit>) -> Diagnostic {
    let why = limit.map_or_else(|| "The run was stopped.".to_owned(), timeout_text);
    let summary = if limit.is_some() { "Timeout" } else { "Stopped" };
    Diagnostic::error(
        summary,
        format!(
            "Could not {act} in time. {why}\n\nIt was told to stop and had not ended {grace} later, so the provider no \
             longer waits for it; what it began on the server may still go on. Plan again before the next apply, to see \
             what became of it.",
            grace = format_duration(GRACE),
        ),
    )
}
