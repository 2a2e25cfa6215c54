//! From a host name to an open socket.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use docent_core::connect_string::HostPort;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A server as the connect string names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// A name or an address.
    pub name: String,
    /// The port.
    pub port: u16,
}

impl From<HostPort<'_>> for Host {
    fn from(HostPort { host, port }: HostPort<'_>) -> Self {
        Self {
            name: host.to_owned(),
            port,
        }
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, port } = self;
        if name.contains(':') {
            write!(f, "[{name}]:{port}")
        } else {
            write!(f, "{name}:{port}")
        }
    }
}

/// The addresses of a host, or why there are none.
pub type Addresses = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Finds the addresses of a host. It is asked anew for every attempt, so that a server may move.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `host`, in the order in which to try them.
    fn resolve(&self, host: &Host) -> Addresses;
}

/// Asks the system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: &Host) -> Addresses {
        let Host { name, port } = host.clone();
        Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
    }
}

/// Tries all addresses of `host`, each a little after the one before, and keeps the first that answers.
///
/// One after the other would let a single dead address use up the time of the attempt.
pub(crate) async fn dial(resolver: Arc<dyn Resolve>, host: Host) -> io::Result<TcpStream> {
    let addresses = resolver.resolve(&host).await?;
    if let [address] = addresses[..] {
        return connect(address).await;
    }
    let mut attempts = tokio::task::JoinSet::new();
    for (place, address) in addresses.into_iter().enumerate() {
        attempts.spawn(async move {
            tokio::time::sleep(STAGGER.saturating_mul(place as u32)).await;
            connect(address).await
        });
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    while let Some(attempt) = attempts.join_next().await {
        match attempt.map_err(io::Error::other)? {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// As recommended for "happy eyeballs", RFC 8305.
const STAGGER: std::time::Duration = std::time::Duration::from_millis(250);

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
    let stream = TcpStream::connect(address).await.map_err(named)?;
    // Requests are small and batched by the driver; waiting for more only adds latency.
    stream.set_nodelay(true).map_err(named)?;
    Ok(stream)
}

/// Whether a server serves writes, by its answer to a four-letter word.
pub(crate) async fn is_writable(resolver: Arc<dyn Resolve>, host: Host) -> bool {
    let asked = async {
        let mut stream = dial(resolver, host).await?;
        stream.write_all(b"isro").await?;
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = tokio::time::timeout(PROBE_TIME, asked).await;
    matches!(answer, Ok(Ok([b'r', b'w'])))
}

const PROBE_TIME: std::time::Duration = std::time::Duration::from_secs(1);
