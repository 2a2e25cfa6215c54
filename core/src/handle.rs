//! The client's side of a hub behind a lock: [`Client`] for every transport.
//!
//! A transport says how its hub is [shared](Share); calls, watches and claims are the same for all.

use core::fmt;
use core::future::{Future, poll_fn};
use core::marker::PhantomData;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use crate::client::Client;
use crate::error::{Code, Error};
use crate::hub::{BodyOf, Change, ClaimTicket, Hub, Id, NewClaim, Orphan, Storage, Terms};
use crate::path::{Path, PathBuf};
use crate::session::{Credentials, End, Epoch, Status};
use crate::time::Instant;
use crate::wire::{AddWatch, AddWatchMode, Encode, Malformed, Request, Watchable};

/// A hub that several tasks share.
pub trait Share: Clone {
    /// Whether code is to be small rather than fast.
    const COMPACT: bool = false;
    /// The hub's memory.
    type Storage: Storage<
            Path = Self::Path,
            Watches: crate::hub::Watches<Events: crate::hub::EventQueue<Path = Self::Path>>,
        >;
    /// An owned path.
    type Path: PathBuf;
    /// A reply's body, which gives its room back when it is dropped.
    type Body: AsRef<[u8]>;
    /// A time by the clock of the application.
    type Time;

    /// Calls `act` with the hub locked. `act` wakes nobody.
    fn with<T>(&self, act: impl FnOnce(&mut Hub<Self::Storage>) -> T) -> T;
    /// The time by the transport's clock.
    fn now(&self) -> Instant;
    /// What the application calls this instant.
    fn time(&self, instant: Instant) -> Self::Time;
    /// The prefix of all paths.
    fn chroot(&self) -> &str;
    /// Hands a body to a caller.
    fn body(&self, body: BodyOf<Self::Storage>) -> Self::Body;
}

/// Calls `act` with the hub locked, and wakes whom it says once the lock is released.
#[inline]
pub fn act<H: Share, T>(shared: &H, act: impl FnOnce(&mut Hub<H::Storage>) -> T) -> T {
    let (result, due) = shared.with(|hub| (act(hub), hub.poll_waker()));
    if let Some(waker) = due {
        wake(shared, waker);
    }
    result
}

