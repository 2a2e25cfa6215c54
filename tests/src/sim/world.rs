//! What all parts of a simulation have in common: time, chance, events and the ensemble.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use docent_core::session::HostIndex;
use docent_core::time::Instant;

use super::check::{Journal, has_joined};
use super::executor::Executor;
use super::faults::{Counts, Fault, Plan};
use super::lies;
use super::link::{Link, LinkId, Piece, To};
use super::process::Process;
use super::rng::{Rng, mix};
use super::schedule::{self, Injection, Only};
use super::trouble::Injected;
use crate::server::{ConnId, Ensemble};

/// Something that happens at a time.
pub(super) enum Event {
    /// A piece arrives.
    Arrive(LinkId, To, Piece),
    /// The attempt of a client to reach a member is answered.
    Dialed {
        client: usize,
        attempt: u64,
        member: usize,
    },
    /// A client has an answer to whether a member serves writes.
    Probed {
        client: usize,
        host: HostIndex,
    },
    /// A client's driver has something to do.
    Timer(usize),
    Wake(Waker),
    /// Something goes wrong.
    Fault(Injection),
    /// Something gets better.
    Relief(Relief),
    /// All faults end.
    Heal,
}

/// The end of a fault.
#[derive(Clone, Copy, Debug)]
pub(super) enum Relief {
    Stall(LinkId),
    Partition(usize, usize),
    Lie(usize),
    Lag(usize),
    Pause(usize),
    Kill(usize),
    Isolate(usize),
    ReadOnly(usize),
    Deaf(LinkId),
    Client(usize),
    Tasks(usize),
    Driver(usize),
    /// A connection that only the server knows of.
    Stray(ConnId),
}

impl Event {
    /// Whether somebody goes on with it who may have been stopped for long.
    const fn is_awaited(&self) -> bool {
        matches!(self, Self::Wake(_) | Self::Relief(_) | Self::Heal)
    }
}

struct Due {
    at: u64,
    order: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    /// The earliest is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// What happened, in short, and in words if wanted.
#[derive(Default)]
struct Trace {
    hash: u64,
    lines: Option<Vec<String>>,
}

pub(super) struct World {
    pub(super) plan: Plan,
    now: Cell<u64>,
    pub(super) rng: RefCell<Rng>,
    events: RefCell<BinaryHeap<Due>>,
    order: Cell<u64>,
    trace: RefCell<Trace>,
    pub(super) executor: Executor,
    pub(super) ensemble: RefCell<Ensemble>,
    pub(super) links: RefCell<BTreeMap<LinkId, Link>>,
    next_link: Cell<LinkId>,
    /// Which clients and members nothing gets through between.
    pub(super) blocked: RefCell<Vec<(usize, usize)>>,
    /// Which clients get wrong answers, and what decides about them.
    pub(super) lied_to: RefCell<BTreeMap<usize, Rng>>,
    pub(super) processes: RefCell<Vec<Process>>,
    pub(super) counts: RefCell<Counts>,
    /// The faults that had an effect.
    pub(super) injected: RefCell<Vec<Injected>>,
    /// How long all members will be away once somebody has joined a queue.
    pub(super) blackout: Cell<Option<u64>>,
    pub(super) healed: Cell<bool>,
    pub(super) journal: RefCell<Journal>,
    failures: RefCell<Vec<String>>,
    serial: Cell<u64>,
    /// How many events there are that will let somebody go on.
    awaited: Cell<usize>,
    /// When a task has last run.
    progress: Cell<u64>,
}

impl World {
    /// A world by a plan of which only some faults may be wanted.
    pub(super) fn new(seed: u64, mut plan: Plan, only: Only<'_>, verbose: bool) -> Rc<Self> {
        let mut rng = Rng::new(mix(seed ^ 0x0b5e_55ed));
        let schedule = schedule::draw(&mut plan, &mut rng.fork(), only);
        let builder = match plan.work.base {
            "" => Ensemble::builder(),
            base => Ensemble::builder().node(base),
        };
        let ensemble = builder
            .members(plan.members)
            .release(plan.release)
            .tick(Duration::from_millis(plan.tick_ms))
            .seed(seed)
            .reap_interval(Duration::from_secs(5))
            .build();
        let world = Rc::new(Self {
            plan,
            now: Cell::new(0),
            rng: RefCell::new(rng),
            events: RefCell::default(),
            order: Cell::new(0),
            trace: RefCell::new(Trace {
                hash: 0,
                lines: verbose.then(Vec::new),
            }),
            executor: Executor::default(),
            ensemble: RefCell::new(ensemble),
            links: RefCell::default(),
            next_link: Cell::new(0),
            blocked: RefCell::default(),
            lied_to: RefCell::default(),
            blackout: Cell::new(None),
            processes: RefCell::default(),
            counts: RefCell::default(),
            injected: RefCell::default(),
            healed: Cell::new(false),
            journal: RefCell::default(),
            failures: RefCell::default(),
            serial: Cell::new(0),
            awaited: Cell::new(0),
            progress: Cell::new(0),
        });
        for injection in schedule {
            world.schedule(injection.at, Event::Fault(injection));
        }
        if world.plan.heal_at > 0 {
            world.schedule(world.plan.heal_at, Event::Heal);
        }
        world
    }

