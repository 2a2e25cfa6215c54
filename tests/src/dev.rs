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

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use docent_core::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time;

use crate::server::{Builder, ConnId, Ensemble, Output};

/// Bytes that are read or written at once.
const CHUNK: usize = 1 << 16;

/// One or more servers in memory, which end with the value.
pub struct DevServer {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// Something has changed that may bring the next timeout forward.
    changed: Notify,
    start: time::Instant,
}

struct State {
    ensemble: Ensemble,
    conns: BTreeMap<ConnId, Arc<Notify>>,
}

impl DevServer {
    /// Starts a single server on a free port.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn start() -> io::Result<Self> {
        // Only tests of lagging members need old transactions, and there are none.
        Self::with(Ensemble::builder().history(0)).await
    }

    /// Starts the servers of an ensemble, each on a free port.
    ///
    /// # Errors
    /// If no port can be bound.
    pub async fn with(builder: Builder) -> io::Result<Self> {
        let mut listeners = Vec::new();
        for _ in 0..builder.count() {
            listeners.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        }
        let addresses = listeners.iter().map(TcpListener::local_addr);
        let addresses: Vec<_> = addresses.collect::<io::Result<_>>()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_millis();
        let builder = builder
            .wall_clock(i64::try_from(now).unwrap_or(i64::MAX))
            .addresses(addresses.iter().map(SocketAddr::to_string));
        let shared = Arc::new(Shared::new(builder.build()));
        let mut tasks = vec![tokio::spawn(keep_time(shared.clone()))];
        for (member, listener) in listeners.into_iter().enumerate() {
            tasks.push(tokio::spawn(accept(shared.clone(), member, listener)));
        }
        Ok(Self {
            shared,
            addresses,
            tasks,
        })
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
        self.control(|ensemble| {
            let conns = ensemble.connections();
            let its: Vec<_> = conns.filter(|(_, _, owner)| *owner == session).collect();
            its.iter().for_each(|(conn, ..)| ensemble.cut(*conn));
            !its.is_empty()
        })
    }

    /// Freezes all servers: connections stay open, but nothing is answered.
    pub fn pause(&self) {
        let members = 0..self.addresses.len();
        self.control(|ensemble| members.for_each(|member| ensemble.pause(member)));
    }

    /// Lets the servers go on.
    pub fn resume(&self) {
        let members = 0..self.addresses.len();
        self.control(|ensemble| members.for_each(|member| ensemble.resume(member)));
    }

    /// Does with the [model](crate::server) behind the sockets whatever it can.
    pub fn control<T>(&self, change: impl FnOnce(&mut Ensemble) -> T) -> T {
        let mut state = self.shared.lock();
        state.ensemble.handle_timeout(self.shared.now());
        let result = change(&mut state.ensemble);
        state.conns.values().for_each(|conn| conn.notify_one());
        drop(state);
        self.shared.changed.notify_one();
        result
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

impl Shared {
    fn new(ensemble: Ensemble) -> Self {
        let conns = BTreeMap::new();
        Self {
            state: Mutex::new(State { ensemble, conns }),
            changed: Notify::new(),
            start: time::Instant::now(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }

    fn connect(&self, member: usize, peer: SocketAddr) -> Option<(ConnId, Arc<Notify>)> {
        let mut state = self.lock();
        let address = peer.ip().to_string();
        let id = state.ensemble.connect_from(member, &address)?;
        let wake = Arc::new(Notify::new());
        state.conns.insert(id, wake.clone());
        Some((id, wake))
    }

    fn receive(&self, id: ConnId, bytes: &[u8]) {
        let mut state = self.lock();
        state.ensemble.receive(id, self.now(), bytes);
        state.wake();
        drop(state);
        self.changed.notify_one();
    }

    /// What to send next, and whether to read on.
    fn transmit(&self, id: ConnId, room: usize) -> (Output, bool) {
        let mut state = self.lock();
        let output = state.ensemble.transmit(id, room);
        // Requests that waited for room may have caused events elsewhere.
        state.wake();
        (output, state.ensemble.takes(id))
    }

    fn disconnect(&self, id: ConnId) {
        let mut state = self.lock();
        state.conns.remove(&id);
        state.ensemble.disconnect(id);
    }

    fn handle_timeout(&self) -> Option<Instant> {
        let mut state = self.lock();
        state.ensemble.handle_timeout(self.now());
        state.wake();
        state.ensemble.poll_timeout()
    }
}

impl State {
    fn wake(&mut self) {
        let conns = self.ensemble.outputs().into_iter();
        conns
            .filter_map(|id| self.conns.get(&id))
            .for_each(|conn| conn.notify_one());
    }
}

async fn keep_time(shared: Arc<Shared>) {
    loop {
        // With nothing to wait for, any time will do.
        let next = shared.handle_timeout();
        let wait = next.map_or(Duration::from_secs(3600), |at| at.since(shared.now()));
        let _ = time::timeout(wait, shared.changed.notified()).await;
    }
}

async fn accept(shared: Arc<Shared>, member: usize, listener: TcpListener) {
    // These end with this task.
    let mut conns = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                conns.spawn(serve(shared.clone(), member, stream, peer));
            }
            // Such as too many open files; it may pass.
            Err(_) => time::sleep(Duration::from_millis(10)).await,
        }
        while conns.try_join_next().is_some() {}
    }
}

async fn serve(shared: Arc<Shared>, member: usize, mut stream: TcpStream, peer: SocketAddr) {
    let Some((id, wake)) = shared.connect(member, peer) else {
        return;
    };
    // A client that is gone has closed its end; there is nobody to tell.
    let _ = stream.set_nodelay(true);
    let _ = converse(&shared, id, &wake, &mut stream).await;
    shared.disconnect(id);
}

async fn converse(
    shared: &Shared,
    id: ConnId,
    wake: &Notify,
    stream: &mut TcpStream,
) -> io::Result<()> {
    let (mut reader, mut writer) = stream.split();
    let mut input = vec![0; CHUNK];
    let mut output = Vec::new();
    loop {
        let (more, takes) = shared.transmit(id, CHUNK.saturating_sub(output.len()));
        output.extend(more.bytes);
        if more.closed {
            writer.write_all(&output).await?;
            return writer.shutdown().await;
        }
        tokio::select! {
            count = reader.read(&mut input), if takes => match count? {
                0 => return Ok(()),
                count => shared.receive(id, input.get(..count).unwrap_or_default()),
            },
            count = writer.write(&output), if !output.is_empty() => {
                output.drain(..count?);
            }
            () = wake.notified() => {}
        }
    }
}
