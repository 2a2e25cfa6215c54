//! Who serves: elections, the passing of time, and the faults that tests inject.

use docent_core::time::Instant;

use crate::server::log::{Log, Txn};
use crate::server::member::{Lag, Mode};
use crate::server::ops;
use crate::server::{Act, ConnId, Ensemble};

/// What happens by itself, in the order in which it happens if the time is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Apply(usize),
    GiveUp(usize),
    Elect,
    Expire(i64),
    Reap,
}

impl Ensemble {
    /// Ends a session as if its client had been silent for too long; `false` if there is no such
    /// session, or no leader that could end it.
    pub fn expire(&mut self, session: i64) -> bool {
        let can = self.sessions.contains(session) && self.is_led();
        if can {
            self.close_by_server(session);
        }
        can
    }

    /// Closes a connection from the server's side; what has not been sent is lost.
    pub fn cut(&mut self, conn: ConnId) {
        self.hang_up(conn, true);
    }

    /// From now on drops what the server would send on the connection, or no more. Requests still
    /// take effect.
    pub fn drop_replies(&mut self, conn: ConnId, on: bool) {
        if let Some(conn) = self.conns.get_mut(&conn) {
            conn.muted = on;
        }
    }

    /// Freezes a member: it takes nothing, sends nothing and applies nothing, but its connections
    /// stay open. The others give it up after the [sync limit](super::Builder::sync_limit).
    pub fn pause(&mut self, member: usize) {
        self.members[member].paused.get_or_insert(self.now);
    }

    /// Lets a frozen member go on. If it was given up, it closes its connections and catches up.
    pub fn resume(&mut self, member: usize) {
        let state = &mut self.members[member];
        if state.paused.take().is_none() {
            return;
        }
        if std::mem::take(&mut state.dropped) {
            self.retire(member, Mode::Idle);
            self.regroup();
        }
        self.advance(member);
        self.pump_all();
    }

    /// Makes a member apply what is agreed on later than others. The leader does not lag. Writes
    /// through a member that lags are agreed on at once, but answered when it has applied them.
    pub fn lag(&mut self, member: usize, lag: Lag) {
        self.members[member].lag = lag;
        self.advance(member);
        self.pump_all();
    }

    /// Makes a member that lags apply one more transaction; `false` if there is none.
    pub fn step(&mut self, member: usize) -> bool {
        let stepped = self.members[member].mode.is_writable() && self.apply_next(member);
        self.pump_all();
        stepped
    }

    /// Ends a member's process. What was agreed on is on its disk.
    pub fn kill(&mut self, member: usize) {
        let state = &mut self.members[member];
        (state.up, state.paused, state.dropped) = (false, None, false);
        self.regroup();
    }

    /// Starts a member that was killed.
    pub fn restart(&mut self, member: usize) {
        self.members[member].up = true;
        self.regroup();
    }

    /// Cuts a member off from the others, but not from its clients, or joins it again.
    pub fn isolate(&mut self, member: usize, on: bool) {
        self.members[member].isolated = on;
        self.regroup();
    }

    /// Makes a member serve [without a quorum](Mode::ReadOnly), or takes it back. It is cut off
    /// from the others meanwhile.
    pub fn read_only(&mut self, member: usize, on: bool) {
        self.members[member].read_only = on;
        self.isolate(member, on);
    }

    /// Loses all data: the ensemble starts anew, with the same secret.
    pub fn wipe(&mut self) {
        self.restore(|_| false);
    }

    /// Goes back to the state after the transaction `zxid`, as if restored from a backup, and
    /// elects a leader. It takes the whole [history](Ensemble::history); `false` if a part has been
    /// dropped.
    pub fn rewind(&mut self, zxid: i64) -> bool {
        let whole = self.log.is_whole();
        if whole {
            self.restore(|other| other <= zxid);
        }
        whole
    }

    fn restore(&mut self, keep: impl Fn(i64) -> bool) {
        let len = self.log.iter().take_while(|entry| keep(entry.zxid)).count();
        match len {
            0 => self.log = Log::default(),
            len => self.log.truncate(len),
        }
        self.truth = self.config.tree();
        for entry in self.log.iter() {
            self.truth.apply(entry, &mut Vec::new());
        }
        self.epoch = self.truth.zxid >> 32;
        self.sessions.clear();
        for (id, timeout_ms) in &self.truth.sessions {
            let timeout = std::time::Duration::from_millis(timeout_ms.unsigned_abs().into());
            self.sessions.insert(*id, timeout, None);
        }
        self.leader = None;
        for member in 0..self.members.len() {
            self.retire(member, Mode::Idle);
            // Nothing of what members have agreed on before is left.
            self.members[member].tree = self.truth.clone();
            self.members[member].applied = self.log.len();
        }
        self.regroup();
        if self.election.take().is_some() {
            self.elect();
        }
    }

    /// Finds out who can serve, after a change.
    fn regroup(&mut self) {
        let present = |member: usize| self.members[member].is_present();
        if !self.leader.is_some_and(present) {
            self.lose_leader();
        }
        let voters = self.members.iter().filter(|member| member.is_present());
        if voters.count() <= self.members.len() / 2 {
            self.lose_leader();
            self.election = None;
        } else if self.leader.is_none() {
            self.election = Some(self.now + self.config.election);
        }
        for member in 0..self.members.len() {
            self.place(member);
        }
    }

    /// Without a leader, all who followed it close their connections.
    fn lose_leader(&mut self) {
        self.leader = None;
        for member in 0..self.members.len() {
            let state = &mut self.members[member];
            if state.paused.is_some() {
                // It has to wake up before it can vote.
                state.dropped = true;
            } else if state.mode.is_writable() {
                self.retire(member, Mode::Idle);
            }
        }
    }

