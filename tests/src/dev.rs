//! A ZooKeeper server in the process of the test: no Java, no files, nothing to install.
//!
//! ```no_run
//! # async fn test() -> std::io::Result<()> {
//! use docent_testing::dev::DevServer;
//!
//! let server = DevServer::start().await?;
//! println!("connect to {}", server.connect_string());
//! # Ok(())
//! # }
//! ```
//!
//! It is a [model](crate::server) of a server behind real sockets on 127.0.0.1. Everything is kept
//! in memory only and gone when the value is dropped: it is for tests and for trying things out,
//! never for data.
//!
//! Tests make it fail: sessions are [expired](DevServer::expire), connections
//! [cut](DevServer::cut), replies [dropped](DevServer::drop_replies), members
//! [frozen](DevServer::pause), [killed](DevServer::kill) and [restarted](DevServer::restart), and
//! made to [lag](DevServer::lag) behind the others. [`DevServer::trace`] tells what clients asked
//! and were answered.
//!
//! The program `docent-server` is the same for clients in other processes.
//!
//! # What clients cannot do to it
//!
//! A client that breaks the protocol gets what a real server gives it: an error code, or a closed
//! connection. A request longer than [allowed](Builder::max_frame), a first request that does not
//! come within 10 s and connections beyond a [number](Builder::max_connections) are closed. Who does
//! not read is not served any longer, with 1 MiB of replies waiting, and is cut off with 64 MiB of
//! events; so is who asks for 64 MiB in one reply. The nodes have no such bound: a client may fill
//! the memory with data, as it may with a real server.

mod builder;
mod sockets;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinHandle;

pub use self::builder::Builder;
use self::sockets::Shared;
use crate::server::{ConnId, Ensemble, Lag, Record};

/// One or more servers in memory, which end with the value.
///
/// Members are counted from 0, in the order of the connect string. Methods that take a member panic
/// if there is none of that number.
pub struct DevServer {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    tasks: Vec<JoinHandle<()>>,
}

impl DevServer {
    /// Starts a single server on a free port.
    ///
    /// # Errors
    /// If no port can be bound.
    ///
    /// # Cancel safety
    /// Cancelling it leaves nothing behind.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// Settings for one or more servers.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Starts servers with these settings, or those of a [model](crate::server::Builder).
    ///
    /// # Errors
    /// See [`Builder::start`].
    ///
    /// # Cancel safety
    /// Cancelling it leaves nothing behind.
    pub async fn with(builder: impl Into<Builder>) -> io::Result<Self> {
        builder.into().start().await
    }

    /// Where the servers listen, as clients want to be told: `127.0.0.1:40001,127.0.0.1:40002`.
    pub fn connect_string(&self) -> String {
        let addresses = self.addresses.iter().map(SocketAddr::to_string);
        addresses.collect::<Vec<_>>().join(",")
    }

    /// Where each server listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Ends a session as if its client had been silent for too long; `false` if there is none of
    /// that number.
    pub fn expire(&self, session: i64) -> bool {
        self.control(|ensemble| ensemble.expire(session))
    }

    /// Closes the connections of a session, which goes on; `false` if there are none.
    pub fn cut(&self, session: i64) -> bool {
        self.on_connections(session, Ensemble::cut)
    }

    /// Sends nothing more to a session on the connections that it has now; `false` if there are
    /// none. Its requests still take effect, so that their outcome stays open until the client gives
    /// the connection up, or it is [cut](Self::cut).
    pub fn drop_replies(&self, session: i64) -> bool {
        self.on_connections(session, |ensemble, conn| ensemble.drop_replies(conn, true))
    }

    /// Makes a member apply changes later than others, so that its clients read what was, or takes
    /// that back. The leader, 0 at first, never lags. Writes through a member that lags take effect
    /// at once, but are answered when it has applied them.
    pub fn lag(&self, member: usize, lag: Lag) {
        self.control(|ensemble| ensemble.lag(member, lag));
    }

    /// Freezes all servers: connections stay open, but nothing is answered.
    pub fn pause(&self) {
        self.for_all(Ensemble::pause);
    }

    /// Lets the servers go on.
    pub fn resume(&self) {
        self.for_all(Ensemble::resume);
    }

    /// Kills a member: its connections are lost, and new ones are closed at once. It keeps its port,
    /// and what was agreed on.
    pub fn kill(&self, member: usize) {
        self.control(|ensemble| ensemble.kill(member));
    }

    /// Starts a member that was killed; kills it first if it runs. With a majority of the members up
    /// there is a leader 200 ms later at the latest, unless the model was told
    /// [another time](crate::server::Builder::election).
    pub fn restart(&self, member: usize) {
        self.control(|ensemble| {
            ensemble.kill(member);
            ensemble.restart(member);
        });
    }

    /// Kills and starts all members: all connections are lost, sessions and nodes are not.
    pub fn restart_all(&self) {
        self.for_all(Ensemble::kill);
        self.for_all(Ensemble::restart);
    }

    /// What clients asked, were answered and were told, the oldest first: the last 10,000 records,
    /// unless the builder was told [otherwise](Builder::trace). There are no data and no passwords
    /// in it.
    pub fn trace(&self) -> Vec<Record> {
        self.control(|ensemble| ensemble.trace().cloned().collect())
    }

    /// Does with the [model](crate::server) behind the sockets whatever it can.
    pub fn control<T>(&self, change: impl FnOnce(&mut Ensemble) -> T) -> T {
        self.shared.control(change)
    }

    fn on_connections(&self, session: i64, act: impl Fn(&mut Ensemble, ConnId)) -> bool {
        self.control(|ensemble| {
            let conns = ensemble.connections();
            let its: Vec<_> = conns.filter(|(_, _, owner)| *owner == session).collect();
            its.iter().for_each(|(conn, ..)| act(ensemble, *conn));
            !its.is_empty()
        })
    }

    fn for_all(&self, act: impl Fn(&mut Ensemble, usize)) {
        let members = 0..self.addresses.len();
        self.control(|ensemble| members.for_each(|member| act(ensemble, member)));
    }
}

impl Drop for DevServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl fmt::Debug for DevServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevServer")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}
