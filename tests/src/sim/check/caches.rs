//! Whether caches have told every change as a step from one view to the next, and come to what there
//! is.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;

use docent_core::recipes::cache::Event;

use super::Journal;
use super::history::{History, Kind};
use crate::server::Ensemble;
use crate::sim::client::Room;

/// What a cache has of a node.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::sim) struct Seen {
    pub(in crate::sim) czxid: i64,
    pub(in crate::sim) mzxid: i64,
    pub(in crate::sim) data: Option<Vec<u8>>,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = self.data.as_deref().map(String::from_utf8_lossy);
        write!(f, "({:#x}, {:#x}, {data:?})", self.czxid, self.mzxid)
    }
}

type View = BTreeMap<String, Seen>;

/// What a cache that says it is fresh had seen up to a transaction.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Look {
    pub(in crate::sim) zxid: i64,
    pub(in crate::sim) view: View,
    pub(in crate::sim) complete: bool,
}

/// A cache that somebody follows.
#[derive(Debug)]
pub(in crate::sim) struct Followed {
    pub(in crate::sim) client: usize,
    root: String,
    depth: usize,
    data: bool,
    room: Room,
    pub(in crate::sim) view: View,
    pub(in crate::sim) looks: Vec<Look>,
    /// Whether it follows its server, by what it told last, and whether it has all that there is.
    fresh: bool,
    complete: bool,
    /// Whether it has just told that it is fresh.
    pub(in crate::sim) told_fresh: bool,
    pub(in crate::sim) denied: usize,
    pub(in crate::sim) dropped: bool,
    pub(in crate::sim) events: u64,
    /// Whether it has said last that something fails.
    pub(in crate::sim) failing: bool,
    /// How often it was polled after everything had settled.
    pub(in crate::sim) polls: Rc<Cell<u64>>,
    pub(in crate::sim) earlier_polls: u64,
}

impl Followed {
    pub(in crate::sim) fn new(
        client: usize,
        root: String,
        depth: usize,
        data: bool,
        room: Room,
    ) -> Self {
        Self {
            client,
            root,
            depth,
            data,
            room,
            view: View::new(),
            looks: Vec::new(),
            fresh: false,
            complete: true,
            told_fresh: false,
            denied: 0,
            dropped: false,
            events: 0,
            failing: false,
            polls: Rc::default(),
            earlier_polls: 0,
        }
    }

    /// Takes a step; what is wrong with it, if anything is.
    pub(in crate::sim) fn apply(
        &mut self,
        event: Event<(String, Seen)>,
        full: impl Fn(&str) -> String,
    ) -> Option<String> {
        self.told_fresh = false;
        let (path, old, new) = match event {
            Event::Put {
                old,
                new: (path, new),
            } => (path, old.map(|(_, old)| old), Some(new)),
            Event::Removed { old: (path, old) } => (path, Some(old), None),
            event => return self.turn(&event),
        };
        let path = full(&path);
        let wrong = match &new {
            Some(new) if self.view.get(&path).is_some_and(|was| was == new) => true,
            _ => self.view.get(&path) != old.as_ref(),
        };
        let told = format!("told {path} of {old:x?} and {new:x?}");
        let was = match new {
            Some(new) => self.view.insert(path, new),
            None => self.view.remove(&path),
        };
        wrong.then(|| format!("{told}, while there was {was:x?}"))
    }

    /// A change of its state.
    fn turn(&mut self, event: &Event<(String, Seen)>) -> Option<String> {
        let wrong = match event {
            Event::Ready { .. } | Event::Fresh => {
                self.told_fresh = true;
                std::mem::replace(&mut self.fresh, true)
            }
            Event::Stale => !std::mem::replace(&mut self.fresh, false),
            Event::Overflow => !std::mem::replace(&mut self.complete, false),
            Event::Complete => std::mem::replace(&mut self.complete, true),
            _ => true,
        };
        wrong.then(|| format!("told {event:?} for nothing"))
    }

    /// Whether a node belongs to it.
    fn covers(&self, path: &str) -> bool {
        let Some(below) = path.strip_prefix(self.root.trim_end_matches('/')) else {
            return false;
        };
        let depth = below.matches('/').count();
        (below.is_empty() || below.starts_with('/'))
            && depth <= self.depth
            && (self.root != "/" || path != "/")
    }

    /// Whether its client may read a node.
    fn may_read(&self, path: &str) -> bool {
        let secret = path.rsplit_once("/secret-").map(|(_, owner)| owner);
        secret.is_none_or(|owner| owner == self.client.to_string())
    }

    /// Whether what it has of a node is what there is.
    fn agrees(&self, seen: &Seen, there: &Seen, complete: bool) -> bool {
        let data = match (&seen.data, &there.data) {
            (None, _) => !self.data || !complete,
            (seen, there) => {
                self.data && seen.as_deref() == Some(there.as_deref().unwrap_or_default())
            }
        };
        (seen.czxid, seen.mzxid) == (there.czxid, there.mzxid) && data
    }

    /// What is wrong with a view of what is there, the paths of `open` left out: whether they have
    /// changed since is not known.
    fn wrong_view(
        &self,
        view: &View,
        there: &View,
        complete: bool,
        open: &BTreeSet<&str>,
    ) -> Option<String> {
        // Those that are there from the start are in no history.
        let first = |path: &str| path == "/" || path.starts_with("/zookeeper");
        let is_open = |path: &str| first(path) || open.contains(path);
        let more = view
            .iter()
            .filter(|(path, _)| !is_open(path))
            .find(|(path, seen)| {
                let there = there.get(*path);
                !there.is_some_and(|there| self.agrees(seen, there, complete))
            });
        if let Some((path, seen)) = more {
            return Some(format!(
                "has {path}: {seen:x?}, but there is {:x?}",
                there.get(path)
            ));
        }
        let expected = there
            .iter()
            .filter(|(path, _)| self.covers(path) && self.may_read(path) && !is_open(path));
        let missing = expected
            .into_iter()
            .find(|(path, _)| !view.contains_key(*path));
        let (path, missing) = missing.filter(|_| complete)?;
        Some(format!("has no {path}, but there is {missing:x?}"))
    }
}