    /// Gives a member the mode that it should have.
    fn place(&mut self, member: usize) {
        let state = &self.members[member];
        let reads = state.read_only || self.config.read_only;
        let mode = match self.leader {
            _ if !state.up => Mode::Down,
            // A frozen process does not notice anything.
            _ if state.paused.is_some() => return,
            Some(leader) if leader == member => Mode::Leading,
            Some(_) if state.is_present() => Mode::Following,
            _ if reads && (state.isolated || self.election.is_none()) => Mode::ReadOnly,
            _ => Mode::Idle,
        };
        if mode == state.mode {
            return;
        }
        self.retire(member, mode);
        if mode.is_writable() {
            self.catch_up(member);
        }
    }

    /// Closes a member's connections and gives it another mode.
    fn retire(&mut self, member: usize, mode: Mode) {
        for conn in self.conns_on(member) {
            self.hang_up(conn, true);
        }
        let state = &mut self.members[member];
        state.mode = mode;
        state.waiting.clear();
    }

    /// A member that joins gets the state of the leader before it serves.
    fn catch_up(&mut self, member: usize) {
        let state = &mut self.members[member];
        state.tree = self.truth.clone();
        state.applied = self.log.len();
    }

    /// A new epoch: the member that has applied most leads. Sessions start over.
    pub(super) fn elect(&mut self) {
        self.election = None;
        let present = (0..self.members.len()).filter(|member| self.members[*member].is_present());
        let ready = present.filter(|member| self.members[*member].paused.is_none());
        // The last of several maxima would win; the first is more natural.
        let best = ready
            .rev()
            .max_by_key(|member| self.members[*member].applied);
        self.leader = best;
        if !self.config.is_standalone() {
            self.epoch += 1;
            self.truth.zxid = self.epoch << 32;
        }
        self.sessions.start_over(self.now, self.config.tick);
        self.next_reap = self.now + self.config.reap;
        for member in 0..self.members.len() {
            self.place(member);
        }
    }

    /// Whether there is a leader that does something.
    fn is_led(&self) -> bool {
        self.leader
            .is_some_and(|leader| self.members[leader].paused.is_none())
    }

    /// Lets everything happen that is due until `now`, each at its time.
    pub(super) fn run_until(&mut self, now: Instant) {
        let mut changed = false;
        while let Some((at, due)) = self.next_due().filter(|(at, _)| *at <= now) {
            self.now = self.now.max(at);
            self.run(due);
            changed = true;
        }
        self.now = self.now.max(now);
        if changed {
            // Requests may have waited for it.
            self.pump_all();
        }
    }

    pub(super) fn next_due(&self) -> Option<(Instant, Due)> {
        let members = 0..self.members.len();
        let applies = members
            .clone()
            .filter_map(|member| Some((self.next_apply(member)?, Due::Apply(member))));
        let losses =
            members.filter_map(|member| Some((self.given_up(member)?, Due::GiveUp(member))));
        let election = self.election.map(|at| (at, Due::Elect));
        let led = self.is_led();
        let expiry = self.sessions.next_deadline().filter(|_| led);
        let expiry = expiry.map(|(at, session)| (at, Due::Expire(session)));
        let reap = (led && self.truth.has_perishable()).then_some((self.next_reap, Due::Reap));
        let others = [election, expiry, reap].into_iter().flatten();
        applies.chain(losses).chain(others).min()
    }

    /// When the others give a frozen member up.
    fn given_up(&self, member: usize) -> Option<Instant> {
        let state = &self.members[member];
        let limit = self.config.tick * self.config.sync_limit;
        let paused = state.paused.filter(|_| state.is_present())?;
        (!self.config.is_standalone()).then_some(paused + limit)
    }

    fn run(&mut self, due: Due) {
        match due {
            Due::Apply(member) => {
                self.apply_next(member);
            }
            Due::GiveUp(member) => {
                self.members[member].dropped = true;
                self.regroup();
            }
            Due::Elect => self.elect(),
            Due::Expire(session) => self.close_by_server(session),
            Due::Reap => self.reap(),
        }
    }

    /// There is no need to wake up for a reap while there is nothing to delete.
    pub(super) fn skip_reaps(&mut self) {
        let late = self.now.since(self.next_reap).as_micros();
        if !self.truth.has_perishable() && self.next_reap <= self.now {
            let reaps = late / self.config.reap.as_micros().max(1) + 1;
            let reaps = u32::try_from(reaps).unwrap_or(u32::MAX);
            self.next_reap = self.next_reap + self.config.reap * reaps;
        }
    }

    fn close_by_server(&mut self, session: i64) {
        let leader = self.leader.unwrap_or_default();
        self.record(leader, session, Act::Expired, String::new);
        let txn = ops::close(session, &self.truth);
        self.commit(session, 0, txn);
    }

    /// Deletes empty containers and nodes whose time is over.
    fn reap(&mut self) {
        self.next_reap = self.next_reap + self.config.reap;
        for path in self.truth.spent(self.wall()) {
            let txn = ops::delete_container(&path, &self.truth);
            self.commit(0, 0, txn.unwrap_or_else(Txn::Failed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_leads() {
        let mut ensemble = Ensemble::builder().members(3).build();
        assert_eq!(ensemble.leader(), Some(0));
        ensemble.kill(0);
        assert_eq!(ensemble.leader(), None);
        let at = ensemble.poll_timeout().unwrap();
        ensemble.handle_timeout(at);
        assert_eq!(ensemble.leader(), Some(1));
        ensemble.restart(0);
        assert_eq!(ensemble.mode(0), Mode::Following);
        ensemble.lag(0, Lag::Held);
        ensemble.kill(1);
        ensemble.kill(2);
        assert_eq!((ensemble.leader(), ensemble.poll_timeout()), (None, None));
    }
}
