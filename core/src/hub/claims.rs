//! Claims: ephemerals that must not outlive whoever wanted them.
//!
//! A claim is entered *before* its node is created, so that cleaning up can never fail for want of
//! memory. When its owner goes away, at whatever moment, the entry becomes an orphan, and the
//! driver's [reaper](crate::recipes::reap) finds out whether there is a node and deletes it.

use core::fmt::{self, Write as _};
use core::task::{Poll, Waker};

use super::Hub;
use super::calls::Id;
use super::storage::{Slots, Storage, register};
use crate::error::Error;
use crate::path::{Path, PathBuf};
use crate::session::{End, Epoch};

/// An entry of the claim table.
#[derive(Debug)]
pub struct Claimed<P> {
    /// Tells this entry from a later one in the same place.
    serial: u32,
    orphan: Option<(P, bool)>,
}

/// A node that nobody wants any more, if it exists.
#[derive(Clone, Debug)]
pub struct Orphan<P> {
    /// The node's path, or the beginning of it.
    pub path: P,
    /// Whether `path` is all of the node's path. If not, its create was not answered.
    pub known: bool,
    /// The session that owns the node.
    pub epoch: Epoch,
    id: Id,
    serial: u32,
}

/// A place in the claim table, and the beginning of the path to be created.
#[derive(Debug)]
pub(crate) struct NewClaim<P> {
    pub(crate) ticket: ClaimTicket,
    pub(crate) path: P,
}

/// What a claim's owner gives back with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClaimTicket {
    id: Id,
    serial: u32,
    pub(crate) epoch: Epoch,
}

impl<S: Storage> Hub<S> {
    /// Makes a place for the clean-up of one ephemeral child of `parent`, whose name will begin with
    /// Curator's protection prefix and `name`.
    ///
    /// # Errors
    /// [`Error::NotSent`] while there is no session, [`Error::Full`] if there is no place,
    /// [`Error::PathTooLong`] and [`Error::Path`] for what cannot be a path.
    pub(crate) fn claim(
        &mut self,
        epoch: Epoch,
        parent: Path<'_>,
        name: &str,
    ) -> Result<NewClaim<S::Path>, Error> {
        self.admit(Some(epoch))?;
        if self.session.id() == 0 {
            return Err(Error::NotSent(End::Expired));
        }
        let path = protected(self.session.id(), self.next_claim, parent, name)?;
        let serial = self.next_claim as u32;
        let entry = Claimed {
            serial,
            orphan: None,
        };
        let index = self.parts.claims.insert(entry).map_err(|_| Error::Full)?;
        self.next_claim = self.next_claim.wrapping_add(1);
        let ticket = ClaimTicket {
            id: Id::new(index).ok_or(Error::Full)?,
            serial,
            epoch,
        };
        Ok(NewClaim { ticket, path })
    }

    /// As [`claim`](Self::claim), but waits for the room of orphans.
    pub(crate) fn poll_claim(
        &mut self,
        epoch: Epoch,
        parent: Path<'_>,
        name: &str,
        ticket: &mut Option<usize>,
        waker: &Waker,
    ) -> Poll<Result<NewClaim<S::Path>, Error>> {
        match self.claim(epoch, parent, name) {
            Err(Error::Full) if self.orphaned > 0 => {
                self.await_state(ticket, waker);
                Poll::Pending
            }
            claim => Poll::Ready(claim),
        }
    }

    /// The owner of a claim is gone; its node, known or not, is to be deleted.
    pub(crate) fn orphan(&mut self, ticket: ClaimTicket, path: S::Path, known: bool) {
        if ticket.epoch != self.seen.epoch || self.is_over() {
            // The servers have deleted the node with its session.
            return self.settle(ticket);
        }
        if let Some(entry) = self.entry(ticket.id, ticket.serial) {
            entry.orphan = Some((path, known));
            self.orphaned += 1;
            self.wake.reaper = true;
            // It may run the reaper only when there is something to reap.
            self.wake.driver = true;
        }
    }

