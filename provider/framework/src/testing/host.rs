//! A host with one connection to one plugin, kept the way the CLIs keep theirs.
//!
//! **Invariant:** what the CLIs open at once and keep open, stdio and broker, is open here too.

use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use tfplugin_proto::plugin::grpc_broker_client::GrpcBrokerClient;
use tfplugin_proto::plugin::grpc_controller_client::GrpcControllerClient;
use tfplugin_proto::plugin::grpc_stdio_client::GrpcStdioClient;
use tfplugin_proto::plugin::{ConnInfo, Empty};
use tfplugin_proto::tfplugin6::provider_client::ProviderClient;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::HostError;
use super::launch::{Launch, Plugin};

/// As long as go-plugin waits after its Shutdown before it kills.
const KILL_LIMIT: Duration = Duration::from_secs(2);

/// As much as the CLIs take in one message.
const MESSAGE_LIMIT: usize = i32::MAX as usize;

/// A host of one plugin.
#[derive(Debug)]
pub struct Host {
    plugin: Plugin,
    channel: Channel,
    streams: Streams,
}

/// What goes on over stdio and broker; the connection cannot end before this does.
#[derive(Debug)]
struct Streams {
    reading: [JoinHandle<()>; 2],
    /// Ends what is said to the broker, which is nothing.
    _silence: mpsc::Sender<ConnInfo>,
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.reading.iter().for_each(JoinHandle::abort);
    }
}

/// How a plugin ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// How long it took, from the answer to the request or from the call that waits.
    pub took: Duration,
    /// What it wrote to standard output after the handshake line: nothing, hopefully.
    pub stdout: Vec<String>,
    /// What it wrote to standard error.
    pub stderr: Vec<String>,
}

impl Host {
    /// Starts a plugin with further environment variables and connects to it.
    pub async fn start(binary: &Path, environment: &[(&str, &str)]) -> Result<Self, HostError> {
        let launch = environment.iter().fold(Launch::new(binary)?, |launch, (name, value)| launch.env(name, value));
        Self::of(launch.start().await?).await
    }

    /// Connects to a plugin.
    pub async fn of(plugin: Plugin) -> Result<Self, HostError> {
        let channel = plugin.connect().await?;
        let (silence, nothing) = mpsc::channel(1);
        let mut broker = GrpcBrokerClient::new(channel.clone());
        let mut stdio = GrpcStdioClient::new(channel.clone());
        let mut broker =
            broker.start_stream(ReceiverStream::new(nothing)).await.map_err(HostError::at("no broker"))?.into_inner();
        let mut stdio = stdio.stream_stdio(()).await.map_err(HostError::at("no stdio"))?.into_inner();
        let reading = [
            tokio::spawn(async move { while let Ok(Some(_)) = broker.message().await {} }),
            tokio::spawn(async move { while let Ok(Some(_)) = stdio.message().await {} }),
        ];
        let streams = Streams { reading, _silence: silence };
        Ok(Self { plugin, channel, streams })
    }

    /// The plugin.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// The connection, for services other than the provider's.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Calls the provider.
    pub fn client(&self) -> ProviderClient<Channel> {
        ProviderClient::new(self.channel())
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT)
    }

    /// Whether stdio and broker are still open.
    pub fn streams_are_open(&self) -> bool {
        self.streams.reading.iter().all(|stream| !stream.is_finished())
    }

    /// Asks the plugin to end, and waits as long as the CLIs do.
    pub async fn shut_down(self) -> Result<Ended, HostError> {
        GrpcControllerClient::new(self.channel.clone())
            .shutdown(Empty {})
            .await
            .map_err(HostError::at("Shutdown was not answered"))?;
        timeout(KILL_LIMIT, self.wait()).await.map_err(HostError::at("the plugin would have been killed")).flatten()
    }

    /// Waits until the plugin ends.
    pub async fn wait(self) -> Result<Ended, HostError> {
        let start = Instant::now();
        let (status, stdout, stderr) = self.plugin.wait().await?;
        Ok(Ended { status, took: start.elapsed(), stdout, stderr })
    }
}
