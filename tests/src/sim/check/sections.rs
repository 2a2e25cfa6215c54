//! Whether whatever can be held was held by those whose turn it was.

use std::collections::{BTreeMap, BTreeSet};

use super::queues::{Contender, LEASES, Standing, TURNS, front};
use super::{Journal, REGISTER};
use crate::server::{Ensemble, Entry, Life, Txn};
use crate::sim::roles::Role;
use crate::sim::workload::{Job, Work};

/// What holders have done.
#[derive(Debug, Default)]
pub(in crate::sim) struct Held {
    /// For each place the token of the last write to a register in memory, which refuses smaller ones.
    tokens: BTreeMap<String, i64>,
    /// How many times each was held.
    pub(in crate::sim) sections: BTreeMap<Role, u64>,
    /// How many times more held something than may, as can be without fencing.
    pub(in crate::sim) overlaps: u64,
    /// How many writes to registers in memory were refused.
    pub(in crate::sim) refused: u64,
    /// Of writers who were readers before: the nodes as which they read, which may be there a while.
    pub(in crate::sim) upgrades: BTreeMap<String, String>,
}

impl Held {
    /// Writes to a register in memory. Whether it was refused.
    pub(in crate::sim) fn is_stale(&mut self, place: String, token: i64) -> bool {
        let last = self.tokens.entry(place).or_default();
        let stale = token < *last;
        *last = token.max(*last);
        self.refused += u64::from(stale);
        stale
    }

    /// Who of all must be gone before `own` holds anything.
    pub(in crate::sim) fn in_the_way<'a>(
        &self,
        mut all: impl Iterator<Item = &'a Contender>,
        own: &Contender,
    ) -> Option<&'a Contender> {
        let former = self.upgrades.get(&own.path);
        all.find(|one| one.precedes(own) && Some(&one.path) != former)
    }
}

/// Only holders write, and only those take leases whose turn it is.
pub(super) fn check(journal: &Journal, ensemble: &Ensemble, work: &Work) -> Vec<String> {
    let mut judge = Judge {
        held: &journal.held,
        work,
        standing: Standing::default(),
        leased: BTreeSet::new(),
    };
    let entries = ensemble.history();
    entries.filter_map(|entry| judge.see(entry)).collect()
}

struct Judge<'a> {
    held: &'a Held,
    work: &'a Work,
    standing: Standing<'a>,
    /// The leases of those who have written.
    leased: BTreeSet<&'a str>,
}

impl<'a> Judge<'a> {
    /// What is wrong with a step.
    fn see(&mut self, entry: &'a Entry) -> Option<String> {
        let Entry { zxid, txn, .. } = entry;
        let wrong = match txn {
            Txn::Multi(txns) => self.write(txns),
            Txn::Create {
                path,
                life: Life::Ephemeral(owner),
                ..
            } if path.contains(LEASES) => self.lease(*owner),
            _ => None,
        };
        self.standing.apply(*zxid, txn);
        self.leased.retain(|path| self.standing.get(path).is_some());
        wrong.map(|wrong| format!("{wrong}, at {zxid:#x}: {txn:?}"))
    }

    fn write(&mut self, txns: &'a [Txn]) -> Option<String> {
        let [Txn::Check { path }, Txn::SetData { path: register, .. }] = txns else {
            return None;
        };
        if !register.ends_with(REGISTER) {
            return None;
        }
        let Some(own) = self.standing.get(path) else {
            return Some(format!("{path} has no place"));
        };
        if own.role == Some(Role::Lease) {
            self.leased.insert(path);
        }
        // The place of a writer that was deleted by hand may be taken by what it was to be exchanged
        // for, until that is noticed.
        let by_hand = self.work.has(Job::Operate);
        let before = |one: &&Contender| !by_hand || one.czxid < own.czxid;
        let ahead = self
            .held
            .in_the_way(self.standing.iter().filter(before), own);
        let crowd = self.leased.len() > self.work.permits as usize;
        let crowd = crowd.then(|| format!("too many hold {:?}", self.leased));
        ahead.map(|ahead| format!("{ahead:x?} is ahead")).or(crowd)
    }

    fn lease(&self, owner: i64) -> Option<String> {
        let first = front(self.standing.iter(), TURNS);
        let right = first.is_some_and(|first| first.owner == owner);
        let wrong = !right && !self.work.has(Job::Operate);
        wrong.then(|| format!("it is the turn of {first:x?}"))
    }
}
