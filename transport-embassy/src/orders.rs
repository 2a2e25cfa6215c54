//! What the hub wants of its runner, waited for with the clock in view.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll};

use docent_core::handle::{Share as _, act};
use docent_core::hub::{Borrowed, FixedTx, Hub};
use docent_core::session::{Action, End, Epoch, State, Status};
use docent_core::time::Instant;
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
    /// The session and its state as they were last logged.
    logged: (Epoch, State),
}

impl<'d> Orders<'d> {
    pub(crate) fn new(link: Link<'d>) -> Self {
        let Status { epoch, state, .. } = link.with(|hub| hub.session().status());
        let logged = (epoch, state);
        Self { link, logged }
    }

    /// Waits until the hub wants something; for it to have something to send, `tx` must be there, and
    /// empty.
    pub(crate) fn next(&mut self, mut tx: Option<&mut FixedTx<'d>>) -> impl Future<Output = Order> {
        poll_fn(move |cx| self.poll(cx, tx.as_deref_mut()))
    }

    /// Waits until the hub does not want the connection any more.
    pub(crate) fn hang_up(&mut self) -> impl Future<Output = ()> {
        poll_fn(|cx| {
            loop {
                match self.poll(cx, None) {
                    Poll::Ready(Order::Act(Action::HangUp) | Order::End(_)) => {
                        return Poll::Ready(());
                    }
                    Poll::Ready(Order::Act(_) | Order::Send) => {}
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
    }

    /// Lets the hub look at the clock, and asks what it wants.
    #[inline(never)]
    fn poll(&mut self, cx: &mut Context<'_>, tx: Option<&mut FixedTx<'d>>) -> Poll<Order> {
        let now = now();
        let (order, status, deadline) = act(&self.link, |hub| {
            if hub.poll_timeout().is_some_and(|deadline| deadline <= now) {
                hub.handle_timeout(now);
            }
            hub.register_driver(cx.waker());
            let order = order(hub, now, tx);
            (order, hub.session().status(), hub.poll_timeout())
        });
        if (status.epoch, status.state) != self.logged {
            self.log(status);
        }
        match (order, deadline) {
            (Some(order), _) => return Poll::Ready(order),
            (None, Some(deadline)) => wake_at(deadline, cx),
            (None, None) => {}
        }
        Poll::Pending
    }

    fn log(&mut self, status: Status) {
        if status.epoch != self.logged.0 {
            log!(
                warn,
                "the session is over; its ephemerals and locks are gone"
            );
        }
        log!(info, "session state: {:?}", status.state);
        self.logged = (status.epoch, status.state);
    }
}

fn order<'d>(
    hub: &mut Hub<Borrowed<'d>>,
    now: Instant,
    tx: Option<&mut FixedTx<'d>>,
) -> Option<Order> {
    if let Some(action) = hub.poll_action() {
        return Some(Order::Act(action));
    }
    if let Some(end) = hub.session().status().state.end() {
        return Some(Order::End(end));
    }
    let send = tx.is_some_and(|tx| hub.poll_transmit(now, tx));
    send.then_some(Order::Send)
}

/// Has this task polled again at `deadline`. The timer is there for no longer: the clock remembers.
fn wake_at(deadline: Instant, cx: &mut Context<'_>) {
    // A tick later, as ticks may be longer than microseconds.
    let deadline = Time::from_micros(deadline.as_micros()).saturating_add(Duration::from_ticks(1));
    let _ = pin!(Timer::at(deadline)).poll(cx);
}