/// Wakes this task, and all others that are to be woken.
fn wake<H: Share>(shared: &H, first: Waker) {
    let mut due = Some(first);
    while let Some(waker) = due {
        waker.wake();
        due = shared.with(Hub::poll_waker);
    }
}

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
        let terms = Terms {
            watch: None,
            epoch: self.epoch,
        };
        let id = act(&self.shared, |hub| hub.submit(request, terms, None))?;
        Ok(Reply::new(self.shared.clone(), id))
    }

    /// Sends `request` and waits for the reply, as [`Client::call`] does.
    #[inline]
    pub const fn exchange<R: Request>(&self, request: R) -> Exchange<'_, H, R> {
        self.exchange_with(request, None)
    }

    #[inline]
    const fn exchange_with<R: Request>(&self, request: R, watch: Option<Id>) -> Exchange<'_, H, R> {
        let terms = Terms {
            watch,
            epoch: self.epoch,
        };
        Exchange {
            shared: &self.shared,
            request,
            terms,
            stage: Stage::New,
        }
    }

    async fn watch_with<R: Watchable>(
        &self,
        request: R,
    ) -> Result<(Result<R::Response<H::Body>, Error>, Watcher<H>), Error> {
        let id = act(&self.shared, |hub| {
            hub.add_watch(request.path(), R::WATCH, R::WATCH_ABSENT)
        })?;
        let watcher = Watcher {
            shared: self.shared.clone(),
            id,
        };
        Ok((self.exchange_with(request, Some(id)).await, watcher))
    }
}

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

    // As an `async fn` it would keep the request twice.
    #[inline]
    fn call<R: Request>(
        &self,
        request: R,
    ) -> impl Future<Output = Result<R::Response<H::Body>, Error>> {
        self.exchange(request)
    }

    async fn watch<R: Watchable>(
        &self,
        request: R,
    ) -> Result<(R::Response<H::Body>, Watcher<H>), Error> {
        let (reply, watcher) = self.watch_with(request).await?;
        Ok((reply?, watcher))
    }

    async fn watch_absent<R: Watchable>(
        &self,
        request: R,
    ) -> Result<(Option<R::Response<H::Body>>, Watcher<H>), Error> {
        match self.watch_with(request).await? {
            (Ok(response), watcher) => Ok((Some(response), watcher)),
            (Err(Error::Server(Code::NoNode)), watcher) => Ok((None, watcher)),
            (Err(error), _) => Err(error),
        }
    }

    async fn subscribe(&self, path: Path<'_>, mode: AddWatchMode) -> Result<Watcher<H>, Error> {
        let id = act(&self.shared, |hub| hub.add_watch(path, mode.kind(), None))?;
        let watcher = Watcher {
            shared: self.shared.clone(),
            id,
        };
        self.exchange_with(AddWatch { path, mode }, Some(id))
            .await?;
        Ok(watcher)
    }

    async fn claim(&self, parent: Path<'_>, name: &str) -> Result<Claim<H>, Error> {
        let mut wait = Wait {
            shared: &self.shared,
            ticket: None,
        };
        let NewClaim { ticket, path } = poll_fn(|cx| {
            act(wait.shared, |hub| {
                let epoch = self.epoch.unwrap_or_else(|| hub.session().status().epoch);
                hub.poll_claim(epoch, parent, name, &mut wait.ticket, cx.waker())
            })
        })
        .await?;
        Ok(Claim(Some(Held {
            shared: self.shared.clone(),
            ticket,
            path,
            known: false,
        })))
    }

    async fn orphan(&self) -> Orphan<H::Path> {
        poll_fn(|cx| self.shared.with(|hub| hub.poll_orphan(cx.waker()))).await
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

    fn time(&self, instant: Instant) -> H::Time {
        self.shared.time(instant)
    }

    async fn changed(&self, since: Status) -> Status {
        let mut wait = Wait {
            shared: &self.shared,
            ticket: None,
        };
        poll_fn(|cx| {
            let now = wait.shared.now();
            act(wait.shared, |hub| {
                hub.poll_changed(since, &mut wait.ticket, cx.waker(), now)
            })
        })
        .await
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
        let mut wait = Wait {
            shared: &self.shared,
            ticket: None,
        };
        poll_fn(|cx| {
            act(wait.shared, |hub| {
                hub.poll_auth(place, &mut wait.ticket, cx.waker())
            })
        })
        .await
    }

    /// Closes the session: what was submitted before is still sent, the server deletes the session's
    /// ephemerals, and all later calls of any handle fail. It takes the close timeout at most.
    ///
    /// Without a connection it is done at once: what was not sent fails as [`Error::NotSent`], and
    /// the servers let the session time out.
    ///
    /// # Cancel safety
    /// Once polled, closing goes on.
    pub async fn close(&self) {
        let now = self.shared.now();
        act(&self.shared, |hub| hub.close(now));
        let mut status = self.status();
        while status.state.end().is_none() {
            status = self.changed(status).await;
        }
    }

    /// Ends the client but leaves the session to time out, with its ephemerals, or to be resumed.
    pub fn detach(&self) -> Option<Credentials> {
        let credentials = self.credentials();
        act(&self.shared, Hub::detach);
        credentials
    }
}

/// A place among those who wait for a change of state.
struct Wait<'a, H: Share> {
    shared: &'a H,
    ticket: Option<u64>,
}

impl<H: Share> Drop for Wait<'_, H> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.shared.with(|hub| hub.forget_state(ticket));
        }
    }
}

/// A request on its way: queued when there is room, at the first poll if possible, and answered.
///
/// # Cancel safety
/// Dropping it gives the reply up; the request may run all the same, unless it was never polled.
#[must_use = "a request is sent when it is polled"]
pub struct Exchange<'a, H: Share, R> {
    shared: &'a H,
    request: R,
    terms: Terms,
    stage: Stage,
}

// Nothing in it is pinned.
impl<H: Share, R> Unpin for Exchange<'_, H, R> {}

enum Stage {
    New,
    /// There was no room.
    Waiting(u64),
    Sent(Id),
    Over,
}

impl<H: Share, R: Request> Future for Exchange<'_, H, R> {
    type Output = Result<R::Response<H::Body>, Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Stage::Sent(id) = self.stage {
            let reply = poll_reply::<H, R>(self.shared, id, cx);
            if reply.is_ready() {
                self.stage = Stage::Over;
            }
            return reply;
        }
        self.poll_submit(cx.waker())
    }
}

