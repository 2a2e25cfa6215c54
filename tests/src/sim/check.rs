//! What was done and seen, and whether it agrees with what the ensemble has agreed on.

use std::collections::BTreeMap;

use docent_core::error::Error;

use super::world::World;
use crate::server::{Ensemble, Life, Txn};

/// Where the lock is.
pub(super) const LOCK: &str = "/l";
/// What the holders of the lock write.
pub(super) const REGISTER: &str = "/register";

/// What is known of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Nobody has waited for its end.
    Open,
    /// It was applied, in this transaction if that is known.
    Done(Option<i64>),
    Refused(Error),
    Unknown(Error),
}

/// A write that can be told from all others in the history.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "it is printed")]
struct Write {
    client: usize,
    mark: String,
    outcome: Outcome,
    /// Writes of the same batch were submitted one after the other.
    batch: u64,
}

/// What a watch is set on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    Data,
    Children,
}

/// What a watch has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tale {
    Waiting,
    /// It told of a change, when the ensemble had agreed on this transaction.
    Changed(i64),
    Lost,
    Resync,
    Dropped,
}

#[derive(Clone, Debug)]
pub(super) struct Watch {
    pub(super) client: usize,
    pub(super) path: String,
    pub(super) aim: Aim,
    /// The last change that was seen when it was set.
    pub(super) since: i64,
    /// The session's epoch when it was set, and when it had told.
    pub(super) epoch: u32,
    pub(super) ended: u32,
    /// Where there was no node: the connection it was set on. On another one nobody tells of a node
    /// that has come and gone in between.
    pub(super) absent: Option<u32>,
    pub(super) tale: Tale,
}

/// What tasks have done and seen.
#[derive(Debug, Default)]
pub(super) struct Journal {
    writes: Vec<Write>,
    pub(super) watches: Vec<Watch>,
    /// What was read: the mark, where, and its transaction.
    reads: Vec<(String, String, i64)>,
    /// The token of the last write to the register in memory.
    pub(super) token: i64,
    pub(super) sections: u64,
    /// How many sections began while another went on.
    pub(super) overlaps: u64,
    pub(super) ops: u64,
}

impl Journal {
    /// A write is about to be made that leaves `mark` in the history.
    pub(super) fn begin(&mut self, client: usize, mark: &str, batch: u64) -> usize {
        self.ops += 1;
        self.writes.push(Write {
            client,
            mark: mark.to_owned(),
            outcome: Outcome::Open,
            batch,
        });
        self.writes.len() - 1
    }

    /// The write has ended, if it was applied in a transaction that may be known.
    pub(super) fn end(&mut self, write: usize, result: Result<Option<i64>, Error>) {
        self.writes[write].outcome = match result {
            Ok(zxid) => Outcome::Done(zxid),
            Err(Error::ReplyTooLarge { .. }) => Outcome::Done(None),
            Err(error) if error.may_have_run() => Outcome::Unknown(error),
            Err(error) => Outcome::Refused(error),
        };
    }

    /// Of how many writes nobody knows whether they ran.
    pub(super) fn unknown(&self) -> u64 {
        let writes = self.writes.iter();
        let unknown = writes.filter(|write| matches!(write.outcome, Outcome::Unknown(_)));
        unknown.count() as u64
    }

    /// A client's tasks are gone, and nobody looks at what they have waited for.
    pub(super) fn leave(&mut self, client: usize) {
        let its = self.watches.iter_mut();
        for watch in its.filter(|watch| watch.client == client && watch.tale == Tale::Waiting) {
            watch.tale = Tale::Dropped;
        }
    }

    pub(super) fn read(&mut self, path: &str, mark: &[u8], zxid: i64) {
        self.ops += 1;
        let mark = String::from_utf8_lossy(mark).into_owned();
        self.reads.push((mark, path.to_owned(), zxid));
    }
}

/// A change of one node.
struct Change<'a> {
    zxid: i64,
    path: &'a str,
    kind: Kind,
    data: Option<&'a [u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Created,
    Deleted,
    Set,
}

/// The history, change by change.
fn changes(ensemble: &Ensemble) -> Vec<Change<'_>> {
    let mut changes = Vec::new();
    for entry in ensemble.history() {
        flatten(entry.zxid, &entry.txn, &mut changes);
    }
    changes
}

fn flatten<'a>(zxid: i64, txn: &'a Txn, changes: &mut Vec<Change<'a>>) {
    let mut add = |path, kind, data| {
        changes.push(Change {
            zxid,
            path,
            kind,
            data,
        });
    };
    match txn {
        Txn::Create { path, data, .. } => add(path, Kind::Created, data.as_deref()),
        Txn::SetData { path, data, .. } => add(path, Kind::Set, data.as_deref()),
        Txn::Delete { path } => add(path, Kind::Deleted, None),
        Txn::CloseSession { ephemerals } => ephemerals
            .iter()
            .for_each(|path| add(path, Kind::Deleted, None)),
        Txn::Multi(txns) => txns.iter().for_each(|txn| flatten(zxid, txn, changes)),
        _ => {}
    }
}

/// Checks all that was done and seen, at the end.
pub(super) fn check(world: &World, connections: &[u32]) {
    // What the ensemble has forgotten cannot be asked of it.
    if !world.plan.history_holds() {
        return;
    }
    let ensemble = world.ensemble.borrow();
    let journal = world.journal.borrow();
    let changes = changes(&ensemble);
    let marks = marks(&changes);
    let wrong = writes(&journal, &marks)
        .into_iter()
        .chain(batches(&journal, &marks))
        .chain(reads(&journal, &marks))
        .chain(watches(&journal, &changes, &|watch| {
            let moved = watch
                .absent
                .is_some_and(|at| at != connections[watch.client]);
            moved && ensemble.node(&watch.path).is_none()
        }))
        .chain(locks(&ensemble));
    wrong.for_each(|wrong| world.fail(wrong));
}

