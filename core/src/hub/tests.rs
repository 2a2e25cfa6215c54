//! The hub by scripted bytes and a hand-moved clock, on both storages.

extern crate std;

mod calls;
mod claims;
mod handle;
mod hostile;
mod lock;
mod loss;
mod random;
mod removal;
mod restore;
mod server;
mod trace;
mod waiting;
mod watches;
mod world;

use core::task::{Poll, Waker};
use core::time::Duration;
use std::boxed::Box;
use std::collections::VecDeque;
use std::string::String;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::vec::Vec;

use super::*;
use crate::error::ProtocolError;
use crate::path::{Path, PathBuf};
use crate::session::{Action, Backoff, Config, State};
use crate::wire::{
    AddWatchMode, Connected, Credential, EventKind, GetData, OpCode, ReplyHeader, SliceSink, Stat,
    WatchEvent, Watchable, xid,
};

/// The session's id.
const ID: i64 = 0x1000_0aaa_0001;
/// The negotiated timeout in milliseconds.
const T: i32 = 9_000;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn path(text: &str) -> Path<'_> {
    Path::new(text).unwrap()
}

fn get(text: &str) -> GetData<'_> {
    GetData { path: path(text) }
}

/// Runs tests on both storages, each with room for so many calls and watches.
macro_rules! on_both {
    (<$calls:literal, $watches:literal>: $($test:ident),* $(,)?) => {
        #[cfg(feature = "alloc")]
        mod heap {
            $(#[test] fn $test() { super::$test::<super::OnHeap<$calls, $watches>>(); })*
        }
        mod borrowed {
            $(#[test] fn $test() { super::$test::<super::OnBoard<$calls, $watches>>(); })*
        }
    };
}
use on_both;

/// What a hub is made of.
#[derive(Clone, Copy)]
struct Setup {
    config: Config,
    chroot: &'static str,
    auths: &'static [Credential<'static>],
    /// Bytes of a transmit buffer.
    tx: usize,
    /// Bytes of room for one reply, where that is bounded.
    body: usize,
}

const SETUP: Setup = Setup {
    config: Config {
        session_timeout: ms(T as u64),
        operation_timeout: None,
        backoff: Backoff {
            base: ms(1),
            cap: ms(1),
            stable: ms(10_000),
        },
        shuffle: false,
        max_request: 1_020,
        ..Config::DEFAULT
    },
    chroot: "",
    auths: &[],
    tx: 1_024,
    body: 256,
};

type TxOf<K> = <<K as Kind>::Storage as Storage>::Tx;

/// A storage to test on.
trait Kind: 'static {
    type Path: PathBuf + Clone + core::fmt::Debug;
    type Storage: Storage<Path = Self::Path, Watches: Watches<Events: EventQueue<Path = Self::Path>>>;
    const CALLS: usize;
    const WATCHES: usize;
    /// Whether replies and tables of waiting tasks are bounded.
    const BOUNDED: bool;

    fn parts(setup: Setup) -> (Parts<Self::Storage>, TxOf<Self>);
    fn frame(bytes: &[u8]) -> Frame<'_, Self::Storage>;
}

#[cfg(feature = "alloc")]
struct OnHeap<const CALLS: usize, const WATCHES: usize>;

#[cfg(feature = "alloc")]
impl<const CALLS: usize, const WATCHES: usize> Kind for OnHeap<CALLS, WATCHES> {
    type Path = crate::path::HeapPath;
    type Storage = Heap;
    const CALLS: usize = CALLS;
    const WATCHES: usize = WATCHES;
    const BOUNDED: bool = false;

    fn parts(setup: Setup) -> (Parts<Heap>, HeapTx) {
        let limits = Limits {
            calls: CALLS,
            unsent_bytes: setup.tx,
            watches: WATCHES,
            claims: CALLS,
        };
        let mut auths = HeapAuths::default();
        let add = |auth: &Credential<'_>| auths.push(auth.scheme, auth.data);
        setup.auths.iter().for_each(add);
        let parts = limits.parts(&setup.config, setup.chroot.into(), auths);
        (parts, limits.tx(&setup.config))
    }

    fn frame(bytes: &[u8]) -> bytes::Bytes {
        bytes::Bytes::copy_from_slice(bytes)
    }
}

struct OnBoard<const CALLS: usize, const WATCHES: usize>;

impl<const CALLS: usize, const WATCHES: usize> Kind for OnBoard<CALLS, WATCHES> {
    type Path = BoardPath;
    type Storage = Borrowed<'static>;
    const CALLS: usize = CALLS;
    const WATCHES: usize = WATCHES;
    const BOUNDED: bool = true;

    fn parts(setup: Setup) -> (Parts<Borrowed<'static>>, FixedTx<'static>) {
        let room = |size| Vec::leak(std::vec![0; size]);
        let buffers = Buffers {
            tx: [room(setup.tx), room(setup.tx)],
            bodies: room(CALLS * setup.body),
        };
        let resources = Box::leak(Box::new(Resources::<CALLS, WATCHES>::new()));
        resources.parts(buffers, setup.chroot, setup.auths)
    }