    /// The time that everybody would agree on, in microseconds.
    pub(super) const fn now(&self) -> u64 {
        self.now.get()
    }

    pub(super) const fn instant(&self) -> Instant {
        Instant::from_micros(self.now())
    }

    pub(super) fn advance(&self, to: u64) {
        self.now.set(self.now().max(to));
    }

    /// The last transaction that the ensemble has agreed on.
    pub(super) fn zxid(&self) -> i64 {
        self.ensemble.borrow().zxid()
    }

    /// A number that was not given out before.
    pub(super) fn serial(&self) -> u64 {
        self.serial.set(self.serial.get() + 1);
        self.serial.get()
    }

    pub(super) fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.rng.borrow_mut())
    }

    /// Takes note of what happens: of `marks` always, of the words only if somebody will read them.
    pub(super) fn note(&self, marks: &[u64], words: impl FnOnce() -> String) {
        let mut trace = self.trace.borrow_mut();
        let marks = marks.iter().copied().chain([self.now.get()]);
        trace.hash = marks.fold(trace.hash, |hash, mark| {
            mix(hash.rotate_left(17) ^ mark).wrapping_add(1)
        });
        if let Some(lines) = &mut trace.lines {
            let seconds = self.now.get() as f64 / 1e6;
            lines.push(format!("{seconds:12.6}  {}", words()));
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.trace.borrow().hash
    }

    pub(super) fn timeline(&self) -> Vec<String> {
        self.trace.borrow_mut().lines.take().unwrap_or_default()
    }

    /// Something is wrong with what is tested.
    pub(super) fn fail(&self, what: String) {
        self.note(&[0xfa11], || format!("FAILED: {what}"));
        self.failures.borrow_mut().push(what);
    }

    pub(super) fn failures(&self) -> Vec<String> {
        self.failures.borrow().clone()
    }

    pub(super) fn has_failed(&self) -> bool {
        !self.failures.borrow().is_empty()
    }

    pub(super) fn count(&self, fault: Fault) {
        self.counts.borrow_mut().add(fault);
    }

    pub(super) fn schedule(&self, at: u64, event: Event) {
        let order = self.order.replace(self.order.get() + 1);
        if event.is_awaited() {
            self.awaited.set(self.awaited.get() + 1);
        }
        let at = at.max(self.now());
        self.events.borrow_mut().push(Due { at, order, event });
    }

    /// When something happens next, the ensemble included.
    pub(super) fn next_at(&self) -> Option<u64> {
        let event = self.events.borrow().peek().map(|due| due.at);
        let ensemble = self.ensemble.borrow().poll_timeout();
        let ensemble = ensemble.map(Instant::as_micros);
        event.into_iter().chain(ensemble).min()
    }

    /// The next event, if it is due by now.
    pub(super) fn next_event(&self) -> Option<Event> {
        let mut events = self.events.borrow_mut();
        let due = events.peek().is_some_and(|due| due.at <= self.now());
        let event = due.then(|| events.pop())?.map(|due| due.event);
        if event.as_ref().is_some_and(Event::is_awaited) {
            self.awaited.set(self.awaited.get() - 1);
        }
        event
    }

    /// A task runs.
    pub(super) fn progress(&self) {
        self.progress.set(self.now());
    }

    /// Whether all tasks wait for each other or for a server, and have done so for a while, although
    /// nothing is wrong any more.
    pub(super) fn is_stuck(&self, patience: u64) -> bool {
        let awaits = self.awaited.get() > 0;
        !awaits && self.now() > self.progress.get() + patience
    }

    /// Why the end was not reached.
    pub(super) fn complaint(&self, limit: u64) -> String {
        let waiting = self.executor.waiting().join(", ");
        if self.now() < limit {
            return format!("nobody goes on, though all faults have ended: {waiting}");
        }
        format!("not over after {} s: {waiting}", limit / 1_000_000)
    }

    pub(super) fn sleep(self: &Rc<Self>, micros: u64) -> Sleep {
        let healed = self.now().max(self.plan.heal_at);
        Sleep::until(self, (self.now() + micros).min(healed + micros / 100))
    }

    /// Lets go of everything that knows this world.
    pub(super) fn clear(&self) {
        self.executor.clear();
        self.events.borrow_mut().clear();
        let processes = self.processes.take();
        drop(processes);
    }

    // ---- the network ----

    /// Opens a connection to a member, if it takes any.
    pub(super) fn open(&self, client: usize, member: usize) -> Option<LinkId> {
        let conn = self.ensemble.borrow_mut().connect(member)?;
        let id = self.next_link();
        let mut links = self.links.borrow_mut();
        links.insert(id, Link::new(client, member, conn));
        Some(id)
    }

    /// A number for a connection, or for an attempt at one.
    pub(super) fn next_link(&self) -> LinkId {
        self.next_link.replace(self.next_link.get() + 1)
    }

    /// How many bytes the client's side may send now. If none, its driver is woken once there is room.
    pub(super) fn room(&self, id: LinkId) -> usize {
        let mut links = self.links.borrow_mut();
        let Some(link) = links.get_mut(&id).filter(|link| !link.cut) else {
            return usize::MAX;
        };
        let lane = &mut link.to_server;
        let room = self.plan.weather.window.saturating_sub(lane.on_the_way);
        lane.awaited |= room == 0;
        room
    }

    pub(super) fn is_blocked(&self, client: usize, member: usize) -> bool {
        self.blocked.borrow().contains(&(client, member))
    }

    /// Bytes are sent on their way.
    pub(super) fn send(&self, id: LinkId, to: To, bytes: &[u8]) {
        let mut links = self.links.borrow_mut();
        let Some(link) = links.get_mut(&id).filter(|link| !link.cut) else {
            return;
        };
        let (now, weather) = (self.now(), self.plan.weather);
        let pieces = self.draw(|rng| link.lane(to).send(now, bytes, weather, rng));
        for (at, piece) in pieces {
            self.schedule(at, Event::Arrive(id, to, piece));
        }
    }

    /// One side closes its end; the other learns so after all that was sent before.
    pub(super) fn close(&self, id: LinkId, to: To) {
        let mut links = self.links.borrow_mut();
        if let Some(link) = links.get_mut(&id) {
            let (now, weather) = (self.now(), self.plan.weather);
            let at = self.draw(|rng| link.lane(to).arrival(now, weather, rng));
            self.schedule(at, Event::Arrive(id, to, Piece::End));
        }
    }

    /// The client's end of a connection is gone, and nobody tells the server.
    pub(super) fn abandon(&self, id: LinkId) {
        if let Some(link) = self.links.borrow_mut().get_mut(&id) {
            link.to_client.closed = true;
        }
    }

    /// Whether a member says that it serves writes.
    pub(super) fn serves_writes(&self, host: HostIndex) -> bool {
        let mut ensemble = self.ensemble.borrow_mut();
        let Some(conn) = ensemble.connect(host.get()) else {
            return false;
        };
        ensemble.receive(conn, self.instant(), b"isro");
        let answer = ensemble.transmit(conn, usize::MAX).bytes;
        ensemble.disconnect(conn);
        answer == b"rw"
    }

    /// A connection breaks, and both sides learn of it in their time.
    pub(super) fn cut(&self, id: LinkId) {
        self.cut_by(id, &[1, 100_000, 5_000_000]);
    }

    /// A connection breaks. What is on the way is lost. Each side learns of it by one of these times.
    pub(super) fn cut_by(&self, id: LinkId, times: &[u64]) {
        let mut links = self.links.borrow_mut();
        let Some(link) = links.get_mut(&id).filter(|link| !link.cut) else {
            return;
        };
        link.cut = true;
        link.to_server.held.clear();
        link.to_client.held.clear();
        for to in [To::Server, To::Client] {
            let delay = self.draw(|rng| {
                let most = times[rng.index(times.len())];
                rng.below(most)
            });
            self.schedule(self.now() + delay, Event::Arrive(id, to, Piece::End));
        }
    }

    /// Lets the ensemble do what is due, and sends what it has to say.
    pub(super) fn run_ensemble(&self) {
        self.ensemble.borrow_mut().handle_timeout(self.instant());
        self.feed();
        self.collect();
    }

    /// Hands over what has arrived while members did not read.
    fn feed(&self) {
        let waiting: Vec<_> = {
            let mut links = self.links.borrow_mut();
            let held = links.iter_mut().filter(|(_, link)| {
                let open =
                    !link.stalled && !link.deaf && !self.is_blocked(link.client, link.member);
                open && !link.to_server.held.is_empty()
            });
            held.map(|(id, link)| (*id, std::mem::take(&mut link.to_server.held)))
                .collect()
        };
        for (id, pieces) in waiting {
            for piece in pieces {
                self.at_server(id, piece);
            }
        }
    }

    /// A piece has come to the server's end.
    pub(super) fn at_server(&self, id: LinkId, piece: Piece) {
        let mut links = self.links.borrow_mut();
        let Some(link) = links.get_mut(&id) else {
            return;
        };
        let mut ensemble = self.ensemble.borrow_mut();
        let shut = link.stalled || link.deaf || self.is_blocked(link.client, link.member);
        let full = !ensemble.takes(link.conn) && !link.to_server.closed;
        match piece {
            Piece::Bytes(_) if link.cut || link.to_server.closed => {}
            _ if !link.cut && (shut || full || !link.to_server.held.is_empty()) => {
                link.to_server.held.push_back(piece);
            }
            Piece::Bytes(mut bytes) => {
                link.to_server.on_the_way -= bytes.len();
                let awaited = std::mem::take(&mut link.to_server.awaited);
                let (client, burnt) = (link.client, link.to_server.burn(&mut bytes));
                let before = ensemble.zxid();
                ensemble.receive(link.conn, self.instant(), &bytes);
                let joined = ensemble.zxid() != before && has_joined(&ensemble);
                drop((links, ensemble));
                if joined {
                    self.black_out();
                }
                if awaited {
                    self.wake_driver(client);
                }
                if burnt {
                    self.cut(id);
                }
            }
            Piece::End => {
                link.to_server.closed = true;
                ensemble.disconnect(link.conn);
                drop((links, ensemble));
                self.forget(id);
            }
        }
    }

    /// Forgets a connection that both sides have left.
    pub(super) fn forget(&self, id: LinkId) {
        let mut links = self.links.borrow_mut();
        let over = |link: &Link| link.to_server.closed && link.to_client.closed;
        if links.get(&id).is_some_and(over) {
            links.remove(&id);
        }
    }

    /// What is told a client when a member has this to say.
    fn told(&self, id: LinkId, bytes: Vec<u8>) -> Vec<u8> {
        let mut links = self.links.borrow_mut();
        let Some(link) = links.get_mut(&id).filter(|_| !bytes.is_empty()) else {
            return bytes;
        };
        let greets = !std::mem::replace(&mut link.greeted, true);
        match self.lied_to.borrow_mut().get_mut(&link.client) {
            None => bytes,
            Some(rng) => {
                link.lied = true;
                lies::twist(&bytes, greets, &mut link.late, rng)
            }
        }
    }

    /// Sends what members have to say.
    fn collect(&self) {
        loop {
            let conns = self.ensemble.borrow_mut().outputs();
            if conns.is_empty() {
                return;
            }
            for conn in conns {
                let output = self.ensemble.borrow_mut().transmit(conn, usize::MAX);
                let links = self.links.borrow();
                let id = links.iter().find(|(_, link)| link.conn == conn);
                let Some((&id, _)) = id else { continue };
                drop(links);
                let bytes = self.told(id, output.bytes);
                self.send(id, To::Client, &bytes);
                if output.closed {
                    self.close(id, To::Client);
                    self.links.borrow_mut().entry(id).and_modify(|link| {
                        link.to_server.closed = true;
                    });
                    self.forget(id);
                }
            }
        }
    }
}

/// A pause of a task.
#[must_use = "a pause begins when it is awaited"]
pub struct Sleep {
    until: u64,
    world: Rc<World>,
    /// Who will be woken.
    waker: Option<Waker>,
}

impl Sleep {
    pub(super) fn until(world: &Rc<World>, until: u64) -> Self {
        Self {
            until,
            world: Rc::clone(world),
            waker: None,
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sleep(until {:?})", Instant::from_micros(self.until))
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.world.now() >= self.until {
            return Poll::Ready(());
        }
        if !self
            .waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            self.waker = Some(cx.waker().clone());
            let wake = Event::Wake(cx.waker().clone());
            self.world.schedule(self.until, wake);
        }
        Poll::Pending
    }
}
