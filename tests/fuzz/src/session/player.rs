//! A hub with its callers and a driver, to which events happen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Wake, Waker};

use docent_core::error::{Error, ProtocolError};
use docent_core::hub::{Borrowed, Frame, Heap, Hub, Id, Parts, Storage, Terms, Tx};
use docent_core::path::Path;
use docent_core::session::{Action, Config, HostIndex, Session};
use docent_core::time::Instant;
use docent_core::wire::{
    Acl, AddWatch, AddWatchMode, Create, CreateMode, Delete, Exists, FrameReader, GetChildNames,
    GetData, Multi, Op, Request, SetData, Step, Sync, WatchKind,
};

use super::Event;
use super::network::Network;
use super::spec::Spec;

/// Storage of either kind, with the frames that its driver holds.
pub(super) trait Memory: Storage + Sized {
    fn frame(bytes: &[u8]) -> Frame<'_, Self>;
}

impl Memory for Heap {
    fn frame(bytes: &[u8]) -> Frame<'_, Self> {
        bytes.to_vec().into()
    }
}

impl Memory for Borrowed<'_> {
    fn frame(bytes: &[u8]) -> Frame<'_, Self> {
        bytes
    }
}

/// Whether a task was woken.
#[derive(Default)]
struct Flag(AtomicBool);

