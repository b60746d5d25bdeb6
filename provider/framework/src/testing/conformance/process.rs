//! One process of the provider, as one phase of a command uses it.
//!
//! Rules: T1 a failure is a diagnostic, never a gRPC status; T2 a stop is not answered with an error; T5 the process ends
//! by itself, and well, within two seconds of being asked.

use std::ops::Deref;
use std::sync::Arc;

use tfplugin_proto::tfplugin6 as proto;
use tfplugin_proto::tfplugin6::provider_client::ProviderClient;
use tonic::transport::Channel;

use super::super::Host;
use super::trouble::{Finding, Findings, Trouble};

/// What a process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Asking for schemas and calling functions.
    Schema,
    /// Validating; never configured.
    Validate,
    /// Refreshing, planning, reading, importing.
    Plan,
    /// Applying.
    Apply,
}

/// A running process.
#[derive(Debug)]
pub(super) struct Process {
    host: Host,
}

impl Process {
    pub(super) fn new(host: Host) -> Self {
        Self { host }
    }

    pub(super) fn client(&self) -> ProviderClient<Channel> {
        self.host.client()
    }

    /// Asks what runs to end.
    pub(super) async fn stop(&self) -> Result<(), Trouble> {
        let response = call!(self, stop_provider, proto::stop_provider::Request {})?;
        if response.error.is_empty() {
            return Ok(());
        }
        let mut findings = Findings::of("stop_provider");
        findings.whole("T2", response.error);
        Err(Trouble::Broken(findings.found))
    }

    /// Ends the process as go-plugin does.
    pub(super) async fn end(self) -> Result<(), Trouble> {
        let mut findings = Findings::of("shutdown");
        match self.host.shut_down().await {
            Ok(ended) if ended.status.success() => return Ok(()),
            Ok(ended) => findings.whole("T5", format!("the process ended with {}", ended.status)),
            Err(error) => findings.whole("T5", error.to_string()),
        }
        Err(Trouble::Broken(findings.found))
    }
}

/// A process of one's own, or one that all phases share.
#[derive(Debug)]
pub(super) enum Lease {
    Own(Box<Process>),
    Shared(Arc<Process>),
}

impl Lease {
    /// Ends the process when nobody else uses it.
    pub(super) async fn release(self) -> Result<(), Trouble> {
        match self {
            Self::Own(process) => process.end().await,
            Self::Shared(_) => Ok(()),
        }
    }
}

impl Deref for Lease {
    type Target = Process;

    fn deref(&self) -> &Process {
        match self {
            Self::Own(process) => process,
            Self::Shared(process) => process,
        }
    }
}

/// What a gRPC status instead of an answer means.
pub(super) fn status(request: &'static str, status: &tonic::Status) -> Trouble {
    let text = format!("answered with a gRPC status: {:?}: {}", status.code(), status.message());
    Trouble::Broken(vec![Finding { rule: "T1", request, path: crate::path::Path::default(), text }])
}

/// Sends a request and gives the answer.
macro_rules! call {
    ($process:expr, $method:ident, $request:expr) => {
        $process
            .client()
            .$method($request)
            .await
            .map(tonic::Response::into_inner)
            .map_err(|status| $crate::testing::conformance::process::status(stringify!($method), &status))
    };
}
pub(super) use call;
