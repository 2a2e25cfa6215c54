//! Requests on their way, and their replies.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use crate::error::Error;
use crate::handle::share::{Share, act};
use crate::handle::watch::{Wanted, Watcher};
use crate::hub::{Id, Terms};
use crate::wire::{Encode, Malformed, Request};

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

impl<'a, H: Share, R> Exchange<'a, H, R> {
    #[inline]
    pub(super) const fn new(shared: &'a H, request: R, terms: Terms) -> Self {
        Self {
            shared,
            request,
            terms,
            stage: Stage::New,
        }
    }

    /// Sends the request once more when it is polled next.
    pub(super) const fn repeat(&mut self) {
        self.stage = Stage::New;
    }

    /// Makes a place for the watch that the request will set.
    pub(super) fn watch(
        &mut self,
        wanted: impl FnOnce(&R) -> Wanted<'_>,
    ) -> Result<Watcher<H>, Error> {
        let (path, kind, absent) = wanted(&self.request);
        let id = act(self.shared, |hub| hub.add_watch(path, kind, absent))?;
        self.terms.watch = Some(id);
        Ok(Watcher::new(self.shared.clone(), id))
    }
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
    #[inline]
    fn drop(&mut self) {
        if !matches!(self.stage, Stage::New | Stage::Over) {
            give_up(self.shared, &self.stage);
        }
    }
}

/// One function for all requests, and few need it.
#[cold]
#[inline(never)]
fn give_up<H: Share>(shared: &H, stage: &Stage) {
    match *stage {
        Stage::Sent(id) => act(shared, |hub| hub.abandon(id)),
        Stage::Waiting(ticket) => act(shared, |hub| hub.forget_room(ticket)),
        Stage::New | Stage::Over => {}
    }
}

#[inline]
pub(super) fn poll_body<H: Share>(
    shared: &H,
    id: Id,
    waker: &Waker,
) -> Poll<Result<H::Body, Error>> {
    let reply = act(shared, |hub| hub.poll_reply(id, waker));
    reply.map(|body| Ok(shared.body(body?)))
}

#[inline]
pub(super) fn decode<H: Share, R: Request>(
    shared: &H,
    body: H::Body,
) -> Result<R::Response<H::Body>, Error> {
    R::decode(body, shared.chroot()).map_err(|malformed| reject(shared, malformed))
}

/// A reply that cannot be decoded: nothing else on its connection can be trusted.
#[cold]
fn reject<H: Share>(shared: &H, malformed: Malformed) -> Error {
    let now = shared.now();
    act(shared, |hub| hub.handle_broken(now));
    Error::Malformed(malformed)
}
