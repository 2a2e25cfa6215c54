//! The client's side of a hub behind a lock: [`Client`] for every transport.
//!
//! A transport says how its hub is [shared](Share); calls, watches and claims are the same for all.

mod claim;
mod exchange;
mod reply;
mod share;
mod wait;
mod watch;

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;
use core::time::Duration;

use crate::client::Client;
use crate::error::{Code, Error};
use crate::handle::wait::Wait;
use crate::handle::watch::{Watching, lasting, once};
use crate::hub::{Hub, Orphan, Terms};
use crate::path::Path;
use crate::session::{Credentials, End, Epoch, Status};
use crate::time::Instant;
use crate::wire::{AddWatch, AddWatchMode, Idempotent, Request, Watchable};

pub use claim::Claim;
pub use exchange::Exchange;
pub use reply::Reply;
pub use share::{Kept, Share, act, wake};
pub use watch::Watcher;

/// A handle to a session.
#[derive(Clone, Copy, Debug)]
pub struct Handle<H> {
    shared: H,
    epoch: Option<Epoch>,
}

impl<H: Share> Handle<H> {
    /// A handle to the session of `shared` and its successors.
    pub const fn new(shared: H) -> Self {
        Self {
            shared,
            epoch: None,
        }
    }

    /// What the handle shares.
    pub const fn shared(&self) -> &H {
        &self.shared
    }

    /// Queues `request` now, behind all that was queued before, and returns its reply to wait for.
    ///
    /// # Errors
    /// The request will never run: [`Error::Full`] if there is no room, [`Error::TooLarge`], or
    /// [`Error::NotSent`].
    pub fn submit<R: Request>(&self, request: &R) -> Result<Reply<H, R>, Error> {
        let terms = self.terms();
        let id = act(&self.shared, |hub| hub.submit(request, terms, None))?;
        Ok(Reply::new(self.shared.clone(), id))
    }

    /// Sends `request` and waits for the reply, as [`Client::call`] does.
    #[inline]
    pub const fn exchange<R: Request>(&self, request: R) -> Exchange<'_, H, R> {
        Exchange::new(&self.shared, request, self.terms())
    }

    const fn terms(&self) -> Terms {
        Terms {
            watch: None,
            epoch: self.epoch,
        }
    }

    const fn wait(&self) -> Wait<'_, H> {
        Wait::new(&self.shared)
    }

    #[inline]
    const fn watching<R: Request>(&self, request: R) -> Watching<'_, H, R> {
        Watching::new(self.exchange(request))
    }
}

// What it returns are no `async fn`s: those would keep their arguments twice.
impl<H: Share> Client for Handle<H> {
    type Body = H::Body;
    type Path = H::Path;
    type Watcher = Watcher<H>;
    type Claim = Claim<H>;
    type Time = H::Time;

    fn pinned(&self, epoch: Epoch) -> Self {
        Self {
            shared: self.shared.clone(),
            epoch: Some(epoch),
        }
    }

    #[inline]
    fn call<R: Request>(
        &self,
        request: R,
    ) -> impl Future<Output = Result<R::Response<H::Body>, Error>> {
        self.exchange(request)
    }

    fn retry<R: Idempotent + Copy>(
        &self,
        request: R,
    ) -> impl Future<Output = Result<R::Response<H::Body>, Error>> {
        let mut exchange = self.exchange(request);
        poll_fn(move |cx| {
            loop {
                match Pin::new(&mut exchange).poll(cx) {
                    Poll::Ready(Err(Error::ConnectionLost)) => exchange.repeat(),
                    reply => return reply,
                }
            }
        })
    }

    fn watch<R: Watchable>(
        &self,
        request: R,
    ) -> impl Future<Output = Result<(R::Response<H::Body>, Watcher<H>), Error>> {
        let mut watching = self.watching(request);
        poll_fn(move |cx| {
            let set = watching.poll(cx, once);
            set.map(|set| set.and_then(|(reply, watcher)| Ok((reply?, watcher))))
        })
    }

    fn watch_absent<R: Watchable>(
        &self,
        request: R,
    ) -> impl Future<Output = Result<(Option<R::Response<H::Body>>, Watcher<H>), Error>> {
        let mut watching = self.watching(request);
        poll_fn(move |cx| {
            let set = watching.poll(cx, once);
            set.map(|set| match set? {
                (Ok(response), watcher) => Ok((Some(response), watcher)),
                (Err(Error::Server(Code::NoNode)), watcher) => Ok((None, watcher)),
                (Err(error), _) => Err(error),
            })
        })
    }

