//! What the ensemble has agreed on, change by change.

use std::collections::BTreeMap;

use crate::server::{Ensemble, Txn};

/// A change of one node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'a> {
    pub(super) zxid: i64,
    /// When it was agreed on, in microseconds.
    pub(super) at: u64,
    pub(super) path: &'a str,
    pub(super) kind: Kind,
    pub(super) data: Option<&'a [u8]>,
    /// The version of the data after it.
    pub(super) version: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Created,
    Deleted,
    Set,
}

/// Where a mark was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub(super) zxid: i64,
    pub(super) path: &'a str,
    pub(super) version: i32,
}

/// All that was agreed on.
pub(super) struct History<'a> {
    pub(super) changes: Vec<Change<'a>>,
    /// Where each mark was left: as data, or as the path of a node that was deleted.
    marks: BTreeMap<String, Vec<Place<'a>>>,
}

impl<'a> History<'a> {
    pub(super) fn new(ensemble: &'a Ensemble) -> Self {
        let mut changes = Vec::new();
        for entry in ensemble.history() {
            flatten(entry.zxid, entry.at.as_micros(), &entry.txn, &mut changes);
        }
        let marks = marks(&changes);
        Self { changes, marks }
    }

    pub(super) fn places(&self, mark: &str) -> &[Place<'a>] {
        self.marks.get(mark).map_or(&[], Vec::as_slice)
    }
}

/// Adds the changes of a transaction.
pub(super) fn flatten<'a>(zxid: i64, at: u64, txn: &'a Txn, changes: &mut Vec<Change<'a>>) {
    let mut add = |path, kind, data, version| {
        changes.push(Change {
            zxid,
            at,
            path,
            kind,
            data,
            version,
        });
    };
    match txn {
        Txn::Create { path, data, .. } => add(path, Kind::Created, data.as_deref(), 0),
        Txn::SetData {
            path,
            data,
            version,
        } => add(path, Kind::Set, data.as_deref(), *version),
        Txn::Delete { path } => add(path, Kind::Deleted, None, 0),
        Txn::CloseSession { ephemerals } => ephemerals
            .iter()
            .for_each(|path| add(path, Kind::Deleted, None, 0)),
        Txn::Multi(txns) => txns.iter().for_each(|txn| flatten(zxid, at, txn, changes)),
        _ => {}
    }
}

fn marks<'a>(changes: &[Change<'a>]) -> BTreeMap<String, Vec<Place<'a>>> {
    let mut marks = BTreeMap::<_, Vec<_>>::new();
    for change in changes {
        let mark = match (change.kind, change.data) {
            (Kind::Deleted, _) => format!("delete {}", change.path),
            (_, Some(data)) => String::from_utf8_lossy(data).into_owned(),
            (_, None) => continue,
        };
        marks.entry(mark).or_default().push(Place {
            zxid: change.zxid,
            path: change.path,
            version: change.version,
        });
    }
    marks
}
