//! Claims of ephemerals to be.

use core::fmt;
use core::mem;

use crate::error::Error;
use crate::handle::share::{Share, act};
use crate::hub::{ClaimTicket, NewClaim};
use crate::path::{Path, PathBuf};

/// A claim of a [`Handle`](crate::handle::Handle).
pub struct Claim<H: Share>(Option<Held<H>>);

struct Held<H: Share> {
    shared: H,
    ticket: ClaimTicket,
    path: H::Path,
    known: bool,
}

impl<H: Share> Claim<H> {
    pub(super) fn new(shared: H, new: NewClaim<H::Path>) -> Self {
        let NewClaim { ticket, path } = new;
        Self(Some(Held {
            shared,
            ticket,
            path,
            known: false,
        }))
    }
}

impl<H: Share> crate::client::Claim for Claim<H> {
    fn path(&self) -> Path<'_> {
        self.0
            .as_ref()
            .map_or(Path::ROOT, |held| held.path.as_path())
    }

    fn created(&mut self, path: Path<'_>) -> Result<(), Error> {
        let Some(held) = &mut self.0 else {
            return Ok(());
        };
        held.path = H::Path::try_from_parts(&[path.as_str()]).ok_or(Error::PathTooLong)?;
        held.known = true;
        Ok(())
    }

    fn settle(mut self) {
        if let Some(Held { shared, ticket, .. }) = self.0.take() {
            act(&shared, |hub| hub.settle(ticket));
        }
    }
}

impl<H: Share> fmt::Debug for Claim<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claim({})", crate::client::Claim::path(self))
    }
}

impl<H: Share> Drop for Claim<H> {
    fn drop(&mut self) {
        if let Some(Held {
            shared,
            ticket,
            path,
            known,
        }) = mem::take(&mut self.0)
        {
            act(&shared, |hub| hub.orphan(ticket, path, known));
        }
    }
}
