//! Quotas: how many nodes there may be at and below a node, and how many bytes of data in them.
//!
//! As in ZooKeeper since 3.7 the limits of a node are the data of another one, below
//! `/zookeeper/quota`, and only hard limits keep anybody from anything. The nearest node with limits
//! counts, and what further up is limited does not. Real servers go by sums that they keep in a node
//! beside the limits, and in a transaction do not add what it has done so far. The model counts.

use docent_core::error::Code;
use docent_core::path::Path;

use crate::server::tree::Tree;

/// Refuses what would be too much: so many more nodes and bytes at `path`.
pub(super) fn check(tree: &Tree, path: &str, nodes: i64, bytes: i64) -> Result<(), Code> {
    let Some((place, limits)) = nearest(tree, path) else {
        return Ok(());
    };
    let (mut count, mut size) = (0_i64, 0_i64);
    for node in tree.subtree(place) {
        count += 1;
        size += i64::from(node.stat().data_length);
    }
    let exceeds = |limit: &str, sum: i64, more: i64| {
        let limit = hard_limit(&limits, limit);
        more != 0 && limit.is_some_and(|limit| sum + more > limit)
    };
    match exceeds("countHardLimit", count, nodes) || exceeds("byteHardLimit", size, bytes) {
        true => Err(Code::QuotaExceeded),
        false => Ok(()),
    }
}

/// The nearest node at or above `path` that has limits, and what they are.
fn nearest<'a>(tree: &Tree, path: &'a str) -> Option<(&'a str, String)> {
    let places = Path::new(path).ok()?.ancestors();
    places.map(Path::as_str).find_map(|place| {
        let limits = tree.get(&format!("/zookeeper/quota{place}/zookeeper_limits"))?;
        let limits = limits.data.as_deref().unwrap_or_default();
        Some((place, String::from_utf8_lossy(limits).into_owned()))
    })
}

/// One of limits such as `count=-1,bytes=-1=;byteHardLimit=5;countHardLimit=2`; -1 is none.
fn hard_limit(limits: &str, name: &str) -> Option<i64> {
    let fields = limits.split([',', ';']);
    let mut values = fields.filter_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    let limit = values.next()?.parse().ok()?;
    (limit >= 0).then_some(limit)
}