/// Where each mark was left: as data, or as the path of a node that was deleted.
type Marks = BTreeMap<String, Vec<(i64, String)>>;

fn marks(changes: &[Change<'_>]) -> Marks {
    let mut marks = Marks::new();
    for change in changes {
        let mark = match (change.kind, change.data) {
            (Kind::Deleted, _) => format!("delete {}", change.path),
            (_, Some(data)) => String::from_utf8_lossy(data).into_owned(),
            (_, None) => continue,
        };
        let places = marks.entry(mark).or_default();
        places.push((change.zxid, change.path.to_owned()));
    }
    marks
}

fn writes(journal: &Journal, marks: &Marks) -> Vec<String> {
    let wrong = journal.writes.iter().filter_map(|write| {
        let places = marks.get(&write.mark).map_or(&[][..], Vec::as_slice);
        let zxids: Vec<_> = places.iter().map(|(zxid, _)| *zxid).collect();
        let good = match write.outcome {
            Outcome::Done(Some(zxid)) => zxids == [zxid],
            Outcome::Done(None) => zxids.len() == 1,
            Outcome::Refused(_) => zxids.is_empty(),
            Outcome::Unknown(_) | Outcome::Open => zxids.len() <= 1,
        };
        (!good).then(|| format!("{write:?}, but it was applied at {zxids:x?}"))
    });
    wrong.collect()
}

/// What was submitted in an order was applied in that order.
fn batches(journal: &Journal, marks: &Marks) -> Vec<String> {
    let mut last = BTreeMap::<u64, i64>::new();
    let mut wrong = Vec::new();
    for write in journal.writes.iter().filter(|write| write.batch > 0) {
        let Some(&(zxid, _)) = marks.get(&write.mark).and_then(|places| places.first()) else {
            continue;
        };
        let before = last.insert(write.batch, zxid);
        if before.is_some_and(|before| before >= zxid) {
            wrong.push(format!("{write:?} was applied out of order"));
        }
    }
    wrong
}

fn reads(journal: &Journal, marks: &Marks) -> Vec<String> {
    let wrong = journal.reads.iter().filter(|(mark, path, zxid)| {
        let place = (*zxid, path.clone());
        !marks
            .get(mark)
            .is_some_and(|places| places.contains(&place))
    });
    wrong
        .map(|read| format!("{read:x?} was read and never written"))
        .collect()
}

impl Watch {
    fn hears(&self, change: &Change<'_>) -> bool {
        let below = change.path.strip_prefix(&self.path);
        let child = below.is_some_and(|below| {
            below.starts_with('/') && below.len() > 1 && !below[1..].contains('/')
        });
        change.zxid > self.since
            && match self.aim {
                Aim::Data => change.path == self.path,
                Aim::Children if child => change.kind != Kind::Set,
                Aim::Children => change.path == self.path && change.kind == Kind::Deleted,
            }
    }
}

fn watches(
    journal: &Journal,
    changes: &[Change<'_>],
    is_excused: &dyn Fn(&Watch) -> bool,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for watch in &journal.watches {
        let cause = changes.iter().find(|change| watch.hears(change));
        let cause = cause.map(|change| change.zxid);
        match (watch.tale, cause) {
            (Tale::Waiting, Some(zxid)) if !is_excused(watch) => {
                wrong.push(format!("{watch:x?} has not told of {zxid:#x}"));
            }
            (Tale::Changed(by), cause) if cause.is_none_or(|zxid| zxid > by) => {
                wrong.push(format!("{watch:x?} told of nothing: {cause:x?}"));
            }
            (Tale::Lost, _) if watch.epoch == watch.ended => {
                wrong.push(format!("{watch:x?} is of a living session"));
            }
            (Tale::Resync, _) => wrong.push(format!("{watch:x?} is not there to resync")),
            _ => {}
        }
    }
    wrong
}

/// Only the first in the queue writes through the lock.
fn locks(ensemble: &Ensemble) -> Vec<String> {
    let mut queue = BTreeMap::<&str, i64>::new();
    let mut wrong = Vec::new();
    for entry in ensemble.history() {
        if let Txn::Multi(txns) = &entry.txn
            && let [Txn::Check { path }, Txn::SetData { path: register, .. }] = &txns[..]
            && register == REGISTER
        {
            let first = queue.iter().min_by_key(|(_, czxid)| **czxid);
            if first.is_none_or(|(first, _)| first != path) {
                wrong.push(format!("{path} wrote at {:#x}, not {first:x?}", entry.zxid));
            }
        }
        let mut changes = Vec::new();
        flatten(entry.zxid, &entry.txn, &mut changes);
        for change in changes {
            match change.kind {
                Kind::Created if change.path.starts_with("/l/") => {
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

/// The first in the queue for the lock: its node, its owner and its transaction.
pub(super) fn first(ensemble: &Ensemble) -> Option<(String, i64, i64)> {
    let nodes = ensemble.nodes().filter_map(|(path, node)| match node.life {
        Life::Ephemeral(owner) if path.starts_with("/l/") => {
            Some((path.to_owned(), owner, node.stat().czxid))
        }
        _ => None,
    });
    nodes.min_by_key(|(_, _, czxid)| *czxid)
}
