//! One server: its copy of the tree, and how it applies the log.

use std::collections::BTreeMap;
use std::time::Duration;

use docent_core::time::Instant;
use docent_core::wire::Perms;

use crate::server::conn::{Phase, Waiting};
use crate::server::log::Txn;
use crate::server::tree::{Outcome, Tree};
use crate::server::watches::{Event, Watches};
use crate::server::{ConnId, Ensemble, Release, acl, reply};

/// How far behind the others a member is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lag {
    /// It applies what is agreed on at once.
    #[default]
    None,
    /// It applies everything so much later.
    By(Duration),
    /// It applies nothing more, but for [single steps](Ensemble::step).
    Held,
}

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is killed; connections are refused.
    Down,
    /// It runs but has no quorum; connections are closed.
    Idle,
    /// It has no quorum and serves those who can do with reading.
    ReadOnly,
    /// It follows the leader.
    Following,
    /// It leads, or is alone.
    Leading,
}

impl Mode {
    pub(super) const fn is_writable(self) -> bool {
        matches!(self, Self::Following | Self::Leading)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) tree: Tree,
    pub(super) watches: Watches,
    /// How many entries of the log the tree has.
    pub(super) applied: usize,
    /// Which connections wait for which transactions.
    pub(super) waiting: BTreeMap<i64, Vec<ConnId>>,
    pub(super) mode: Mode,
    pub(super) up: bool,
    pub(super) isolated: bool,
    /// Whether it serves readers without a quorum, whatever the configuration says.
    pub(super) read_only: bool,
    pub(super) lag: Lag,
    pub(super) paused: Option<Instant>,
    /// Whether it was paused for so long that the others have given it up.
    pub(super) dropped: bool,
    pub(super) next_session: i64,
}

impl Member {
    pub(super) fn new(tree: Tree, release: Release) -> Self {
        Self {
            tree,
            watches: Watches::new(release),
            applied: 0,
            waiting: BTreeMap::new(),
            mode: Mode::Idle,
            up: true,
            isolated: false,
            read_only: false,
            lag: Lag::None,
            paused: None,
            dropped: false,
            next_session: 0,
        }
    }

    /// Whether it can take part in a quorum.
    pub(super) fn is_present(&self) -> bool {
        self.up && !self.isolated && !self.dropped
    }

    /// When it applies what was agreed on at a time; `None` for no time soon.
    pub(super) fn due(&self, agreed: Instant) -> Option<Instant> {
        match (self.mode, self.lag, self.paused) {
            (Mode::Leading, _, None) | (Mode::Following, Lag::None, None) => Some(agreed),
            (Mode::Following, Lag::By(lag), None) => Some(agreed + lag),
            _ => None,
        }
    }
}

impl Ensemble {
    /// Applies what is due.
    pub(super) fn advance(&mut self, member: usize) {
        while self.next_apply(member).is_some_and(|at| at <= self.now) {
            self.apply_next(member);
        }
    }

    /// When the member will apply its next entry.
    pub(super) fn next_apply(&self, member: usize) -> Option<Instant> {
        let member = &self.members[member];
        let entry = self.log.get(member.applied)?;
        member.due(entry.at)
    }

    /// Applies one entry: first come the events, then the replies.
    pub(super) fn apply_next(&mut self, index: usize) -> bool {
        let member = &mut self.members[index];
        let Some(entry) = self.log.get(member.applied).cloned() else {
            return false;
        };
        member.applied += 1;
        let (mut changes, mut events) = (Vec::new(), Vec::new());
        let outcome = member.tree.apply(&entry, &mut changes);
        for change in &changes {
            member.watches.fire(change, &mut events);
        }
        let waiting = member.waiting.remove(&entry.zxid).unwrap_or_default();
        if matches!(entry.txn, Txn::CloseSession { .. }) {
            self.close_session(index, entry.session, &waiting);
        }
        for event in events {
            self.tell(&event, entry.zxid);
        }
        for conn in waiting {
            self.settle(conn, entry.zxid, Some(&outcome));
        }
        true
    }

    fn tell(&mut self, event: &Event, zxid: i64) {
        let Some(conn) = self.conns.get_mut(&event.conn) else {
            return;
        };
        if self.config.filters_events() && !acl::allows(&event.acl, &conn.identities, Perms::READ) {
            return;
        }
        let zxid = if self.config.release.names_cause() {
            zxid
        } else {
            -1
        };
        conn.send(|out| reply::event(out, zxid, event.kind, &event.path));
        self.note_event(event.conn, event.kind, &event.path);
    }

    /// Closes the connections of a session that is over, but for that which asked for it. What the
    /// end of the session causes is not told any more.
    fn close_session(&mut self, member: usize, session: i64, asked: &[ConnId]) {
        for id in self.conns_on(member) {
            let conn = self.conns.get(&id);
            if conn.is_some_and(|conn| conn.session == session) && !asked.contains(&id) {
                self.hang_up(id, false);
            }
        }
    }

    /// Answers what waited for a transaction, and what waited behind that.
    pub(super) fn settle(&mut self, id: ConnId, zxid: i64, outcome: Option<&Outcome>) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        if conn.phase == Phase::Opening(zxid) {
            return self.welcome(id);
        }
        while let Some(conn) = self.conns.get_mut(&id) {
            let ready = match conn.waiting() {
                Some(Waiting::Commit { zxid: due, .. }) => *due == zxid && outcome.is_some(),
                Some(Waiting::Sync { zxid: due, .. }) => *due <= zxid,
                Some(Waiting::Read(_)) => true,
                None => false,
            };
            if !ready {
                return;
            }
            match conn.take_waiting() {
                Some(Waiting::Commit { xid, answer, .. }) => {
                    self.answer(id, xid, &answer, outcome.unwrap_or(&Outcome::Done));
                }
                Some(Waiting::Sync { xid, reply, .. }) => self.reply(id, xid, &reply),
                Some(Waiting::Read(payload)) => self.read(id, &payload),
                None => return,
            }
        }
    }
}