impl Flag {
    fn new() -> (Arc<Self>, Waker) {
        let flag = Arc::new(Self::default());
        (flag.clone(), flag.into())
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Call {
    id: Id,
    flag: Arc<Flag>,
    waker: Waker,
    /// Whether its bytes were given to the transport.
    handed: bool,
    watch: Option<usize>,
}

struct Watching {
    id: Id,
    flag: Arc<Flag>,
    waker: Waker,
}

/// How many frames, events or turns of the clock one step may take.
const PLENTY: usize = 400;
const PATHS: [&str; 4] = [
    "/",
    "/a",
    "/a/b",
    "/a/very/long/path/that/hardly/any/board/would/have/the/room/for/in/its/buffer",
];

pub(super) struct Player<S: Memory> {
    hub: Hub<S>,
    spare: S::Tx,
    /// Bytes of `spare` that the network has taken.
    written: usize,
    /// The largest frame that the driver has room for.
    room: usize,
    now: Instant,
    looked: Option<Instant>,
    network: Network,
    dialing: bool,
    probe: Option<HostIndex>,
    received: Vec<u8>,
    reader: FrameReader,
    /// In the order in which they were submitted.
    calls: Vec<Call>,
    watches: Vec<Option<Watching>>,
    spec: Spec,
}

impl<S: Memory> Player<S> {
    pub(super) fn new(config: Config, room: usize, (parts, spare): (Parts<S>, S::Tx)) -> Self {
        let now = Instant::from_micros(1_000_000);
        let session = Session::new(config, 2, 7, now).expect("the settings are good");
        Self {
            spec: Spec::new(&session, now),
            hub: Hub::new(session, parts, 42),
            spare,
            written: 0,
            room,
            now,
            looked: None,
            network: Network::new(),
            dialing: false,
            probe: None,
            received: Vec::new(),
            reader: FrameReader::new(),
            calls: Vec::new(),
            watches: Vec::new(),
        }
    }

    pub(super) fn step(&mut self, event: Event) {
        match event {
            Event::Submit(op, path) => self.submit_one(op, path),
            Event::Watch(op, path) => self.watch_one(op, path),
            Event::Cancel(which) => self.cancel(which.into()),
            Event::Drop(which) => {
                if let Some(at) = usize::from(which).checked_rem(self.watches.len()) {
                    self.drop_watch(at);
                }
            }
            Event::Write(u8::MAX) => self.write_all(),
            Event::Write(count) => self.write(count.into()),
            Event::Read(u8::MAX) => self.read(usize::MAX),
            Event::Read(count) => self.read(count.into()),
            Event::Spoil(which, damage, at) => self.network.spoil(which, damage, at),
            Event::Wait(time) => self.wait(self.now + time),
            Event::Sleep(time) => self.pass(self.now + time),
            Event::Look => self.look(),
            Event::Open => self.open(),
            Event::Cut => self.cut(),
            Event::Probed(writable) => {
                if let Some(host) = self.probe.take() {
                    self.hub.handle_probed(self.now, host, writable);
                }
            }
            Event::Expire => self.network.expire(self.hub.session().id()),
            Event::Close => self.hub.close(self.now),
        }
        self.settle();
    }

    // ---- callers ----

    fn submit<R: Request>(&mut self, request: &R, watch: Option<usize>) {
        let (flag, waker) = Flag::new();
        let id = watch.and_then(|at| Some(self.watches.get(at)?.as_ref()?.id));
        let terms = Terms {
            watch: id,
            epoch: None,
        };
        match self.hub.submit(request, terms, Some(&waker)) {
            Ok(id) => self.calls.push(Call {
                id,
                flag,
                waker,
                handed: false,
                watch,
            }),
            Err(error) => {
                assert!(!error.may_have_run(), "{error}");
                watch.into_iter().for_each(|at| self.drop_watch(at));
            }
        }
    }

    fn submit_one(&mut self, op: u8, at: u8) {
        let path = path(at);
        let data = &[7; 200][..usize::from(op / 8) * 6];
        let mode = CreateMode::EphemeralSequential;
        let acl = Acl::OPEN;
        let version = None;
        match op % 8 {
            0 => self.submit(&GetData { path }, None),
            1 => self.submit(&GetChildNames { path }, None),
            2 => self.submit(&Sync { path }, None),
            3 => self.submit(
                &SetData {
                    path,
                    data,
                    version,
                },
                None,
            ),
            4 => self.submit(&Delete { path, version }, None),
            5 => {
                let mode = CreateMode::Persistent;
                self.submit(
                    &Create {
                        path,
                        data,
                        mode,
                        acl,
                    },
                    None,
                );
            }
            6 => self.submit(
                &Create {
                    path,
                    data,
                    mode,
                    acl,
                },
                None,
            ),
            _ => {
                let ops = [
                    Op::Check { path, version },
                    Op::SetData(SetData {
                        path,
                        data,
                        version,
                    }),
                ];
                self.submit(&Multi { ops: &ops }, None);
            }
        }
    }

    fn watch_one(&mut self, op: u8, at: u8) {
        let path = path(at);
        let (kind, absent) = match op % 5 {
            0 => (WatchKind::Data, None),
            1 => (WatchKind::Data, Some(WatchKind::Exist)),
            2 => (WatchKind::Child, None),
            3 => (WatchKind::Persistent, None),
            _ => (WatchKind::Recursive, None),
        };
        let Ok(id) = self.hub.add_watch(path, kind, absent) else {
            return;
        };
        let (flag, waker) = Flag::new();
        assert!(self.hub.poll_watch(id, &waker).is_pending());
        self.watches.push(Some(Watching { id, flag, waker }));
        let watch = Some(self.watches.len() - 1);
        match kind {
            WatchKind::Data if absent.is_some() => self.submit(&Exists { path }, watch),
            WatchKind::Data => self.submit(&GetData { path }, watch),
            WatchKind::Child => self.submit(&GetChildNames { path }, watch),
            WatchKind::Persistent => self.subscribe(path, AddWatchMode::Persistent, watch),
            _ => self.subscribe(path, AddWatchMode::Recursive, watch),
        }
    }

    fn subscribe(&mut self, path: Path<'_>, mode: AddWatchMode, watch: Option<usize>) {
        self.submit(&AddWatch { path, mode }, watch);
    }

    fn cancel(&mut self, which: usize) {
        if let Some(which) = which.checked_rem(self.calls.len()) {
            let call = self.calls.remove(which);
            self.hub.abandon(call.id);
            call.watch.into_iter().for_each(|at| self.drop_watch(at));
        }
    }

    fn drop_watch(&mut self, at: usize) {
        if let Some(watch) = self.watches.get_mut(at).and_then(Option::take) {
            self.hub.drop_watch(watch.id);
        }
    }

    /// Every task looks, and whoever has something to see was woken.
    fn look_around(&mut self) {
        self.wake();
        let mut waiting = false;
        for call in std::mem::take(&mut self.calls) {
            let Poll::Ready(result) = self.hub.poll_reply(call.id, &call.waker) else {
                waiting = true;
                self.calls.push(call);
                continue;
            };
            assert!(call.flag.take(), "a call was not woken");
            assert!(!waiting, "a call has overtaken another");
            let result = result.map(|body| self.hub.recycle(body));
            check(result, call.handed);
            if result.is_err() {
                call.watch.into_iter().for_each(|at| self.drop_watch(at));
            }
        }
        for watch in self.watches.iter().flatten() {
            let mut heard = false;
            while let Poll::Ready(Some(_)) = self.hub.poll_watch(watch.id, &watch.waker) {
                heard = true;
            }
            assert!(watch.flag.take() || !heard, "a watch was not woken");
        }
        self.wake();
    }

    fn wake(&mut self) {
        let most = self.calls.len() + self.watches.len() + PLENTY;
        for _ in 0..most {
            match self.hub.poll_waker() {
                Some(waker) => waker.wake(),
                None => return,
            }
        }
        panic!("there are more wakers than tasks");
    }

    // ---- the driver ----

    fn settle(&mut self) {
        self.spec.observe(self.now, self.hub.session());
        while let Some(action) = self.hub.poll_action() {
            match action {
                Action::HangUp => self.hang_up(),
                Action::Probe(host) => self.probe = Some(host),
                Action::Dial(_) => {
                    assert!(!self.dialing && !self.network.is_open(), "one at a time");
                    self.dialing = true;
                }
            }
        }
        if self.hub.is_over() {
            assert!(!self.dialing && !self.network.is_open());
        }
        self.look_around();
    }

    fn hang_up(&mut self) {
        self.dialing = false;
        self.network.close();
        self.spare.clear();
        self.written = 0;
        self.received.clear();
        self.reader = FrameReader::new();
        self.spec.disconnected();
    }

    fn open(&mut self) {
        if std::mem::take(&mut self.dialing) {
            self.network.open();
            self.hub.handle_opened(self.now);
        }
    }

    fn cut(&mut self) {
        if self.dialing || self.network.is_open() {
            self.hang_up();
            self.hub.handle_lost(self.now);
        }
    }

    /// Asks for something to write, if all has been written.
    fn fill(&mut self) {
        if self.written < self.spare.bytes().len() {
            return;
        }
        self.spare.clear();
        self.written = 0;
        if !self.hub.poll_transmit(self.now, &mut self.spare) {
            assert!(self.spare.bytes().is_empty());
            return;
        }
        assert!(self.network.is_open(), "there is nobody to send that to");
        assert!((1..=self.spare.capacity()).contains(&self.spare.bytes().len()));
        let mut requests = false;
        for payload in payloads(self.spare.bytes()) {
            requests |= self.spec.sent(self.now, payload);
        }
        if requests {
            self.calls.iter_mut().for_each(|call| call.handed = true);
        }
    }

    fn write(&mut self, count: usize) {
        self.fill();
        let rest = &self.spare.bytes()[self.written..];
        let piece = &rest[..rest.len().min(count)];
        self.network.send(self.now, piece);
        self.written += piece.len();
    }

    fn write_all(&mut self) {
        for _ in 0..PLENTY {
            self.write(usize::MAX);
            self.settle();
            if self.spare.bytes().is_empty() {
                if self.looked == Some(self.now) {
                    self.spec.is_silent(self.now);
                }
                return;
            }
        }
        panic!("it sends and sends");
    }

    fn read(&mut self, most: usize) {
        self.received.extend(self.network.receive(most));
        while self.network.is_open() && self.read_one() {
            self.settle();
        }
        if self.network.has_ended() {
            self.cut();
        }
    }

    /// Whether there may be another frame.
    fn read_one(&mut self) -> bool {
        match self.reader.step(&self.received, self.room) {
            Ok(Step::NeedMore { .. }) => return false,
            Ok(Step::Skipping { n }) => drop(self.received.drain(..n)),
            Ok(Step::Frame(range)) => {
                let frame = self.received[range.clone()].to_vec();
                self.received.drain(..range.end);
                let waker = self.hub.handle_frame(self.now, S::frame(&frame));
                if self.got(waker) {
                    self.spec.taken(self.now, &frame, self.hub.session());
                }
            }
            Ok(Step::Oversized { header, len }) => {
                let waker = self.hub.handle_oversized(self.now, header, len);
                if self.got(waker) {
                    self.spec.answered(self.now, header);
                }
            }
            Err(why) => {
                assert!(!self.network.honest, "{why}");
                self.hub.handle_broken(self.now);
            }
        }
        true
    }

    /// Whether the hub has taken a frame.
    fn got(&self, taken: Result<Option<Waker>, ProtocolError>) -> bool {
        match taken {
            Ok(waker) => {
                waker.into_iter().for_each(Waker::wake);
                true
            }
            // An event that a board has no room for is as bad as none.
            Err(ProtocolError::LargeEvent) => false,
            Err(why) => {
                assert!(!self.network.honest, "{why}");
                false
            }
        }
    }

    // ---- time ----

    fn pass(&mut self, to: Instant) {
        self.now = to;
        self.network.pass(to);
    }

    /// Looks at the clock, until there is nothing more to do now.
    fn look(&mut self) {
        for _ in 0..3 {
            self.hub.handle_timeout(self.now);
            self.settle();
        }
        self.spec.looked(self.now, self.hub.session());
        self.looked = Some(self.now);
    }

    fn wait(&mut self, end: Instant) {
        for _ in 0..PLENTY {
            let Some(due) = self.hub.poll_timeout().filter(|due| *due <= end) else {
                return self.pass(end);
            };
            self.pass(due.max(self.now));
            let before = format!("{:?}", self.hub.session());
            self.hub.handle_timeout(self.now);
            let after = format!("{:?}", self.hub.session());
            assert_ne!(before, after, "woken for nothing");
            self.settle();
            self.look();
        }
    }

    // ---- the end ----

    /// Everything works again, and in the end nothing is left undone.
    pub(super) fn finish(mut self) {
        if self.hub.session().timeout().as_secs() < 60 {
            self.heal();
            // There is room for as much as ever.
            if self.spec.is_connected() {
                self.submit(&Sync { path: Path::ROOT }, None);
                assert_eq!(self.calls.len(), 1);
                self.heal();
            }
        }
        self.hub.detach();
        self.settle();
        assert!(self.hub.is_over() && self.calls.is_empty());
        assert_eq!(self.hub.requests(), 0);
        self.spare.clear();
        assert!(!self.hub.poll_transmit(self.now, &mut self.spare));
    }

    fn heal(&mut self) {
        // The next connection is without damage.
        self.cut();
        for _ in 0..PLENTY {
            self.settle();
            self.open();
            self.settle();
            self.write_all();
            self.read(usize::MAX);
            self.settle();
            let served = self.spec.is_connected() && self.hub.requests() == 0;
            if served || self.hub.is_over() {
                return;
            }
            if let Some(due) = self.hub.poll_timeout() {
                self.wait(due);
            }
        }
        panic!("no service: {:?}, {:?}", self.hub.session(), self.spec);
    }
}

fn path(at: u8) -> Path<'static> {
    Path::new(PATHS[usize::from(at) % PATHS.len()]).expect("it is a path")
}

/// What a caller learns of its request is what became of its bytes.
fn check(result: Result<(), Error>, handed: bool) {
    let sent = match result {
        Err(Error::NotSent(_)) => false,
        Ok(()) | Err(Error::Server(_) | Error::ConnectionLost | Error::ReplyTooLarge { .. }) => {
            true
        }
        Err(error) => panic!("no way for a request to end: {error:?}"),
    };
    assert_eq!(sent, handed, "{result:?}");
}

fn payloads(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut payloads = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (payload, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        payloads.push(payload);
        bytes = rest;
    }
    assert!(bytes.is_empty(), "frames are sent whole");
    payloads
}
