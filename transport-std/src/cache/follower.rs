//! Somebody who follows a cache, and is told of it at their own pace.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use docent_core::recipes::cache::{HeapStore, Node, differs};

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
                (old, Some(new)) if old.as_ref().is_none_or(|old| has_changed(old, &new)) => {
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

/// It may have been away, and come back as it was.
fn has_changed(old: &Arc<Node>, new: &Node) -> bool {
    differs(old, &new.stat(), new.data())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use docent_core::path::Path;
    use docent_core::recipes::cache::{Bounds, Store};
    use docent_core::session::{Config, Epoch, Session};
    use docent_core::time::Instant;
    use docent_core::wire::Stat;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::cache::shelf::Shelf;

    const PATHS: [&str; 6] = ["/", "/a", "/a/b", "/a/b/c", "/a/d", "/e"];
    /// At most so many things that became of a view are to be told at a time: that it was stale, is
    /// ready in a new session and stale again, and whether it is complete.
    const TURNS: usize = 4;

    #[derive(Clone, Debug)]
    enum Act {
        /// A node is there, or has changed; its data only now and then.
        Write(usize, u8),
        /// It is there as it was, save for what changes without it.
        Reread(usize),
        Hide(usize),
        Remove(usize),
        /// All has been looked at, in a new session or not.
        Settle(bool),
        Doubt,
        /// There is too little room, or enough again.
        Fill,
        Follow,
        /// One of those who follow takes up to so many steps.
        Look(usize, usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        let at = 0..PATHS.len();
        prop_oneof![
            4 => (at.clone(), 0..2_u8).prop_map(|(at, data)| Act::Write(at, data)),
            2 => at.clone().prop_map(Act::Reread),
            1 => at.clone().prop_map(Act::Hide),
            2 => at.prop_map(Act::Remove),
            2 => any::<bool>().prop_map(Act::Settle),
            2 => Just(Act::Doubt),
            1 => Just(Act::Fill),
            1 => Just(Act::Follow),
            4 => (0..4_usize, 0..9_usize).prop_map(|(who, steps)| Act::Look(who, steps)),
        ]
    }

    /// What a node is known by.
    type Seen = (i64, i64, Option<Vec<u8>>);

    fn seen(node: &Node) -> Seen {
        let stat = node.stat();
        (stat.czxid, stat.mzxid, node.data().map(Vec::from))
    }

    /// What has become of a view: when it was ready last, whether it is fresh, and complete.
    #[derive(Clone, Debug, PartialEq)]
    struct State(Option<i64>, bool, bool);

    const FIRST: State = State(None, false, true);

    impl State {
        /// The next one, which must not be the same.
        fn turn(&mut self, event: &Event) {
            let was = self.clone();
            match event {
                Event::Ready { zxid, .. } => (self.0, self.1) = (Some(*zxid), true),
                Event::Fresh | Event::Stale => self.1 = matches!(event, Event::Fresh),
                _ => self.2 = matches!(event, Event::Complete),
            }
            assert!(
                (was.1, was.2) != (self.1, self.2),
                "{event:?} after {was:?}"
            );
            assert!(self.0.is_some() || !self.1, "{event:?} before it was ready");
        }
    }

    /// One who follows, and what was told.
    struct Reader {
        id: u64,
        view: BTreeMap<String, Seen>,
        state: State,
    }

    struct World {
        shelf: Shelf,
        epoch: Epoch,
        zxid: i64,
        /// How each node was when it was read last.
        known: BTreeMap<usize, (Stat, u8)>,
        state: State,
        readers: Vec<Reader>,
    }

    impl World {
        fn new() -> Self {
            let session = Session::new(Config::DEFAULT, 1, 1, Instant::ZERO);
            Self {
                shelf: Shelf::new(Bounds::DEFAULT),
                epoch: session.unwrap().status().epoch,
                zxid: 0,
                known: BTreeMap::new(),
                state: FIRST,
                readers: Vec::new(),
            }
        }

        fn act(&mut self, act: &Act) {
            self.zxid += 1;
            match *act {
                Act::Write(at, data) => self.write(at, data),
                Act::Reread(at) => self.reread(at),
                Act::Hide(at) => self.shelf.hide(path(at)),
                Act::Remove(at) => {
                    self.shelf.remove(path(at));
                    self.known.remove(&at);
                }
                Act::Settle(anew) if !self.state.1 => {
                    let (epoch, zxid) = (self.epoch, self.zxid);
                    let ready = Event::Ready { epoch, zxid };
                    let anew = anew || self.state.0.is_none();
                    self.turn(if anew { ready } else { Event::Fresh });
                }
                Act::Doubt if self.state.1 => self.turn(Event::Stale),
                Act::Fill if self.state.2 => self.turn(Event::Overflow),
                Act::Fill => self.turn(Event::Complete),
                Act::Follow => self.follow(),
                Act::Look(who, steps) => self.look(who, steps),
                Act::Settle(_) | Act::Doubt => {}
            }
        }

        fn write(&mut self, at: usize, data: u8) {
            let czxid = self.known.get(&at).map_or(self.zxid, |known| known.0.czxid);
            let stat = Stat {
                czxid,
                mzxid: self.zxid,
                ..Stat::default()
            };
            self.known.insert(at, (stat, data));
            self.reread(at);
        }

        fn reread(&mut self, at: usize) {
            let Some((stat, data)) = self.known.get_mut(&at) else {
                return;
            };
            stat.pzxid = self.zxid;
            if self.shelf.update(path(at), |_, _| ()).is_none() {
                self.shelf.insert(path(at)).unwrap();
            }
            self.shelf.put(path(at), *stat, Some(&[*data]));
        }

        fn turn(&mut self, event: Event) {
            self.state.turn(&event);
            self.shelf.act(|inner| inner.turn(event));
        }

        fn follow(&mut self) {
            if self.readers.len() < 4 {
                let id = self.shelf.lock().follow();
                let (view, state) = (BTreeMap::new(), FIRST);
                self.readers.push(Reader { id, view, state });
            }
        }

        fn look(&mut self, who: usize, steps: usize) {
            let Some(reader) = self.readers.get_mut(who) else {
                return;
            };
            for _ in 0..steps {
                let Some(event) = self.shelf.lock().next_for(reader.id) else {
                    assert_eq!(reader.view, view(&self.shelf));
                    assert_eq!(reader.state, self.state);
                    return;
                };
                reader.step(&event);
            }
        }

        /// There is never more to tell than nodes, in what was told and in the view.
        fn check_bounds(&self) {
            let there = view(&self.shelf);
            let inner = self.shelf.lock();
            for reader in &self.readers {
                let follower = &inner.followers[&reader.id];
                let all: BTreeSet<_> = reader.view.keys().chain(there.keys()).collect();
                assert!(follower.changes.len() <= all.len());
                assert!(follower.turns.len() <= TURNS, "{:?}", follower.turns);
            }
        }
    }

    impl Reader {
        /// Takes a step, which must be one from what was told last.
        fn step(&mut self, event: &Event) {
            match event {
                Event::Put { old, new } => {
                    let told = self.view.insert(new.path().into(), seen(new));
                    assert_eq!(told, old.as_deref().map(seen));
                    assert_ne!(told, Some(seen(new)), "nothing has changed");
                }
                Event::Removed { old } => {
                    assert_eq!(self.view.remove(old.path()), Some(seen(old)));
                }
                event => self.state.turn(event),
            }
        }
    }

    fn path(at: usize) -> Path<'static> {
        Path::new(PATHS[at]).unwrap()
    }

    fn view(shelf: &Shelf) -> BTreeMap<String, Seen> {
        let inner = shelf.lock();
        let nodes = inner.store.iter();
        nodes.map(|node| (node.path().into(), seen(node))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn those_who_look_seldom_are_told_fewer_steps_but_never_wrong_ones(
            acts in vec(act(), 0..60),
        ) {
            let mut world = World::new();
            world.follow();
            for act in &acts {
                world.act(act);
                world.check_bounds();
            }
            for who in 0..world.readers.len() {
                // As many as there can be, so that it comes to an end.
                world.look(who, PATHS.len() * 2 + TURNS + 1);
                assert_eq!(world.readers[who].view, view(&world.shelf));
                assert_eq!(world.readers[who].state, world.state);
            }
        }
    }
}
