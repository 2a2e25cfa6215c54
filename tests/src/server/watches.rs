//! The watches of one member's connections.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use docent_core::wire::EventKind;

use crate::server::acl::Rule;
use crate::server::tree::{Change, ChangeKind, parent};
use crate::server::{ConnId, Release};

/// The modes of the watches that one connection has on one path: a set of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Modes(u8);

impl Modes {
    pub(super) const STANDARD: Self = Self(1);
    pub(super) const PERSISTENT: Self = Self(2);
    pub(super) const RECURSIVE: Self = Self(4);
    pub(super) const ALL: Self = Self(7);

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// An event for one connection.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) conn: ConnId,
    pub(super) kind: EventKind,
    pub(super) path: String,
    /// The list of the node, which some releases ask whether the event may be seen.
    pub(super) acl: Arc<[Rule]>,
}

/// Which watches to look at or to remove.
#[derive(Clone, Copy, Debug)]
pub(super) enum Selection {
    Children,
    Data,
    Any,
    Persistent,
    Recursive,
}

impl Selection {
    pub(super) const fn from_number(number: i32, release: Release) -> Option<Self> {
        match number {
            1 => Some(Self::Children),
            2 => Some(Self::Data),
            3 => Some(Self::Any),
            4 if release.mixes_modes() => Some(Self::Persistent),
            5 if release.mixes_modes() => Some(Self::Recursive),
            _ => None,
        }
    }

    const fn tables(self) -> (bool, bool) {
        match self {
            Self::Children => (false, true),
            Self::Data | Self::Recursive => (true, false),
            Self::Any | Self::Persistent => (true, true),
        }
    }

    const fn modes(self) -> Modes {
        match self {
            Self::Children | Self::Data => Modes::STANDARD,
            Self::Any => Modes::ALL,
            Self::Persistent => Modes::PERSISTENT,
            Self::Recursive => Modes::RECURSIVE,
        }
    }
}

/// Both tables of a member.
#[derive(Clone, Debug)]
pub(super) struct Watches {
    data: Table,
    child: Table,
    release: Release,
}

impl Watches {
    pub(super) fn new(release: Release) -> Self {
        let table = Table {
            paths: BTreeMap::new(),
            conns: BTreeMap::new(),
            recursive: 0,
            mixes: release.mixes_modes(),
        };
        Self {
            data: table.clone(),
            child: table,
            release,
        }
    }

    pub(super) fn add_data(&mut self, path: &str, conn: ConnId) {
        self.data.add(path, conn, Modes::STANDARD);
    }

    pub(super) fn add_child(&mut self, path: &str, conn: ConnId) {
        self.child.add(path, conn, Modes::STANDARD);
    }

    /// Adds a watch that does not end with its first event.
    pub(super) fn add_lasting(&mut self, path: &str, conn: ConnId, modes: Modes) {
        self.data.add(path, conn, modes);
        if !(self.release.mixes_modes() && modes.has(Modes::RECURSIVE)) {
            self.child.add(path, conn, modes);
        }
    }

    pub(super) fn contains(&self, path: &str, conn: ConnId, which: Selection) -> bool {
        let (data, child) = which.tables();
        // Both tables hold a persistent watch; servers look at one.
        let child = child && !matches!(which, Selection::Persistent);
        (data && self.data.contains(path, conn, which.modes()))
            || (child && self.child.contains(path, conn, which.modes()))
    }

    /// Whether a server fails to look for such a watch.
    pub(super) fn trips_over(&self, path: &str, which: Selection) -> bool {
        let (data, child) = which.tables();
        (data && self.data.trips_over(path)) || (child && self.child.trips_over(path))
    }

    pub(super) fn remove(&mut self, path: &str, conn: ConnId, which: Selection) -> bool {
        let (data, child) = which.tables();
        let data = data && self.data.remove(path, conn, which.modes());
        let child = child && self.child.remove(path, conn, which.modes());
        data || child
    }

    pub(super) fn forget(&mut self, conn: ConnId) {
        self.data.forget(conn);
        self.child.forget(conn);
    }

    /// Number of watches of one connection, or of all.
    pub(super) fn count(&self, conn: Option<ConnId>) -> usize {
        self.data.count(conn) + self.child.count(conn)
    }

    /// The paths of both tables, with whose watches they have.
    pub(super) fn by_path(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = ConnId>)> {
        let paths = self.data.paths.iter().chain(&self.child.paths);
        paths.map(|(path, conns)| (path.as_str(), conns.keys().copied()))
    }

    /// The events of a change, in the order in which each connection gets them.
    pub(super) fn fire(&mut self, change: &Change, events: &mut Vec<Event>) {
        let above = match parent(&change.path) {
            "" => "/",
            path => path,
        };
        match change.kind {
            ChangeKind::Set => {
                let told = self.data.fire(&change.path, EventKind::DataChanged);
                push(events, change, EventKind::DataChanged, told);
            }
            ChangeKind::Created => {
                let told = self.data.fire(&change.path, EventKind::Created);
                push(events, change, EventKind::Created, told);
                self.fire_children(above, change, events);
            }
            ChangeKind::Deleted => {
                let mut told = self.data.fire(&change.path, EventKind::Deleted);
                told.extend(self.child.fire(&change.path, EventKind::Deleted));
                push(events, change, EventKind::Deleted, told);
                self.fire_children(above, change, events);
            }
        }
    }

