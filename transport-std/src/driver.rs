//! The task that connects the hub with sockets: read, handle, wake, write.

use std::future::Future;
use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::BytesMut;
use docent_core::error::ProtocolError;
use docent_core::handle::{Handle, act};
use docent_core::hub::{Heap, HeapTx, Hub, Tx};
use docent_core::recipes::reap;
use docent_core::session::{Action, HostIndex, Status};
use docent_core::time::Instant;
use docent_core::wire::{FrameReader, Step};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant as Time, Sleep};
use tracing::{debug, info, warn};

use crate::connect::{Host, Resolve, dial, is_writable};
use crate::shared::{Link, Shared};

/// The buffer an idle connection reads into, and the one a busy connection grows to.
const READ: (usize, usize) = (512, 64 * 1024);

/// Runs a client until it is closed.
pub(crate) async fn drive(mut driver: Driver) {
    let mut reaper = pin!(reap(Handle::new(driver.link.clone())));
    std::future::poll_fn(|cx| {
        let over = driver.poll(cx);
        if driver.has_orphans {
            // It never ends.
            let _: Poll<()> = reaper.as_mut().poll(cx);
        }
        over
    })
    .await;
}

pub(crate) struct Driver {
    link: Link,
    shared: Arc<Shared>,
    hosts: Vec<Host>,
    resolver: Arc<dyn Resolve>,
    max_reply: usize,
    socket: Socket,
    probe: Option<(HostIndex, Task<bool>)>,
    timer: Pin<Box<Sleep>>,
    /// When the timer is set to go off.
    armed: Option<Time>,
    wakers: Vec<Waker>,
    /// What is being written.
    tx: HeapTx,
    written: usize,
    logged: Status,
    has_orphans: bool,
    /// Several tasks were woken, and get their turn before the driver does.
    crowd: bool,
}

/// What the hub wants of the driver besides bytes.
struct Turn {
    timed_out: bool,
    action: Option<Action>,
    over: bool,
    status: Status,
    deadline: Option<Instant>,
    waker: Option<Waker>,
    /// There may be more wakers.
    wakers: bool,
}

type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

enum Socket {
    None,
    Dialing(HostIndex, Task<io::Result<TcpStream>>),
    Open(Box<Connection>),
}

struct Connection {
    host: HostIndex,
    stream: TcpStream,
    rx: BytesMut,
    /// How much to read at once.
    appetite: usize,
    frames: FrameReader,
    /// The status when it was opened.
    opened: Status,
}

/// Why a connection ended.
enum Lost {
    Io(io::Error),
    Protocol(ProtocolError),
}

