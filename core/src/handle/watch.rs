//! Watches, and the requests that set them.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::error::Error;
use crate::handle::exchange::Exchange;
use crate::handle::share::{Share, act};
use crate::hub::{Change, Id};
use crate::path::Path;
use crate::wire::{AddWatch, Request, WatchKind, Watchable};

/// A request on its way that sets a watch.
pub(super) struct Watching<'a, H: Share, R> {
    exchange: Exchange<'a, H, R>,
    watcher: Option<Watcher<H>>,
}

/// The reply to a request that sets a watch, and the watch.
pub(super) type Watched<H, R> = (
    Result<<R as Request>::Response<<H as Share>::Body>, Error>,
    Watcher<H>,
);

/// What a request says of the watch that it sets: where, and of which kind, also if there is no node.
pub(super) type Wanted<'r> = (Path<'r>, WatchKind, Option<WatchKind>);

pub(super) fn once<R: Watchable>(request: &R) -> Wanted<'_> {
    (request.path(), R::WATCH, R::WATCH_ABSENT)
}

pub(super) const fn lasting<'r>(request: &'r AddWatch<'_>) -> Wanted<'r> {
    (request.path, request.mode.kind(), None)
}

impl<'a, H: Share, R: Request> Watching<'a, H, R> {
    #[inline]
    pub(super) const fn new(exchange: Exchange<'a, H, R>) -> Self {
        Self {
            exchange,
            watcher: None,
        }
    }

    pub(super) fn poll(
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

/// A watch of a [`Handle`](crate::handle::Handle).
#[derive(Debug)]
pub struct Watcher<H: Share> {
    shared: H,
    id: Id,
}

impl<H: Share> Watcher<H> {
    pub(super) const fn new(shared: H, id: Id) -> Self {
        Self { shared, id }
    }

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
