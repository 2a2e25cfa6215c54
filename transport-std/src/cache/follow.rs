//! The task that keeps a cache up with the servers.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use docent_core::client::Client as _;
use docent_core::handle::Handle;
use docent_core::path::Path;
use docent_core::wire::Exists;
use tokio::time;
use tracing::warn;

use super::shelf::Shelf;
use super::{Core, Event};
use crate::builder::random;
use crate::error::ErrorKind;
use crate::shared::Link;

/// How often an idle cache learns what pings have told of how fresh it is.
const TICK: Duration = Duration::from_secs(1);
/// How long to pause after a failure, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Ends the view with the task, whatever ends that, so that nobody takes it for one that is kept up.
pub(super) struct Keeper(pub(super) Shelf);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.act(|inner| inner.end(ErrorKind::Stopped));
    }
}

/// Keeps the view up until the client is over.
pub(super) async fn follow(mut cache: Core, handle: Handle<Link>, keeper: Keeper, smear: Duration) {
    let shelf = &keeper.0;
    let mut pause = PAUSE.0;
    loop {
        let event = match next_or_tick(&mut cache, shelf).await {
            None => {
                ask_for_waiting(&handle, shelf, cache.root()).await;
                continue;
            }
            Some(Ok(event)) => event,
            Some(Err(error @ ErrorKind::NotSent(_))) => return shelf.act(|inner| inner.end(error)),
            Some(Err(error)) => {
                warn!(%error, "a cache cannot go on for now");
                shelf.act(|inner| inner.failure = Some(error));
                time::sleep(jitter(pause)).await;
                pause = PAUSE.1.min(pause * 2);
                continue;
            }
        };
        pause = PAUSE.0;
        let stale = matches!(event, Event::Stale);
        shelf.act(|inner| inner.turn(event));
        if stale {
            // The view stays stale until somebody may look again.
            let _ = handle.connected().await;
            time::sleep(jitter(smear)).await;
        }
    }
}

/// The next event of the core; `None` if it has been idle for so long that it is to look around. While
/// it is not, what it does is not given up, however long that takes.
async fn next_or_tick(cache: &mut Core, shelf: &Shelf) -> Option<Result<Event, ErrorKind>> {
    let (mut next, mut tick) = (pin!(cache.next()), pin!(time::sleep(TICK)));
    std::future::poll_fn(|cx| {
        if let Poll::Ready(event) = next.as_mut().poll(cx) {
            return Poll::Ready(Some(event.map(|event| event.map(|node| Arc::clone(node)))));
        }
        while tick.as_mut().poll(cx).is_ready() {
            if shelf.lock().idle {
                return Poll::Ready(None);
            }
            tick.set(time::sleep(TICK));
        }
        Poll::Pending
    })
    .await
}

/// Asks for the last transaction if somebody waits for one: pings do not tell, nor do changes that are
/// not in the view.
async fn ask_for_waiting(handle: &Handle<Link>, shelf: &Shelf, root: Path<'_>) {
    let waits = !shelf.lock().waiting.is_empty();
    if waits && handle.status().state.is_connected() {
        let _ = time::timeout(TICK, handle.call(Exists { path: root })).await;
    }
}

/// Any part of `most`.
fn jitter(most: Duration) -> Duration {
    most.mul_f64(random() as f64 / u64::MAX as f64)
}
