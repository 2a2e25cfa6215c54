//! A client: the real hub, and a driver that does as those of the transports do.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use docent_core::error::ProtocolError;
use docent_core::handle::{Handle, Kept, Share, act};
use docent_core::hub::{
    BoardPath, BodyOf, Borrowed, Buffers, EventQueue, FixedTx, Frame, Heap, HeapAuths, HeapTx, Hub,
    Limits, Parts, Resources, Storage, Tx, Watches,
};
use docent_core::path::{HeapPath, PathBuf};
use docent_core::recipes::cache::{Bounds, FixedStore, HeapStore, Store};
use docent_core::session::{Action, Backoff, Config, Credentials, HostIndex, Session, Status};
use docent_core::time::Instant;
use docent_core::wire::{Credential, FrameReader, Step};
use std::time::Duration;

use super::conduct::Conduct;
use super::faults::{Fault, Plan};
use super::link::{LinkId, To};
use super::world::{Event, World};

/// Where a client keeps what it has: [on the heap](OnHeap) or [as on a board](OnBoard).
pub trait Kind: 'static {
    /// An owned path.
    type Path: PathBuf + Clone + std::fmt::Debug;
    /// The memory of a hub.
    type Storage: Storage<Path = Self::Path, Watches: Watches<Events: EventQueue<Path = Self::Path>>>;

    /// A hub's memory within `limits`, which a board has its own instead of, and its driver's
    /// transmit buffer.
    fn parts(
        limits: Limits,
        config: &Config,
        chroot: &'static str,
        credentials: &'static [Credential<'static>],
    ) -> (Parts<Self::Storage>, <Self::Storage as Storage>::Tx);

    /// A frame as the hub takes it.
    fn frame(bytes: &[u8]) -> Frame<'_, Self::Storage>;

    /// Where a cache keeps its nodes.
    type Shelf: Store;

    /// Room for the nodes of a cache, within `bounds` unless it is of a fixed size.
    fn shelf(bounds: Bounds) -> Self::Shelf;

    /// How much a cache has room for, with replies of up to so many bytes.
    fn room(bounds: Bounds, reply: usize) -> Room;

    /// The longest reply that a driver can keep.
    const MAX_REPLY: usize;
    /// How many tasks of the application may use a client at a time.
    const TASKS: usize;
}

/// How much a cache has room for.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Nodes.
    pub nodes: usize,
    /// Bytes of all their paths and data.
    pub bytes: usize,
    /// Bytes of the path of a node.
    pub path: usize,
    /// Bytes of its data.
    pub data: usize,
    /// Bytes of a reply, beside its length.
    pub reply: usize,
}

/// As on a server.
#[derive(Clone, Copy, Debug)]
pub struct OnHeap;

impl Kind for OnHeap {
    type Path = HeapPath;
    type Storage = Heap;

    fn parts(
        limits: Limits,
        config: &Config,
        chroot: &str,
        credentials: &[Credential<'_>],
    ) -> (Parts<Heap>, HeapTx) {
        let mut auths = HeapAuths::default();
        for Credential { scheme, data } in credentials {
            auths.push(scheme, data);
        }
        (
            limits.parts(config, chroot.into(), auths),
            limits.tx(config),
        )
    }

    fn frame(bytes: &[u8]) -> Frame<'_, Heap> {
        bytes.to_vec().into()
    }

    type Shelf = HeapStore;

    fn shelf(bounds: Bounds) -> HeapStore {
        HeapStore::new(bounds)
    }

    fn room(bounds: Bounds, reply: usize) -> Room {
        Room {
            nodes: bounds.nodes,
            bytes: bounds.bytes,
            path: bounds.bytes,
            data: bounds.bytes,
            reply,
        }
    }

    const MAX_REPLY: usize = usize::MAX;
    const TASKS: usize = usize::MAX;
}

/// How many futures of a board may wait for room, or for a change of the session, at a time.
const WAITS: usize = 24;

/// How many nodes the cache of a board has room for, and how many bytes of path and data each has.
const NODES: usize = 6;
const PATH: usize = 64;
const DATA: usize = 24;

