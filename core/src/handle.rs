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
use crate::wire::{
    AddWatch, AddWatchMode, Encode, Idempotent, Malformed, Request, WatchKind, Watchable,
};

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
    /// A reply's body. It is [`Kept`] where it has room of its own to give back.
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

/// A reply's body that gives its room back to the hub when it is dropped.
pub struct Kept<H: Share> {
    shared: H,
    body: Option<BodyOf<H::Storage>>,
}

impl<H: Share> Kept<H> {
    /// Keeps `body`.
    pub const fn new(shared: H, body: BodyOf<H::Storage>) -> Self {
        Self {
            shared,
            body: Some(body),
        }
    }
}

impl<H: Share> AsRef<[u8]> for Kept<H> {
    fn as_ref(&self) -> &[u8] {
        self.body.as_ref().map_or(&[], AsRef::as_ref)
    }
}

impl<H: Share> fmt::Debug for Kept<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({} bytes)", self.as_ref().len())
    }
}

impl<H: Share> Drop for Kept<H> {
    fn drop(&mut self) {
        if let Some(body) = self.body.take() {
            act(&self.shared, |hub| hub.recycle(body));
        }
    }
}

/// Calls `act` with the hub locked, and wakes whom it says once the lock is released.
#[inline]
pub fn act<H: Share, T>(shared: &H, act: impl FnOnce(&mut Hub<H::Storage>) -> T) -> T {
    if H::COMPACT {
        let result = shared.with(act);
        wake(shared);
        return result;
    }
    let (result, due) = shared.with(|hub| (act(hub), hub.poll_waker()));
    if let Some(waker) = due {
        waker.wake();
        wake(shared);
    }
    result
}

/// Wakes whom the hub says.
#[inline(never)]
pub fn wake<H: Share>(shared: &H) {
    while let Some(waker) = shared.with(Hub::poll_waker) {
        waker.wake();
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
        let terms = Terms {
            watch: None,
            epoch: self.epoch,
        };
        Exchange {
            shared: &self.shared,
            request,
            terms,
            stage: Stage::New,
        }
    }

    const fn wait(&self) -> Wait<'_, H> {
        Wait {
            shared: &self.shared,
            ticket: None,
        }
    }

    #[inline]
    const fn watching<R: Request>(&self, request: R) -> Watching<'_, H, R> {
        Watching {
            exchange: self.exchange(request),
            watcher: None,
        }
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
                    Poll::Ready(Err(Error::ConnectionLost)) => exchange.stage = Stage::New,
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
            claim.map_ok(|NewClaim { ticket, path }| {
                Claim(Some(Held {
                    shared: self.shared.clone(),
                    ticket,
                    path,
                    known: false,
                }))
            })
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
            let now = wait.shared.now();
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

/// A place among those who wait for a change of state.
struct Wait<'a, H: Share> {
    shared: &'a H,
    ticket: Option<usize>,
}

impl<H: Share> Wait<'_, H> {
    /// As a method it has all of the place go where a closure goes. What a closure takes of its fields
    /// would be copies, and nobody would give the ticket up.
    fn poll<T>(
        &mut self,
        poll: impl FnOnce(&mut Hub<H::Storage>, &mut Option<usize>) -> Poll<T>,
    ) -> Poll<T> {
        act(self.shared, |hub| poll(hub, &mut self.ticket))
    }
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
    Waiting(usize),
    Sent(Id),
    Over,
}

impl<H: Share, R: Request> Future for Exchange<'_, H, R> {
    type Output = Result<R::Response<H::Body>, Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self {
            shared,
            request,
            terms,
            stage,
        } = &mut *self;
        let body = match H::COMPACT {
            true => poll_out_of_line(*shared, request, *terms, stage, cx.waker()),
            false => poll_exchange(*shared, &*request, *terms, stage, cx.waker()),
        };
        body.map(|body| decode::<H, R>(shared, body?))
    }
}

/// One function for all requests.
#[inline(never)]
fn poll_out_of_line<H: Share>(
    shared: &H,
    request: &dyn Encode,
    terms: Terms,
    stage: &mut Stage,
    waker: &Waker,
) -> Poll<Result<H::Body, Error>> {
    poll_exchange(shared, request, terms, stage, waker)
}

#[inline]
fn poll_exchange<H: Share, R: Encode + ?Sized>(
    shared: &H,
    request: &R,
    terms: Terms,
    stage: &mut Stage,
    waker: &Waker,
) -> Poll<Result<H::Body, Error>> {
    let Stage::Sent(id) = *stage else {
        return match queue(shared, request, terms, stage, waker) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        };
    };
    let reply = poll_body(shared, id, waker);
    if reply.is_ready() {
        *stage = Stage::Over;
    }
    reply
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
        if matches!(submitted, Err(Error::Full)) {
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

/// A request on its way that sets a watch.
struct Watching<'a, H: Share, R> {
    exchange: Exchange<'a, H, R>,
    watcher: Option<Watcher<H>>,
}

/// The reply to a request that sets a watch, and the watch.
type Watched<H, R> = (
    Result<<R as Request>::Response<<H as Share>::Body>, Error>,
    Watcher<H>,
);

/// What a request says of the watch that it sets: where, and of which kind, also if there is no node.
type Wanted<'r> = (Path<'r>, WatchKind, Option<WatchKind>);

fn once<R: Watchable>(request: &R) -> Wanted<'_> {
    (request.path(), R::WATCH, R::WATCH_ABSENT)
}

const fn lasting<'r>(request: &'r AddWatch<'_>) -> Wanted<'r> {
    (request.path, request.mode.kind(), None)
}

impl<H: Share, R: Request> Watching<'_, H, R> {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        wanted: impl FnOnce(&R) -> Wanted<'_>,
    ) -> Poll<Result<Watched<H, R>, Error>> {
        let watcher = match self.watcher.take() {
            Some(watcher) => watcher,
            None => self.exchange.watch(wanted)?,
        };
        let reply = Pin::new(&mut self.exchange).poll(cx);
        if reply.is_pending() {
            self.watcher = Some(watcher);
            return Poll::Pending;
        }
        reply.map(|reply| Ok((reply, watcher)))
    }
}

impl<H: Share, R> Exchange<'_, H, R> {
    /// Makes a place for the watch that the request will set.
    fn watch(&mut self, wanted: impl FnOnce(&R) -> Wanted<'_>) -> Result<Watcher<H>, Error> {
        let (path, kind, absent) = wanted(&self.request);
        let id = act(self.shared, |hub| hub.add_watch(path, kind, absent))?;
        self.terms.watch = Some(id);
        Ok(Watcher {
            shared: self.shared.clone(),
            id,
        })
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
        let body = poll_body(&self.shared, id, cx.waker());
        if body.is_ready() {
            self.id = None;
        }
        body.map(|body| decode::<H, R>(&self.shared, body?))
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
fn poll_body<H: Share>(shared: &H, id: Id, waker: &Waker) -> Poll<Result<H::Body, Error>> {
    let reply = act(shared, |hub| hub.poll_reply(id, waker));
    reply.map(|body| Ok(shared.body(body?)))
}

#[inline]
fn decode<H: Share, R: Request>(shared: &H, body: H::Body) -> Result<R::Response<H::Body>, Error> {
    R::decode(body, shared.chroot()).map_err(|malformed| reject(shared, malformed))
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

    fn next(&mut self) -> impl Future<Output = Option<Change<H::Path>>> {
        poll_fn(|cx| self.poll_next(cx))
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
