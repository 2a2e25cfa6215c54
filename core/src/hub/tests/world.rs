//! A client and a server in miniature, and what is on the way between them.

use super::handle::{Shared, Task};
use super::server::Server;
use super::*;
use crate::handle::Handle;
use crate::recipes::{Guard, Lock, reap};

type LockOf<K> = Lock<Handle<Shared<K>>>;
pub(super) type Acquired<K> = Result<Guard<Handle<Shared<K>>>, Error>;

/// A client and its server, and what is on the way between them.
pub(super) struct World<K: Kind> {
    pub(super) shared: Shared<K>,
    pub(super) server: Server,
    pub(super) sent: VecDeque<Vec<u8>>,
    pub(super) received: VecDeque<Vec<u8>>,
    reaper: Task<'static, ()>,
}

impl<K: Kind> World<K> {
    pub(super) fn new() -> Self {
        Self::below("")
    }

    pub(super) fn below(chroot: &'static str) -> Self {
        let script = Scripted::with(Setup { chroot, ..SETUP });
        let shared = Shared::new(script, chroot);
        let handle = shared.handle();
        let mut world = Self {
            shared,
            server: Server::new(if chroot.is_empty() { "/" } else { chroot }),
            sent: VecDeque::new(),
            received: VecDeque::new(),
            reaper: Task::new(reap(handle)),
        };
        world.connect();
        world
    }

    pub(super) fn lock(&self) -> LockOf<K> {
        Lock::new(self.shared.handle(), path("/l")).unwrap()
    }

    pub(super) fn acquire(&self) -> Task<'static, Acquired<K>> {
        let lock = self.lock();
        Task::new(async move { lock.acquire().await })
    }

    /// Connects, if need be with a new session.
    pub(super) fn connect(&mut self) {
        while !self.shared.script(|script| script.state().is_connected()) {
            let hello = self.shared.script(Scripted::open);
            let answer = self.server.connect(&hello);
            self.shared.script(|script| script.frame(&answer).unwrap());
        }
    }

    /// The connection is lost; with `ran` only after the server has run all that was sent.
    pub(super) fn cut(&mut self, ran: bool) {
        if ran {
            let sent = self.shared.script(Scripted::write);
            for frame in self.sent.drain(..).chain(sent) {
                self.server.run(&frame);
            }
        }
        self.sent.clear();
        self.received.clear();
        self.shared.script(|script| {
            script.cut();
            script.wake();
        });
    }

    /// One thing happens: a frame arrives, a request is run, or requests are written.
    pub(super) fn step(&mut self) -> bool {
        self.received.extend(self.server.take_events());
        if let Some(frame) = self.received.pop_front() {
            self.shared.script(|script| script.frame(&frame).unwrap());
        } else if let Some(frame) = self.sent.pop_front() {
            self.received.extend(self.server.run(&frame));
        } else {
            self.sent.extend(self.shared.script(Scripted::write));
            self.shared.script(Scripted::wake);
            return !self.sent.is_empty();
        }
        true
    }

    /// A task runs, or one thing happens. `None` when nothing does any more.
    pub(super) fn act<T>(&mut self, task: &mut Task<'_, T>) -> Option<Option<T>> {
        if task.is_due() {
            return Some(task.run());
        }
        if self.reaper.is_due() {
            self.reaper.run();
            return Some(None);
        }
        self.step().then_some(None)
    }

    /// Lets things happen until the task ends or nothing happens any more.
    pub(super) fn run<T>(&mut self, task: &mut Task<'_, T>) -> Option<T> {
        for _ in 0..10_000 {
            if let Some(output) = self.act(task)? {
                return Some(output);
            }
        }
        panic!("it never ends")
    }

    /// Lets things happen while nobody wants anything.
    pub(super) fn rest(&mut self) {
        let idle = core::future::pending::<()>();
        assert!(self.run(&mut Task::new(idle)).is_none());
    }

    pub(super) fn acquired(&mut self) -> Guard<Handle<Shared<K>>> {
        let mut task = self.acquire();
        self.run(&mut task).expect("acquired").unwrap()
    }

    /// Another client's node in the queue.
    pub(super) fn contender(&mut self) -> String {
        if self.server.node("/l").is_none() {
            self.server.create("/l", 0, false).unwrap();
        }
        let name = "/l/_c_00000000-0000-0000-0000-000000000001-lock-";
        self.server.create(name, 0x999, true).unwrap()
    }

    /// The nodes of the session.
    pub(super) fn own(&self) -> Vec<String> {
        self.server.owned_by(self.server.session())
    }

    /// Nothing is left, neither here nor there, of the session that there is now.
    pub(super) fn is_clean(&mut self) {
        self.rest();
        assert_eq!(self.own(), [""; 0]);
        self.shared.script(|script| {
            assert_eq!((script.hub.claims(), script.hub.orphans()), (0, 0));
            assert_eq!(script.hub.requests(), 0);
        });
    }

    pub(super) fn release(&mut self, guard: Guard<Handle<Shared<K>>>) {
        let mut task = Task::new(guard.release());
        assert_eq!(self.run(&mut task), Some(Ok(())));
    }
}
