//! Where contenders stand, as the ensemble knows it.

use std::collections::BTreeMap;

use crate::server::{Ensemble, Life, Txn};
use crate::sim::roles::Role;

/// Where a lock is.
pub(in crate::sim) const LOCK: &str = "/l";
/// Where another one is.
pub(in crate::sim) const OTHER: &str = "/k";
/// Where a read/write lock is.
pub(in crate::sim) const RW: &str = "/rw";
/// Where a semaphore is.
pub(in crate::sim) const SEMAPHORE: &str = "/s";
/// Where those wait who want leases.
pub(in crate::sim) const TURNS: &str = "/s/locks";
pub(super) const LEASES: &str = "/s/leases";
/// Where an election is.
pub(in crate::sim) const ELECTION: &str = "/e";

/// All places with sequential nodes of recipes.
pub(in crate::sim) const QUEUES: [&str; 6] = [LOCK, OTHER, RW, TURNS, LEASES, ELECTION];

/// How the names of contenders begin, after what makes them unique.
const NAMES: [&str; 5] = ["lock-", "lease-", "latch-", "__READ__", "__WRIT__"];

/// The queue that a node stands in, and its name there.
pub(super) fn queue(path: &str) -> Option<(&'static str, &str)> {
    let (parent, name) = path.rsplit_once('/')?;
    let queue = QUEUES.into_iter().find(|queue| parent.ends_with(queue))?;
    Some((queue, name))
}

/// Whether the last thing that happened is that somebody has joined a queue.
pub(in crate::sim) fn has_joined(ensemble: &Ensemble) -> bool {
    let last = ensemble.history().last().map(|entry| &entry.txn);
    matches!(last, Some(Txn::Create { path, .. }) if queue(path).is_some())
}

/// A contender's node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sim) struct Contender {
    pub(in crate::sim) path: String,
    pub(super) queue: &'static str,
    /// What it is to hold; nothing if it only waits for its turn.
    pub(super) role: Option<Role>,
    number: i32,
    pub(in crate::sim) owner: i64,
    pub(super) czxid: i64,
}

impl Contender {
    pub(super) fn new(path: &str, owner: i64, czxid: i64) -> Option<Self> {
        let (queue, name) = queue(path)?;
        let number = NAMES.iter().find_map(|begin| name.rsplit_once(begin));
        let (_, number) = number?;
        let role = match queue {
            RW if name.contains("__READ__") => Some(Role::Reader),
            RW => Some(Role::Writer),
            LEASES => Some(Role::Lease),
            ELECTION => Some(Role::Leader),
            TURNS => None,
            _ => Some(Role::Mutex),
        };
        Some(Self {
            path: path.to_owned(),
            queue,
            role,
            number: number.parse().ok()?,
            owner,
            czxid,
        })
    }

    /// Whether it must be gone before `other` holds anything.
    pub(super) fn precedes(&self, other: &Self) -> bool {
        let waits = match (other.role, self.role) {
            (Some(role), Some(ahead)) => role.waits_for(ahead),
            _ => true,
        };
        self.queue == other.queue && waits && other.number.wrapping_sub(self.number) > 0
    }
}

/// All who stand in queues, or hold what they waited for.
pub(in crate::sim) fn contenders(ensemble: &Ensemble) -> Vec<Contender> {
    let contenders = ensemble.nodes().filter_map(|(path, node)| match node.life {
        Life::Ephemeral(owner) => Contender::new(path, owner, node.stat().czxid),
        _ => None,
    });
    contenders.collect()
}

/// The first of a queue.
pub(super) fn front<'a>(
    all: impl Iterator<Item = &'a Contender>,
    queue: &str,
) -> Option<&'a Contender> {
    let all = all.filter(|one| one.queue == queue);
    all.reduce(
        |first, one| match first.number.wrapping_sub(one.number) > 0 {
            true => one,
            false => first,
        },
    )
}

/// The first of each queue that is not empty.
pub(in crate::sim) fn fronts(ensemble: &Ensemble) -> Vec<Contender> {
    let all = contenders(ensemble);
    let fronts = QUEUES.iter().filter_map(|queue| front(all.iter(), queue));
    fronts.cloned().collect()
}

/// The queues that are there, and empty, below `base`.
pub(in crate::sim) fn empty_queues(ensemble: &Ensemble, base: &str) -> Vec<String> {
    let fronts = fronts(ensemble);
    let empty = |queue: &&str| fronts.iter().all(|front| front.queue != *queue);
    let queues = QUEUES.into_iter().filter(empty);
    queues.map(|queue| format!("{base}{queue}")).collect()
}

/// Who stood where, as the ensemble's history goes on.
#[derive(Debug, Default)]
pub(super) struct Standing<'a>(BTreeMap<&'a str, Contender>);

impl<'a> Standing<'a> {
    pub(super) fn get(&self, path: &str) -> Option<&Contender> {
        self.0.get(path)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Contender> {
        self.0.values()
    }

    pub(super) fn apply(&mut self, zxid: i64, txn: &'a Txn) {
        match txn {
            Txn::Create {
                path,
                life: Life::Ephemeral(owner),
                ..
            } => {
                let contender = Contender::new(path, *owner, zxid);
                self.0
                    .extend(contender.map(|contender| (&path[..], contender)));
            }
            Txn::Delete { path } => drop(self.0.remove(&path[..])),
            Txn::CloseSession { ephemerals } => {
                self.0
                    .retain(|path, _| !ephemerals.iter().any(|gone| gone == path));
            }
            Txn::Multi(txns) => txns.iter().for_each(|txn| self.apply(zxid, txn)),
            _ => {}
        }
    }
}
