//! Whether what was counted adds up, and numbers grow.

use docent_core::path::sequence;

use super::Journal;
use super::history::History;
use crate::server::Ensemble;

/// What counts up by reading a number and replacing it on condition.
pub(in crate::sim) const COUNTER: &str = "/counter";

/// How often somebody counted.
#[derive(Debug, Default)]
pub(in crate::sim) struct Count {
    /// What the counter must at least have come to.
    pub(in crate::sim) done: u64,
    /// How many more there may be, as nobody waited for the answer or there was none.
    pub(in crate::sim) open: u64,
}

/// A node that the servers have numbered.
#[derive(Debug)]
pub(in crate::sim) struct Numbered {
    pub(in crate::sim) zxid: i64,
    pub(in crate::sim) path: String,
}

pub(super) fn check(journal: &Journal, ensemble: &Ensemble, base: &str) -> Vec<String> {
    let counter = ensemble.node(&format!("{base}{COUNTER}"));
    let data = counter.and_then(|node| node.data.as_deref());
    let value = data.map_or(0, number);
    let Count { done, open } = journal.count;
    let fits = (done..=done + open).contains(&value);
    let sum = format!("the counter is {value} after {done} increments and perhaps {open} more");
    (!fits).then_some(sum).into_iter().collect()
}

/// What a counter's data says.
pub(in crate::sim) fn number(data: &[u8]) -> u64 {
    let text = std::str::from_utf8(data).unwrap_or_default();
    text.parse().unwrap_or(0)
}

/// Numbered nodes are where they were said to be, and their numbers grow with their transactions.
pub(super) fn check_numbers(journal: &Journal, history: &History<'_>) -> Vec<String> {
    let mut numbered: Vec<_> = journal.numbered.iter().collect();
    numbered.sort_by_key(|node| node.zxid);
    let absent = numbered.iter().filter(|node| {
        let mut changes = history.changes.iter();
        !changes.any(|change| change.zxid == node.zxid && change.path == node.path)
    });
    let pairs = numbered.windows(2);
    let shrunk = pairs.filter(|pair| !grows(&pair[0].path, &pair[1].path));
    let absent = absent.map(|node| format!("{node:x?} was never created"));
    let shrunk = shrunk.map(|pair| format!("{pair:x?} do not follow each other"));
    absent.chain(shrunk).collect()
}

/// Whether a number is greater than another, as they wrap around.
fn grows(before: &str, after: &str) -> bool {
    let number = |path| sequence(path).map(|(_, number)| number);
    match (number(before), number(after)) {
        (Some(before), Some(after)) => after.wrapping_sub(before) > 0,
        _ => false,
    }
}