    fn frame(bytes: &[u8]) -> &[u8] {
        bytes
    }
}

/// Counts how often a task was woken.
#[derive(Debug, Default)]
struct Flag(AtomicUsize);

impl Flag {
    fn new() -> (Arc<Self>, Waker) {
        let flag = Arc::new(Self::default());
        (flag.clone(), flag.into())
    }

    /// How often it was woken since last asked.
    fn woken(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

impl std::task::Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn noop() -> Waker {
    Arc::new(Flag::default()).into()
}

/// Encodes one frame without its length.
fn payload(body: impl FnOnce(&mut Encoder<'_>)) -> Vec<u8> {
    let mut room = std::vec![0; 4096];
    let mut sink = SliceSink::new(&mut room);
    frame(&mut sink, 4096, "", false, body).unwrap();
    sink.as_bytes()[4..].to_vec()
}

fn reply(xid: i32, zxid: i64, err: i32, body: &[u8]) -> Vec<u8> {
    payload(|out| {
        ReplyHeader { xid, zxid, err }.encode(out);
        out.bytes(body);
    })
}

fn event(kind: EventKind, path: &str) -> Vec<u8> {
    payload(|out| {
        let header = ReplyHeader {
            xid: xid::NOTIFICATION,
            zxid: -1,
            err: 0,
        };
        header.encode(out);
        let kind = Some(kind);
        let state = 3;
        WatchEvent { kind, state, path }.encode(out);
    })
}

fn accepted(session: i64) -> Connected {
    Connected {
        timeout_ms: T,
        session,
        password: [7; 16],
        read_only: Some(false),
    }
}

/// The body of the reply to a getData.
fn data(bytes: &[u8]) -> Vec<u8> {
    payload(|out| {
        out.buffer(bytes);
        Stat::default().encode(out);
    })
}

/// The body of the reply to a getChildren.
fn names(names: &[&str]) -> Vec<u8> {
    payload(|out| {
        out.count(names.len());
        names.iter().for_each(|name| out.string(name));
    })
}

/// A hub, with a driver that does what it is told.
struct Scripted<K: Kind> {
    hub: Hub<K::Storage>,
    spare: TxOf<K>,
    now: Instant,
    /// Requests handed to the transport and not answered.
    due: VecDeque<i32>,
    hung_up: bool,
}

impl<K: Kind> Scripted<K> {
    fn new() -> Self {
        Self::with(SETUP)
    }

    fn with(setup: Setup) -> Self {
        let now = Instant::from_micros(5_000_000);
        let session = Session::new(setup.config, 2, 3, now).unwrap();
        let (parts, spare) = K::parts(setup);
        Self {
            hub: Hub::new(session, parts, 42),
            spare,
            now,
            due: VecDeque::new(),
            hung_up: false,
        }
    }

    /// A hub with a session.
    fn connected() -> Self {
        Self::connected_with(SETUP)
    }

    fn connected_with(setup: Setup) -> Self {
        let mut script = Self::with(setup);
        script.connect();
        script
    }

    fn state(&self) -> State {
        self.hub.session().status().state
    }

    // ---- the driver ----

    /// Waits for the next attempt to connect.
    fn dial(&mut self) {
        loop {
            while let Some(action) = self.hub.poll_action() {
                self.hung_up |= action == Action::HangUp;
                if let Action::Dial(_) = action {
                    return;
                }
            }
            let deadline = self.hub.poll_timeout().expect("the client is over");
            self.now = self.now.max(deadline);
            self.hub.handle_timeout(self.now);
        }
    }

    /// Opens the next connection and takes the first message, which is returned without its length.
    fn open(&mut self) -> Vec<u8> {
        self.dial();
        self.due.clear();
        self.spare.clear();
        self.hub.handle_opened(self.now);
        let mut sent = self.write();
        assert_eq!(sent.len(), 1, "the handshake goes out alone");
        sent.remove(0)
    }

    /// Opens a connection that `session` is attached to.
    fn connect_to(&mut self, session: i64) {
        self.open();
        self.frame(&payload(|out| accepted(session).encode(out)))
            .unwrap();
        assert!(self.state().is_connected());
    }

    fn connect(&mut self) {
        self.connect_to(ID);
    }

    /// The connection is cut.
    fn cut(&mut self) {
        self.hub.handle_lost(self.now);
        self.spare.clear();
        self.due.clear();
    }

    fn reconnect(&mut self) {
        self.cut();
        self.connect();
    }

    /// The server says that the session is over.
    fn expire(&mut self) {
        if self.state().is_connected() {
            self.cut();
        }
        self.open();
        let gone = Connected {
            timeout_ms: 0,
            session: 0,
            password: [0; 16],
            read_only: Some(false),
        };
        self.frame(&payload(|out| gone.encode(out))).unwrap();
    }

    /// Takes all that is to be written, as frames without their lengths.
    fn write(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while self.hub.poll_transmit(self.now, &mut self.spare) {
            let mut bytes = self.spare.bytes();
            while let Some((length, rest)) = bytes.split_first_chunk() {
                let (frame, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
                frames.push(frame.to_vec());
                bytes = rest;
            }
            self.spare.clear();
        }
        frames
    }

    /// Takes all that is to be written, as [text](trace::text).
    fn transmit(&mut self) -> Vec<String> {
        let frames = self.write();
        for frame in &frames {
            let xid = i32::from_be_bytes(*frame.first_chunk().unwrap());
            if xid > 0 {
                self.due.push_back(xid);
            }
        }
        frames.iter().map(|frame| trace::text(frame)).collect()
    }

    /// Lets time go by, and looks at the clock then.
    fn advance(&mut self, millis: u64) {
        self.now = self.now + ms(millis);
        self.hub.handle_timeout(self.now);
    }

    /// A frame arrives.
    fn frame(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        let waker = self.hub.handle_frame(self.now, K::frame(bytes))?;
        waker.into_iter().for_each(Waker::wake);
        self.wake();
        Ok(())
    }

    /// The reply to the oldest request in flight arrives.
    fn answer(&mut self, err: i32, body: &[u8]) {
        let xid = self.due.pop_front().expect("nothing is in flight");
        self.frame(&reply(xid, 1, err, body)).unwrap();
    }

    fn event(&mut self, kind: EventKind, path: &str) {
        self.frame(&event(kind, path)).unwrap();
    }

    /// Wakes everyone that the hub says.
    fn wake(&mut self) -> usize {
        let wakers = core::iter::from_fn(|| self.hub.poll_waker());
        wakers.map(Waker::wake).count()
    }

    // ---- callers ----

    fn submit(&mut self, request: &impl Request) -> Result<Id, Error> {
        self.hub.submit(request, Terms::default(), None)
    }

    /// Submits a getData.
    fn get(&mut self, path: &str) -> Id {
        self.submit(&get(path)).unwrap()
    }

    /// As [`get`](Self::get), for a caller that is woken.
    fn get_with(&mut self, path: &str, waker: &Waker) -> Id {
        let id = self.hub.submit(&get(path), Terms::default(), Some(waker));
        id.unwrap()
    }

    /// The end of a call, if it has come. Its room is given back.
    fn poll(&mut self, call: Id) -> Option<Result<Vec<u8>, Error>> {
        match self.hub.poll_reply(call, &noop()) {
            Poll::Pending => None,
            Poll::Ready(Ok(body)) => {
                let bytes = body.as_ref().to_vec();
                self.hub.recycle(body);
                Some(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Some(Err(error)),
        }
    }

    fn end(&mut self, call: Id) -> Result<Vec<u8>, Error> {
        self.poll(call).expect("the call has ended")
    }

    /// Submits a request that sets a watch.
    fn watching<R: Watchable>(&mut self, request: &R) -> (Id, Id) {
        let watch = self
            .hub
            .add_watch(request.path(), R::WATCH, R::WATCH_ABSENT);
        let watch = watch.unwrap();
        let terms = Terms {
            watch: Some(watch),
            epoch: None,
        };
        let call = self.hub.submit(request, terms, None).unwrap();
        (watch, call)
    }

    /// Submits a request for a persistent watch.
    fn subscribing(&mut self, text: &str, mode: AddWatchMode) -> (Id, Id) {
        let path = path(text);
        let watch = self.hub.add_watch(path, mode.kind(), None).unwrap();
        let terms = Terms {
            watch: Some(watch),
            epoch: None,
        };
        let call = self.hub.submit(&AddWatch { path, mode }, terms, None);
        (watch, call.unwrap())
    }

    /// Sends a request, and answers it and all that comes with it.
    fn settle(&mut self, (watch, call): (Id, Id), err: i32) -> Id {
        self.transmit();
        while self.due.len() > 1 && self.poll(call).is_none() {
            self.answer(err, &data(b""));
        }
        while !self.due.is_empty() {
            self.answer(err, &data(b""));
        }
        let _ = self.poll(call);
        watch
    }

    /// Sets a watch on a node that exists.
    fn watch<R: Watchable>(&mut self, request: &R) -> Id {
        let pair = self.watching(request);
        self.settle(pair, 0)
    }

    fn subscribe(&mut self, path: &str, mode: AddWatchMode) -> Id {
        let pair = self.subscribing(path, mode);
        self.settle(pair, 0)
    }

    /// Everything that a watch has to say, as text.
    fn changes(&mut self, watch: Id) -> Vec<String> {
        let mut changes = Vec::new();
        loop {
            match self.hub.poll_watch(watch, &noop()) {
                Poll::Pending => return changes,
                Poll::Ready(None) => {
                    changes.push("end".into());
                    return changes;
                }
                Poll::Ready(Some(change)) => changes.push(trace::change(&change)),
            }
        }
    }
}