impl<H: Share, R: Request> Exchange<'_, H, R> {
    fn poll_submit(&mut self, waker: &Waker) -> Poll<Result<R::Response<H::Body>, Error>> {
        let Self {
            shared,
            request,
            terms,
            stage,
        } = self;
        let request = &*request;
        let queued = match H::COMPACT {
            true => queue::<H, dyn Encode>(shared, request, *terms, stage, waker),
            false => queue(*shared, request, *terms, stage, waker),
        };
        match queued {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

/// Queues a request, or waits for room to do so.
fn queue<H: Share, R: Encode + ?Sized>(
    shared: &H,
    request: &R,
    terms: Terms,
    stage: &mut Stage,
    waker: &Waker,
) -> Result<(), Error> {
    let mut ticket = match *stage {
        Stage::Waiting(ticket) => Some(ticket),
        _ => None,
    };
    let submitted = act(shared, |hub| {
        let submitted = hub.submit_encoded(request, terms, Some(waker));
        if submitted == Err(Error::Full) {
            hub.await_room(&mut ticket, waker);
        } else if let Some(ticket) = ticket.take() {
            hub.forget_room(ticket);
        }
        submitted
    });
    *stage = match (submitted, ticket) {
        (Ok(id), _) => Stage::Sent(id),
        (Err(Error::Full), Some(ticket)) => Stage::Waiting(ticket),
        (Err(error), _) => {
            *stage = Stage::Over;
            return Err(error);
        }
    };
    Ok(())
}

impl<H: Share, R> Drop for Exchange<'_, H, R> {
    fn drop(&mut self) {
        match self.stage {
            Stage::Sent(id) => act(self.shared, |hub| hub.abandon(id)),
            Stage::Waiting(ticket) => act(self.shared, |hub| hub.forget_room(ticket)),
            Stage::New | Stage::Over => {}
        }
    }
}

/// The reply of a request that was [submitted](Handle::submit).
///
/// # Cancel safety
/// Dropping it gives the reply up; the request may run all the same.
#[derive(Debug)]
pub struct Reply<H: Share, R> {
    shared: H,
    id: Option<Id>,
    of: PhantomData<fn() -> R>,
}

impl<H: Share, R> Reply<H, R> {
    const fn new(shared: H, id: Id) -> Self {
        Self {
            shared,
            id: Some(id),
            of: PhantomData,
        }
    }
}

impl<H: Share + Unpin, R: Request> Future for Reply<H, R> {
    type Output = Result<R::Response<H::Body>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(id) = self.id else {
            return Poll::Pending;
        };
        let reply = poll_reply::<H, R>(&self.shared, id, cx);
        if reply.is_ready() {
            self.id = None;
        }
        reply
    }
}

impl<H: Share, R> Drop for Reply<H, R> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            act(&self.shared, |hub| hub.abandon(id));
        }
    }
}

#[inline]
fn poll_reply<H: Share, R: Request>(
    shared: &H,
    id: Id,
    cx: &Context<'_>,
) -> Poll<Result<R::Response<H::Body>, Error>> {
    let body = match H::COMPACT {
        true => poll_body_out_of_line(shared, id, cx),
        false => poll_body(shared, id, cx),
    };
    body.map(|body| {
        R::decode(body?, shared.chroot()).map_err(|malformed| reject(shared, malformed))
    })
}

#[inline]
fn poll_body<H: Share>(shared: &H, id: Id, cx: &Context<'_>) -> Poll<Result<H::Body, Error>> {
    let reply = act(shared, |hub| hub.poll_reply(id, cx.waker()));
    reply.map(|body| Ok(shared.body(body?)))
}

#[inline(never)]
fn poll_body_out_of_line<H: Share>(
    shared: &H,
    id: Id,
    cx: &Context<'_>,
) -> Poll<Result<H::Body, Error>> {
    poll_body(shared, id, cx)
}

/// A reply that cannot be decoded: nothing else on its connection can be trusted.
#[cold]
fn reject<H: Share>(shared: &H, malformed: Malformed) -> Error {
    let now = shared.now();
    act(shared, |hub| hub.handle_broken(now));
    Error::Malformed(malformed)
}

/// A watch of a [`Handle`].
#[derive(Debug)]
pub struct Watcher<H: Share> {
    shared: H,
    id: Id,
}

impl<H: Share> Watcher<H> {
    /// The next change, or `None` after the last.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Change<H::Path>>> {
        act(&self.shared, |hub| hub.poll_watch(self.id, cx.waker()))
    }
}

impl<H: Share> crate::client::Watcher for Watcher<H> {
    type Path = H::Path;

    async fn next(&mut self) -> Option<Change<H::Path>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }
}

impl<H: Share> Drop for Watcher<H> {
    fn drop(&mut self) {
        act(&self.shared, |hub| hub.drop_watch(self.id));
    }
}

/// A claim of a [`Handle`].
pub struct Claim<H: Share>(Option<Held<H>>);

struct Held<H: Share> {
    shared: H,
    ticket: ClaimTicket,
    path: H::Path,
    known: bool,
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
