//! Somebody who waits for a view to get somewhere.

use std::future::poll_fn;
use std::task::{Context, Poll};

use super::shelf::Shelf;
use crate::error::ErrorKind;

/// A place among those who wait, which is free again when this is dropped.
pub(super) struct Waiter<'a> {
    shelf: &'a Shelf,
    id: u64,
}

impl<'a> Waiter<'a> {
    pub(super) fn new(shelf: &'a Shelf) -> Self {
        let id = shelf.lock().new_id();
        Self { shelf, id }
    }

    /// Waits until a transaction is in the view.
    pub(super) async fn reached(&self, zxid: i64) -> Result<(), ErrorKind> {
        poll_fn(|cx| self.poll(cx, zxid)).await
    }

    fn poll(&self, cx: &Context<'_>, zxid: i64) -> Poll<Result<(), ErrorKind>> {
        let mut inner = self.shelf.lock();
        if inner.ready && inner.contact.0 >= zxid {
            return Poll::Ready(Ok(()));
        }
        if let Some(over) = inner.over {
            return Poll::Ready(Err(over));
        }
        let waker = inner.waiting.insert(self.id, cx.waker().clone());
        // What drops with a waker may use the cache.
        drop(inner);
        drop(waker);
        Poll::Pending
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let _waker = self.shelf.lock().waiting.remove(&self.id);
    }
}