/// As on a board, with little memory: for `CALLS` calls, as many watches, and `ROOM` bytes for each
/// request or reply, and for what is received.
#[derive(Clone, Copy, Debug)]
pub struct OnBoard<const CALLS: usize = 4, const ROOM: usize = 512>;

impl<const CALLS: usize, const ROOM: usize> Kind for OnBoard<CALLS, ROOM> {
    type Path = BoardPath;
    type Storage = Borrowed<'static>;

    /// What is borrowed is never given back: some kilobytes for each simulated board.
    fn parts(
        _: Limits,
        _: &Config,
        chroot: &'static str,
        credentials: &'static [Credential<'static>],
    ) -> (Parts<Borrowed<'static>>, FixedTx<'static>) {
        let room = |size| Vec::leak(vec![0; size]);
        let buffers = Buffers {
            tx: [room(ROOM), room(ROOM)],
            bodies: room(CALLS * ROOM),
        };
        let resources = Box::leak(Box::new(Resources::<CALLS, CALLS, WAITS>::new()));
        resources.parts(buffers, chroot, credentials)
    }

    fn frame(bytes: &[u8]) -> Frame<'_, Borrowed<'static>> {
        bytes
    }

    type Shelf = FixedStore<NODES, PATH, DATA>;

    fn shelf(_: Bounds) -> Self::Shelf {
        FixedStore::new()
    }

    fn room(_: Bounds, reply: usize) -> Room {
        Room {
            nodes: NODES,
            bytes: NODES * (PATH + DATA),
            path: PATH,
            data: DATA,
            reply: reply.min(Self::MAX_REPLY),
        }
    }

    // Beside the length of a frame.
    const MAX_REPLY: usize = ROOM.saturating_sub(4);
    // More would keep each other awake.
    const TASKS: usize = 3;
}

/// A clock that starts somewhere and runs at its own rate.
#[derive(Clone, Copy, Debug)]
struct Clock {
    offset: u64,
    /// How far it gets while 1000 microseconds pass.
    rate: u64,
}

impl Clock {
    fn read(self, now: u64) -> Instant {
        Instant::from_micros(self.offset + now * self.rate / 1000)
    }

    /// The first time at which it shows `instant`.
    fn when(self, instant: Instant) -> u64 {
        let local = instant.as_micros().saturating_sub(self.offset);
        (local.saturating_mul(1000)).div_ceil(self.rate)
    }
}

/// What the tasks of a client share.
struct Shared<K: Kind> {
    hub: RefCell<Hub<K::Storage>>,
    clock: Clock,
    chroot: &'static str,
    world: Rc<World>,
}

/// A share in a simulated client.
pub struct Hold<K: Kind>(Rc<Shared<K>>);

impl<K: Kind> std::fmt::Debug for Hold<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hold({:?})", self.with(|hub| hub.session().status()))
    }
}

impl<K: Kind> Hold<K> {
    /// When the client's clock will show this.
    pub(super) fn when(&self, instant: Instant) -> u64 {
        self.0.clock.when(instant)
    }
}

impl<K: Kind> Clone for Hold<K> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<K: Kind> Hold<K> {
    /// What the session is known by.
    pub(super) fn credentials(&self) -> Option<Credentials> {
        self.with(|hub| hub.session().credentials())
    }
}

impl<K: Kind> Share for Hold<K> {
    type Storage = K::Storage;
    type Path = K::Path;
    type Body = Kept<Self>;
    type Time = Instant;

    fn with<T>(&self, act: impl FnOnce(&mut Hub<K::Storage>) -> T) -> T {
        act(&mut self.0.hub.borrow_mut())
    }

    fn now(&self) -> Instant {
        self.0.clock.read(self.0.world.now())
    }

    fn time(&self, instant: Instant) -> Instant {
        instant
    }

    fn chroot(&self) -> &str {
        self.0.chroot
    }

    fn body(&self, body: BodyOf<K::Storage>) -> Kept<Self> {
        Kept::new(self.clone(), body)
    }
}

enum Socket {
    None,
    Dialing(u64),
    Open(LinkId),
}

