//! The hub of a client, shared by the tasks of one executor.

use core::cell::{RefCell, RefMut};
use core::fmt;

use docent_core::handle::{Kept, Share};
use docent_core::hub::{BoardPath, BodyOf, Borrowed, Hub};
use docent_core::time::Instant;
use embassy_time::Instant as Time;

/// What the handles of a client and its runner have in common.
pub(crate) struct Shared<'d> {
    hub: RefCell<Hub<Borrowed<'d>>>,
}

impl<'d> Shared<'d> {
    pub(crate) const fn new(hub: Hub<Borrowed<'d>>) -> Self {
        Self {
            hub: RefCell::new(hub),
        }
    }
}

/// A share in a client.
#[derive(Clone, Copy)]
pub struct Link<'d>(&'d Shared<'d>);

impl<'d> Link<'d> {
    pub(crate) const fn new(shared: &'d Shared<'d>) -> Self {
        Self(shared)
    }

    /// Who has it calls nobody, so that it is never asked for twice.
    #[inline(never)]
    fn hub(self) -> RefMut<'d, Hub<Borrowed<'d>>> {
        self.0.hub.borrow_mut()
    }
}

impl fmt::Debug for Link<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, state, requests) = self.with(|hub| {
            let session = hub.session();
            (session.id(), session.status().state, hub.requests())
        });
        write!(f, "session {id:#x}, {state:?}, {requests} requests waiting")
    }
}

/// The time of the hub: embassy's, in microseconds.
#[inline(never)]
pub(crate) fn now() -> Instant {
    Instant::from_micros(Time::now().as_micros())
}

impl<'d> Share for Link<'d> {
    const COMPACT: bool = true;

    type Storage = Borrowed<'d>;
    type Path = BoardPath;
    type Body = Body<'d>;
    type Time = Time;

    fn with<T>(&self, act: impl FnOnce(&mut Hub<Borrowed<'d>>) -> T) -> T {
        act(&mut self.hub())
    }

    fn now(&self) -> Instant {
        now()
    }

    fn time(&self, instant: Instant) -> Time {
        Time::from_micros(instant.as_micros())
    }

    fn chroot(&self) -> &str {
        self.with(|hub| *hub.chroot())
    }

    fn body(&self, body: BodyOf<Borrowed<'d>>) -> Body<'d> {
        Kept::new(*self, body)
    }
}

/// The body of a reply. Until it is dropped it occupies the room of one call.
pub type Body<'d> = Kept<Link<'d>>;