    fn subscribe(
        &self,
        path: Path<'_>,
        mode: AddWatchMode,
    ) -> impl Future<Output = Result<Watcher<H>, Error>> {
        let mut watching = self.watching(AddWatch { path, mode });
        poll_fn(move |cx| {
            let set = watching.poll(cx, lasting);
            set.map(|set| set.and_then(|(reply, watcher)| reply.map(|()| watcher)))
        })
    }

    fn claim(&self, parent: Path<'_>, name: &str) -> impl Future<Output = Result<Claim<H>, Error>> {
        let mut wait = self.wait();
        poll_fn(move |cx| {
            let claim = wait.poll(|hub, ticket| {
                let epoch = self.epoch.unwrap_or_else(|| hub.session().status().epoch);
                hub.poll_claim(epoch, parent, name, ticket, cx.waker())
            });
            claim.map_ok(|new| Claim::new(self.shared.clone(), new))
        })
    }

    fn orphan(&self) -> impl Future<Output = Orphan<H::Path>> {
        poll_fn(|cx| self.shared.with(|hub| hub.poll_orphan(cx.waker())))
    }

    fn reaped(&self, orphan: &Orphan<H::Path>) {
        act(&self.shared, |hub| hub.reaped(orphan));
    }

    fn status(&self) -> Status {
        let now = self.shared.now();
        act(&self.shared, |hub| hub.status(now))
    }

    fn lease(&self) -> (i64, Option<Instant>) {
        self.shared
            .with(|hub| (hub.session().id(), hub.session().lease()))
    }

    fn contact(&self) -> (i64, Instant) {
        self.shared.with(|hub| hub.session().contact())
    }

    fn time(&self, instant: Instant) -> H::Time {
        self.shared.time(instant)
    }

    fn changed(&self, since: Status) -> impl Future<Output = Status> {
        let mut wait = self.wait();
        poll_fn(move |cx| {
            let now = self.shared.now();
            wait.poll(|hub, ticket| hub.poll_changed(since, ticket, cx.waker(), now))
        })
    }
}

/// The session, and the end of it.
impl<H: Share> Handle<H> {
    /// Waits until requests are served.
    ///
    /// # Errors
    /// The client is over.
    ///
    /// # Cancel safety
    /// It can be cancelled and called again.
    pub async fn connected(&self) -> Result<Status, End> {
        let mut status = self.status();
        loop {
            match status.state.end() {
                Some(end) => return Err(end),
                None if status.state.is_connected() => return Ok(status),
                None => status = self.changed(status).await,
            }
        }
    }

    /// The id of the session, if there is one.
    pub fn session_id(&self) -> Option<i64> {
        let (id, _) = self.lease();
        (id != 0).then_some(id)
    }

    /// The timeout of the session as the server granted it, or as it was asked for before that.
    pub fn session_timeout(&self) -> Duration {
        self.shared.with(|hub| hub.session().timeout())
    }

    /// What it takes to resume this session elsewhere, or after a restart. Two clients that share a
    /// session take it away from each other for ever.
    pub fn credentials(&self) -> Option<Credentials> {
        self.shared.with(|hub| hub.session().credentials())
    }

    /// How many ephemerals of abandoned recipes are still to be deleted.
    pub fn pending_cleanups(&self) -> usize {
        self.shared.with(|hub| hub.orphans())
    }

    /// Waits until the server of the present connection has accepted the credential at `place`.
    ///
    /// # Errors
    /// [`Error::NotSent`] if the client is over.
    ///
    /// # Cancel safety
    /// It can be cancelled and called again.
    pub async fn authenticated(&self, place: u16) -> Result<(), Error> {
        let mut wait = self.wait();
        poll_fn(|cx| wait.poll(|hub, ticket| hub.poll_auth(place, ticket, cx.waker()))).await
    }

    /// Closes the session: what was submitted before is still sent, the server deletes the session's
    /// ephemerals, and all later calls of any handle fail; the status says at once why. It takes the
    /// close timeout at most.
    ///
    /// Without a connection it is done at once: what was not sent fails as [`Error::NotSent`], and
    /// the servers let the session time out.
    ///
    /// # Cancel safety
    /// Once polled, closing goes on.
    pub async fn close(&self) {
        let now = self.shared.now();
        act(&self.shared, |hub| hub.close(now));
        let mut wait = self.wait();
        poll_fn(|cx| wait.poll(|hub, ticket| hub.poll_over(ticket, cx.waker()))).await;
    }

    /// Ends the client but leaves the session to time out, with its ephemerals, or to be resumed.
    pub fn detach(&self) -> Option<Credentials> {
        let credentials = self.credentials();
        act(&self.shared, Hub::detach);
        credentials
    }
}
