//! The changes of a cache, as a stream.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::shelf::Shelf;
use super::{Event, Tether};

/// The changes of a [`Cache`](super::Cache): a stream, which ends with the client, and if the
/// cache [stops](crate::ErrorKind::Stopped).
pub struct Events {
    shelf: Shelf,
    id: u64,
    _tether: Arc<Tether>,
}

impl Events {
    pub(super) fn new(shelf: &Shelf, tether: &Arc<Tether>) -> Self {
        Self {
            id: shelf.lock().follow(),
            shelf: shelf.clone(),
            _tether: Arc::clone(tether),
        }
    }
}

impl Events {
    /// The next event; `None` when there will never be another.
    ///
    /// # Cancel safety
    /// Cancelling it loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<Event>> {
        let mut inner = self.shelf.lock();
        let over = inner.over.is_some();
        match inner.next_for(self.id) {
            Some(event) => Poll::Ready(Some(event)),
            None if over => Poll::Ready(None),
            None => {
                let follower = inner.followers.get_mut(&self.id);
                let waker = follower.and_then(|one| one.waker.replace(cx.waker().clone()));
                // What drops with a waker may use the cache.
                drop(inner);
                drop(waker);
                Poll::Pending
            }
        }
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll(cx)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _follower = self.shelf.lock().followers.remove(&self.id);
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}
