//! The memory a hub runs on: a family of types, one set for servers and one for boards.
//!
//! Everything whose memory differs sits behind [`Storage`]; the [hub](super::Hub) holds one of each
//! as its [`Parts`]. Nothing here is of interest to users of a client.

use core::task::Waker;

use super::calls::{Call, Pending};
use super::claims::Claimed;
use super::watches::Watch;
use crate::path::{Path, PathBuf};
use crate::wire::{Credential, EventKind, Full, Sink};

/// A set of types to keep everything in.
pub trait Storage {
    /// How replies outlive their frames.
    type Bodies: Bodies;
    /// Calls, from submission until their reply is taken.
    type Calls: Slots<Call<Self::Bodies>>;
    /// Requests in the order of their replies.
    type Pending: Fifo<Pending>;
    /// Watches, found by path.
    type Watches: Watches;
    /// Ephemerals that may need to be cleaned up.
    type Claims: Slots<Claimed<Self::Path>>;
    /// Tasks that wait for room or for a change of state.
    type Waiters: Waiters;
    /// An owned path.
    type Path: PathBuf;
    /// Bytes on their way out.
    type Tx: Tx;
    /// The prefix of all paths.
    type Chroot: AsRef<str>;
    /// What the client proves its identity with.
    type Auths: Auths;
}

/// One of each.
#[expect(missing_docs, reason = "each field is its type in `Storage`")]
pub struct Parts<S: Storage + ?Sized> {
    pub bodies: S::Bodies,
    pub calls: S::Calls,
    pub pending: S::Pending,
    pub watches: S::Watches,
    pub claims: S::Claims,
    pub room: S::Waiters,
    pub state: S::Waiters,
    pub tx: S::Tx,
    pub chroot: S::Chroot,
    pub auths: S::Auths,
}

/// How a reply outlives the frame it came in.
pub trait Bodies {
    /// A frame as the driver holds it.
    type Frame<'f>: AsRef<[u8]>;
    /// Room for one reply, reserved when its request is submitted.
    type Room;
    /// A reply's body.
    type Body: AsRef<[u8]>;

    /// Sets room aside for one reply, if there is any.
    fn reserve(&mut self) -> Option<Self::Room>;
    /// Keeps `frame` without its first `skip` bytes, or gives the room back if it does not fit.
    fn keep(
        room: Self::Room,
        frame: Self::Frame<'_>,
        skip: usize,
    ) -> Result<Self::Body, Self::Room>;
    /// The bytes of `room`, to look through in it what is longer; `None` where there is no such bound.
    fn bytes(room: &mut Self::Room) -> Option<&mut [u8]>;
    /// The body that the first `len` bytes of `room` are.
    fn seal(room: Self::Room, len: usize) -> Self::Body;
    /// Takes back room that was not used.
    fn release(&mut self, room: Self::Room);
    /// Takes back the room of a body that has been read.
    fn recycle(&mut self, body: Self::Body);
}

/// A table whose entries stay where they are.
pub trait Slots<T> {
    /// A place that is free, if there is one.
    fn vacancy(&self) -> Option<usize>;
    /// Puts `value` into the place that [`vacancy`](Self::vacancy) has just named.
    fn fill(&mut self, index: usize, value: T);
    /// Puts `value` into a place that is free, if there is one.
    fn insert(&mut self, value: T) -> Result<usize, Full> {
        let index = self.vacancy().ok_or(Full)?;
        self.fill(index, value);
        Ok(index)
    }
    /// The entry at `index`.
    fn get_mut(&mut self, index: usize) -> Option<&mut T>;
    /// Takes the entry at `index` out.
    fn remove(&mut self, index: usize) -> Option<T>;
    /// Drops the entry at `index`.
    fn vacate(&mut self, index: usize) {
        self.remove(index);
    }
    /// All entries are below this index.
    fn bound(&self) -> usize;
}

/// A queue.
pub trait Fifo<T: Copy> {
    /// Appends `value`.
    fn push(&mut self, value: T) -> Result<(), Full>;
    /// Takes back what was pushed last.
    fn unpush(&mut self);
    /// The oldest entry.
    fn front(&self) -> Option<T>;
    /// Takes the oldest entry out.
    fn pop(&mut self) -> Option<T>;
    /// How many entries there are.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Watches, by index and by path. Several may share a path.
pub trait Watches {
    /// The events of a recursive watch that have not been looked at.
    type Events: Events;

    /// Adds a watch on `path`, made `new` with room for its events.
    fn insert(
        &mut self,
        path: Path<'_>,
        new: impl FnOnce(Self::Events) -> Watch<Self::Events>,
    ) -> Result<usize, Full>;
    /// The watch at `index`, with its path.
    fn get(&self, index: usize) -> Option<(&str, &Watch<Self::Events>)>;
    /// The watch at `index`.
    fn get_mut(&mut self, index: usize) -> Option<&mut Watch<Self::Events>>;
    /// Drops the watch at `index`.
    fn remove(&mut self, index: usize);
    /// All watches are below this index.
    fn bound(&self) -> usize;
    /// Visits every watch on exactly `path`.
    fn each_at(&mut self, path: &str, visit: &mut dyn FnMut(&mut Watch<Self::Events>));
}

/// A short queue of events with their paths.
pub trait Events {
    /// An owned path.
    type Path: PathBuf;

    /// Appends an event.
    fn push(&mut self, kind: EventKind, path: &str) -> Result<(), Full>;
    /// Takes the oldest event out.
    fn pop(&mut self) -> Option<(EventKind, Self::Path)>;
    /// Whether there are none.
    fn is_empty(&self) -> bool;
    /// Forgets all of them.
    fn clear(&mut self);
}

/// Wakers in the order of their tickets.
pub trait Waiters {
    /// Registers `waker` under `ticket`, in place of an earlier one. Where there is no room left it
    /// takes the oldest place, whose waker comes back, to be woken and to try again.
    fn set(&mut self, ticket: usize, waker: &Waker) -> Option<Waker>;
    /// Forgets `ticket`; says whether it was there.
    fn remove(&mut self, ticket: usize) -> bool;
    /// Takes out the waker of the lowest ticket.
    fn pop(&mut self) -> Option<Waker>;
}

/// Bytes on their way out.
pub trait Tx: Sink {
    /// The bytes.
    fn bytes(&self) -> &[u8];
    /// How many bytes fit when it is empty.
    fn capacity(&self) -> usize;
    /// Forgets the bytes.
    fn clear(&mut self) {
        self.truncate(0);
    }
}

/// What the client proves its identity with, in the order it is sent.
pub trait Auths {
    /// How many credentials there are.
    fn count(&self) -> usize;
    /// The credential at `index`.
    fn get(&self, index: usize) -> Option<Credential<'_>>;
}

/// Replaces `waker` unless it would wake the same task.
pub(super) fn register(waker: &mut Option<Waker>, new: &Waker) {
    match waker {
        Some(waker) => waker.clone_from(new),
        None => *waker = Some(new.clone()),
    }
}
