//! How a server in the process is set up.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;

use crate::dev::DevServer;
use crate::dev::sockets::{Shared, accept, keep_time};
use crate::server::{self, Ensemble, Release};

/// Sets up a [`DevServer`].
///
/// What is not found here is a setting of the model behind it:
///
/// ```no_run
/// # async fn test() -> std::io::Result<()> {
/// use docent_testing::dev::Builder;
/// use docent_testing::server::Ensemble;
///
/// let model = Ensemble::builder().members(3).ttl_nodes(false);
/// let server = Builder::from(model).port(2181).start().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    model: server::Builder,
    host: IpAddr,
    port: u16,
    max_connections: usize,
    trace: usize,
}

impl Default for Builder {
    fn default() -> Self {
        // Only tests that go back in time need old transactions.
        Self::from(Ensemble::builder().history(0))
    }
}

impl From<server::Builder> for Builder {
    fn from(model: server::Builder) -> Self {
        Self {
            model,
            host: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            max_connections: 1000,
            trace: 10_000,
        }
    }
}

impl Builder {
    /// How many servers there are, at least one. One by itself is a standalone server.
    pub fn members(mut self, members: usize) -> Self {
        self.model = self.model.members(members);
        self
    }

    /// The unit of the servers' time; 2 s unless told. Sessions last from two ticks to twenty, so
    /// that a short tick makes for fast tests.
    pub fn tick(mut self, tick: Duration) -> Self {
        self.model = self.model.tick(tick);
        self
    }

    /// The release of ZooKeeper to behave like; 3.8 unless told.
    pub fn release(mut self, release: Release) -> Self {
        self.model = self.model.release(release);
        self
    }

    /// The longest request in bytes (`jute.maxbuffer`); 1,048,575 unless told.
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.model = self.model.max_frame(bytes);
        self
    }

    /// The address to listen at; 127.0.0.1 unless told. Nothing is encrypted, and whoever reaches
    /// the port may connect.
    pub const fn host(mut self, host: IpAddr) -> Self {
        self.host = host;
        self
    }

    /// The port of the first member; the others have the ports after it. 0, as unless told, takes
    /// free ports.
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// How many connections a member takes from one address (`maxClientCnxns`). More are closed at
    /// once. 1000 unless told, where real servers have 60.
    pub const fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// How many records [`DevServer::trace`] keeps; 10,000 unless told. One takes up to 1 KiB.
    pub const fn trace(mut self, records: usize) -> Self {
        self.trace = records;
        self
    }

    /// Starts the servers. They need a tokio runtime with I/O and timers.
    ///
    /// # Errors
    /// If a port cannot be had; the error names it.
    ///
    /// # Cancel safety
    /// Cancelling it leaves nothing behind.
    pub async fn start(self) -> io::Result<DevServer> {
        let listeners = self.listen().await?;
        let addresses = listeners.iter().map(TcpListener::local_addr);
        let addresses: Vec<_> = addresses.collect::<io::Result<_>>()?;
        let model = self
            .model
            .trace(self.trace)
            .wall_clock(now())
            .addresses(addresses.iter().map(SocketAddr::to_string));
        let shared = Arc::new(Shared::new(model.build(), self.max_connections));
        let mut tasks = vec![tokio::spawn(keep_time(shared.clone()))];
        for (member, listener) in listeners.into_iter().enumerate() {
            tasks.push(tokio::spawn(accept(shared.clone(), member, listener)));
        }
        Ok(DevServer {
            shared,
            addresses,
            tasks,
        })
    }

    async fn listen(&self) -> io::Result<Vec<TcpListener>> {
        let members = 0..self.model.count();
        let addresses: io::Result<Vec<_>> = members.map(|member| self.address(member)).collect();
        let mut listeners = Vec::new();
        for address in addresses? {
            let listener = TcpListener::bind(address).await.map_err(|error| {
                let reason = format!("cannot listen on {address}: {error}");
                io::Error::new(error.kind(), reason)
            })?;
            listeners.push(listener);
        }
        Ok(listeners)
    }

    fn address(&self, member: usize) -> io::Result<SocketAddr> {
        let member = if self.port == 0 { 0 } else { member };
        let port = usize::from(self.port) + member;
        let port = u16::try_from(port).map_err(|_| {
            let reason = format!("there is no port {port}, which member {member} would have");
            io::Error::new(io::ErrorKind::InvalidInput, reason)
        })?;
        Ok(SocketAddr::new(self.host, port))
    }
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}
