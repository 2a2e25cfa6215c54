//! What the session wants done: actions, messages, and the time of the next look at the clock.

use super::link::Restore;
use super::{Action, CLOSE_XID, Closing, Control, End, Link, Phase, Session, State, Status};
use crate::time::Instant;
use crate::wire::Connect;

impl Session {
    /// What the transport must do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        if core::mem::take(&mut self.hang_up) {
            return Some(Action::HangUp);
        }
        let dial = self.dial.take().map(Action::Dial);
        dial.or_else(|| self.probe.take().map(Action::Probe))
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let phase = match &self.phase {
            Phase::Waiting { until } => Some(*until),
            Phase::Dialing { deadline } | Phase::Handshaking { deadline, .. } => Some(*deadline),
            Phase::Up(link) => Some(self.link_deadline(link)),
            Phase::Ended => return None,
        };
        [
            phase,
            self.close_deadline(),
            self.lapse_at(),
            self.presume_at(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub(super) fn link_deadline(&self, link: &Link) -> Instant {
        let give_up = link.give_up_at(self.timeout, self.config.operation_timeout);
        let ping = link.ping_at(self.timeout);
        let probe = self.probing.map(|probing| probing.at);
        [ping, probe]
            .into_iter()
            .flatten()
            .fold(give_up, Instant::min)
    }

    /// The message of the session that must go out before any request. `drained` says that all
    /// requests have gone out.
    pub(crate) fn next_control(&self, drained: bool) -> Option<Control> {
        let link = match &self.phase {
            Phase::Handshaking { sent: None, .. } => return Some(Control::Connect),
            Phase::Up(link) => link,
            _ => return None,
        };
        if link.auths_sent < self.auths {
            return Some(Control::Auth(link.auths_sent));
        }
        if let Restore::From(from) = link.restore {
            return Some(Control::Restore {
                from,
                zxid: link.zxid,
            });
        }
        if link.ping_is_due() {
            return Some(Control::Ping);
        }
        let close = drained && matches!(self.closing, Closing::Asked { .. });
        close.then_some(Control::Close)
    }

    /// The transport's buffer has taken `control`.
    pub(crate) fn control_sent(&mut self, now: Instant, control: Control) {
        match (&mut self.phase, control) {
            (Phase::Handshaking { sent, .. }, Control::Connect) => *sent = Some(now),
            (Phase::Up(link), Control::Auth(_)) => link.auth_sent(now),
            (Phase::Up(link), Control::Ping) => link.ping_sent(now),
            (Phase::Up(_), Control::Close) => {
                if let Closing::Asked { deadline } = self.closing {
                    self.closing = Closing::Sent { deadline };
                    // The server may end the session before its answer is here.
                    self.status.lapses = self.status.lapses.wrapping_add(1);
                    self.changed = true;
                }
            }
            _ => {}
        }
    }

    /// The transport's buffer has taken a message that restores watches; `rest` is where the next
    /// one starts. Without a message there was nothing left to restore.
    pub(crate) fn restore_sent(&mut self, now: Instant, rest: Option<usize>, message: bool) {
        let Phase::Up(link) = &mut self.phase else {
            return;
        };
        let rest = rest.map_or(Restore::Done, Restore::From);
        if message {
            link.restore_sent(now, rest);
        } else {
            link.restore = rest;
        }
    }

    /// Whether requests may go out now.
    #[inline]
    pub(crate) fn may_send(&self) -> bool {
        let open = !matches!(self.closing, Closing::Sent { .. });
        open && matches!(&self.phase, Phase::Up(link) if link.is_prepared(self.auths))
    }

    /// The transport's buffer has taken `count` requests.
    pub(crate) fn requests_sent(&mut self, now: Instant, count: u32) {
        if let Phase::Up(link) = &mut self.phase {
            link.requests_sent(now, count);
        }
    }

    /// The first message on a connection.
    pub(crate) fn connect_request(&self) -> Connect<'_> {
        let known = self.asks_for_known_session();
        Connect {
            last_zxid: self.identity.zxid,
            timeout_ms: i32::try_from(self.config.session_timeout.0).unwrap_or(i32::MAX),
            session: if known { self.identity.id } else { 0 },
            password: if known {
                &self.identity.password
            } else {
                &[0; 16]
            },
            read_only: self.config.read_only,
        }
    }

    /// Numbers one request: from 1 up, and from 1 again, clear of every xid with a meaning.
    #[inline]
    pub(crate) fn next_xid(&mut self) -> i32 {
        self.last_xid = if self.last_xid >= CLOSE_XID - 1 {
            1
        } else {
            self.last_xid + 1
        };
        self.last_xid
    }

    /// Whether requests can be answered on the connection there is now.
    pub(crate) const fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up(_))
    }

    /// Whether the user has asked to close, or nothing can be sent for good.
    #[inline]
    pub(crate) fn end_for_new_requests(&self) -> Option<End> {
        match self.closing {
            Closing::No => self.status.state.end(),
            _ => Some(self.status.state.end().unwrap_or(End::Closed)),
        }
    }

    /// The status as callers are to see it: over from when on their requests are refused.
    pub(crate) fn status_of_callers(&self) -> Status {
        let mut status = self.status;
        if self.closing != Closing::No && status.state.end().is_none() {
            status.state = State::Closed;
        }
        status
    }

    /// Whether anything changed that the hub must follow, since last asked.
    #[inline]
    pub(crate) fn take_changed(&mut self) -> bool {
        core::mem::take(&mut self.changed)
    }
}
