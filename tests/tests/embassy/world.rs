//! Boards and an ensemble in one thread, without sockets and without waiting.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, pending, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use docent_core::connect_string::HostPort;
use docent_core::time::Instant;
use docent_embassy::{Buffers, Client, Dial, Resources, Runner, Settings};
use docent_testing::server::{ConnId, Ensemble};
use embedded_io_async::{ErrorKind, ErrorType, Read, Write};

use super::clock;

/// What the boards have in common.
#[derive(Clone)]
pub(crate) struct World(Rc<Inside>);

struct Inside {
    ensemble: RefCell<Ensemble>,
    /// Who waits for bytes of a connection.
    readers: RefCell<BTreeMap<ConnId, Waker>>,
    /// Members that answer no connection.
    silent: Cell<bool>,
    /// The most bytes that are moved at once.
    piece: Cell<usize>,
    /// What decides about the bytes that servers get wrong, if they do.
    garbling: Cell<Option<u64>>,
    boards: Cell<u64>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Ensemble::builder().build())
    }

    pub(crate) fn with(ensemble: Ensemble) -> Self {
        Self(Rc::new(Inside {
            ensemble: RefCell::new(ensemble),
            readers: RefCell::default(),
            silent: Cell::new(false),
            piece: Cell::new(usize::MAX),
            garbling: Cell::new(None),
            boards: Cell::new(0),
        }))
    }

    /// Moves at most so many bytes at once.
    pub(crate) fn in_pieces_of(self, bytes: usize) -> Self {
        self.0.piece.set(bytes);
        self
    }

    /// Lets the servers get some bytes wrong, or none.
    pub(crate) fn garble(&self, seed: Option<u64>) {
        self.0.garbling.set(seed);
    }

    /// Gets some of what a server sends wrong: a byte is another, or some are missing.
    fn garbled(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let Some(seed) = self.0.garbling.get() else {
            return bytes;
        };
        let dice = mix(seed);
        self.0.garbling.set(Some(dice));
        let (which, byte) = (dice % 16, (dice >> 8) as u8);
        let place = (dice >> 16) as usize % bytes.len().max(1);
        match which {
            0 if !bytes.is_empty() => bytes[place] = byte,
            1 if !bytes.is_empty() => bytes[place] ^= 1 << (byte % 8),
            2 if place > 0 => bytes.truncate(place),
            _ => {}
        }
        bytes
    }

    /// Whether connections are neither opened nor refused.
    pub(crate) fn silence(&self, on: bool) {
        self.0.silent.set(on);
    }

    pub(crate) fn ensemble<T>(&self, act: impl FnOnce(&mut Ensemble) -> T) -> T {
        let result = act(&mut self.0.ensemble.borrow_mut());
        self.wake();
        result
    }

    /// Closes the connection of a session from the server's side.
    pub(crate) fn cut(&self, session: Option<i64>) {
        self.ensemble(|ensemble| {
            let conns = ensemble.connections();
            let its = conns.filter(|(.., owner)| Some(*owner) == session);
            let its: Vec<_> = its.map(|(conn, ..)| conn).collect();
            its.into_iter().for_each(|conn| ensemble.cut(conn));
        });
    }

    fn wake(&self) {
        let conns = self.0.ensemble.borrow_mut().outputs();
        for conn in conns {
            let reader = self.0.readers.borrow_mut().remove(&conn);
            reader.into_iter().for_each(Waker::wake);
        }
    }

    fn now() -> Instant {
        Instant::from_micros(clock::now())
    }

    /// A client of all members, with memory for `CALLS` calls and as many watches.
    pub(crate) fn board<const CALLS: usize>(&self) -> (Client<'static>, Runner<'static, Pipes>) {
        self.board_with::<CALLS>(Sizes::COMMON, |_| ())
    }

    pub(crate) fn board_with<const CALLS: usize>(
        &self,
        sizes: Sizes,
        change: impl FnOnce(&mut Settings<'static>),
    ) -> (Client<'static>, Runner<'static, Pipes>) {
        let mut settings = Settings::new("m0");
        change(&mut settings);
        let room = |size| Vec::leak(vec![0; size]);
        let buffers = Buffers {
            rx: room(sizes.rx),
            tx: [room(sizes.tx), room(sizes.tx)],
            bodies: room(CALLS * sizes.body),
        };
        let resources = Box::leak(Box::new(Resources::<CALLS, CALLS>::new()));
        let seed = self.0.boards.replace(self.0.boards.get() + 1);
        let dial = Pipes::new(self);
        docent_embassy::new(dial, settings, resources, buffers, seed).expect("good settings")
    }

    /// Runs `test` to its end beside `runners`, at most for an hour of the boards' time.
    pub(crate) fn run<T>(
        &self,
        runners: impl IntoIterator<Item = Runner<'static, Pipes>>,
        test: impl Future<Output = T>,
    ) -> T {
        let jobs = runners.into_iter().map(|mut runner| {
            let job: Job = Box::pin(async move {
                runner.run().await;
            });
            job
        });
        self.run_beside(jobs.collect(), test)
    }

    /// As [`run`](Self::run), beside anything.
    pub(crate) fn run_beside<T>(&self, jobs: Vec<Job>, test: impl Future<Output = T>) -> T {
        let mut tasks: Vec<_> = jobs.into_iter().map(Task::new).collect();
        let mut result = None;
        let test = async { result = Some(test.await) };
        let mut test = Task::new(Box::pin(test));
        let end = clock::now() + 3_600_000_000;
        while !test.poll() {
            // All of them, without stopping at the first.
            let moved = tasks.iter_mut().filter_map(Task::try_poll).count() > 0;
            if moved || test.is_ready() {
                continue;
            }
            let next = self.0.ensemble.borrow().poll_timeout();
            let next = next
                .map(Instant::as_micros)
                .into_iter()
                .chain(clock::next())
                .min();
            let next = next.expect("nothing will ever happen again");
            assert!(next < end, "it takes for ever");
            clock::advance(next);
            self.0.ensemble.borrow_mut().handle_timeout(Self::now());
            self.wake();
        }
        drop(test);
        result.expect("the test has ended")
    }
}

