//! A provider's process: from its arguments to its exit code.
//!
//! The order matters: signals first, then a place to listen, then the handshake line, and whatever takes time after that.
//!
//! **Invariant:** however the process ends, short of SIGKILL, requests in flight are told to stop and nothing is left in
//! the file system.

mod companions;
mod connections;
mod encoded;
mod endpoint;
mod handshake;
mod lifetime;
mod reattach;
mod requests;
mod tls;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use tfplugin_proto::health::health_server::HealthServer;
use tfplugin_proto::plugin::grpc_broker_server::GrpcBrokerServer;
use tfplugin_proto::plugin::grpc_controller_server::GrpcControllerServer;
use tfplugin_proto::plugin::grpc_stdio_server::GrpcStdioServer;
use tfplugin_proto::tfplugin6::provider_server::Provider as ProviderRpc;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic::transport::Server;

use self::companions::Companions;
use self::connections::{Connections, Io, Wire};
use self::encoded::Encoded;
use self::endpoint::{Endpoint, Places};
use self::handshake::Invitation;
use self::lifetime::{Lifetime, Signals};
use self::requests::InTasks;
use crate::log;
use crate::provider::Provider;
use crate::server::ProviderService;

#[cfg(feature = "testing")]
pub(crate) use self::tls::pinned as pinned_certificate;

/// As much as Go's providers take and give in one message.
const MESSAGE_LIMIT: usize = 256 << 20;

/// How much a host may send ahead in one request. HTTP/2's 64 KiB make large states crawl.
const STREAM_WINDOW: u32 = 4 << 20;

/// The same for all requests together.
const CONNECTION_WINDOW: u32 = 16 << 20;

/// A host on this machine needs milliseconds.
const TLS_LIMIT: Duration = Duration::from_secs(10);

/// Runs a provider as a process: answers `--version`, `--help` and `--debug`, or serves the CLI that started it.
pub fn serve<P: Provider>(provider: P) -> ExitCode {
    serve_as(provider, |service| service)
}

/// Runs a provider whose service is wrapped by another, which sees every answer last: for providers that are to be wrong.
#[cfg(feature = "testing")]
pub fn serve_wrapped<P: Provider, S: ProviderRpc>(provider: P, wrap: impl FnOnce(ProviderService<P>) -> S) -> ExitCode {
    serve_as(provider, wrap)
}

fn serve_as<P: Provider, S: ProviderRpc>(provider: P, wrap: impl FnOnce(ProviderService<P>) -> S) -> ExitCode {
    lifetime::remember_parent();
    let about = About { name: provider.name(), version: provider.version(), address: provider.address() };
    run(&about, || wrap(ProviderService::new(provider)))
}

/// What the process says of itself.
struct About {
    name: &'static str,
    version: &'static str,
    address: &'static str,
}

/// Why the process cannot start.
#[derive(Debug)]
pub(crate) struct StartError {
    what: &'static str,
    why: String,
}

