//! Two futures, of which the first to end ends both.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;

pub(super) async fn race<T>(one: impl Future<Output = T>, other: impl Future<Output = T>) -> T {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|cx| match one.as_mut().poll(cx) {
        Poll::Pending => other.as_mut().poll(cx),
        ready => ready,
    })
    .await
}