/// A client as its world sees it, wherever it keeps what it has.
pub(super) trait Drive {
    /// Does everything there is to do.
    fn drive(&mut self);
    /// Something has come over a connection, or it has ended.
    fn arrive(&mut self, link: LinkId, bytes: Option<&[u8]>);
    /// An attempt to connect has ended.
    fn dialed(&mut self, attempt: u64, link: Option<LinkId>);
    /// A server has said whether it serves writes.
    fn probed(&mut self, host: HostIndex, writable: bool);
    /// The timer goes off.
    fn awaken(&self);
    fn status(&self) -> Status;
    fn credentials(&self) -> Option<Credentials>;
    /// The session, if its lease runs by the client's clock.
    fn leased(&self) -> Option<i64>;
    /// How many requests, claims and orphans there are.
    fn debts(&self) -> [usize; 3];
    /// How many watches there are.
    fn watches(&self) -> usize;
    /// The connection there is.
    fn link(&self) -> Option<LinkId>;
    /// Its process has died; its connections are closed if there still is somebody to do so.
    fn crash(&mut self, closes: bool);
    fn close(&mut self);
    fn detach(&mut self);
}

/// A client's driver.
pub(super) struct Driver<K: Kind> {
    id: usize,
    world: Rc<World>,
    hold: Hold<K>,
    waker: Waker,
    socket: Socket,
    received: Vec<u8>,
    ended: bool,
    frames: FrameReader,
    tx: <K::Storage as Storage>::Tx,
    written: usize,
    armed: Cell<Option<Instant>>,
    logged: Status,
    /// Its process has died.
    dead: bool,
    conduct: Conduct,
}

fn config(plan: &Plan) -> Config {
    let timeout = Duration::from_millis(plan.timeout_ms);
    Config {
        session_timeout: timeout,
        operation_timeout: Some(timeout),
        backoff: Backoff {
            base: timeout / 20,
            cap: timeout / 2,
            stable: timeout,
        },
        max_request: plan.max_request,
        read_only: plan.read_only,
        ..Config::DEFAULT
    }
}

impl<K: Kind> Driver<K> {
    pub(super) fn new(world: &Rc<World>, id: usize, waker: Waker) -> Self {
        let plan = &world.plan;
        let config = config(plan);
        let chroot = plan.work.chroot(id);
        let limits = Limits {
            calls: plan.room,
            unsent_bytes: plan.unsent_bytes,
            watches: plan.room + plan.work.crowd(),
            claims: plan.room,
        };
        let (parts, tx) = K::parts(limits, &config, chroot, plan.work.credentials(id));
        let (seed, clock) = world.draw(|rng| {
            let clock = Clock {
                offset: rng.below(1 << 40),
                rate: rng.range(1000 - plan.skew, 1000 + plan.skew),
            };
            (rng.next(), clock)
        });
        if clock.rate != 1000 {
            world.count(Fault::Skew);
        }
        let now = clock.read(world.now());
        let session = Session::new(config, plan.members, seed, now);
        let hub = Hub::new(session.expect("a good configuration"), parts, seed);
        let logged = hub.session().status();
        let shared = Shared {
            hub: RefCell::new(hub),
            clock,
            chroot,
            world: Rc::clone(world),
        };
        Self {
            id,
            world: Rc::clone(world),
            hold: Hold(Rc::new(shared)),
            waker,
            socket: Socket::None,
            received: Vec::new(),
            ended: false,
            frames: FrameReader::new(),
            tx,
            written: 0,
            armed: Cell::new(None),
            logged,
            dead: false,
            conduct: Conduct::new(now),
        }
    }

