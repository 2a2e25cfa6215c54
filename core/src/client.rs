//! What a recipe needs of a client, and nothing else: no clock, no randomness, no executor, no `Send`.
//!
//! Recipes are written once, as plain `async fn`s over [`Client`]. [`Handle`](crate::handle::Handle)
//! implements it over any hub, and so for every transport.

use crate::error::Error;
use crate::hub::{Change, Orphan};
use crate::path::{Path, PathBuf};
use crate::session::{Epoch, Status};
use crate::time::Instant;
use crate::wire::{AddWatchMode, Idempotent, Request, Watchable};

/// A cheap handle to a session.
///
/// # Cancel safety
/// Every future may be dropped at any time. A request that was sent may run all the same; an
/// ephemeral made under a [`Claim`] is then cleaned up.
#[allow(
    async_fn_in_trait,
    reason = "the futures are `Send` exactly when the handle is; docent's tests/send.rs holds it to that"
)]
pub trait Client: Clone {
    /// The body of a reply, which may occupy room that other calls wait for.
    type Body: AsRef<[u8]>;
    /// An owned path.
    type Path: PathBuf;
    /// A watch.
    type Watcher: Watcher<Path = Self::Path>;
    /// The obligation to clean up an ephemeral.
    type Claim: Claim;
    /// A time by the clock of the application.
    type Time;

    /// A handle whose calls fail as [never sent](Error::NotSent) once the session of `epoch` is over.
    fn pinned(&self, epoch: Epoch) -> Self;

    /// Sends `request` and waits for the reply. While there is no connection, or no room, it waits.
    ///
    /// # Errors
    /// See [`Error`], which says whether the operation has run.
    ///
    /// # Cancel safety
    /// As for [all futures](Client#cancel-safety).
    async fn call<R: Request>(&self, request: R) -> Result<R::Response<Self::Body>, Error>;

    /// Sends `request` and sets a one-shot watch on its path.
    ///
    /// # Errors
    /// As for [`call`](Self::call). Then there is no watch.
    ///
    /// # Cancel safety
    /// Cancelling it leaves no watch; otherwise as for [all futures](Client#cancel-safety).
    async fn watch<R: Watchable>(
        &self,
        request: R,
    ) -> Result<(R::Response<Self::Body>, Self::Watcher), Error>;

    /// Sets a one-shot watch where the node may be absent, and says whether `request` found it.
    ///
    /// # Errors
    /// As for [`call`](Self::call), except that "no node" is `Ok(None)`. Then there is no watch,
    /// unless `request` is [`Exists`](crate::wire::Exists).
    ///
    /// # Cancel safety
    /// Cancelling it leaves no watch; otherwise as for [all futures](Client#cancel-safety).
    async fn watch_absent<R: Watchable>(
        &self,
        request: R,
    ) -> Result<(Option<R::Response<Self::Body>>, Self::Watcher), Error>;

    /// Sets a persistent watch, which needs a server of version 3.6 or later.
    ///
    /// # Errors
    /// As for [`call`](Self::call).
    ///
    /// # Cancel safety
    /// Cancelling it leaves no watch; otherwise as for [all futures](Client#cancel-safety).
    async fn subscribe(&self, path: Path<'_>, mode: AddWatchMode) -> Result<Self::Watcher, Error>;

    /// Makes room to clean up one ephemeral child of `parent`, before it is created under
    /// [`Claim::path`]. `name` follows Curator's protection prefix. Where the room is still taken by
    /// ephemerals that nobody wants, it waits for them to be deleted.
    ///
    /// # Errors
    /// [`Error::NotSent`] if the handle is not [pinned](Self::pinned) to the session there is now;
    /// [`Error::Full`] or [`Error::PathTooLong`] if there is no room for it.
    ///
    /// # Cancel safety
    /// Cancelling it leaves no claim.
    async fn claim(&self, parent: Path<'_>, name: &str) -> Result<Self::Claim, Error>;

    /// The next ephemeral that nobody wants. For the transport's [reaper](crate::recipes::reap) only.
    ///
    /// # Cancel safety
    /// The orphan stays one until it is [reaped](Self::reaped).
    async fn orphan(&self) -> Orphan<Self::Path>;

    /// The clean-up of `orphan` has ended.
    fn reaped(&self, orphan: &Orphan<Self::Path>);

    /// What the session is now, by the transport's clock.
    fn status(&self) -> Status;

    /// The session's id, and until when no server can have ended it.
    fn lease(&self) -> (i64, Option<Instant>);

    /// The last transaction that a reply has told of, and when the newest request that was answered
    /// had been sent: what was agreed on before that, and applied by the server, has been told.
    fn contact(&self) -> (i64, Instant);

    /// What the application calls this instant.
    fn time(&self, instant: Instant) -> Self::Time;

    /// Waits until the status differs from `since`.
    ///
    /// # Cancel safety
    /// It can be cancelled and called again; no change is missed.
    async fn changed(&self, since: Status) -> Status;

    /// Waits for a session, and returns a handle that is pinned to it, with the session's id.
    ///
    /// # Errors
    /// [`Error::NotSent`] when there will never be one.
    ///
    /// # Cancel safety
    /// It can be cancelled and called again.
    async fn session(&self) -> Result<(Self, i64, Status), Error> {
        let mut status = self.status();
        loop {
            if let Some(end) = status.state.end() {
                return Err(Error::NotSent(end));
            }
            let (id, _) = self.lease();
            if status.state.is_connected() && id != 0 {
                return Ok((self.pinned(status.epoch), id, status));
            }
            status = self.changed(status).await;
        }
    }

    /// As [`call`](Self::call), but sends again what a lost connection left open: reads may.
    ///
    /// # Errors
    /// As for [`call`](Self::call), without [`Error::ConnectionLost`].
    ///
    /// # Cancel safety
    /// As for [all futures](Client#cancel-safety).
    async fn retry<R: Idempotent + Copy>(
        &self,
        request: R,
    ) -> Result<R::Response<Self::Body>, Error> {
        loop {
            match self.call(request).await {
                // The next attempt waits for a connection, which the session paces.
                Err(Error::ConnectionLost) => {}
                result => return result,
            }
        }
    }
}

/// A watch. Dropping it ends it, with the server too if nobody else looks at its path.
#[allow(async_fn_in_trait, reason = "as for `Client`")]
pub trait Watcher {
    /// An owned path.
    type Path: PathBuf;

    /// The next change; `None` when there will never be another.
    ///
    /// # Cancel safety
    /// Cancelling it loses no change.
    async fn next(&mut self) -> Option<Change<Self::Path>>;
}

/// The obligation to delete an ephemeral once nobody wants it, whether or not its name came back.
///
/// Dropping a claim hands it to the transport, which deletes the node in the background, over
/// reconnections, for as long as the session lives.
pub trait Claim {
    /// The path to create a sequential node under; once [created](Self::created), the node's path.
    fn path(&self) -> Path<'_>;

    /// The node exists, at `path`.
    ///
    /// # Errors
    /// [`Error::PathTooLong`] if there is no room for it. The claim still holds.
    fn created(&mut self, path: Path<'_>) -> Result<(), Error>;

    /// The node is known not to exist any more, or never to have existed.
    fn settle(self);
}
