//! Whether the lock had one holder at a time.

use std::collections::BTreeMap;

use super::history::{Kind, flatten};
use super::{LOCK, REGISTER};
use crate::server::{Ensemble, Life, Txn};

/// What holders of the lock have done.
#[derive(Debug, Default)]
pub(in crate::sim) struct Held {
    /// The token of the last write to the register in memory, which refuses smaller ones.
    token: i64,
    /// How many times the lock was held.
    pub(in crate::sim) sections: u64,
    /// How many times two held it at a time, as they may without fencing.
    pub(in crate::sim) overlaps: u64,
    /// How many writes to the register in memory were refused.
    pub(in crate::sim) refused: u64,
}

impl Held {
    /// Writes to the register in memory. Whether it was refused.
    pub(in crate::sim) fn is_stale(&mut self, token: i64) -> bool {
        let stale = token < self.token;
        self.token = token.max(self.token);
        self.refused += u64::from(stale);
        stale
    }
}

/// Only the first in the queue writes through the lock.
pub(super) fn check(ensemble: &Ensemble) -> Vec<String> {
    let mut queue = BTreeMap::<&str, i64>::new();
    let mut wrong = Vec::new();
    for entry in ensemble.history() {
        if let Txn::Multi(txns) = &entry.txn
            && let [Txn::Check { path }, Txn::SetData { path: register, .. }] = &txns[..]
            && register.ends_with(REGISTER)
        {
            let first = queue.iter().min_by_key(|(_, czxid)| **czxid);
            if first.is_none_or(|(first, _)| first != path) {
                wrong.push(format!("{path} wrote at {:#x}, not {first:x?}", entry.zxid));
            }
        }
        let mut changes = Vec::new();
        flatten(entry.zxid, 0, &entry.txn, &mut changes);
        for change in changes {
            match change.kind {
                Kind::Created if is_place(change.path) => {
                    queue.insert(change.path, entry.zxid);
                }
                Kind::Deleted => {
                    queue.remove(change.path);
                }
                _ => {}
            }
        }
    }
    wrong
}

/// Whether this is the path of a contender.
fn is_place(path: &str) -> bool {
    let parent = path.rsplit_once('/').map(|(parent, _)| parent);
    parent.is_some_and(|parent| parent.ends_with(LOCK))
}

/// The first in the queue for the lock: its node, its owner and its transaction.
pub(in crate::sim) fn first(ensemble: &Ensemble) -> Option<(String, i64, i64)> {
    let nodes = ensemble.nodes().filter_map(|(path, node)| match node.life {
        Life::Ephemeral(owner) if is_place(path) => {
            Some((path.to_owned(), owner, node.stat().czxid))
        }
        _ => None,
    });
    nodes.min_by_key(|(_, _, czxid)| *czxid)
}
