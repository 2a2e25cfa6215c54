//! Whether what was read had been written, and whether a sync was one.

use super::Journal;
use super::history::{Change, History, Kind};

/// What was read.
#[derive(Debug)]
pub(in crate::sim) struct Read {
    pub(in crate::sim) path: String,
    /// The data, and the transaction that wrote it; nothing where there was no node.
    pub(in crate::sim) found: Option<(String, i64)>,
    /// A transaction that was acknowledged to somebody before a sync before the read.
    pub(in crate::sim) synced: i64,
}

pub(super) fn check(journal: &Journal, history: &History<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    for read in &journal.reads {
        if !was_written(read, history) {
            wrong.push(format!("{read:x?} was never written"));
        } else if read.synced > 0 && is_stale(read, history) {
            wrong.push(format!("{read:x?} is stale"));
        }
    }
    wrong
}

fn was_written(read: &Read, history: &History<'_>) -> bool {
    read.found.as_ref().is_none_or(|(mark, zxid)| {
        let mut places = history.places(mark).iter();
        places.any(|place| place.zxid == *zxid && place.path == read.path)
    })
}

/// Whether no state from the sync on has what was read.
fn is_stale(read: &Read, history: &History<'_>) -> bool {
    let here = || {
        history
            .changes
            .iter()
            .filter(|change| change.path == read.path)
    };
    let gone = |change: &Change<'_>| change.kind == Kind::Deleted;
    match &read.found {
        Some((_, zxid)) => here().any(|change| (zxid + 1..=read.synced).contains(&change.zxid)),
        None => {
            let before = here().rfind(|change| change.zxid <= read.synced);
            let later = |change: &Change<'_>| change.zxid > read.synced && gone(change);
            before.is_some_and(|change| !gone(change)) && !here().any(later)
        }
    }
}
