//! A faulty network between a client and a server.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;

use super::{RETRY, Task, listen, reset};

/// A direction through a [`Proxy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Requests.
    ToServer,
    /// Replies and events.
    ToClient,
}

/// What the client sees when a [`Proxy`] cuts its connection. The server sees a FIN in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The connection is closed in order.
    Fin,
    /// The connection is reset.
    Rst,
}

/// A TCP proxy on a loopback port, in front of one server.
///
/// Orders hold for all connections, open and to come. Dropping it ends them.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    _acceptor: Task,
}

impl Proxy {
    /// Starts to listen. Each connection makes one to `server`.
    ///
    /// If the server refuses it, the client's is reset.
    ///
    /// # Panics
    /// If no loopback port can be had, and outside of a tokio runtime.
    ///
    /// # Cancel safety
    /// Cancelling it leaves nothing.
    pub async fn start(server: SocketAddr) -> Self {
        let (listener, addr) = listen().await;
        let shared = Arc::new(Shared::default());
        let acceptor = tokio::spawn(accept(listener, server, shared.clone()));
        Self {
            addr,
            shared,
            _acceptor: Task(acceptor),
        }
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The number of connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// The number of bytes passed on so far, all connections together.
    pub fn forwarded(&self, flow: Flow) -> u64 {
        self.shared.forwarded[flow as usize].load(Ordering::Relaxed)
    }

    /// Cuts all open connections now. What is held back is lost.
    pub fn cut(&self, how: Cut) {
        self.shared.rules.send_modify(|rules| {
            rules.cuts += 1;
            rules.how = how;
        });
    }

    /// Lets `count` more bytes pass in this direction, then cuts the connection that had the last.
    ///
    /// With 0 it cuts when the next byte arrives. The order is good for one cut and replaces an
    /// earlier one for this direction.
    pub fn cut_after(&self, flow: Flow, count: u64, how: Cut) {
        self.shared.plans()[flow as usize] = Some(Plan { left: count, how });
    }

    /// Takes [`cut_after`](Self::cut_after) back; returns whether it was still to come.
    pub fn spare(&self, flow: Flow) -> bool {
        self.shared.plans()[flow as usize].take().is_some()
    }

    /// Holds back what goes in this direction, until [`release`](Self::release).
    ///
    /// The connection stays open and silent; new ones are accepted and as silent. With both
    /// directions held this is a network that lost its way.
    pub fn hold(&self, flow: Flow) {
        self.shared
            .rules
            .send_modify(|rules| rules.held[flow as usize] = true);
    }

    /// Lets both directions pass again, beginning with what was held back.
    pub fn release(&self) {
        self.shared
            .rules
            .send_modify(|rules| rules.held = [false; 2]);
    }

    /// Delays each piece of data by this time; one that comes while another waits, by up to twice.
    pub fn delay(&self, time: Duration) {
        self.shared.rules.send_modify(|rules| rules.delay = time);
    }

    /// Whether to reset new connections as soon as they are accepted.
    pub fn refuse(&self, on: bool) {
        self.shared.rules.send_modify(|rules| rules.refuse = on);
    }
}

#[derive(Debug, Default)]
struct Shared {
    rules: watch::Sender<Rules>,
    plans: Mutex<[Option<Plan>; 2]>,
    forwarded: [AtomicU64; 2],
    connections: AtomicUsize,
}

#[derive(Debug)]
struct Rules {
    held: [bool; 2],
    delay: Duration,
    refuse: bool,
    cuts: u64,
    how: Cut,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            held: [false; 2],
            delay: Duration::ZERO,
            refuse: false,
            cuts: 0,
            how: Cut::Fin,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    left: u64,
    how: Cut,
}

/// Why a connection ends before both sides closed it.
enum Broken {
    Cut(Cut),
    Failed,
}

impl Shared {
    fn plans(&self) -> MutexGuard<'_, [Option<Plan>; 2]> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of `count` bytes may pass, and the cut that follows.
    fn admit(&self, flow: Flow, count: usize) -> (usize, Option<Cut>) {
        let mut plans = self.plans();
        let Some(plan) = &mut plans[flow as usize] else {
            return (count, None);
        };
        let passing = usize::try_from(plan.left).map_or(count, |left| left.min(count));
        plan.left -= passing as u64;
        let cut = (plan.left == 0).then_some(plan.how);
        if cut.is_some() {
            plans[flow as usize] = None;
        }
        (passing, cut)
    }

    /// Waits for an order to cut all connections.
    async fn cut(&self) -> Cut {
        let mut rules = self.rules.subscribe();
        let before = rules.borrow().cuts;
        let rules = rules.wait_for(|rules| rules.cuts != before).await;
        rules.expect("the sender is borrowed").how
    }

    /// Waits until this direction is not held, then for the delay.
    async fn pass(&self, flow: Flow) {
        let mut rules = self.rules.subscribe();
        let free = rules.wait_for(|rules| !rules.held[flow as usize]).await;
        let delay = free.expect("the sender is borrowed").delay;
        if !delay.is_zero() {
            time::sleep(delay).await;
        }
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, shared: Arc<Shared>) {
    let mut relays = JoinSet::new(); // ended with this task
    loop {
        let Ok((client, _)) = listener.accept().await else {
            time::sleep(RETRY).await;
            continue;
        };
        shared.connections.fetch_add(1, Ordering::Relaxed);
        if shared.rules.borrow().refuse {
            reset(client);
        } else {
            relays.spawn(relay(client, server, shared.clone()));
        }
        while relays.try_join_next().is_some() {}
    }
}

async fn relay(mut client: TcpStream, server: SocketAddr, shared: Arc<Shared>) {
    let Ok(mut server) = TcpStream::connect(server).await else {
        return reset(client);
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ended = tokio::select! {
        how = shared.cut() => Err(Broken::Cut(how)),
        ended = talk(&mut client, &mut server, &shared) => ended,
    };
    match ended {
        Ok(()) => {}
        Err(Broken::Failed) => [client, server].into_iter().for_each(reset),
        Err(Broken::Cut(Cut::Fin)) => drop(tokio::join!(close(client), close(server))),
        Err(Broken::Cut(Cut::Rst)) => {
            reset(client);
            close(server).await;
        }
    }
}

async fn talk(
    client: &mut TcpStream,
    server: &mut TcpStream,
    shared: &Shared,
) -> Result<(), Broken> {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let requests = pump(Flow::ToServer, from_client, to_server, shared);
    let replies = pump(Flow::ToClient, from_server, to_client, shared);
    tokio::try_join!(requests, replies).map(drop)
}

async fn pump(
    flow: Flow,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    shared: &Shared,
) -> Result<(), Broken> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut buffer).await.map_err(|_| Broken::Failed)?;
        shared.pass(flow).await;
        if count == 0 {
            return to.shutdown().await.map_err(|_| Broken::Failed);
        }
        let (passing, cut) = shared.admit(flow, count);
        to.write_all(&buffer[..passing])
            .await
            .map_err(|_| Broken::Failed)?;
        shared.forwarded[flow as usize].fetch_add(passing as u64, Ordering::Relaxed);
        if let Some(how) = cut {
            return Err(Broken::Cut(how));
        }
    }
}

/// Closes in order. Unread bytes would turn that into a reset, so they are read.
async fn close(mut stream: TcpStream) {
    if stream.shutdown().await.is_ok() {
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
}
