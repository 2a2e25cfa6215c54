//! The sockets in front of the model, and the clock behind it.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use docent_core::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time;

use crate::server::{ConnId, Ensemble};

/// Bytes that are read or written at once.
const CHUNK: usize = 1 << 16;

/// How long a connection may be silent before it has a session, as with real servers.
const GREETING: Duration = Duration::from_secs(10);

pub(super) struct Shared {
    state: Mutex<State>,
    /// Something has changed that may bring the next timeout forward.
    changed: Notify,
    start: time::Instant,
    max_connections: usize,
}

struct State {
    ensemble: Ensemble,
    conns: BTreeMap<ConnId, Peer>,
}

/// The client's end of a connection.
struct Peer {
    member: usize,
    address: IpAddr,
    wake: Arc<Notify>,
}

/// What to do next on a connection.
struct Turn {
    bytes: Vec<u8>,
    closed: bool,
    /// Whether to read on.
    takes: bool,
    /// Whether there is a session.
    greeted: bool,
}

impl Shared {
    pub(super) fn new(ensemble: Ensemble, max_connections: usize) -> Self {
        let conns = BTreeMap::new();
        Self {
            state: Mutex::new(State { ensemble, conns }),
            changed: Notify::new(),
            start: time::Instant::now(),
            max_connections,
        }
    }

    pub(super) fn control<T>(&self, change: impl FnOnce(&mut Ensemble) -> T) -> T {
        let mut state = self.lock();
        state.ensemble.handle_timeout(self.now());
        let result = change(&mut state.ensemble);
        state.conns.values().for_each(|peer| peer.wake.notify_one());
        drop(state);
        self.changed.notify_one();
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }

    fn connect(&self, member: usize, address: IpAddr) -> Option<(ConnId, Arc<Notify>)> {
        let mut state = self.lock();
        if state.connections(member, address) >= self.max_connections {
            return None;
        }
        let id = state.ensemble.connect_from(member, &address.to_string())?;
        let wake = Arc::new(Notify::new());
        let peer = Peer {
            member,
            address,
            wake: wake.clone(),
        };
        state.conns.insert(id, peer);
        Some((id, wake))
    }

    fn receive(&self, id: ConnId, bytes: &[u8]) {
        let mut state = self.lock();
        state.ensemble.receive(id, self.now(), bytes);
        state.wake();
        drop(state);
        self.changed.notify_one();
    }

    fn transmit(&self, id: ConnId, room: usize) -> Turn {
        let mut state = self.lock();
        let output = state.ensemble.transmit(id, room);
        // Requests that waited for room may have caused events elsewhere.
        state.wake();
        Turn {
            bytes: output.bytes,
            closed: output.closed,
            takes: state.ensemble.takes(id),
            greeted: state.ensemble.session(id).is_some(),
        }
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
    fn connections(&self, member: usize, address: IpAddr) -> usize {
        let same = |peer: &&Peer| (peer.member, peer.address) == (member, address);
        self.conns.values().filter(same).count()
    }

    fn wake(&mut self) {
        let conns = self.ensemble.outputs().into_iter();
        conns
            .filter_map(|id| self.conns.get(&id))
            .for_each(|peer| peer.wake.notify_one());
    }
}

pub(super) async fn keep_time(shared: Arc<Shared>) {
    loop {
        // With nothing to wait for, any time will do.
        let next = shared.handle_timeout();
        let wait = next.map_or(Duration::from_secs(3600), |at| at.since(shared.now()));
        let _ = time::timeout(wait, shared.changed.notified()).await;
    }
}

pub(super) async fn accept(shared: Arc<Shared>, member: usize, listener: TcpListener) {
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
    let Some((id, wake)) = shared.connect(member, peer.ip()) else {
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
    let mut heard = time::Instant::now();
    loop {
        let turn = shared.transmit(id, CHUNK.saturating_sub(output.len()));
        output.extend(turn.bytes);
        if turn.closed {
            writer.write_all(&output).await?;
            return writer.shutdown().await;
        }
        tokio::select! {
            count = reader.read(&mut input), if turn.takes => {
                match count? {
                    0 => return Ok(()),
                    count => shared.receive(id, input.get(..count).unwrap_or_default()),
                }
                heard = time::Instant::now();
            }
            count = writer.write(&output), if !output.is_empty() => {
                output.drain(..count?);
            }
            () = time::sleep_until(heard + GREETING), if turn.takes && !turn.greeted => {
                return Ok(());
            }
            () = wake.notified() => {}
        }
    }
}