    /// The node of a claim is known not to exist.
    pub(crate) fn settle(&mut self, ticket: ClaimTicket) {
        self.remove_claim(ticket.id, ticket.serial);
    }

    /// The next orphan. It stays one until it is [reaped](Self::reaped).
    pub(crate) fn poll_orphan(&mut self, waker: &Waker) -> Poll<Orphan<S::Path>> {
        let places = if self.orphaned > 0 {
            self.parts.claims.bound()
        } else {
            0
        };
        for index in 0..places {
            if let Some(orphan) = self.orphan_at(index) {
                return Poll::Ready(orphan);
            }
        }
        register(&mut self.reaper, waker);
        Poll::Pending
    }

    fn orphan_at(&mut self, index: usize) -> Option<Orphan<S::Path>> {
        let epoch = self.seen.epoch;
        let Claimed { serial, orphan } = self.parts.claims.get_mut(index)?;
        let (path, known) = orphan.as_ref()?;
        let path = S::Path::try_from_parts(&[path.as_ref()])?;
        Some(Orphan {
            path,
            known: *known,
            epoch,
            id: Id::new(index)?,
            serial: *serial,
        })
    }

    /// An orphan's node is gone, or cannot be deleted.
    pub(crate) fn reaped(&mut self, orphan: &Orphan<S::Path>) {
        self.remove_claim(orphan.id, orphan.serial);
    }

    /// How many nodes wait to be cleaned up.
    pub const fn orphans(&self) -> usize {
        self.orphaned
    }

    /// How many claims are held or wait to be cleaned up.
    pub fn claims(&mut self) -> usize {
        let claims = &mut self.parts.claims;
        (0..claims.bound())
            .filter(|&index| claims.get_mut(index).is_some())
            .count()
    }

    /// The session has ended, and its nodes with it.
    pub(super) fn drop_orphans(&mut self) {
        for index in 0..self.parts.claims.bound() {
            if self
                .parts
                .claims
                .get_mut(index)
                .is_some_and(|entry| entry.orphan.is_some())
            {
                self.parts.claims.remove(index);
            }
        }
        self.orphaned = 0;
    }

    fn entry(&mut self, id: Id, serial: u32) -> Option<&mut Claimed<S::Path>> {
        self.parts
            .claims
            .get_mut(id.index())
            .filter(|entry| entry.serial == serial)
    }

    fn remove_claim(&mut self, id: Id, serial: u32) {
        if let Some(entry) = self.entry(id, serial) {
            let orphaned = entry.orphan.is_some();
            self.orphaned -= usize::from(orphaned);
            self.parts.claims.remove(id.index());
            self.wake.state = true;
        }
    }
}

/// `parent/_c_<uuid>-name`, as Curator writes it. The id is made of the session's and a count, so
/// that no two are alike.
fn protected<P: PathBuf>(
    session: i64,
    serial: u64,
    parent: Path<'_>,
    name: &str,
) -> Result<P, Error> {
    let mut uuid = heapless::String::<40>::new();
    write!(uuid, "{}", Uuid(session as u64, serial)).map_err(|_| Error::PathTooLong)?;
    let slash = if parent.is_root() { "" } else { "/" };
    let path = |number| {
        let parts = [
            parent.as_str(),
            slash,
            "_c_",
            uuid.as_str(),
            "-",
            name,
            number,
        ];
        P::try_from_parts(&parts).ok_or(Error::PathTooLong)
    };
    if name.contains('/') {
        return Err(Error::PathTooLong);
    }
    // Once the node exists there must be room for what the server has appended.
    path(LONGEST_NUMBER)?;
    path("")
}

/// The longest that a server appends to the name of a sequential node.
const LONGEST_NUMBER: &str = "-2147483648";

struct Uuid(u64, u64);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(high, low) = *self;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xffff
        )?;
        write!(f, "-{:04x}-{:012x}", low >> 48, low & 0xffff_ffff_ffff)
    }
}
