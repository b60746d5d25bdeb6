//! Where the host finds us: a unix socket in a folder of its own, or a TCP port of the loopback.
//!
//! **Invariant:** nobody but this user can reach the socket, and nothing of it is left when the endpoint is dropped.

use std::env;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use tokio::net::TcpListener;

use super::StartError;
use super::connections::Io;

/// A place to listen at.
#[derive(Debug)]
pub(crate) struct Endpoint {
    listener: Listener,
    /// Its address, in the host's words.
    pub(crate) address: Address,
}

/// An address in the host's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// `unix` or `tcp`.
    pub(crate) network: &'static str,
    /// A path, or a host and port.
    pub(crate) address: String,
}

#[derive(Debug)]
enum Listener {
    #[cfg(unix)]
    Unix(unix::Socket),
    Tcp(TcpListener),
}

/// Where an endpoint may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// Folders to try for the socket's own folder, best first.
    pub(crate) folders: Vec<PathBuf>,
    /// Ports to try, or none when who connects would not be authenticated there.
    pub(crate) ports: Option<RangeInclusive<u16>>,
}

impl Places {
    /// What the environment asks for.
    pub(crate) fn from_environment(authenticated: bool) -> Self {
        let folder = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let port = |name, default| env::var(name).ok().and_then(|port| port.parse().ok()).unwrap_or(default);
        let mut folders: Vec<_> = folder("PLUGIN_UNIX_SOCKET_DIR").into_iter().collect();
        folders.push(env::temp_dir());
        // The path of a socket may only have about 100 bytes; this is the shortest folder that everyone may write to.
        folders.push(PathBuf::from("/tmp"));
        folders.dedup();
        // Folders are private to this user, ports are not; where there are no unix sockets, ports are all there is.
        let ports = (authenticated || cfg!(not(unix)))
            .then(|| port("PLUGIN_MIN_PORT", 10_000)..=port("PLUGIN_MAX_PORT", 25_000));
        Self { folders, ports }
    }
}

impl Endpoint {
    /// Listens at the first of the places that can be had.
    pub(crate) async fn bind(places: &Places) -> Result<Self, StartError> {
        let mut refusals = Vec::new();
        #[cfg(unix)]
        for folder in &places.folders {
            match unix::Socket::bind(folder) {
                Ok(socket) => {
                    let address = Address { network: "unix", address: socket.path().display().to_string() };
                    return Ok(Self { listener: Listener::Unix(socket), address });
                }
                Err(error) => refusals.push(format!("{}: {error}", folder.display())),
            }
        }
        if let Some(ports) = &places.ports {
            match bind_tcp(ports.clone()).await {
                Ok(listener) => {
                    let address = listener.local_addr().map_err(|error| StartError::new("cannot listen", error))?;
                    let address = Address { network: "tcp", address: address.to_string() };
                    return Ok(Self { listener: Listener::Tcp(listener), address });
                }
                Err(error) => refusals.push(format!("ports {} to {}: {error}", ports.start(), ports.end())),
            }
        }
        Err(StartError::new("cannot listen anywhere", refusals.join("; ")))
    }

    /// Waits for the next connection.
    pub(crate) async fn accept(&self) -> io::Result<Box<dyn Io>> {
        match &self.listener {
            #[cfg(unix)]
            Listener::Unix(socket) => Ok(Box::new(socket.accept().await?)),
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
        }
    }
}

async fn bind_tcp(ports: RangeInclusive<u16>) -> io::Result<TcpListener> {
    let mut refusal = io::Error::new(io::ErrorKind::InvalidInput, "there is no port in this range");
    for port in ports {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}", self.network, self.address)
    }
}

#[cfg(unix)]
mod unix {
    use std::fs::DirBuilder;
    use std::hash::{BuildHasher, RandomState};
    use std::os::unix::fs::DirBuilderExt;
    use std::os::unix::net::SocketAddr;
    use std::path::{Path, PathBuf};
    use std::{fs, io, process};

    use tokio::net::{UnixListener, UnixStream};

    const SOCKET: &str = "socket";

    /// A socket in a folder of its own.
    #[derive(Debug)]
    pub(super) struct Socket {
        listener: UnixListener,
        folder: Folder,
    }

    impl Socket {
        pub(super) fn bind(parent: &Path) -> io::Result<Self> {
            let folder = Folder::create(parent)?;
            Ok(Self { listener: UnixListener::bind(folder.socket())?, folder })
        }

        pub(super) fn path(&self) -> PathBuf {
            self.folder.socket()
        }

        pub(super) async fn accept(&self) -> io::Result<UnixStream> {
            self.listener.accept().await.map(|(stream, _)| stream)
        }
    }

    #[derive(Debug)]
    struct Folder(PathBuf);

    impl Folder {
        /// Creates a fresh folder inside `parent` that only this user may enter.
        fn create(parent: &Path) -> io::Result<Self> {
            loop {
                let name = format!("plugin-{:016x}", RandomState::new().hash_one(process::id()));
                let path = std::path::absolute(parent)?.join(name);
                // Fails here, before anything is made, when the path is too long for a socket.
                SocketAddr::from_pathname(path.join(SOCKET))?;
                match DirBuilder::new().mode(0o700).create(&path) {
                    Ok(()) => return Ok(Self(path)),
                    // Whoever made it, it is not ours: leave it alone, take another name.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(error),
                }
            }
        }

        fn socket(&self) -> PathBuf {
            self.0.join(SOCKET)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            for gone in [fs::remove_file(self.socket()), fs::remove_dir(&self.0)] {
                if let Err(error) = gone
                    && error.kind() != io::ErrorKind::NotFound
                {
                    tracing::warn!(folder = %self.0.display(), %error, "cannot remove the socket's folder");
                }
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    fn only(folders: &[&Path], ports: Option<RangeInclusive<u16>>) -> Places {
        Places { folders: folders.iter().map(PathBuf::from).collect(), ports }
    }

    #[tokio::test]
    async fn the_folder_is_private_and_goes_with_the_endpoint() {
        let parent = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::bind(&only(&[parent.path()], None)).await.unwrap();

        assert_eq!(endpoint.address.network, "unix");
        let folder = Path::new(&endpoint.address.address).parent().unwrap().to_owned();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(folder.parent().unwrap(), parent.path());

        drop(endpoint);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_path_too_long_for_a_socket_gives_way_to_a_shorter_one() {
        let parent = tempfile::tempdir().unwrap();
        let long = parent.path().join("long".repeat(25));
        fs::create_dir(&long).unwrap();

        let endpoint = Endpoint::bind(&only(&[&long, parent.path()], None)).await.unwrap();

        assert!(!endpoint.address.address.contains("longlong"), "{}", endpoint.address);
        assert_eq!(fs::read_dir(&long).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn without_a_folder_a_loopback_port_is_taken_if_it_may_be() {
        let missing = Path::new("/nonexistent");

        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = Endpoint::bind(&only(&[missing], Some(port..=port))).await.unwrap_err().to_string();
        assert!(error.contains("/nonexistent") && error.contains(&format!("ports {port} to {port}")), "{error}");

        drop(taken);
        let endpoint = Endpoint::bind(&only(&[missing], Some(port..=port))).await.unwrap();
        assert_eq!(endpoint.address.to_string(), format!("tcp|127.0.0.1:{port}"));

        let error = Endpoint::bind(&only(&[missing], None)).await.unwrap_err().to_string();
        assert!(error.contains("cannot listen anywhere") && !error.contains("ports"), "{error}");
    }
}
