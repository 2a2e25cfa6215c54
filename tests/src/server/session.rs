//! The sessions as the leader knows them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use docent_core::time::Instant;

/// What the leader knows of a session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) timeout: Duration,
    pub(super) deadline: Instant,
    /// The member that it is attached to; nobody knows after an election.
    pub(super) owner: Option<usize>,
}

/// All sessions, by when they end.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    all: BTreeMap<i64, Session>,
    deadlines: BTreeSet<(Instant, i64)>,
}

impl Sessions {
    pub(super) fn insert(&mut self, id: i64, timeout: Duration, owner: Option<usize>) {
        self.remove(id);
        let session = Session {
            timeout,
            deadline: Instant::ZERO,
            owner,
        };
        self.all.insert(id, session);
        self.deadlines.insert((Instant::ZERO, id));
    }

    pub(super) fn get(&self, id: i64) -> Option<&Session> {
        self.all.get(&id)
    }

    pub(super) fn contains(&self, id: i64) -> bool {
        self.all.contains_key(&id)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = i64> {
        self.all.keys().copied()
    }

    pub(super) fn remove(&mut self, id: i64) {
        if let Some(session) = self.all.remove(&id) {
            self.deadlines.remove(&(session.deadline, id));
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn set_owner(&mut self, id: i64, owner: usize) {
        if let Some(session) = self.all.get_mut(&id) {
            session.owner = Some(owner);
        }
    }

    /// A sign of life: the session goes on for its timeout, up to the end of that tick.
    pub(super) fn touch(&mut self, id: i64, now: Instant, tick: Duration) {
        let Some(session) = self.all.get_mut(&id) else {
            return;
        };
        self.deadlines.remove(&(session.deadline, id));
        session.deadline = next_tick(now + session.timeout, tick);
        self.deadlines.insert((session.deadline, id));
    }

    pub(super) fn set_timeout(&mut self, id: i64, timeout: Duration) {
        if let Some(session) = self.all.get_mut(&id) {
            session.timeout = timeout;
        }
    }

    /// After an election nobody knows when the clients were last heard.
    pub(super) fn start_over(&mut self, now: Instant, tick: Duration) {
        let ids: Vec<_> = self.ids().collect();
        for id in ids {
            self.touch(id, now, tick);
            if let Some(session) = self.all.get_mut(&id) {
                session.owner = None;
            }
        }
    }

    /// The session that ends next.
    pub(super) fn next_deadline(&self) -> Option<(Instant, i64)> {
        self.deadlines.first().copied()
    }
}

fn next_tick(at: Instant, tick: Duration) -> Instant {
    let tick = u64::try_from(tick.as_micros()).unwrap_or(u64::MAX).max(1);
    let ticks = (at.as_micros() / tick).saturating_add(1);
    Instant::from_micros(ticks.saturating_mul(tick))
}

/// What proves the ownership of a session: a function of its number and a secret of the ensemble.
pub(super) fn password(id: i64, secret: u64) -> [u8; 16] {
    let first = mix(id.cast_unsigned() ^ secret);
    let second = mix(first ^ secret);
    (u128::from(first) << 64 | u128::from(second)).to_be_bytes()
}

/// SplitMix64.
pub(super) const fn mix(seed: u64) -> u64 {
    let mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
