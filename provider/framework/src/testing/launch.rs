//! Starts a plugin's process and reads where it listens.
//!
//! **Invariant:** a plugin never outlives the value that stands for it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use super::certificate::client;
use super::{HostCertificate, HostError};

/// How long go-plugin waits for the handshake line.
const START_LIMIT: Duration = Duration::from_mins(1);

/// How to start a plugin.
#[derive(Debug)]
pub struct Launch {
    binary: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    certificate: Option<HostCertificate>,
    debug: bool,
}

impl Launch {
    /// As the CLIs do, with mutual TLS.
    pub fn new(binary: impl Into<PathBuf>) -> Result<Self, HostError> {
        let certificate = HostCertificate::generate()?;
        let launch = Self::bare(binary)
            .env("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2")
            .env("PLUGIN_PROTOCOL_VERSIONS", "5,6")
            .env("PLUGIN_MIN_PORT", "10000")
            .env("PLUGIN_MAX_PORT", "25000")
            .env("PLUGIN_CLIENT_CERT", certificate.pem());
        Ok(Self { certificate: Some(certificate), ..launch })
    }

    /// As the CLIs do when `TF_DISABLE_PLUGIN_TLS` is set.
    pub fn without_tls(binary: impl Into<PathBuf>) -> Result<Self, HostError> {
        let mut launch = Self::new(binary)?;
        launch.environment.retain(|(name, _)| name != "PLUGIN_CLIENT_CERT");
        launch.certificate = None;
        Ok(launch)
    }

    /// By hand, for attaching to.
    pub fn debug(binary: impl Into<PathBuf>) -> Self {
        Self { arguments: vec!["--debug".into()], debug: true, ..Self::bare(binary) }
    }

    fn bare(binary: impl Into<PathBuf>) -> Self {
        Self { binary: binary.into(), arguments: Vec::new(), environment: Vec::new(), certificate: None, debug: false }
    }

    /// Sets a variable, also one that is set already.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        let name = name.into();
        self.environment.retain(|(other, _)| *other != name);
        self.environment.push((name, value.into()));
        self
    }

    /// Starts it and waits for the handshake line.
    pub async fn start(self) -> Result<Plugin, HostError> {
        let started = Instant::now();
        let mut child = Command::new(&self.binary)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(HostError::at(&format!("cannot start {}", self.binary.display())))?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(HostError::new("the plugin has no standard streams"));
        };
        let stderr = Output::collect(BufReader::new(stderr).lines());
        let mut stdout = BufReader::new(stdout).lines();

        let found = timeout(START_LIMIT, handshake(&mut stdout, self.debug)).await;
        let started_in = started.elapsed();
        let found = found.map_err(HostError::at("no handshake line")).flatten();
        match found {
            Ok(handshake) => Ok(Plugin {
                child,
                handshake,
                certificate: self.certificate,
                started_in,
                stdout: Output::collect(stdout),
                stderr,
            }),
            Err(error) => {
                let _ = child.start_kill();
                let status = child.wait().await.map_err(HostError::at("cannot wait for the plugin"))?;
                Err(HostError::new(format!("{error} ({status})\n{}", stderr.rest().await.join("\n"))))
            }
        }
    }
}

async fn handshake(stdout: &mut Lines<BufReader<ChildStdout>>, debug: bool) -> Result<Handshake, HostError> {
    loop {
        let line = stdout.next_line().await.map_err(HostError::at("cannot read the handshake line"))?;
        let line = line.ok_or_else(|| HostError::new("the plugin ended without a handshake line"))?;
        match debug {
            false => return Handshake::parse(&line),
            true if line.contains("TF_REATTACH_PROVIDERS=") => return Handshake::parse_reattach(&line),
            true => {}
        }
    }
}

/// Where a plugin listens, and the certificate to expect there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The line as it was printed, without its end.
    pub line: String,
    /// `unix` or `tcp`.
    pub network: String,
    /// A path, or a host and port.
    pub address: String,
    /// The certificate as DER. Without it the connection is not encrypted.
    pub certificate: Option<Vec<u8>>,
}

impl Handshake {
    fn parse(line: &str) -> Result<Self, HostError> {
        let bad = |what: &str| HostError::new(format!("{what} in the handshake line {line:?}"));
        let fields: Vec<_> = line.split('|').collect();
        let [core, protocol, network, address, kind, certificate] = fields[..] else {
            return Err(bad("not six fields"));
        };
        if (core, protocol, kind) != ("1", "6", "grpc") || !matches!(network, "unix" | "tcp") {
            return Err(bad("an unexpected value"));
        }
        // As Go's RawStdEncoding: no padding.
        let certificate = STANDARD_NO_PAD.decode(certificate).map_err(|error| bad(&error.to_string()))?;
        Ok(Self {
            line: line.to_owned(),
            network: network.to_owned(),
            address: address.to_owned(),
            certificate: Some(certificate).filter(|der| !der.is_empty()),
        })
    }

