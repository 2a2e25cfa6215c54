//! How the tasks of one thread share a hub.

use core::cell::{Cell, RefCell};

use docent_core::handle::{Kept, Share, act};
use docent_core::hub::{BoardPath, BodyOf, Borrowed, Hub};
use docent_core::time::Instant;

/// What the tasks share.
pub(crate) struct Shared<'d> {
    hub: RefCell<Hub<Borrowed<'d>>>,
    now: Cell<Instant>,
    chroot: &'d str,
}

impl<'d> Shared<'d> {
    pub(super) const fn new(hub: Hub<Borrowed<'d>>, chroot: &'d str) -> Self {
        Self {
            hub: RefCell::new(hub),
            now: Cell::new(Instant::ZERO),
            chroot,
        }
    }
}

/// A reference to a hub in borrowed memory.
#[derive(Clone, Copy)]
pub(crate) struct Link<'d>(&'d Shared<'d>);

impl<'d> Link<'d> {
    pub(super) const fn new(shared: &'d Shared<'d>) -> Self {
        Self(shared)
    }

    /// Moves the clock.
    pub(super) fn set(self, now: Instant) {
        self.0.now.set(now);
        act(&self, |hub| hub.handle_timeout(now));
    }
}

impl<'d> Share for Link<'d> {
    type Storage = Borrowed<'d>;
    type Path = BoardPath;
    type Body = Kept<Self>;
    type Time = Instant;

    fn with<T>(&self, act: impl FnOnce(&mut Hub<Borrowed<'d>>) -> T) -> T {
        act(&mut self.0.hub.borrow_mut())
    }

    fn now(&self) -> Instant {
        self.0.now.get()
    }

    fn time(&self, instant: Instant) -> Instant {
        instant
    }

    fn chroot(&self) -> &str {
        self.0.chroot
    }

    fn body(&self, body: BodyOf<Borrowed<'d>>) -> Kept<Self> {
        Kept::new(*self, body)
    }
}
