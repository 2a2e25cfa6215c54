//! Somebody who follows a cache, and is told of it at their own pace.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use docent_core::recipes::cache::{HeapStore, Node};

use super::Event;

/// What somebody who follows the view has not been told.
#[derive(Default)]
pub(super) struct Follower {
    /// Where something has changed, and what was there when that was told last.
    changes: BTreeMap<Arc<str>, Option<Arc<Node>>>,
    turns: VecDeque<Event>,
    pub(super) waker: Option<Waker>,
}

impl Follower {
    /// One who has been told nothing of what is in `store`.
    pub(super) fn new(store: &HeapStore) -> Self {
        let untold = store.iter().map(|node| (node.path().into(), None));
        Self {
            changes: untold.collect(),
            ..Self::default()
        }
    }

    /// What is to be told next: a change of what is in `store`, or else what has become of the view.
    pub(super) fn next(&mut self, store: &HeapStore) -> Option<Event> {
        while let Some((path, old)) = self.changes.pop_first() {
            match (old, store.get(&path).cloned()) {
                (Some(old), None) => return Some(Event::Removed { old }),
                (old, Some(new)) if old.as_ref() != Some(&new) => {
                    return Some(Event::Put { old, new });
                }
                _ => {}
            }
        }
        self.turns.pop_front()
    }

    pub(super) fn note(&mut self, change: &Event) {
        let (old, new) = match change {
            Event::Put { old, new } => (old.as_ref(), Some(new)),
            Event::Removed { old } => (Some(old), None),
            _ => return,
        };
        let Some(path) = new.or(old).map(|node| node.path()) else {
            return;
        };
        match self.changes.get(path) {
            // It has come and gone unseen.
            Some(None) if new.is_none() => drop(self.changes.remove(path)),
            Some(_) => {}
            None => drop(self.changes.insert(path.into(), old.cloned())),
        }
    }

    /// Takes note of what has become of the view. What undoes what was not told yet leaves nothing to
    /// tell, and of several times at which it was ready the last one counts.
    pub(super) fn turn(&mut self, event: Event) {
        let undone = self.turns.iter().rposition(|told| {
            matches!(
                (told, &event),
                (Event::Stale, Event::Fresh)
                    | (Event::Fresh, Event::Stale)
                    | (Event::Overflow, Event::Complete)
                    | (Event::Complete, Event::Overflow)
            )
        });
        if let Some(undone) = undone {
            self.turns.remove(undone);
            return;
        }
        if let Event::Ready { .. } = event
            && let Some(earlier) = self
                .turns
                .iter()
                .position(|told| matches!(told, Event::Ready { .. }))
        {
            self.turns.remove(earlier);
            // With it goes that it was stale after that.
            let stale = self
                .turns
                .iter()
                .rposition(|told| matches!(told, Event::Stale));
            stale.map(|stale| self.turns.remove(stale));
        }
        self.turns.push_back(event);
    }
}
