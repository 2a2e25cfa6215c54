//! What the hub wants of its runner, waited for with the clock in view.

use core::future::poll_fn;
use core::task::{Context, Poll};

use docent_core::handle::{Share as _, act};
use docent_core::hub::FixedTx;
use docent_core::session::{Action, End, Status};
use docent_core::time::Instant;
use embassy_futures::select::{Either, select};
use embassy_time::{Duration, Instant as Time, Timer};

use crate::fmt::log;
use crate::shared::{Link, now};

/// What the hub wants.
pub(crate) enum Order {
    Act(Action),
    /// To send what is in the transmit buffer.
    Send,
    /// Nothing any more.
    End(End),
}

pub(crate) struct Orders<'d> {
    link: Link<'d>,
    logged: Status,
}

impl<'d> Orders<'d> {
    pub(crate) fn new(link: Link<'d>) -> Self {
        let logged = link.with(|hub| hub.session().status());
        Self { link, logged }
    }

    /// Waits until the hub wants something; for it to have something to send, `tx` must be there, and
    /// empty.
    pub(crate) async fn next(&mut self, mut tx: Option<&mut FixedTx<'d>>) -> Order {
        loop {
            let deadline = self.look();
            let order = poll_fn(|cx| self.poll(cx, tx.as_deref_mut(), deadline));
            if let Either::First(Some(order)) = select(order, until(deadline)).await {
                return order;
            }
        }
    }

    /// Waits until the hub does not want the connection any more.
    pub(crate) async fn hang_up(&mut self) {
        loop {
            match self.next(None).await {
                Order::Act(Action::HangUp) | Order::End(_) => return,
                Order::Act(_) | Order::Send => {}
            }
        }
    }

    /// Lets the hub look at the clock. Returns when to do so again.
    fn look(&mut self) -> Option<Instant> {
        let now = now();
        let (status, deadline) = act(&self.link, |hub| {
            if hub.poll_timeout().is_some_and(|deadline| deadline <= now) {
                hub.handle_timeout(now);
            }
            (hub.session().status(), hub.poll_timeout())
        });
        if status != self.logged {
            self.log(status);
        }
        deadline
    }

    /// `None` if the deadline has moved.
    fn poll(
        &self,
        cx: &Context<'_>,
        tx: Option<&mut FixedTx<'d>>,
        deadline: Option<Instant>,
    ) -> Poll<Option<Order>> {
        act(&self.link, |hub| {
            hub.register_driver(cx.waker());
            if let Some(action) = hub.poll_action() {
                return Poll::Ready(Some(Order::Act(action)));
            }
            if let Some(end) = hub.session().status().state.end() {
                return Poll::Ready(Some(Order::End(end)));
            }
            if tx.is_some_and(|tx| hub.poll_transmit(now(), tx)) {
                return Poll::Ready(Some(Order::Send));
            }
            if hub.poll_timeout() != deadline {
                return Poll::Ready(None);
            }
            Poll::Pending
        })
    }

    fn log(&mut self, status: Status) {
        if status.lost.is_some() && status.epoch != self.logged.epoch {
            log!(
                warn,
                "the session is over; its ephemerals and locks are gone"
            );
        }
        log!(info, "session state: {:?}", status.state);
        self.logged = status;
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        // A tick later, as ticks may be longer than microseconds.
        Some(deadline) => {
            let deadline = Time::from_micros(deadline.as_micros());
            Timer::at(deadline.saturating_add(Duration::from_ticks(1))).await;
        }
        None => core::future::pending().await,
    }
}
