//! Two futures, of which the first to end ends both.

use core::future::{Future, poll_fn};
use core::pin::Pin;
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