/// A number that has nothing to do with the one before it.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number ^ number >> 29
}

/// How much memory a board has, in bytes.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) rx: usize,
    pub(crate) tx: usize,
    pub(crate) body: usize,
}

impl Sizes {
    pub(crate) const COMMON: Self = Self {
        rx: 1024,
        tx: 512,
        body: 256,
    };
    pub(crate) const SMALLEST: Self = Self {
        rx: 64,
        tx: 64,
        body: 64,
    };
}

/// Lets `duration` pass.
pub(crate) async fn sleep(duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).expect("a short time");
    embassy_time::Timer::after_micros(micros).await;
}

// ---- tasks ----

/// What runs beside a test.
pub(crate) type Job = Pin<Box<dyn Future<Output = ()>>>;

struct Task<'a> {
    future: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
    flag: Arc<Flag>,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<'a> Task<'a> {
    fn new(future: Pin<Box<dyn Future<Output = ()> + 'a>>) -> Self {
        Self {
            future: Some(future),
            flag: Arc::new(Flag(AtomicBool::new(true))),
        }
    }

    fn is_ready(&self) -> bool {
        self.future.is_some() && self.flag.0.load(Ordering::Relaxed)
    }

    /// Whether it is over, if it was ready to run.
    fn try_poll(&mut self) -> Option<bool> {
        self.is_ready().then(|| self.poll())
    }

    /// Whether it is over.
    fn poll(&mut self) -> bool {
        let Some(future) = &mut self.future else {
            return true;
        };
        if !self.flag.0.swap(false, Ordering::Relaxed) {
            return false;
        }
        let waker = Waker::from(self.flag.clone());
        if future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
        {
            self.future = None;
        }
        self.future.is_none()
    }
}

/// Drops `future` after so many polls; returns what it came to before.
pub(crate) async fn polls<F: Future>(future: F, count: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..count {
        let polled = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = polled {
            return Some(output);
        }
        pause().await;
    }
    None
}

/// Lets everything else have its turn.
async fn pause() {
    let mut over = false;
    poll_fn(|cx| {
        if mem::replace(&mut over, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

// ---- connections ----

/// Opens connections to the members `m0`, `m1`, ….
pub(crate) struct Pipes(World);

impl Pipes {
    pub(crate) fn new(world: &World) -> Self {
        Self(world.clone())
    }
}

pub(crate) struct Pipe {
    world: World,
    conn: ConnId,
    /// How many bytes have been read.
    read: usize,
}

impl Dial for Pipes {
    type Connection<'a> = Pipe;
    type Error = &'static str;

    async fn dial(&mut self, server: HostPort<'_>) -> Result<Pipe, &'static str> {
        if self.0.0.silent.get() {
            pending::<()>().await;
        }
        let member = server
            .host
            .trim_start_matches('m')
            .parse()
            .expect("m0 and so on");
        let conn = self.0.ensemble(|ensemble| ensemble.connect(member));
        conn.map(|conn| Pipe {
            world: self.0.clone(),
            conn,
            read: 0,
        })
        .ok_or("refused")
    }
}

/// Bytes of a handshake, which is never wrong: a session timeout of a month would last a month.
const HANDSHAKE: usize = 40;

impl ErrorType for Pipe {
    type Error = ErrorKind;
}

impl Read for Pipe {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, ErrorKind> {
        let inside = &self.world.0;
        let room = buf.len().min(inside.piece.get());
        poll_fn(|cx| {
            let output = inside.ensemble.borrow_mut().transmit(self.conn, room);
            let bytes = if self.read > HANDSHAKE {
                self.world.garbled(output.bytes)
            } else {
                output.bytes
            };
            let count = bytes.len();
            if count == 0 && !output.closed {
                let mut readers = inside.readers.borrow_mut();
                readers.insert(self.conn, cx.waker().clone());
                return Poll::Pending;
            }
            buf[..count].copy_from_slice(&bytes);
            self.read += count;
            Poll::Ready(Ok(count))
        })
        .await
    }
}

impl Write for Pipe {
    async fn write(&mut self, buf: &[u8]) -> Result<usize, ErrorKind> {
        let count = buf.len().min(self.world.0.piece.get());
        self.world.ensemble(|ensemble| {
            ensemble.receive(self.conn, World::now(), &buf[..count]);
        });
        Ok(count)
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.world
            .ensemble(|ensemble| ensemble.disconnect(self.conn));
    }
}
