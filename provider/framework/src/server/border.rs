//! The border of every request: what fails inside becomes diagnostics outside.
//!
//! **Invariant:** a panic ends one request with one message, never the process, and never as a gRPC status, which the CLI
//! shows as an error of its own.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use tfplugin_proto::tfplugin6 as proto;

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::secrets;
use crate::wire;

/// An answer that can say that it failed.
pub(crate) trait Answer {
    /// The answer that is nothing but these diagnostics.
    fn failed(diagnostics: Diagnostics) -> Self;

    /// Its diagnostics, where it has any that may have a place.
    fn told(&mut self) -> &mut [proto::Diagnostic] {
        &mut []
    }
}

/// Runs a request's work and makes an answer of whatever comes of it.
pub(crate) async fn answer<R: Answer>(
    request: &str,
    provider_secrets: Arc<[String]>,
    work: impl Future<Output = Result<R, Diagnostics>>,
) -> R {
    let started = Instant::now();
    let caught = async {
        // Nothing that outlives the request is left half changed: sessions replace their values as a whole.
        let outcome = AssertUnwindSafe(work).catch_unwind().await;
        // The log has a line of it already, from where it happened.
        outcome.unwrap_or_else(|payload| {
            let message = secrets::masked(panic_message(&*payload)).unwrap_or_default();
            Err(panicked(request, &message).into())
        })
    };
    let outcome = secrets::scope(request, provider_secrets, caught).await;
    tracing::trace!(request, elapsed = ?started.elapsed(), "answered");
    outcome.unwrap_or_else(R::failed)
}

fn panicked(request: &str, message: &str) -> Diagnostic {
    Diagnostic::error(
        "Provider bug: it panicked",
        format!(
            "The provider panicked in {request}: {message}.\n\nThis is a bug in the provider, not in your configuration; \
             please report it with this message. Other resources are not affected."
        ),
    )
}

fn panic_message(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(message), _) => message,
        (_, Some(message)) => message,
        _ => "no message",
    }
}

macro_rules! answers {
    ($($message:ident)*) => {
        $(impl Answer for proto::$message::Response {
            fn failed(diagnostics: Diagnostics) -> Self {
                let mut answer = Self::default();
                answer.diagnostics.extend(wire::diagnostics(diagnostics));
                answer
            }

            fn told(&mut self) -> &mut [proto::Diagnostic] {
                &mut self.diagnostics
            }
        })*
    };
}

answers! {
    get_metadata get_provider_schema get_resource_identity_schemas
    validate_provider_config validate_resource_config validate_data_resource_config validate_ephemeral_resource_config
    configure_provider upgrade_resource_state upgrade_resource_identity
    read_resource plan_resource_change apply_resource_change
    import_resource_state move_resource_state generate_resource_config
    read_data_source open_ephemeral_resource renew_ephemeral_resource close_ephemeral_resource
    get_functions
}

impl Answer for proto::call_function::Response {
    fn failed(diagnostics: Diagnostics) -> Self {
        let texts: Vec<String> = diagnostics.0.into_iter().map(|d| format!("{}: {}", d.summary, d.detail)).collect();
        let error = proto::FunctionError { text: texts.join("\n\n"), function_argument: None };
        Self { result: None, error: Some(error) }
    }
}

impl Answer for proto::stop_provider::Response {
    fn failed(_: Diagnostics) -> Self {
        // An error here would make the CLI complain about the very stop that the user asked for.
        Self::default()
    }
}
