//! How the session goes from one phase to the next, and when time makes it do so.

use super::{Closing, Identity, Lost, MIN_ATTEMPT, Phase, Session, State};
use crate::time::{Instant, Millis};

impl Session {
    pub(super) fn hang_up_and_retry(&mut self, now: Instant) {
        self.hang_up |= !matches!(self.phase, Phase::Waiting { .. } | Phase::Ended);
        self.retry(now);
    }

    /// Leaves the connection, if there is one, and waits for the next attempt.
    pub(super) fn retry(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Ended) {
            return;
        }
        if self.closing != Closing::No {
            return self.end(State::Closed);
        }
        if matches!(&self.phase, Phase::Up(link) if link.since + self.config.stable <= now) {
            self.fruitless = 0;
        }
        let saving = (self.identity.id != 0).then_some(self.timeout);
        let rounds = self.fruitless / self.hosts.count();
        let pause = self.config.pause(rounds, saving, &mut self.rng);
        self.fruitless = self.fruitless.saturating_add(1);
        self.wait_until(now.after(pause));
    }

    pub(super) fn wait_until(&mut self, until: Instant) {
        if matches!(self.phase, Phase::Ended) {
            return;
        }
        if self.status.state.is_connected() {
            self.status.state = if self.lapsed {
                State::Lapsed
            } else {
                State::Suspended
            };
        }
        self.phase = Phase::Waiting { until };
        self.probing = None;
        self.dial = None;
        self.probe = None;
        self.changed = true;
    }

    /// The session is over; the next one starts from nothing, so that it can live on an ensemble
    /// that was wiped or restored.
    pub(super) fn lose(&mut self, cause: Lost) {
        self.identity = Identity::NONE;
        self.timeout = self.config.session_timeout;
        self.lapsed = false;
        self.status.epoch = self.status.epoch.next();
        self.status.lapses = self.status.lapses.wrapping_add(1);
        self.status.lost = Some(cause);
        self.changed = true;
        if self.config.renew {
            self.status.state = State::Connecting;
        } else {
            self.end(State::Expired);
        }
    }

    pub(super) fn end(&mut self, state: State) {
        let open = matches!(
            self.phase,
            Phase::Dialing { .. } | Phase::Handshaking { .. } | Phase::Up(_)
        );
        self.hang_up |= open;
        self.dial = None;
        self.probe = None;
        self.phase = Phase::Ended;
        self.status.state = state;
        // Whatever the session protected may be given away from now on.
        self.status.lapses = self.status.lapses.wrapping_add(1);
        self.changed = true;
    }

    #[inline]
    pub(super) fn acknowledge(&mut self, now: Instant, sent: Option<Instant>) {
        if let Some(sent) = sent {
            self.acknowledged = self.acknowledged.max(sent);
            // What was sent long ago may only prove a lease that has run out as well.
            self.lapsed &= self.lease().is_some_and(|end| end <= now);
        }
    }

    pub(super) fn attempt(&self) -> Millis {
        self.config
            .connection_timeout
            .min((self.timeout / 3).max(MIN_ATTEMPT))
    }

    pub(super) const fn close_deadline(&self) -> Option<Instant> {
        match (&self.phase, self.closing) {
            (Phase::Ended, _) | (_, Closing::No) => None,
            (_, Closing::Asked { deadline } | Closing::Sent { deadline }) => Some(deadline),
        }
    }

    pub(super) fn lapse_at(&self) -> Option<Instant> {
        let pending = !self.lapsed && !matches!(self.phase, Phase::Ended);
        self.lease()
            .filter(|_| pending && self.status.state != State::Connecting)
    }

    pub(super) fn presume_at(&self) -> Option<Instant> {
        let adrift = self.identity.id != 0 && !matches!(self.phase, Phase::Up(_) | Phase::Ended);
        adrift.then(|| self.acknowledged + self.timeout + self.timeout / 3)
    }

    pub(super) const fn asks_for_known_session(&self) -> bool {
        self.identity.id != 0 && self.identity.known_to_all
    }
}
