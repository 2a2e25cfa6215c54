//! Whether lasting watches have told of every change, in order and once.

use docent_core::wire::{AddWatchMode, EventKind, Events};

use super::history::{Change, History, Kind};
use super::{Journal, child_of};

/// What a lasting watch has told.
#[derive(Clone, Debug)]
pub(in crate::sim) enum Told {
    /// These kinds of events, when the ensemble had agreed on this transaction.
    Here(Events, i64),
    /// An event below a tree that is watched.
    Below(EventKind, String),
}

/// What a lasting watch tells without a gap: from its start, or from where it might have missed
/// something.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Leg {
    /// The connection it began on.
    pub(in crate::sim) connection: u32,
    /// It must tell of everything after this transaction, once that is known.
    pub(in crate::sim) from: Option<i64>,
    pub(in crate::sim) told: Vec<Told>,
}

/// How a lasting watch has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum End {
    Open,
    /// With its session, or so it says.
    Lost {
        outlived: bool,
    },
    Dropped,
}

/// A lasting watch.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Subscription {
    pub(in crate::sim) client: usize,
    pub(in crate::sim) path: String,
    pub(in crate::sim) mode: AddWatchMode,
    /// It can only tell of what happened after this transaction.
    pub(in crate::sim) since: i64,
    pub(in crate::sim) legs: Vec<Leg>,
    pub(in crate::sim) end: End,
}

/// Checks all lasting watches, which need not have told of what has happened since `settled`.
pub(super) fn check(journal: &Journal, history: &History<'_>, settled: u64) -> Vec<String> {
    let subscriptions = journal.subscriptions.iter();
    let wrong = subscriptions.filter_map(|subscription| {
        let wrong = subscription.wrong(history, settled)?;
        let Subscription {
            client, path, mode, ..
        } = subscription;
        Some(format!("client {client}: {mode:?} watch on {path} {wrong}"))
    });
    wrong.collect()
}

impl Subscription {
    /// How many events it has told of.
    pub(super) fn count(&self) -> u64 {
        self.legs.iter().map(|leg| leg.told.len() as u64).sum()
    }

    fn wrong(&self, history: &History<'_>, settled: u64) -> Option<String> {
        if self.end == (End::Lost { outlived: true }) {
            return Some("is lost in a living session".to_owned());
        }
        if self.is_open() && self.legs.last().is_some_and(|leg| leg.from.is_none()) {
            return Some("could never be read again".to_owned());
        }
        let changes = || history.changes.iter();
        let changes = changes().filter(|change| change.zxid > self.since);
        match self.mode {
            AddWatchMode::Recursive => {
                let tree = changes.filter(|change| is_in(&self.path, change.path));
                self.wrong_tree(&tree.collect::<Vec<_>>(), settled)
            }
            AddWatchMode::Persistent => {
                let changes: Vec<_> = changes.collect();
                let mut wrong = EventKind::ALL.iter().filter_map(|kind| {
                    let heard = changes.iter().filter(|change| self.hears(*kind, change));
                    self.wrong_kind(*kind, &heard.collect::<Vec<_>>(), settled)
                });
                wrong.next().or_else(|| self.wrong_gap())
            }
        }
    }

    fn is_open(&self) -> bool {
        self.end == End::Open
    }

