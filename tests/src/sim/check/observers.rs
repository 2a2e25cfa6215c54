//! Whether observers of an election were told of leaders in their order, and of the last one.

use super::Journal;
use super::queues::{ELECTION, Standing, front};
use crate::server::Ensemble;

/// What an observer was told.
#[derive(Debug, Default)]
pub(in crate::sim) struct Observed {
    pub(in crate::sim) client: usize,
    /// The fencing tokens of leaders; nothing where nobody led.
    pub(in crate::sim) told: Vec<Option<i64>>,
    /// Whether it has said last that something fails.
    pub(in crate::sim) failing: bool,
    pub(in crate::sim) dropped: bool,
}

/// Who led, and since when, in microseconds.
struct Reign {
    token: Option<i64>,
    since: u64,
}

/// Checks all observers; they need not have been told of what has happened since `settled`.
pub(super) fn check(journal: &Journal, ensemble: &Ensemble, settled: u64) -> Vec<String> {
    let reigns = reigns(ensemble);
    let observers = journal.observers.iter();
    let wrong = observers.filter(|observer| {
        let last = is_in_order(&observer.told, &reigns);
        let misses = |at: usize| !is_up_to_date(observer, &reigns, at, settled);
        last.is_none_or(misses)
    });
    wrong.map(|observer| format!("{observer:x?}")).collect()
}

/// The place of the last leader that was told of, if all were in order.
fn is_in_order(told: &[Option<i64>], reigns: &[Reign]) -> Option<usize> {
    told.iter().try_fold(0, |from, token| {
        let mut later = reigns.iter().enumerate().skip(from);
        later.find_map(|(at, reign)| (reign.token == *token).then_some(at))
    })
}

fn is_up_to_date(observer: &Observed, reigns: &[Reign], at: usize, settled: u64) -> bool {
    let excused = observer.failing || observer.dropped;
    let last = reigns.last();
    // A leader who has come back to the front is the same.
    let knows = last.is_none_or(|last| reigns[at].token == last.token && !observer.told.is_empty());
    excused || knows || last.is_some_and(|last| last.since >= settled)
}

fn reigns(ensemble: &Ensemble) -> Vec<Reign> {
    let mut standing = Standing::default();
    let mut reigns = vec![Reign {
        token: None,
        since: 0,
    }];
    for entry in ensemble.history() {
        standing.apply(entry.zxid, &entry.txn);
        let token = front(standing.iter(), ELECTION).map(|first| first.czxid);
        if reigns.last().is_none_or(|last| last.token != token) {
            let since = entry.at.as_micros();
            reigns.push(Reign { token, since });
        }
    }
    reigns
}