/// The nodes there are.
fn nodes(ensemble: &Ensemble) -> View {
    let seen = ensemble.nodes().map(|(path, node)| {
        let stat = node.stat();
        let seen = Seen {
            czxid: stat.czxid,
            mzxid: stat.mzxid,
            data: node.data.as_deref().map(<[u8]>::to_vec),
        };
        (path.to_owned(), seen)
    });
    seen.collect()
}

/// So often may an idle cache be polled: others come and go, and sessions end.
const POLLS: u64 = 100;

/// The bytes of a reply beside a list of names, and beside the data of a node with its state.
const LIST: usize = 20;
const STAT: usize = 88;

/// Checks all caches. What has happened since `settled`, in microseconds, need not have been seen.
pub(super) fn check(
    journal: &Journal,
    history: &History<'_>,
    ensemble: &Ensemble,
    settled: u64,
) -> Vec<String> {
    let there = nodes(ensemble);
    let recent = history.changes.iter().filter(|change| change.at >= settled);
    let recent: BTreeSet<_> = recent.map(|change| change.path).collect();
    let mut wrong = Vec::new();
    for (index, cache) in journal.caches.iter().enumerate() {
        let ends = cache.wrong_end(&there, &recent);
        let looks = cache.wrong_look(history);
        let of = |wrong| format!("cache {index} of client {} {wrong}", cache.client);
        wrong.extend(ends.into_iter().chain(looks).map(of));
    }
    wrong
}

impl Followed {
    /// What is wrong with what it has come to.
    fn wrong_end(&self, there: &View, recent: &BTreeSet<&str>) -> Option<String> {
        // Where there is too little room to read at all it can only say so.
        if self.dropped || self.failing {
            return None;
        }
        let polls = self.earlier_polls + self.polls.get();
        if polls > POLLS {
            return Some(format!("was polled {polls} times for nothing"));
        }
        if !self.fresh {
            return Some("is not fresh at the end".to_owned());
        }
        if !self.complete && self.has_room_for(there, recent) {
            return Some("leaves something out for nothing".to_owned());
        }
        self.wrong_view(&self.view, there, self.complete, recent)
    }

    /// Whether all that belongs to it fits, as far as that is known.
    fn has_room_for(&self, there: &View, recent: &BTreeSet<&str>) -> bool {
        let Room { nodes, bytes, .. } = self.room;
        let mut covered = there.iter().filter(|(path, _)| self.covers(path));
        let fits = |(path, seen): (&String, &Seen)| self.has_room_for_node(path, self.size(seen));
        let root = usize::from(self.root == "/");
        let all = covered
            .clone()
            .map(|(path, seen)| path.len() + self.size(seen));
        covered.clone().count() + root <= nodes
            && all.sum::<usize>() + root <= bytes
            && covered.all(fits)
            && self.has_room_for_lists(there)
            && !recent.iter().any(|path| self.covers(path))
    }

    /// The bytes of a node's data that it is to keep.
    fn size(&self, seen: &Seen) -> usize {
        seen.data.as_ref().filter(|_| self.data).map_or(0, Vec::len)
    }

    const fn has_room_for_node(&self, path: &str, size: usize) -> bool {
        path.len() <= self.room.path && size <= self.room.data && size + STAT <= self.room.reply
    }

    fn has_room_for_lists(&self, there: &View) -> bool {
        let mut lists = BTreeMap::<&str, usize>::new();
        let covered = there.keys().filter(|path| self.covers(path));
        for (parent, name) in covered.filter_map(|path| path.rsplit_once('/')) {
            *lists.entry(parent).or_insert(LIST) += 4 + name.len();
        }
        lists.values().all(|bytes| *bytes <= self.room.reply)
    }

    /// What is wrong with what it had seen when it said that it had seen all up to a transaction.
    fn wrong_look(&self, history: &History<'_>) -> Option<String> {
        self.looks.iter().find_map(|look| {
            let later = history
                .changes
                .partition_point(|change| change.zxid <= look.zxid);
            let (before, after) = history.changes.split_at(later);
            let mut there = View::new();
            for change in before {
                let data = change.data.map(<[u8]>::to_vec);
                let (zxid, path) = (change.zxid, change.path);
                match (change.kind, there.get_mut(path)) {
                    (Kind::Deleted, _) => {
                        there.remove(path);
                    }
                    (Kind::Set, Some(seen)) => (seen.mzxid, seen.data) = (zxid, data),
                    _ => {
                        let (czxid, mzxid) = (zxid, zxid);
                        there.insert(path.to_owned(), Seen { czxid, mzxid, data });
                    }
                }
            }
            let known = |path: &&str| before.iter().any(|change| change.path == *path);
            let names = look.view.keys().map(String::as_str);
            let first = names.filter(|path| !known(path));
            let open: BTreeSet<_> = after
                .iter()
                .map(|change| change.path)
                .chain(first)
                .collect();
            let wrong = self.wrong_view(&look.view, &there, look.complete, &open)?;
            Some(format!("as of {:#x} {wrong}", look.zxid))
        })
    }
}