    /// What is wrong with a watch of a tree, given all changes in it: each leg tells of some that
    /// follow each other, and the last one of all to the end.
    fn wrong_tree(&self, changes: &[&Change<'_>], settled: u64) -> Option<String> {
        let mut next = 0;
        for (index, leg) in self.legs.iter().enumerate() {
            let to_the_end = self.is_open() && index + 1 == self.legs.len();
            let from = leg.from.unwrap_or(i64::MAX);
            let latest = changes.partition_point(|change| change.zxid <= from);
            let late = if index > 0 {
                leg.late(&changes[..latest])
            } else {
                0
            };
            let ends = (0..=late).flat_map(|late| {
                let run = &leg.told[late..];
                let starts = (next..=latest).filter(|&start| follows(run, &changes[start..]));
                starts.map(|start| start + run.len())
            });
            let ends = ends.filter(|&end| {
                let rest = &changes[end..];
                !to_the_end || rest.iter().all(|change| change.at >= settled)
            });
            let Some(end) = ends.min() else {
                let due = &changes[latest.saturating_sub(1)..];
                return Some(format!("told {leg:x?}, while there was {due:x?}"));
            };
            next = end;
        }
        None
    }

    fn hears(&self, kind: EventKind, change: &Change<'_>) -> bool {
        match kind {
            EventKind::ChildrenChanged => {
                change.kind != Kind::Set && child_of(&self.path, change.path)
            }
            kind => change.path == self.path && event(change.kind) == kind,
        }
    }

    /// What is wrong with the events of a kind, given all changes that make them. Several changes may
    /// have become one event, but not the other way round.
    fn wrong_kind(
        &self,
        kind: EventKind,
        changes: &[&&Change<'_>],
        settled: u64,
    ) -> Option<String> {
        // Where a tree is watched, too, servers tell of children twice.
        let most = if kind == EventKind::ChildrenChanged {
            2
        } else {
            1
        };
        let mut causes = changes
            .iter()
            .flat_map(|change| std::iter::repeat_n(change, most));
        let mut last = 0;
        for (index, leg) in self.legs.iter().enumerate() {
            // What servers tell those whose watches fire once, of the time when they could not, is
            // heard by all.
            let late = usize::from(index > 0);
            last = leg.told_of(kind).next().unwrap_or(last);
            for by in leg.told_of(kind).skip(late) {
                if causes.next().is_none_or(|cause| cause.zxid > by) {
                    return Some(format!("told too often of {kind:?}, at last by {by:#x}"));
                }
                last = by;
            }
        }
        let leg = self.legs.last().filter(|_| self.is_open())?;
        let due = changes.iter().rfind(|change| {
            change.at < settled && leg.from.is_some_and(|from| change.zxid > from)
        })?;
        (last < due.zxid).then(|| format!("has not told of {due:x?}, but {leg:x?}"))
    }

    /// Whether it might have missed something for no reason.
    fn wrong_gap(&self) -> Option<String> {
        let mut legs = self.legs.windows(2);
        let same = legs.find(|legs| legs[0].connection == legs[1].connection)?;
        Some(format!("resyncs without need: {same:x?}"))
    }
}

impl Leg {
    /// How many events at its beginning may be late: servers tell those whose watches fire once of
    /// the time when they could not, and all others hear it.
    fn late(&self, changes: &[&Change<'_>]) -> usize {
        let late = self.told.iter().take_while(|told| match told {
            Told::Below(_, path) => changes.iter().any(|change| change.path == path),
            Told::Here(..) => false,
        });
        late.count()
    }

    /// When it told of events of a kind.
    fn told_of(&self, kind: EventKind) -> impl Iterator<Item = i64> {
        self.told.iter().filter_map(move |told| match told {
            Told::Here(events, by) if events.contains(kind) => Some(*by),
            _ => None,
        })
    }
}

/// Whether these events are those of the first of these changes.
fn follows(told: &[Told], changes: &[&Change<'_>]) -> bool {
    let mut pairs = told.iter().zip(changes);
    told.len() <= changes.len()
        && pairs.all(|(told, change)| match told {
            Told::Below(kind, path) => *kind == event(change.kind) && path == change.path,
            Told::Here(..) => false,
        })
}

const fn event(kind: Kind) -> EventKind {
    match kind {
        Kind::Created => EventKind::Created,
        Kind::Deleted => EventKind::Deleted,
        Kind::Set => EventKind::DataChanged,
    }
}

/// Whether a path is that of the root of a tree, or below it.
fn is_in(root: &str, path: &str) -> bool {
    let below = path.strip_prefix(root.trim_end_matches('/'));
    below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
}
