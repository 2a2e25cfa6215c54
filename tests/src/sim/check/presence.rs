//! Whether ephemerals live as long as their sessions, and no longer.

use std::collections::BTreeMap;

use super::history::{Kind, flatten};
use crate::server::{Ensemble, Life, Txn};

/// The ephemerals that there are, with their owners.
pub(in crate::sim) fn ephemerals(ensemble: &Ensemble) -> impl Iterator<Item = (&str, i64)> {
    ensemble.nodes().filter_map(|(path, node)| match node.life {
        Life::Ephemeral(owner) => Some((path, owner)),
        _ => None,
    })
}

/// No session has left anything behind, or created it after its end.
pub(super) fn check(ensemble: &Ensemble) -> Vec<String> {
    let mut owned = BTreeMap::<&str, i64>::new();
    let mut wrong = Vec::new();
    for entry in ensemble.history() {
        note_owners(&entry.txn, &mut owned);
        let mut changes = Vec::new();
        flatten(entry.zxid, 0, &entry.txn, &mut changes);
        for change in changes.iter().filter(|change| change.kind == Kind::Deleted) {
            owned.remove(change.path);
        }
        if matches!(entry.txn, Txn::CloseSession { .. }) {
            let left = owned.iter().filter(|(_, owner)| **owner == entry.session);
            wrong.extend(left.map(|(path, owner)| format!("{path} has outlived {owner:#x}")));
        }
    }
    wrong
}

fn note_owners<'a>(txn: &'a Txn, owned: &mut BTreeMap<&'a str, i64>) {
    match txn {
        Txn::Create {
            path,
            life: Life::Ephemeral(owner),
            ..
        } => {
            owned.insert(path, *owner);
        }
        Txn::Multi(txns) => txns.iter().for_each(|txn| note_owners(txn, owned)),
        _ => {}
    }
}
