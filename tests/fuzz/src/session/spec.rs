//! What a session may do, as seen from outside: by the bytes that pass and the time.

use std::collections::VecDeque;
use std::time::Duration;

use docent_core::session::{Lost, Session, State, Status};
use docent_core::time::Instant;
use docent_core::wire::{OpCode, ReplyHeader, RequestHeader, xid};
use docent_testing::decode;

/// The connection there is.
#[derive(Debug, Default)]
struct Link {
    /// When the handshake was sent.
    greeted: Option<Instant>,
    /// Requests, with the times at which they were sent.
    in_flight: VecDeque<(i32, Instant)>,
    ping: Option<Instant>,
    /// Credentials, and restorations of watches, that are not answered.
    auths: u32,
    restores: u32,
    sent: Instant,
    heard: Instant,
}

/// Follows a session and objects to what must not be.
#[derive(Debug)]
pub(super) struct Spec {
    status: Status,
    lease: Option<Instant>,
    timeout: Duration,
    zxid: i64,
    /// When the newest request was sent that a server has answered.
    acknowledged: Instant,
    link: Link,
}

impl Spec {
    pub(super) fn new(session: &Session, now: Instant) -> Self {
        Self {
            status: session.status(),
            lease: None,
            timeout: session.timeout(),
            zxid: 0,
            acknowledged: now,
            link: Link::default(),
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.status.state.is_connected()
    }

    pub(super) fn disconnected(&mut self) {
        self.link = Link::default();
    }

    /// A frame goes out. Says whether it is a caller's, or of the hub in a caller's name.
    pub(super) fn sent(&mut self, now: Instant, payload: &[u8]) -> bool {
        if self.link.greeted.is_none() {
            let hello = decode::connect(payload).expect("a handshake goes first");
            // The next session may be of an ensemble that was wiped.
            let known = hello.session != 0 || hello.last_zxid != 0;
            assert!(!known || self.lease.is_some(), "what was lost lives on");
            self.link.greeted = Some(now);
            return false;
        }
        assert!(
            self.is_connected(),
            "sent before the handshake was answered"
        );
        let (header, _) = RequestHeader::decode(payload).expect("it has a header");
        self.link.sent = now;
        match header.op {
            OpCode::PING => {
                assert_eq!(self.link.ping.replace(now), None, "a ping at a time");
            }
            OpCode::AUTH => self.link.auths += 1,
            OpCode::SET_WATCHES | OpCode::SET_WATCHES2 => self.link.restores += 1,
            OpCode::CLOSE_SESSION => {}
            _ => {
                let unused = |&(xid, _): &(i32, Instant)| xid != header.xid;
                assert!(header.xid > 0 && self.link.in_flight.iter().all(unused));
                self.link.in_flight.push_back((header.xid, now));
                return true;
            }
        }
        false
    }

    /// A frame has arrived, and was taken without complaint.
    pub(super) fn taken(&mut self, now: Instant, payload: &[u8], session: &Session) {
        if session.status().connections != self.status.connections {
            let greeted = self.link.greeted.expect("a handshake was sent");
            self.acknowledged = greeted;
            (self.link.sent, self.link.heard) = (now, now);
        } else if self.is_connected()
            && let Ok((header, _)) = ReplyHeader::decode(payload)
        {
            self.answered(now, header);
        }
    }

    pub(super) fn answered(&mut self, now: Instant, header: ReplyHeader) {
        if header.xid == xid::NOTIFICATION {
            return;
        }
        self.link.heard = now;
        let at = match header.xid {
            xid::PING => self.link.ping.take(),
            1..=LAST_XID => {
                let (due, at) = self.link.in_flight.pop_front().expect("it was asked");
                assert_eq!(due, header.xid, "answered out of order");
                Some(at)
            }
            xid::AUTH => owed(&mut self.link.auths),
            xid::SET_WATCHES => owed(&mut self.link.restores),
            _ => None,
        };
        self.acknowledged = at.map_or(self.acknowledged, |at| at.max(self.acknowledged));
    }

    /// Something has happened to the session.
    pub(super) fn observe(&mut self, now: Instant, session: &Session) {
        let (before, after) = (self.status, session.status());
        assert!(follows(before, after), "{after:?} after {before:?}");
        assert_eq!(
            session.poll_timeout().is_none(),
            after.state.end().is_some()
        );
        if after.epoch != before.epoch && after.lost == Some(Lost::Presumed) {
            assert!(self.presumed_lost_at().is_some_and(|at| at <= now));
        }
        self.timeout = session.timeout();
        self.lease = session.lease();
        let longest = self.acknowledged + self.timeout - margin(self.timeout);
        assert!(self.lease.is_none_or(|lease| lease <= longest));
        let zxid = session.credentials().map_or(0, |known| known.zxid);
        assert!(zxid >= self.zxid || after.epoch != before.epoch);
        (self.zxid, self.status) = (zxid, after);
    }

    /// When the session is given up for lost, by its last lease.
    fn presumed_lost_at(&self) -> Option<Instant> {
        Some(self.lease? + margin(self.timeout) + self.timeout / 3)
    }

    /// The session has looked at the clock.
    pub(super) fn looked(&self, now: Instant, session: &Session) {
        assert!(
            session.poll_timeout().is_none_or(|next| next > now),
            "it spins"
        );
        let state = self.status.state;
        if state.end().is_some() {
            return;
        }
        let third = self.timeout / 3;
        if state.is_connected() {
            assert!(self.link.heard + third * 2 > now, "silence was not noticed");
        } else if session.id() != 0 {
            assert!(
                self.acknowledged + self.timeout + third > now,
                "a loss was not noticed"
            );
            let over = self.lease.is_some_and(|end| end <= now);
            assert!(
                state != State::Suspended || !over,
                "a lapse was not noticed"
            );
        }
    }

    /// The session has looked at the clock, and has sent all that it wants to send.
    pub(super) fn is_silent(&self, now: Instant) {
        let recently = self.link.sent + self.timeout / 3 > now;
        assert!(
            !self.is_connected() || self.link.ping.is_some() || recently,
            "a ping is missing"
        );
    }
}

/// Takes one off; what proves nothing of the time at which it was sent.
fn owed(count: &mut u32) -> Option<Instant> {
    *count = count.checked_sub(1).expect("it was asked");
    None
}

/// The highest number of a request; the next one ends the session.
const LAST_XID: i32 = i32::MAX - 1;

fn margin(timeout: Duration) -> Duration {
    Duration::from_secs(2).min(timeout / 3)
}

/// Whether one status may become the other at once.
fn follows(before: Status, after: Status) -> bool {
    use State::{AuthFailed, Closed, Connected, Connecting, Expired, Lapsed, Suspended};
    let lost = after.epoch != before.epoch;
    let connected = after.connections != before.connections;
    let counted = after.epoch.get() - before.epoch.get() <= 1
        && after.connections - before.connections <= 1
        && after.lapses >= before.lapses + u32::from(lost)
        && lost >= (after.lost != before.lost);
    let moved = match (before.state, after.state) {
        (Closed | AuthFailed | Expired, _) => after == before,
        (_, Closed | AuthFailed) => !connected,
        (_, Expired) => lost && !connected,
        (Connected { .. }, Connected { .. }) => !lost && !connected && after.state == before.state,
        (_, Connected { .. }) => connected,
        (Connecting, Connecting) => !connected,
        (_, Connecting) => lost && !connected,
        (Connected { .. } | Suspended, Suspended) => !lost && !connected,
        (Connected { .. } | Suspended | Lapsed, Lapsed) => !lost && !connected,
        _ => false,
    };
    counted && moved
}