    fn fire_children(&mut self, parent: &str, change: &Change, events: &mut Vec<Event>) {
        let told = self.child.fire(parent, EventKind::ChildrenChanged);
        events.extend(told.into_iter().map(|conn| Event {
            conn,
            kind: EventKind::ChildrenChanged,
            path: parent.to_owned(),
            acl: change.parent_acl.clone(),
        }));
    }
}

fn push(events: &mut Vec<Event>, change: &Change, kind: EventKind, told: BTreeSet<ConnId>) {
    events.extend(told.into_iter().map(|conn| Event {
        conn,
        kind,
        path: change.path.clone(),
        acl: change.acl.clone(),
    }));
}

#[derive(Clone, Debug)]
struct Table {
    paths: BTreeMap<String, BTreeMap<ConnId, Modes>>,
    conns: BTreeMap<ConnId, BTreeSet<String>>,
    /// How many entries are recursive, to spare the way up to the root.
    recursive: usize,
    /// Whether the modes on one path add up, or the last one replaces the others.
    mixes: bool,
}

impl Table {
    fn add(&mut self, path: &str, conn: ConnId, modes: Modes) {
        let before = self.modes(path, conn);
        let after = match self.mixes {
            true => Modes(before.0 | modes.0),
            false => modes,
        };
        self.set(path, conn, after);
    }

    fn modes(&self, path: &str, conn: ConnId) -> Modes {
        let conns = self.paths.get(path);
        let modes = conns.and_then(|conns| conns.get(&conn));
        modes.copied().unwrap_or(Modes(0))
    }

    fn set(&mut self, path: &str, conn: ConnId, modes: Modes) {
        let before = self.modes(path, conn);
        self.recursive += usize::from(modes.has(Modes::RECURSIVE));
        self.recursive -= usize::from(before.has(Modes::RECURSIVE));
        if modes.0 == 0 {
            return self.unset(path, conn);
        }
        let conns = self.paths.entry(path.to_owned()).or_default();
        conns.insert(conn, modes);
        let paths = self.conns.entry(conn).or_default();
        paths.insert(path.to_owned());
    }

    fn unset(&mut self, path: &str, conn: ConnId) {
        if let Some(conns) = self.paths.get_mut(path) {
            conns.remove(&conn);
            if conns.is_empty() {
                self.paths.remove(path);
            }
        }
        if let Some(paths) = self.conns.get_mut(&conn) {
            paths.remove(path);
            if paths.is_empty() {
                self.conns.remove(&conn);
            }
        }
    }

    fn contains(&self, path: &str, conn: ConnId, modes: Modes) -> bool {
        match self.mixes {
            true => self.modes(path, conn).has(modes),
            // Before 3.9, servers did not ask whose watch it is, and did not look at this path.
            false => !path.is_empty() && self.paths.contains_key(path),
        }
    }

    /// Before 3.9, servers went from the path up to the root, and there is no way from a relative
    /// one. The first step was always taken, the next ones only for the sake of recursive watches.
    fn trips_over(&self, path: &str) -> bool {
        let steps_up = self.recursive > 0 && !self.paths.contains_key(path);
        !self.mixes
            && !path.is_empty()
            && !path.starts_with('/')
            && (steps_up || !path.contains('/'))
    }

    fn remove(&mut self, path: &str, conn: ConnId, modes: Modes) -> bool {
        let before = self.modes(path, conn);
        let after = match self.mixes {
            true => Modes(before.0 & !modes.0),
            false => Modes(0),
        };
        self.set(path, conn, after);
        before != after
    }

    fn forget(&mut self, conn: ConnId) {
        for path in self.conns.get(&conn).cloned().unwrap_or_default() {
            self.set(&path, conn, Modes(0));
        }
    }

    fn count(&self, conn: Option<ConnId>) -> usize {
        match conn {
            Some(conn) => self.conns.get(&conn).map_or(0, BTreeSet::len),
            None => self.conns.values().map(BTreeSet::len).sum(),
        }
    }

    /// Who is told of an event; standard watches end with it.
    fn fire(&mut self, path: &str, kind: EventKind) -> BTreeSet<ConnId> {
        let mut told = self.fire_here(path, kind);
        if self.recursive > 0 && kind != EventKind::ChildrenChanged {
            let mut path = path;
            while path.len() > 1 {
                path = match parent(path) {
                    "" => "/",
                    path => path,
                };
                let conns = self.paths.get(path).into_iter().flatten();
                let recursive = conns.filter(|(_, modes)| modes.has(Modes::RECURSIVE));
                told.extend(recursive.map(|(conn, _)| *conn));
            }
        }
        told
    }

    fn fire_here(&mut self, path: &str, kind: EventKind) -> BTreeSet<ConnId> {
        let Some(conns) = self.paths.get(path) else {
            return BTreeSet::new();
        };
        let silent = |modes: Modes| {
            !self.mixes && modes.has(Modes::RECURSIVE) && kind == EventKind::ChildrenChanged
        };
        let here = conns.iter().filter(|(_, modes)| !silent(**modes));
        let here: Vec<_> = here.map(|(conn, modes)| (*conn, *modes)).collect();
        for (conn, modes) in &here {
            self.set(path, *conn, Modes(modes.0 & !Modes::STANDARD.0));
        }
        here.into_iter().map(|(conn, _)| conn).collect()
    }
}
