//! How clients treat their servers and sessions: what must hold at every moment, whatever goes wrong.

use std::time::Duration;

use docent_core::session::{State, Status};
use docent_core::time::Instant;

use super::world::World;

/// How often a client may try to connect within one session timeout. With the pauses that the
/// simulation sets it is about twenty times.
const MOST_DIALS: u32 = 60;

/// What one client has been seen to do.
pub(super) struct Conduct {
    /// When anything was last received.
    pub(super) heard: Instant,
    /// Since when attempts to connect are counted, and how many there were.
    since: Instant,
    dials: u32,
}

impl Conduct {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            heard: now,
            since: now,
            dials: 0,
        }
    }

    /// Counts an attempt to connect. Whether there were no more than pauses leave time for.
    pub(super) fn dial(&mut self, now: Instant, timeout: Duration) -> bool {
        if now.since(self.since) > timeout {
            (self.since, self.dials) = (now, 0);
        }
        self.dials += 1;
        self.dials <= MOST_DIALS
    }

    /// Whether a session that nothing was heard of for so long still counts as alive.
    pub(super) fn denies_loss(&self, now: Instant, timeout: Duration, status: Status) -> bool {
        let adrift = matches!(status.state, State::Suspended | State::Lapsed);
        adrift && now.since(self.heard) > timeout + timeout / 3
    }
}

impl World {
    /// No lease outlives its session.
    pub(super) fn check_leases(&self) {
        // Users end sessions at any time.
        if !self.plan.leases_hold() || self.plan.is_of_a_user() {
            return;
        }
        let ensemble = self.ensemble.borrow();
        for (id, process) in self.processes.borrow().iter().enumerate() {
            let leased = process.driver.borrow().leased();
            let leased = leased.filter(|_| !process.leaving);
            if let Some(session) = leased
                && ensemble.sessions().all(|living| living != session)
            {
                self.fail(format!(
                    "client {id}: the lease of session {session:#x} outlives it"
                ));
            }
        }
    }

    /// Where nothing goes wrong, a client keeps its first connection.
    pub(super) fn check_calm(&self, id: usize, status: Status) {
        if self.plan.faults.is_empty() && status.connections != 1 {
            let connections = status.connections;
            self.fail(format!(
                "client {id}: {connections} connections, though nothing went wrong"
            ));
        }
    }
}
