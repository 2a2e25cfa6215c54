//! Whether every one-shot watch has told of its event, once, or of its end.

use super::history::{Change, History, Kind};
use super::{Journal, child_of};

/// What a watch is set on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Aim {
    Data,
    Children,
}

/// What a watch has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Tale {
    Waiting,
    /// It told of a change, when the ensemble had agreed on this transaction.
    Changed(i64),
    Lost,
    Resync,
    Dropped,
}

#[derive(Clone, Debug)]
pub(in crate::sim) struct Watch {
    pub(in crate::sim) client: usize,
    pub(in crate::sim) path: String,
    pub(in crate::sim) aim: Aim,
    /// The last change that was seen when it was set.
    pub(in crate::sim) since: i64,
    /// Whether the session it was set in lived on when it had ended.
    pub(in crate::sim) outlived: bool,
    /// Where there was no node: the connection it was set on. On another one nobody tells of a node
    /// that has come and gone in between.
    pub(in crate::sim) absent: Option<u32>,
    pub(in crate::sim) tale: Tale,
}

impl Watch {
    fn hears(&self, change: &Change<'_>) -> bool {
        let child = child_of(&self.path, change.path);
        change.zxid > self.since
            && match self.aim {
                Aim::Data => change.path == self.path,
                Aim::Children if child => change.kind != Kind::Set,
                Aim::Children => change.path == self.path && change.kind == Kind::Deleted,
            }
    }
}

/// Checks all watches. Those that `is_excused` holds for need not have told of anything; nor need any
/// of what has happened since `settled`, in microseconds.
pub(super) fn check(
    journal: &Journal,
    history: &History<'_>,
    settled: u64,
    is_excused: &dyn Fn(&Watch) -> bool,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for watch in &journal.watches {
        let cause = history.changes.iter().find(|change| watch.hears(change));
        match (watch.tale, cause) {
            (Tale::Waiting, Some(cause)) if cause.at < settled && !is_excused(watch) => {
                wrong.push(format!("{watch:x?} has not told of {cause:x?}"));
            }
            (Tale::Changed(by), cause) if cause.is_none_or(|cause| cause.zxid > by) => {
                wrong.push(format!("{watch:x?} told of nothing: {cause:x?}"));
            }
            (Tale::Lost, _) if watch.outlived => {
                wrong.push(format!("{watch:x?} is of a living session"));
            }
            (Tale::Resync, _) => wrong.push(format!("{watch:x?} is not there to resync")),
            _ => {}
        }
    }
    wrong
}
