//! Two futures, of which the first to end ends both.

use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;

/// The futures stay where they are: to move them in here would cost their memory twice.
pub(super) fn race<T>(
    mut one: Pin<&mut impl Future<Output = T>>,
    mut other: Pin<&mut impl Future<Output = T>>,
) -> impl Future<Output = T> {
    poll_fn(move |cx| match one.as_mut().poll(cx) {
        Poll::Pending => other.as_mut().poll(cx),
        ready => ready,
    })
}

/// Does `work` until `stop` ends; `None` if that came first. `work` is then dropped where it waits.
///
/// Whenever `work` is about to go on, `stop` is looked at first: a process that was frozen, and lost
/// what it held, learns of it before it does any more of its work.
///
/// # Cancel safety
/// Cancelling it cancels both.
pub async fn until<T>(stop: impl Future<Output = ()>, work: impl Future<Output = T>) -> Option<T> {
    let stop = pin!(async {
        stop.await;
        None
    });
    race(stop, pin!(async { Some(work.await) })).await
}
