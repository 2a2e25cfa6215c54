//! Watches and states as streams.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use docent_core::client::{Client as _, Watcher as _};
use docent_core::handle::{self, Handle};
use docent_core::hub::Change as CoreChange;
use docent_core::path::HeapPath;
use docent_core::session::Status;
use futures_core::Stream;

use crate::shared::Link;

/// What a watch has to say.
pub type Change = CoreChange<HeapPath>;

/// A watch on a node or a tree: a stream of [`Change`]s, which ends when no more can come.
///
/// Events are signs to look again, not a log: what happens at a node while nobody looks is told as
/// one [`Change::Node`]. Dropping the watcher ends the watch, with the server too if nobody else
/// looks at its path.
pub struct Watcher(handle::Watcher<Link>);

impl Watcher {
    pub(crate) const fn new(watcher: handle::Watcher<Link>) -> Self {
        Self(watcher)
    }

    /// The next change; `None` when there will never be another: a one-shot watch has fired, or the
    /// session is over, which [`Change::Lost`] has told.
    ///
    /// # Cancel safety
    /// Cancelling it loses no change.
    pub async fn changed(&mut self) -> Option<Change> {
        self.0.next().await
    }
}

impl Stream for Watcher {
    type Item = Change;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Change>> {
        self.0.poll_next(cx)
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watcher")
    }
}

/// The states of a client: first the present one, then each that differs from the one told last.
///
/// States that pass quicker than they are looked at are skipped, but never without a trace: each
/// moves a counter of the [`Status`]. It ends after the state in which the client is over.
pub struct States {
    next: Option<Pin<Box<dyn Future<Output = Status> + Send>>>,
    handle: Handle<Link>,
}

impl States {
    pub(crate) fn new(handle: Handle<Link>) -> Self {
        let now = handle.status();
        Self {
            next: Some(Box::pin(std::future::ready(now))),
            handle,
        }
    }
}

impl Stream for States {
    type Item = Status;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Status>> {
        let Some(next) = &mut self.next else {
            return Poll::Ready(None);
        };
        let status = std::task::ready!(next.as_mut().poll(cx));
        let handle = self.handle.clone();
        let more = status.state.end().is_none();
        self.next = more.then(|| Box::pin(async move { handle.changed(status).await }) as _);
        Poll::Ready(Some(status))
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("States")
    }
}