impl Driver {
    pub(crate) fn new(
        shared: Arc<Shared>,
        hosts: Vec<Host>,
        resolver: Arc<dyn Resolve>,
        max_reply: usize,
        tx: HeapTx,
    ) -> Self {
        let logged = shared.hub().session().status();
        Self {
            link: Link::of_driver(Arc::clone(&shared)),
            shared,
            hosts,
            resolver,
            max_reply,
            socket: Socket::None,
            probe: None,
            timer: Box::pin(tokio::time::sleep_until(Time::now())),
            armed: None,
            wakers: Vec::new(),
            tx,
            written: 0,
            logged,
            has_orphans: false,
            crowd: false,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.poll_probe(cx);
            self.poll_dial(cx);
            let moved = self.poll_connection(cx);
            let turn = self.turn(cx);
            turn.waker.into_iter().for_each(Waker::wake);
            if turn.wakers {
                act(&self.link, |_| ());
            }
            if turn.status != self.logged {
                self.log(turn.status);
            }
            let acted = turn.action.map(|action| self.carry_out(action)).is_some();
            if turn.over && !acted {
                return Poll::Ready(());
            }
            if turn.timed_out {
                self.rest();
            }
            if mem::take(&mut self.crowd) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !moved && !acted && !turn.timed_out && self.sleep(cx, turn.deadline).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Asks the hub, once, for everything but bytes.
    fn turn(&mut self, cx: &Context<'_>) -> Turn {
        let now = self.shared.now();
        let mut hub = self.shared.hub();
        let timed_out = hub.poll_timeout().is_some_and(|deadline| deadline <= now);
        if timed_out {
            hub.handle_timeout(now);
        }
        if !self.crowd {
            hub.register_driver(cx.waker());
        }
        self.has_orphans = hub.orphans() > 0;
        let waker = hub.poll_waker();
        Turn {
            timed_out,
            action: hub.poll_action(),
            over: hub.is_over(),
            status: hub.session().status(),
            deadline: hub.poll_timeout(),
            wakers: waker.is_some(),
            waker,
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Hub<Heap>) -> T) -> T {
        act(&mut self.shared.hub())
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::HangUp => self.hang_up(),
            Action::Dial(host) => {
                let task = dial(Arc::clone(&self.resolver), self.host(host));
                self.socket = Socket::Dialing(host, Box::pin(task));
            }
            Action::Probe(host) => {
                let task = is_writable(Arc::clone(&self.resolver), self.host(host));
                self.probe = Some((host, Box::pin(task)));
            }
        }
    }

    fn host(&self, index: HostIndex) -> Host {
        self.hosts[index.get()].clone()
    }

    fn hang_up(&mut self) {
        let unanswered = match &self.socket {
            Socket::Dialing(host, _) => Some(*host),
            Socket::Open(connection) if !connection.has_shaken_hands(self.logged) => {
                Some(connection.host)
            }
            _ => None,
        };
        if let Some(host) = unanswered {
            let failure = format!("{}: no answer in time", self.hosts[host.get()]);
            *self.shared.last_failure() = Some(failure);
        }
        self.drop_socket();
    }

    fn drop_socket(&mut self) {
        self.socket = Socket::None;
        self.probe = None;
        self.tx.clear();
        self.written = 0;
    }

    fn poll_probe(&mut self, cx: &mut Context<'_>) {
        if let Some((host, task)) = &mut self.probe
            && let Poll::Ready(writable) = task.as_mut().poll(cx)
        {
            let host = *host;
            self.probe = None;
            let now = self.shared.now();
            self.with(|hub| hub.handle_probed(now, host, writable));
        }
    }

    fn poll_dial(&mut self, cx: &mut Context<'_>) {
        let Socket::Dialing(host, task) = &mut self.socket else {
            return;
        };
        let Poll::Ready(dialled) = task.as_mut().poll(cx) else {
            return;
        };
        let host = *host;
        let now = self.shared.now();
        match dialled {
            Ok(stream) => {
                debug!(host = %self.hosts[host.get()], "connected; shaking hands");
                let connection = Connection {
                    host,
                    stream,
                    rx: BytesMut::new(),
                    appetite: READ.0,
                    frames: FrameReader::new(),
                    opened: self.logged,
                };
                self.socket = Socket::Open(Box::new(connection));
                self.with(|hub| hub.handle_opened(now));
            }
            Err(error) => {
                let failure = format!("{}: {error}", self.hosts[host.get()]);
                debug!("cannot connect: {failure}");
                *self.shared.last_failure() = Some(failure);
                self.drop_socket();
                self.with(|hub| hub.handle_lost(now));
            }
        }
    }

    /// Moves bytes both ways. Whether any moved.
    fn poll_connection(&mut self, cx: &mut Context<'_>) -> bool {
        let moved = self.poll_read(cx).and_then(|read| {
            // Those who were woken will ask for more: their requests go out together.
            Ok(!self.crowd && self.poll_write(cx)? || read)
        });
        match moved {
            Ok(moved) => moved,
            Err(lost) => {
                self.lose(&lost);
                true
            }
        }
    }

    fn lose(&mut self, lost: &Lost) {
        if let Socket::Open(connection) = &self.socket {
            let host = &self.hosts[connection.host.get()];
            let failure = match lost {
                Lost::Io(error) => format!("{host}: {error}"),
                Lost::Protocol(error) => format!("{host}: {error}"),
            };
            match lost {
                Lost::Io(_) => debug!("connection lost: {failure}"),
                Lost::Protocol(_) => warn!("the server broke the protocol: {failure}"),
            }
            *self.shared.last_failure() = Some(failure);
        }
        self.drop_socket();
        let now = self.shared.now();
        self.with(|hub| hub.handle_lost(now));
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, Lost> {
        let Socket::Open(connection) = &mut self.socket else {
            return Ok(false);
        };
        let Poll::Ready(count) = connection.poll_fill(cx) else {
            return Ok(false);
        };
        if count.map_err(Lost::Io)? == 0 {
            let closed = io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server closed the connection",
            );
            return Err(Lost::Io(closed));
        }
        let now = self.shared.now();
        let handled = connection.handle(
            &mut self.shared.hub(),
            now,
            self.max_reply,
            &mut self.wakers,
        );
        self.crowd = self.wakers.len() > 1;
        // Whoever was answered before the offence has got a good answer.
        self.wakers.drain(..).for_each(Waker::wake);
        handled.map_err(Lost::Protocol)?;
        Ok(true)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<bool, Lost> {
        let Socket::Open(connection) = &mut self.socket else {
            return Ok(false);
        };
        let mut moved = false;
        loop {
            if self.written == self.tx.bytes().len() {
                self.tx.clear();
                self.written = 0;
                let now = self.shared.now();
                let mut hub = self.shared.hub();
                if !hub.poll_transmit(now, &mut self.tx) {
                    // Under the same lock, so that no submission goes unnoticed.
                    hub.register_driver(cx.waker());
                    return Ok(moved);
                }
            }
            let rest = &self.tx.bytes()[self.written..];
            match Pin::new(&mut connection.stream).poll_write(cx, rest) {
                Poll::Pending => return Ok(moved),
                Poll::Ready(Ok(count)) => self.written += count,
                Poll::Ready(Err(error)) => return Err(Lost::Io(error)),
            }
            moved = true;
        }
    }

    /// Gives up memory that an idle connection does not need.
    fn rest(&mut self) {
        if self.tx.bytes().is_empty() {
            self.tx.shrink();
        }
        if let Socket::Open(connection) = &mut self.socket
            && connection.rx.is_empty()
        {
            connection.rx = BytesMut::new();
            connection.appetite = READ.0;
        }
    }

    /// Waits for the next deadline. The timer is only moved to an earlier time:
    /// most deadlines move on before they are reached.
    fn sleep(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline.map(|deadline| self.shared.time(deadline)) else {
            return Poll::Pending;
        };
        if self.armed.is_none_or(|armed| deadline < armed) {
            self.timer.as_mut().reset(deadline);
            self.armed = Some(deadline);
        }
        ready!(self.timer.as_mut().poll(cx));
        self.armed = None;
        Poll::Ready(())
    }

    fn log(&mut self, status: Status) {
        let (id, timeout) = self.with(|hub| (hub.session().id(), hub.session().timeout()));
        if let Some(lost) = status.lost.filter(|_| status.epoch != self.logged.epoch) {
            warn!(
                ?lost,
                epoch = status.epoch.get(),
                "the session is over; its ephemerals and locks are gone"
            );
        }
        info!(session = format_args!("{id:#x}"), ?timeout, state = ?status.state, "session state");
        self.logged = status;
    }
}

impl Drop for Driver {
    /// A runtime that shuts down drops its tasks: nobody must wait for replies that cannot come.
    fn drop(&mut self) {
        act(&self.link, Hub::detach);
    }
}

impl Connection {
    const fn has_shaken_hands(&self, now: Status) -> bool {
        let (then, lost) = (self.opened, self.opened.epoch.get() != now.epoch.get());
        lost || then.connections != now.connections
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.rx.capacity() - self.rx.len() < self.appetite / 2 {
            self.rx.reserve(self.appetite);
        }
        let room = self.rx.capacity() - self.rx.len();
        let count = ready!(pin!(self.stream.read_buf(&mut self.rx)).poll(cx))?;
        if count == room {
            self.appetite = (self.appetite * 2).min(READ.1);
        }
        Poll::Ready(Ok(count))
    }

    /// Hands all complete frames to the hub, and collects who is to be woken.
    fn handle(
        &mut self,
        hub: &mut Hub<Heap>,
        now: Instant,
        max: usize,
        wakers: &mut Vec<Waker>,
    ) -> Result<(), ProtocolError> {
        if let Step::NeedMore { at_least } = self.frames.clone().step(&self.rx, max)? {
            self.expect(at_least, max);
            return Ok(());
        }
        // One shared buffer for all frames costs less than splitting them off one by one.
        let received = self.rx.split().freeze();
        let mut at = 0;
        loop {
            let waker = match self.frames.step(&received[at..], max)? {
                Step::NeedMore { at_least } => {
                    self.rx.extend_from_slice(&received[at..]);
                    self.expect(at_least, max);
                    return Ok(());
                }
                Step::Skipping { n } => {
                    at += n;
                    hub.handle_skipped(now, &received[at - n..at])?
                }
                Step::Oversized { header, len } => hub.handle_oversized(now, header, len)?,
                Step::Frame(range) => {
                    let frame = received.slice(at + range.start..at + range.end);
                    at += range.end;
                    hub.handle_frame(now, frame)?
                }
            };
            wakers.extend(waker);
        }
    }

    /// Makes room for the rest of a frame that has begun.
    fn expect(&mut self, at_least: usize, max: usize) {
        if !self.rx.is_empty() {
            self.rx.reserve(at_least.min(max));
        }
    }
}