    fn parse_reattach(line: &str) -> Result<Self, HostError> {
        let bad = || HostError::new(format!("cannot read {line:?}"));
        let (_, text) = line.split_once("='").ok_or_else(bad)?;
        let value: Value = serde_json::from_str(text.trim_end_matches('\'')).map_err(|_| bad())?;
        let address = &value.as_object().and_then(|all| all.values().next()).ok_or_else(bad)?["Addr"];
        let text = |name: &str| address[name].as_str().map(ToOwned::to_owned).ok_or_else(bad);
        Ok(Self { line: line.to_owned(), network: text("Network")?, address: text("String")?, certificate: None })
    }
}

/// A plugin's process.
#[derive(Debug)]
pub struct Plugin {
    child: Child,
    handshake: Handshake,
    certificate: Option<HostCertificate>,
    started_in: Duration,
    stdout: Output,
    stderr: Output,
}

impl Plugin {
    /// Where it listens.
    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// How long it took from before its start to its handshake line.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// Its process id, until it has been waited for.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The certificate that it expects, if it was given one.
    pub fn host_certificate(&self) -> Option<&HostCertificate> {
        self.certificate.as_ref()
    }

    /// Opens a connection with the host's certificate.
    pub async fn connect(&self) -> Result<Channel, HostError> {
        self.connect_as(self.certificate.as_ref()).await
    }

    /// Opens a connection with any certificate, or none.
    pub async fn connect_as(&self, certificate: Option<&HostCertificate>) -> Result<Channel, HostError> {
        let handshake = self.handshake.clone();
        let tls = match &handshake.certificate {
            Some(server) => Some(TlsConnector::from(client(server, certificate)?)),
            None => None,
        };
        Endpoint::from_static("http://localhost")
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .connect_with_connector(service_fn(move |_: Uri| {
                let (handshake, tls) = (handshake.clone(), tls.clone());
                async move { open(&handshake, tls).await.map(TokioIo::new) }
            }))
            .await
            .map_err(|error| HostError::new(format!("cannot connect: {error:?}")))
    }

    /// Opens a connection with any certificate, or none, and without HTTP/2.
    pub async fn connect_tls(&self, certificate: Option<&HostCertificate>) -> Result<Box<dyn Bytes>, HostError> {
        let server = self.handshake.certificate.as_ref().ok_or_else(|| HostError::new("the plugin has no TLS"))?;
        open(&self.handshake, Some(client(server, certificate)?.into())).await
    }

    /// Opens a connection without TLS or HTTP/2.
    pub async fn connect_raw(&self) -> Result<Box<dyn Bytes>, HostError> {
        open(&self.handshake, None).await
    }

    /// What it has written to standard error so far, by line.
    pub fn stderr(&self) -> Vec<String> {
        self.stderr.so_far()
    }

    /// Waits for it to end. Returns how, and all that it wrote to standard output after the handshake line and to standard
    /// error.
    pub async fn wait(mut self) -> Result<(ExitStatus, Vec<String>, Vec<String>), HostError> {
        let status = self.child.wait().await.map_err(HostError::at("cannot wait for the plugin"))?;
        Ok((status, self.stdout.rest().await, self.stderr.rest().await))
    }
}

/// Bytes both ways.
pub trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

async fn open(handshake: &Handshake, tls: Option<TlsConnector>) -> Result<Box<dyn Bytes>, HostError> {
    let refused = "cannot reach the plugin";
    let socket: Box<dyn Bytes> = match handshake.network.as_str() {
        #[cfg(unix)]
        "unix" => Box::new(tokio::net::UnixStream::connect(&handshake.address).await.map_err(HostError::at(refused))?),
        _ => Box::new(TcpStream::connect(&handshake.address).await.map_err(HostError::at(refused))?),
    };
    let Some(tls) = tls else { return Ok(socket) };
    let name = ServerName::try_from("localhost").map_err(HostError::at(refused))?;
    let stream = tls.connect(name, socket).await.map_err(HostError::at("the TLS handshake failed"))?;
    // As Go's gRPC demands.
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Ok(Box::new(stream)),
        _ => Err(HostError::new("the plugin did not agree on HTTP/2")),
    }
}

/// What a process writes, by line.
#[derive(Debug)]
struct Output {
    lines: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl Output {
    fn collect(mut source: Lines<impl AsyncBufReadExt + Send + Unpin + 'static>) -> Self {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let sink = Arc::clone(&lines);
        let reader = tokio::spawn(async move {
            while let Ok(Some(line)) = source.next_line().await {
                sink.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Self { lines, reader }
    }

    fn so_far(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn rest(self) -> Vec<String> {
        // A grandchild may hold the stream open.
        let _ = timeout(Duration::from_secs(1), self.reader).await;
        std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
