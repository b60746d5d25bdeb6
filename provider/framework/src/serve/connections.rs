//! The connections of a process: their bytes, how many there are, and when each is over.
//!
//! **Invariant:** a connection has ended when its bytes are dropped, and at the latest with the process.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use crate::connection::Connection;

/// The connections of a process, counted.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    process: CancellationToken,
    count: watch::Sender<Count>,
}

/// How many connections there are and have been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Open now.
    pub(crate) open: u64,
    /// Ever opened.
    pub(crate) ever: u64,
}

impl Connections {
    /// None so far, in a process that ends when `process` fires.
    pub(crate) fn new(process: CancellationToken) -> Self {
        Self { process, count: watch::Sender::default() }
    }

    /// How many there are and have been.
    pub(crate) fn count(&self) -> Count {
        *self.count.borrow()
    }

    /// Takes in a connection that is authenticated, if it has to be.
    pub(crate) fn open(&self, io: Box<dyn Io>) -> Wire {
        let mut id = 0;
        self.count.send_modify(|count| {
            count.open += 1;
            count.ever += 1;
            id = count.ever;
        });
        tracing::debug!(connection = id, "a host has connected");
        Wire { io, connection: Connection::new(id, &self.process), connections: self.clone() }
    }

    fn close(&self, connection: &Connection) {
        connection.ended.cancel();
        self.count.send_modify(|count| count.open = count.open.saturating_sub(1));
        tracing::debug!(connection = connection.id, "a host has gone");
    }
}

/// Bytes both ways.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection's bytes, for the HTTP/2 server.
pub(crate) struct Wire {
    io: Box<dyn Io>,
    connection: Connection,
    connections: Connections,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.connections.close(&self.connection);
    }
}

impl Connected for Wire {
    type ConnectInfo = Connection;

    fn connect_info(&self) -> Connection {
        self.connection.clone()
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn state_is_kept_for_each_connection_alone() {
        let connections = Connections::new(CancellationToken::new());
        let (first, second) = (connections.open(Box::new(io())), connections.open(Box::new(io())));

        *first.connect_info().state::<Mutex<u8>>().lock().unwrap() = 7;

        assert_eq!(*first.connect_info().state::<Mutex<u8>>().lock().unwrap(), 7);
        assert_eq!(*second.connect_info().state::<Mutex<u8>>().lock().unwrap(), 0);
        assert_eq!((first.connection.id, second.connection.id), (1, 2));
    }

    #[test]
    fn a_dropped_wire_ends_its_connection_and_no_other() {
        let connections = Connections::new(CancellationToken::new());
        let (first, second) = (connections.open(Box::new(io())), connections.open(Box::new(io())));
        let ended = first.connect_info().ended;

        drop(first);

        assert!(ended.is_cancelled());
        assert!(!second.connect_info().ended.is_cancelled());
        assert_eq!(connections.count(), Count { open: 1, ever: 2 });
    }

    #[test]
    fn the_end_of_the_process_ends_every_connection() {
        let process = CancellationToken::new();
        let wire = Connections::new(process.clone()).open(Box::new(io()));

        process.cancel();

        assert!(wire.connect_info().ended.is_cancelled());
    }

    fn io() -> tokio::io::DuplexStream {
        tokio::io::duplex(1).0
    }
}