    pub(super) fn handle(&self) -> Handle<Hold<K>> {
        Handle::new(self.hold.clone())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Hub<K::Storage>) -> T) -> T {
        self.hold.with(act)
    }

    fn arm(&self) {
        let deadline = self.with(|hub| hub.poll_timeout());
        if deadline != self.armed.get() {
            self.armed.set(deadline);
            if let Some(deadline) = deadline {
                let at = self.hold.0.clock.when(deadline);
                self.world.schedule(at, Event::Timer(self.id));
            }
        }
    }

    fn log(&mut self) {
        let (status, session) = self.with(|hub| (hub.session().status(), hub.session().id()));
        if status != self.logged {
            self.logged = status;
            let marks = [
                self.id as u64,
                status.epoch.get().into(),
                status.connections.into(),
                status.lapses.into(),
            ];
            self.world.note(&marks, || {
                let (id, state, epoch) = (self.id, status.state, status.epoch.get());
                let lapses = status.lapses;
                format!(
                    "client {id}: {state:?}, session {session:#x}, epoch {epoch}, lapses {lapses}"
                )
            });
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::HangUp => self.drop_socket(),
            Action::Dial(host) => {
                self.drop_socket();
                self.check_dial();
                let attempt = self.world.next_link();
                self.socket = Socket::Dialing(attempt);
                self.later(Event::Dialed {
                    client: self.id,
                    attempt,
                    member: host.get(),
                });
            }
            Action::Probe(host) => self.later(Event::Probed {
                client: self.id,
                host,
            }),
        }
    }

    fn check_dial(&mut self) {
        let (now, timeout) = (self.hold.now(), self.with(|hub| hub.session().timeout()));
        if !self.conduct.dial(now, timeout) {
            let id = self.id;
            self.world
                .fail(format!("client {id}: hardly pauses between attempts"));
        }
    }

    fn check_loss(&self) {
        let (now, timeout) = (self.hold.now(), self.with(|hub| hub.session().timeout()));
        if self.conduct.denies_loss(now, timeout, self.status()) {
            let id = self.id;
            self.world
                .fail(format!("client {id}: its session is long lost"));
        }
    }

    /// Lets an answer come.
    fn later(&self, event: Event) {
        let (least, most) = self.world.plan.weather.delay;
        let delay = self.world.draw(|rng| rng.range(least, most));
        self.world.schedule(self.world.now() + delay, event);
    }

    fn drop_socket(&mut self) {
        if let Socket::Open(link) = self.socket {
            self.world.close(link, To::Server);
            if let Some(link) = self.world.links.borrow_mut().get_mut(&link) {
                link.to_client.closed = true;
            }
            self.world.forget(link);
        }
        self.socket = Socket::None;
        self.received.clear();
        self.ended = false;
        self.tx.clear();
        self.written = 0;
    }

    fn lose(&mut self, why: Option<ProtocolError>) {
        let id = self.id;
        self.world.note(&[0x105e, id as u64], || match why {
            Some(why) => format!("client {id}: connection lost: {why}"),
            None => format!("client {id}: connection lost"),
        });
        self.drop_socket();
        let now = self.hold.now();
        self.with(|hub| hub.handle_lost(now));
    }

    fn read(&mut self) -> bool {
        if !matches!(self.socket, Socket::Open(_)) {
            return false;
        }
        let mut moved = false;
        loop {
            match self.read_one() {
                Ok(true) => moved = true,
                Ok(false) => break,
                Err(error) => {
                    self.lose(Some(error));
                    return true;
                }
            }
        }
        if self.ended {
            self.lose(None);
            return true;
        }
        moved
    }

    /// Takes one step through what was received. Whether there was one.
    fn read_one(&mut self) -> Result<bool, ProtocolError> {
        let now = self.hold.now();
        let most = K::MAX_REPLY.min(self.world.plan.max_reply);
        let step = self.frames.step(&self.received, most)?;
        let (drop, handled) = match step {
            Step::NeedMore { .. } => return Ok(false),
            Step::Skipping { n } => {
                let skipped = &self.received[..n];
                let handled = self.hold.with(|hub| hub.handle_skipped(now, skipped));
                (n, handled)
            }
            Step::Oversized { header, len } => {
                (0, self.with(|hub| hub.handle_oversized(now, header, len)))
            }
            Step::Frame(range) => {
                let frame = K::frame(&self.received[range.clone()]);
                (
                    range.end,
                    self.hold.with(|hub| hub.handle_frame(now, frame)),
                )
            }
        };
        self.received.drain(..drop);
        self.conduct.heard = now;
        if let Some(waker) = handled? {
            waker.wake();
        }
        Ok(true)
    }

    /// Writes as much as the connection takes.
    fn write(&mut self) -> bool {
        let Socket::Open(link) = self.socket else {
            return false;
        };
        let mut moved = false;
        loop {
            if self.written == self.tx.bytes().len() {
                self.tx.clear();
                self.written = 0;
                let now = self.hold.now();
                let Self { hold, tx, .. } = self;
                if !hold.with(|hub| hub.poll_transmit(now, tx)) {
                    return moved;
                }
            }
            let rest = &self.tx.bytes()[self.written..];
            let count = self.world.room(link).min(rest.len());
            if count == 0 {
                return moved;
            }
            self.world.send(link, To::Server, &rest[..count]);
            self.written += count;
            moved = true;
        }
    }
}

