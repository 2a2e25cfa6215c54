//! Two boards and their server, moved step by step.

use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use docent_core::error::Error;
use docent_core::handle::{Handle, Share as _, act};
use docent_core::hub::{Borrowed, Buffers, FixedTx, Frame, Hub, Resources, Tx as _};
use docent_core::path::Path;
use docent_core::recipes::{Lock, reap};
use docent_core::session::{Action, Backoff, Config, Session};
use docent_core::time::Instant;
use docent_core::wire::{FrameReader, Step};

use super::link::{Link, Shared};
use super::server::Server;

/// Where the lock is that the boards compete for.
pub(super) const LOCK: &str = "/l";
/// The largest buffer for requests, and for one reply.
const ROOM: usize = 256;
/// What a board can receive at once.
const RECEIVED: usize = 256;

const CONFIG: Config = Config {
    backoff: Backoff {
        base: Duration::from_millis(1),
        cap: Duration::from_millis(1),
        stable: Duration::from_secs(1),
    },
    max_request: ROOM,
    ..Config::DEFAULT
};

/// How much memory a board has, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Of each of the two buffers for requests.
    pub(crate) tx: usize,
    /// Of the room for one reply.
    pub(crate) body: usize,
}

/// Why a scene ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Client(Error),
    /// A future waits although nothing moves any more.
    Stuck,
    /// This does not hold.
    Not(&'static str),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Client(error)
    }
}

/// How far a future came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Done,
    /// It waits for something that does not happen by itself.
    Waits,
    /// There was more to do.
    Cut,
}

pub(crate) struct World<'d, 'r> {
    server: Server,
    boards: [Board<'d, 'r>; 2],
    now: Instant,
}

struct Board<'d, 'r> {
    link: Link<'d>,
    reaper: Pin<&'r mut dyn Future<Output = ()>>,
    tx: FixedTx<'d>,
    frames: FrameReader,
}

/// What a board's client lives in.
struct Memory<'d, const CALLS: usize, const WATCHES: usize> {
    resources: Resources<'d, CALLS, WATCHES>,
    tx: [[u8; ROOM]; 2],
    bodies: [[u8; ROOM]; CALLS],
}

impl<'d, const CALLS: usize, const WATCHES: usize> Memory<'d, CALLS, WATCHES> {
    const fn new() -> Self {
        Self {
            resources: Resources::new(),
            tx: [[0; ROOM]; 2],
            bodies: [[0; ROOM]; CALLS],
        }
    }

    fn hub(&'d mut self, sizes: Sizes, seed: u64) -> Option<(Hub<Borrowed<'d>>, FixedTx<'d>)> {
        let [one, other] = &mut self.tx;
        let buffers = Buffers {
            tx: [one.get_mut(..sizes.tx)?, other.get_mut(..sizes.tx)?],
            bodies: self
                .bodies
                .as_flattened_mut()
                .get_mut(..CALLS * sizes.body)?,
        };
        let (parts, spare) = self.resources.parts(buffers, "", &[]);
        let session = Session::new(CONFIG, 1, seed, Instant::ZERO).ok()?;
        Some((Hub::new(session, parts, seed), spare))
    }
}

