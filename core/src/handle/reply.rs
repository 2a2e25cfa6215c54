//! Replies to wait for apart from their requests.

use core::future::Future;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::error::Error;
use crate::handle::exchange::{decode, poll_body};
use crate::handle::share::{Share, act};
use crate::hub::Id;
use crate::wire::Request;

/// The reply of a request that was [submitted](crate::handle::Handle::submit).
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
    pub(super) const fn new(shared: H, id: Id) -> Self {
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