impl<K: Kind> Drive for Driver<K> {
    fn arrive(&mut self, link: LinkId, bytes: Option<&[u8]>) {
        if !matches!(self.socket, Socket::Open(open) if open == link) || self.ended {
            return;
        }
        match bytes {
            Some(bytes) => self.received.extend_from_slice(bytes),
            None => self.ended = true,
        }
        self.waker.wake_by_ref();
    }

    fn awaken(&self) {
        self.armed.set(None);
        self.waker.wake_by_ref();
    }

    fn dialed(&mut self, attempt: u64, link: Option<LinkId>) {
        if !matches!(self.socket, Socket::Dialing(dialing) if dialing == attempt) {
            if let Some(link) = link {
                self.world.close(link, To::Server);
            }
            return;
        }
        let now = self.hold.now();
        match link {
            Some(link) => {
                self.socket = Socket::Open(link);
                self.received.clear();
                self.ended = false;
                self.frames = FrameReader::new();
                self.with(|hub| hub.handle_opened(now));
            }
            None => {
                self.drop_socket();
                self.with(|hub| hub.handle_lost(now));
            }
        }
        self.waker.wake_by_ref();
    }

    fn probed(&mut self, host: HostIndex, writable: bool) {
        let now = self.hold.now();
        self.with(|hub| hub.handle_probed(now, host, writable));
        self.waker.wake_by_ref();
    }

    fn drive(&mut self) {
        while !self.dead {
            let moved = self.read() | self.write();
            let now = self.hold.now();
            let due = self.with(|hub| hub.poll_timeout().is_some_and(|at| at <= now));
            if due {
                self.with(|hub| hub.handle_timeout(now));
            }
            self.hold
                .with(|hub| hub.register_driver(&self.waker.clone()));
            let action = self.with(Hub::poll_action);
            act(&self.hold, |_| ());
            self.log();
            let acted = action.map(|action| self.carry_out(action)).is_some();
            if !moved && !acted && !due {
                self.check_loss();
                return self.arm();
            }
        }
    }

    fn status(&self) -> Status {
        self.with(|hub| hub.session().status())
    }

    fn credentials(&self) -> Option<Credentials> {
        self.with(|hub| hub.session().credentials())
    }

    fn leased(&self) -> Option<i64> {
        let now = self.hold.now();
        self.with(|hub| {
            let session = hub.session();
            let runs = session.lease().is_some_and(|end| end > now);
            let lives = runs && session.status().state.end().is_none();
            // A server without a quorum invents sessions, which end as it likes.
            let known = session.credentials().filter(|_| lives);
            known.map(|credentials| credentials.id)
        })
    }

    fn debts(&self) -> [usize; 3] {
        self.with(|hub| [hub.requests(), hub.claims(), hub.orphans()])
    }

    fn watches(&self) -> usize {
        self.with(Hub::watches)
    }

    fn link(&self) -> Option<LinkId> {
        match self.socket {
            Socket::Open(link) => Some(link),
            _ => None,
        }
    }

    fn crash(&mut self, closes: bool) {
        self.dead = true;
        if closes {
            return self.drop_socket();
        }
        if let Some(link) = self.link() {
            self.world.abandon(link);
        }
        self.socket = Socket::None;
    }

    fn close(&mut self) {
        let now = self.hold.now();
        act(&self.hold, |hub| hub.close(now));
    }

    fn detach(&mut self) {
        act(&self.hold, Hub::detach);
    }
}
