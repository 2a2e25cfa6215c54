//! Futures that are dropped before their end.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::Task;
use crate::sim::client::Kind;
use crate::sim::faults::Fault;
use crate::sim::world::{Sleep, World};

/// A task that waits for its client.
struct Waiting {
    world: Rc<World>,
    client: usize,
}

impl Waiting {
    fn new(world: &Rc<World>, client: usize) -> Self {
        let waiting = Self {
            world: Rc::clone(world),
            client,
        };
        waiting.count(|count| count + 1);
        waiting
    }

    fn count(&self, change: impl FnOnce(usize) -> usize) {
        let mut journal = self.world.journal.borrow_mut();
        let count = journal.waiting.entry(self.client).or_default();
        *count = change(*count);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.count(|count| count - 1);
    }
}

impl<K: Kind> Task<K> {
    /// Runs a future that may be dropped before its end.
    pub(super) async fn perhaps<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let odds = self.world.plan.cancel;
        let cancels = odds > 0 && self.is_active() && self.rng.once_in(odds);
        let polls = if self.rng.once_in(2) {
            self.rng.below(8)
        } else {
            u64::MAX
        };
        let patience = self.rng.below(3_000_000);
        let timer = cancels.then(|| self.world.sleep(patience));
        let _waiting = Waiting::new(&self.world, self.client);
        let outcome = Perhaps {
            future: Box::pin(future),
            polls,
            timer: timer.map(Box::pin),
        }
        .await;
        if outcome.is_none() {
            self.world.count(Fault::Cancel);
        }
        outcome
    }

    /// Runs a future for so many microseconds at most.
    pub(super) async fn within<F: Future>(&self, micros: u64, future: F) -> Option<F::Output> {
        Perhaps {
            future: Box::pin(future),
            polls: u64::MAX,
            timer: Some(Box::pin(self.world.sleep(micros))),
        }
        .await
    }
}

/// A future that is dropped at some poll or time, if it is not over by then.
struct Perhaps<F> {
    future: Pin<Box<F>>,
    polls: u64,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<F: Future> Future for Perhaps<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(timer) = &mut self.timer else {
            return self.future.as_mut().poll(cx).map(Some);
        };
        if timer.as_mut().poll(cx).is_ready() || self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        self.future.as_mut().poll(cx).map(Some)
    }
}
