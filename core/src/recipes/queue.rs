//! A queue that a recipe stands in: where it is, and what it writes there.

use core::fmt;

use crate::client::{Claim as _, Client};
use crate::error::Error;
use crate::path::{Path, PathBuf};
use crate::recipes::guard::Guard;
use crate::recipes::names::Names;
use crate::recipes::place::{Entry, Place, Standing, is_expiry};
use crate::wire::{Acl, Pick, PickChildNames};

#[derive(Clone)]
pub(super) struct Queue<C: Client, D = &'static [u8]> {
    pub(super) client: C,
    pub(super) path: C::Path,
    pub(super) data: D,
    pub(super) acl: &'static [Acl<'static>],
}

impl<C: Client, D> fmt::Debug for Queue<C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path.as_ref())
    }
}

impl<C: Client> Queue<C> {
    /// The queue at the path that `parts` make.
    pub(super) fn new(client: C, parts: &[&str]) -> Result<Self, Error> {
        let path = C::Path::try_from_parts(parts).ok_or(Error::PathTooLong)?;
        Ok(Self {
            client,
            path,
            data: &[],
            acl: Acl::OPEN,
        })
    }
}

impl<C: Client, D: AsRef<[u8]>> Queue<C, D> {
    pub(super) fn with_data<E: AsRef<[u8]>>(self, data: E) -> Queue<C, E> {
        let Self {
            client, path, acl, ..
        } = self;
        Queue {
            client,
            path,
            data,
            acl,
        }
    }

    pub(super) fn path(&self) -> Path<'_> {
        self.path.as_path()
    }

    pub(super) fn entry(&self, names: Names) -> Entry<'_> {
        Entry {
            path: self.path(),
            own: names.own,
            sequential: true,
            ahead: names.ahead,
            data: self.data.as_ref(),
            acl: self.acl,
        }
    }

    /// Whether to try again in the next session, after an error of one that may be over.
    pub(super) fn goes_on(&self, error: Error) -> bool {
        is_expiry(error) && self.client.status().state.end().is_none()
    }

    /// Joins the queue and waits for its front, over as many sessions as it takes.
    // As an `async fn` it would keep its arguments, too.
    pub(super) fn acquire(&self, names: Names) -> impl Future<Output = Result<Guard<C>, Error>> {
        let entry = self.entry(names);
        async move {
            loop {
                match self.attempt(&entry).await {
                    Ok(Some(guard)) => return Ok(guard),
                    Ok(None) => {}
                    Err(error) if self.goes_on(error) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    async fn attempt(&self, entry: &Entry<'_>) -> Result<Option<Guard<C>>, Error> {
        let mut place = Place::join(&self.client, entry).await?;
        while let Some(status) = place.turn(entry).await? {
            let guard = Guard { place, status };
            if guard.is_undisturbed() {
                return Ok(Some(guard));
            }
            // The lease ran out, or the connection was lost, on the way: look again.
            place = guard.place;
        }
        place.claim.settle();
        Ok(None)
    }

    /// Takes the front of the queue if nobody has it.
    pub(super) async fn try_acquire(&self, names: Names) -> Result<Option<Guard<C>>, Error> {
        let entry = &self.entry(names);
        loop {
            match self.attempt_once(entry).await {
                Ok(Attempt::Granted(guard)) => return Ok(Some(guard)),
                Ok(Attempt::Refused) => return Ok(None),
                Ok(Attempt::Undecided) => {}
                Err(error) if self.goes_on(error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn attempt_once(&self, entry: &Entry<'_>) -> Result<Attempt<C>, Error> {
        // Most of those who cannot have it learn so without a write.
        if self.is_taken(entry.ahead).await? {
            return Ok(Attempt::Refused);
        }
        let place = Place::join(&self.client, entry).await?;
        let status = self.client.status();
        match place.look(entry).await? {
            Standing::First => Ok(Guard { place, status }.into()),
            Standing::Behind(_) => {
                // If that is not acknowledged it goes on in the background.
                let _: Result<(), Error> = place.leave().await;
                Ok(Attempt::Refused)
            }
            Standing::Gone => {
                place.claim.settle();
                Ok(Attempt::Undecided)
            }
        }
    }

    /// Whether there are contenders of these names.
    async fn is_taken(&self, names: &str) -> Result<bool, Error> {
        let pick = Pick::Front(names);
        let path = self.path();
        match self.client.retry(PickChildNames { path, pick }).await {
            Err(error) if error.is_no_node() => Ok(false),
            names => Ok(pick.best(names?.iter()).is_some()),
        }
    }
}

/// What came of an attempt.
pub(super) enum Attempt<C: Client> {
    Granted(Guard<C>),
    Refused,
    /// Try again.
    Undecided,
}

impl<C: Client> From<Guard<C>> for Attempt<C> {
    fn from(guard: Guard<C>) -> Self {
        if guard.is_held() {
            Self::Granted(guard)
        } else {
            // The lease ran out on the way.
            Self::Undecided
        }
    }
}