/// Plays a scene on two boards of such sizes.
pub(crate) fn play<const CALLS: usize, const WATCHES: usize, T>(
    sizes: Sizes,
    scene: impl FnOnce(&mut World<'_, '_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    const UNFIT: Failure = Failure::Not("memory for the wanted sizes");
    let mut memory = [const { Memory::<CALLS, WATCHES>::new() }; 2];
    let [one, other] = &mut memory;
    let (one, one_tx) = one.hub(sizes, 1).ok_or(UNFIT)?;
    let (other, other_tx) = other.hub(sizes, 2).ok_or(UNFIT)?;
    let (one, other) = (Shared::new(one, ""), Shared::new(other, ""));
    let (one, other) = (Link::new(&one), Link::new(&other));
    let reapers = (pin!(reap(Handle::new(one))), pin!(reap(Handle::new(other))));
    let mut world = World {
        server: Server::new(),
        boards: [
            Board::new(one, one_tx, reapers.0),
            Board::new(other, other_tx, reapers.1),
        ],
        now: Instant::ZERO,
    };
    world.pass(Duration::ZERO);
    scene(&mut world)
}

impl<'d> World<'d, '_> {
    /// A handle to the client of a board.
    pub(crate) fn handle(&self, board: usize) -> Handle<Link<'d>> {
        let [one, other] = &self.boards;
        let board = if board == 0 { one } else { other };
        Handle::new(board.link)
    }

    /// The same lock, as a board sees it.
    pub(crate) fn lock(&self, board: usize) -> Result<Lock<Handle<Link<'d>>>, Failure> {
        let path = Path::new(LOCK).map_err(Error::Path)?;
        Ok(Lock::new(self.handle(board), path)?)
    }

    /// Moves the clocks of all boards, and lets them do what there is to do.
    pub(super) fn pass(&mut self, time: Duration) {
        self.sleep(time);
        self.settle();
    }

    /// Moves the clocks of all boards while nothing else runs.
    pub(super) fn sleep(&mut self, time: Duration) {
        self.now = self.now + time;
        self.boards
            .iter()
            .for_each(|board| board.link.set(self.now));
    }

    /// Runs everything but the application until nothing moves any more.
    pub(super) fn settle(&mut self) {
        while self.step() {}
    }

    /// Moves one thing on each board. Whether there was one.
    pub(super) fn step(&mut self) -> bool {
        let Self { boards, server, .. } = self;
        let mut moved = false;
        for (line, board) in boards.iter_mut().enumerate() {
            moved |= board.step(server, line);
        }
        moved
    }

    /// Runs `future` to its end.
    pub(crate) fn finish<T>(
        &mut self,
        future: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Failure> {
        Ok(self.wait(future)??)
    }

    pub(super) fn wait<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Failure> {
        match self.poll(pin!(future), usize::MAX) {
            Ok(output) => Ok(output),
            Err(_) => Err(Failure::Stuck),
        }
    }

    /// Checks that `future` waits for something that does not happen by itself.
    pub(super) fn waits<F: Future>(&mut self, future: Pin<&mut F>) -> Result<(), Failure> {
        match self.poll(future, usize::MAX) {
            Err(_) => Ok(()),
            Ok(_) => Err(Failure::Not("waiting")),
        }
    }

    /// Polls `future` at most `polls` times, with one step in between.
    pub(super) fn poll<F: Future>(
        &mut self,
        mut future: Pin<&mut F>,
        polls: usize,
    ) -> Result<F::Output, Progress> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut moved = true;
        for _ in 0..polls {
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return Ok(output);
            }
            // What the last poll has submitted may be all that moves now.
            if !core::mem::replace(&mut moved, self.step()) && !moved {
                return Err(Progress::Waits);
            }
        }
        Err(Progress::Cut)
    }

    /// Checks that nothing is left behind: no claim, no call, no node, no watch.
    pub(super) fn clean(&self) -> Result<(), Failure> {
        for board in &self.boards {
            let (claims, calls) = board.link.with(|hub| (hub.claims(), hub.requests()));
            check(claims == 0, "without claims")?;
            check(calls == 0, "without calls")?;
        }
        check(self.server.ephemerals() == 0, "without nodes")?;
        check(self.server.watches() == 0, "without watches")
    }

    /// Ends all sessions.
    pub(super) fn close(&mut self) -> Result<(), Failure> {
        for board in &self.boards {
            act(&board.link, |hub| hub.close(self.now));
        }
        self.settle();
        let over = |board: &Board<'_, '_>| board.link.with(|hub| hub.is_over());
        check(self.boards.iter().all(over), "closed")
    }
}

pub(super) fn check(holds: bool, what: &'static str) -> Result<(), Failure> {
    if holds {
        Ok(())
    } else {
        Err(Failure::Not(what))
    }
}

impl<'d, 'r> Board<'d, 'r> {
    fn new(link: Link<'d>, tx: FixedTx<'d>, reaper: Pin<&'r mut dyn Future<Output = ()>>) -> Self {
        Self {
            link,
            reaper,
            tx,
            frames: FrameReader::new(),
        }
    }

    /// Carries out one action, or writes once, or reads one frame.
    fn step(&mut self, server: &mut Server, line: usize) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let _ = self.reaper.as_mut().poll(&mut cx);
        self.act(server, line) || self.write(server, line) || self.read(server, line)
    }

    fn act(&mut self, server: &mut Server, line: usize) -> bool {
        let now = self.link.now();
        match act(&self.link, Hub::poll_action) {
            Some(Action::Dial(_)) => {
                self.frames = FrameReader::new();
                act(&self.link, |hub| hub.handle_opened(now));
            }
            Some(Action::HangUp) => server.hang_up(line),
            Some(Action::Probe(_)) => {}
            None => return false,
        }
        true
    }

    fn write(&mut self, server: &mut Server, line: usize) -> bool {
        let Self { link, tx, .. } = self;
        let now = link.now();
        let written = act(link, |hub| hub.poll_transmit(now, tx));
        server.receive(line, tx.bytes());
        tx.clear();
        written
    }

    fn read(&mut self, server: &mut Server, line: usize) -> bool {
        let received = server.sent(line);
        let read = match self.frames.step(received, RECEIVED) {
            Ok(Step::Frame(range)) => {
                let end = range.end;
                self.handle(received.get(range).unwrap_or_default());
                end
            }
            Ok(Step::Oversized { header, len }) => {
                let now = self.link.now();
                let _ = act(&self.link, |hub| hub.handle_oversized(now, header, len));
                return true;
            }
            Ok(Step::Skipping { n }) => {
                let (now, skipped) = (self.link.now(), received.get(..n).unwrap_or_default());
                let handled = act(&self.link, |hub| hub.handle_skipped(now, skipped));
                handled.into_iter().flatten().for_each(Waker::wake);
                n
            }
            Ok(Step::NeedMore { .. }) => 0,
            Err(_) => {
                let now = self.link.now();
                act(&self.link, |hub| hub.handle_broken(now));
                return true;
            }
        };
        server.read(line, read);
        read > 0
    }

    fn handle(&self, frame: Frame<'_, Borrowed<'d>>) {
        let now = self.link.now();
        if let Ok(Some(waker)) = act(&self.link, |hub| hub.handle_frame(now, frame)) {
            waker.wake();
        }
    }
}