impl StartError {
    pub(crate) fn new(what: &'static str, why: impl fmt::Display) -> Self {
        Self { what, why: why.to_string() }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl std::error::Error for StartError {}

/// What the process is asked to be.
#[derive(Debug, PartialEq, Eq)]
enum Mode {
    Version,
    Help,
    /// Started by hand, to be attached to.
    Debug,
    /// Started by a host.
    Plugin(Invitation),
    /// Started by hand, and not knowing why.
    Bare,
    Unknown(OsString),
}

impl Mode {
    fn new(arguments: impl IntoIterator<Item = OsString>, invitation: Option<Invitation>) -> Self {
        match (arguments.into_iter().next(), invitation) {
            (None, Some(invitation)) => Self::Plugin(invitation),
            (None, None) => Self::Bare,
            (Some(argument), _) => match argument.to_str() {
                Some("--version" | "-version" | "-V") => Self::Version,
                Some("--help" | "-help" | "-h") => Self::Help,
                Some("--debug" | "-debug") => Self::Debug,
                _ => Self::Unknown(argument),
            },
        }
    }
}

fn run<S: ProviderRpc>(about: &About, service: impl FnOnce() -> S) -> ExitCode {
    let name = format!("terraform-provider-{}", about.name);
    let outcome = match Mode::new(std::env::args_os().skip(1), Invitation::from_environment()) {
        Mode::Version => print(&format!("{name} {}\n", about.version)).map(|()| ExitCode::SUCCESS),
        Mode::Help => print(&help(&name, about.version)).map(|()| ExitCode::SUCCESS),
        Mode::Bare => {
            complain(&bare(&name));
            return ExitCode::FAILURE;
        }
        Mode::Unknown(argument) => {
            complain(&format!("{name} does not know {}; --help lists what it knows.\n", argument.display()));
            return ExitCode::from(2);
        }
        Mode::Debug => start(about, None, service),
        Mode::Plugin(invitation) => start(about, Some(&invitation), service),
    };
    outcome.unwrap_or_else(|error| {
        // Hosts give a line the level that it begins with.
        complain(&format!("[ERROR] {name}: {error}\n"));
        ExitCode::FAILURE
    })
}

fn start<S: ProviderRpc>(
    about: &About,
    invitation: Option<&Invitation>,
    service: impl FnOnce() -> S,
) -> Result<ExitCode, StartError> {
    log::init();
    log::catch_panics();
    if let Some(invitation) = invitation {
        invitation.negotiate()?;
    }
    // Ten requests at a time is what a CLI sends; a thread for each core of a large machine only costs start-up time.
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .map_err(|error| StartError::new("cannot start threads", error))?;
    let outcome = runtime.block_on(host(about, invitation, service));
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}

async fn host<S: ProviderRpc>(
    about: &About,
    invitation: Option<&Invitation>,
    service: impl FnOnce() -> S,
) -> Result<ExitCode, StartError> {
    let signals = Signals::install()?;
    let identity = match invitation.and_then(|invitation| invitation.certificate.as_deref()) {
        Some(certificate) => Some(tls::Identity::generate(certificate)?),
        None => None,
    };
    let endpoint = Endpoint::bind(&Places::from_environment(identity.is_some())).await?;
    print(&match invitation {
        Some(_) => handshake::line(&endpoint.address, identity.as_ref().map(|identity| &*identity.certificate)),
        None => reattach::message(about.address, &endpoint.address, std::process::id()),
    })?;

    let process = CancellationToken::new();
    let connections = Connections::new(process.clone());
    let (opened, incoming) = mpsc::channel(8);
    let accepting =
        tokio::spawn(accept(endpoint, identity.map(|identity| identity.acceptor), connections.clone(), opened));
    let requests = TaskTracker::new();
    let serving = tokio::spawn(
        Server::builder()
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .serve_with_incoming_shutdown(
                InTasks::new(routes(service(), &process), requests.clone()),
                ReceiverStream::new(incoming),
                process.clone().cancelled_owned(),
            ),
    );

    let lifetime = if invitation.is_some() { Lifetime::Hosted } else { Lifetime::Interactive };
    let end = lifetime.end(signals, &connections, &process).await;
    process.cancel();
    requests.close();
    if timeout(end.grace, async { tokio::join!(serving, requests.wait()) }).await.is_err() {
        tracing::warn!("requests were still running when the process had to end");
    }
    if let Err(error) = accepting.await {
        tracing::error!(%error, "the socket may be left behind");
    }
    Ok(end.code)
}

fn routes<S: ProviderRpc>(service: S, process: &CancellationToken) -> Routes {
    let companions = Companions { process: process.clone() };
    Routes::new(Encoded::new(service, MESSAGE_LIMIT))
        .add_service(GrpcControllerServer::new(companions.clone()))
        .add_service(GrpcStdioServer::new(companions.clone()))
        .add_service(GrpcBrokerServer::new(companions.clone()))
        .add_service(HealthServer::new(companions))
        .prepare()
}

/// Takes connections until the process ends, then removes the socket. Each is authenticated in a task of its own, so that
/// none can hold up another.
async fn accept(
    endpoint: Endpoint,
    tls: Option<TlsAcceptor>,
    connections: Connections,
    opened: mpsc::Sender<io::Result<Wire>>,
) {
    loop {
        let accepted = tokio::select! {
            // Closing the channel says that no more will come.
            () = opened.closed() => return,
            accepted = endpoint.accept() => accepted,
        };
        match accepted {
            Ok(io) => {
                let (tls, connections, opened) = (tls.clone(), connections.clone(), opened.clone());
                tokio::spawn(async move {
                    if let Some(io) = authenticate(io, tls).await {
                        // Refused only when the process is about to end.
                        let _ = opened.send(Ok(connections.open(io))).await;
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Too many open files, most likely: that takes a moment to pass.
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn authenticate(io: Box<dyn Io>, tls: Option<TlsAcceptor>) -> Option<Box<dyn Io>> {
    let Some(tls) = tls else { return Some(io) };
    match timeout(TLS_LIMIT, tls.accept(io)).await {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            tracing::warn!(%error, "refused a connection that is not the host's");
            None
        }
        Err(_) => {
            tracing::warn!("refused a connection that did not finish its TLS handshake");
            None
        }
    }
}

fn print(text: &str) -> Result<(), StartError> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| StartError::new("cannot write to standard output", error))
}

fn complain(text: &str) {
    // There is nobody left to tell when standard error is gone too.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn bare(name: &str) -> String {
    format!(
        "{name} is a plugin of OpenTofu and Terraform and does nothing when it is started by hand.\n\
         Name it in required_providers of a configuration and run tofu or terraform there: they start it.\n\
         {name} --help lists what else it can do.\n"
    )
}

fn help(name: &str, version: &str) -> String {
    format!(
        "{name} {version}: a provider for OpenTofu and Terraform, which start it by themselves.\n\
         \n\
         Usage: {name} [OPTION]\n\
         \n\
         Options:\n\
         \x20 --debug    run until interrupted, and print how a CLI can attach to this process\n\
         \x20 --help     print this text\n\
         \x20 --version  print the version\n\
         \n\
         Environment:\n\
         \x20 TF_LOG_PROVIDER, TF_LOG  how much to log: trace, debug, info, warn, error or off\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_before_the_cookie() {
        let invitation = || Some(Invitation::default());
        for (arguments, invited, expected) in [
            (&[][..], None, Mode::Bare),
            (&[], invitation(), Mode::Plugin(Invitation::default())),
            (&["--version"], invitation(), Mode::Version),
            (&["-h"], None, Mode::Help),
            (&["-debug"], None, Mode::Debug),
            (&["--debug", "more"], invitation(), Mode::Debug),
            (&["plan"], None, Mode::Unknown("plan".into())),
        ] {
            assert_eq!(Mode::new(arguments.iter().map(OsString::from), invited), expected, "{arguments:?}");
        }
    }
}
