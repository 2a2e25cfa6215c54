//! What is known of one connection after its handshake: what went out, what came back, and when.

use crate::time::{Instant, Millis};

/// The state of the heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ping {
    Idle,
    Due,
    Out(Instant),
}

/// How far the watches of the session have been set again on this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restore {
    From(usize),
    Done,
}

#[derive(Clone, Debug)]
pub(super) struct Link {
    /// When the handshake was completed.
    pub(super) since: Instant,
    /// The last transaction seen before this connection.
    pub(super) zxid: i64,
    pub(super) auths_sent: u16,
    pub(super) auths_answered: u16,
    pub(super) restore: Restore,
    restores_out: u16,
    ping: Ping,
    /// When bytes were last handed to the transport.
    sent: Instant,
    /// When the server last answered anything. Events do not count: they prove no service.
    heard: Instant,
    requests_sent: u32,
    requests_answered: u32,
    /// When requests in flight were last seen to move.
    moved: Instant,
    /// One request in flight, by its count, and when it was sent.
    sample: Option<(u32, Instant)>,
}

impl Link {
    pub(super) const fn new(now: Instant, zxid: i64, restore: Restore) -> Self {
        Self {
            since: now,
            zxid,
            auths_sent: 0,
            auths_answered: 0,
            restore,
            restores_out: 0,
            ping: Ping::Idle,
            sent: now,
            heard: now,
            requests_sent: 0,
            requests_answered: 0,
            moved: now,
            sample: None,
        }
    }

    /// Whether everything that must precede requests has been sent.
    #[inline]
    pub(super) fn is_prepared(&self, auths: u16) -> bool {
        self.auths_sent >= auths && self.restore == Restore::Done
    }

    #[inline]
    pub(super) const fn requests_in_flight(&self) -> bool {
        self.requests_sent != self.requests_answered
    }

    pub(super) fn requests_sent(&mut self, now: Instant, count: u32) {
        if !self.requests_in_flight() {
            self.moved = now;
        }
        self.requests_sent = self.requests_sent.wrapping_add(count);
        self.sent = now;
        if self.sample.is_none() {
            self.sample = Some((self.requests_sent, now));
        }
    }

    /// Counts one answer, and returns the time at which a request was sent that is now known to
    /// have reached the server.
    #[inline]
    pub(super) fn request_answered(&mut self, now: Instant) -> Option<Instant> {
        self.requests_answered = self.requests_answered.wrapping_add(1);
        self.moved = now;
        self.heard = now;
        let answered = self.requests_answered;
        let passed = |&mut (mark, _): &mut (u32, Instant)| answered.wrapping_sub(mark) < 1 << 31;
        self.sample.take_if(passed).map(|(_, at)| at)
    }

    pub(super) fn restore_sent(&mut self, now: Instant, rest: Restore) {
        self.restore = rest;
        self.restores_out = self.restores_out.saturating_add(1);
        self.sent = now;
    }

    /// Whether a part of the restoration was due to be answered.
    pub(super) fn restore_answered(&mut self, now: Instant) -> bool {
        self.heard = now;
        let due = self.restores_out > 0;
        self.restores_out = self.restores_out.saturating_sub(1);
        due
    }

    pub(super) fn auth_sent(&mut self, now: Instant) {
        self.auths_sent = self.auths_sent.saturating_add(1);
        self.sent = now;
    }

    /// Whether a credential was due to be answered.
    pub(super) fn auth_answered(&mut self, now: Instant) -> bool {
        let due = self.auths_answered < self.auths_sent;
        if due {
            self.auths_answered += 1;
            self.heard = now;
        }
        due
    }

    pub(super) fn ping_is_due(&self) -> bool {
        self.ping == Ping::Due
    }

    pub(super) fn ping_sent(&mut self, now: Instant) {
        self.ping = Ping::Out(now);
        self.sent = now;
    }

    /// When the ping that is answered now was sent; none was, if the server answers unasked.
    pub(super) fn ping_answered(&mut self, now: Instant) -> Option<Instant> {
        let Ping::Out(at) = self.ping else {
            return None;
        };
        self.ping = Ping::Idle;
        self.heard = now;
        Some(at)
    }

    /// When to ping, if nothing is sent before.
    pub(super) fn ping_at(&self, timeout: Millis) -> Option<Instant> {
        (self.ping == Ping::Idle).then(|| self.sent + timeout / 3)
    }

    pub(super) fn make_ping_due(&mut self, now: Instant, timeout: Millis) {
        if self.ping_at(timeout).is_some_and(|at| at <= now) {
            self.ping = Ping::Due;
        }
    }

    /// When to give the connection up, if the server stays silent.
    pub(super) fn give_up_at(&self, timeout: Millis, stall: Option<Millis>) -> Instant {
        let silent = self.heard + (timeout / 3).times(2);
        let stalled = stall
            .filter(|_| self.requests_in_flight())
            .map(|stall| self.moved + stall);
        stalled.map_or(silent, |stalled| stalled.min(silent))
    }
}
