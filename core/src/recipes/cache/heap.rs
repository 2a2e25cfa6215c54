//! Room on the heap, up to bounds.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;
use core::pin::pin;
use core::task::Context;

use crate::client::Watcher;
use crate::error::Error;
use crate::path::{HeapPath, Path};
use crate::recipes::cache::{Ask, Bundles, Ears, Event, Held, Mark, Store, Tally, differs};
use crate::wire::{Full, Stat};

/// How much a cache may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Nodes, at least one.
    pub nodes: usize,
    /// Bytes of their paths and data. What a node takes beside them is not counted.
    pub bytes: usize,
}

impl Bounds {
    /// A million nodes, 256 MiB.
    pub const DEFAULT: Self = Self {
        nodes: 1_000_000,
        bytes: 256 << 20,
    };
}

impl Default for Bounds {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A node on the heap.
#[derive(Clone, PartialEq, Eq)]
pub struct Node {
    path: Arc<str>,
    stat: Stat,
    data: Option<Box<[u8]>>,
}

impl Node {
    /// Where it is.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The last part of its path; empty for the root.
    pub fn name(&self) -> &str {
        Path::trusted(&self.path).name()
    }

    /// Its state when it was [last read](Held::stat).
    pub const fn stat(&self) -> Stat {
        self.stat
    }

    /// Its data; `None` if that is [not kept](Held::data).
    pub fn data(&self) -> Option<&[u8]> {
        self.data.as_deref()
    }
}

impl Held for Arc<Node> {
    fn path(&self) -> Path<'_> {
        Path::trusted(&self.path)
    }

    fn stat(&self) -> Stat {
        self.stat
    }

    fn data(&self) -> Option<&[u8]> {
        self.data.as_deref()
    }
}

/// Leaves out the data, which may be secret.
impl core::fmt::Debug for Node {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Node")
            .field("path", &self.path)
            .field("stat", &self.stat)
            .finish_non_exhaustive()
    }
}

/// A [`Store`] on the heap. Its nodes are shared, and stay as they are: a change replaces them.
#[derive(Debug, Default)]
pub struct HeapStore {
    bounds: Bounds,
    /// By path, so that what is below a node follows each other.
    entries: BTreeMap<Arc<str>, Entry>,
    /// Those that may ask for something, in the order in which they began to.
    queue: VecDeque<Arc<str>>,
    changes: VecDeque<Event<Arc<Node>>>,
    told: Option<Event<Arc<Node>>>,
    tally: Tally,
    freed: bool,
}

#[derive(Debug)]
struct Entry {
    node: Option<Arc<Node>>,
    mark: Mark,
    /// Whether it is in the queue.
    queued: bool,
}

impl HeapStore {
    /// An empty store.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            ..Self::default()
        }
    }

    /// The node at `path`.
    pub fn get(&self, path: &str) -> Option<&Arc<Node>> {
        self.entries.get(path)?.node.as_ref()
    }

    /// All nodes, by path.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.entries
            .values()
            .filter_map(|entry| entry.node.as_ref())
    }

    /// The children of the node at `path`, by name.
    pub fn children(&self, path: &str) -> Vec<Arc<Node>> {
        let children = self.child_paths(path);
        let nodes = children.iter().filter_map(|path| self.get(path));
        nodes.cloned().collect()
    }

    /// The next change that was not told of, for stores that tell in their own way.
    pub fn take_change(&mut self) -> Option<Event<Arc<Node>>> {
        self.changes.pop_front()
    }

    fn child_paths(&self, path: &str) -> Vec<Arc<str>> {
        let (from, until) = below(path);
        let start = from.len();
        let mut from = Bound::Excluded(from);
        let mut children = Vec::new();
        while let Some((path, _)) = self
            .entries
            .range::<str, _>((
                from.as_ref().map(String::as_str),
                Bound::Excluded(until.as_str()),
            ))
            .next()
        {
            match path.get(start..).and_then(|name| name.split_once('/')) {
                None => {
                    from = Bound::Excluded(String::from(&**path));
                    children.push(Arc::clone(path));
                }
                // What is below a child follows each other, up to where a sibling may be.
                Some((name, _)) => {
                    let end = start.saturating_add(name.len());
                    let (_, next) = below(path.get(..end).unwrap_or_default());
                    from = Bound::Included(next);
                }
            }
        }
        children
    }

    fn remove_one(&mut self, path: &str) {
        if let Some((_, entry)) = self.entries.remove_entry(path) {
            let data = entry.node.as_ref().map_or(0, bytes_of);
            self.tally.bytes -= path.len() + data;
            self.tally.denied -= usize::from(entry.mark.is_denied());
            self.tally.cut -= usize::from(entry.mark.leaves_out());
            self.freed = true;
            self.lose(entry.node);
        }
    }

    /// A node is no longer in the view.
    fn lose(&mut self, node: Option<Arc<Node>>) {
        if let Some(node) = node {
            self.tally.nodes -= 1;
            self.changes.push_back(Event::Removed { old: node });
        }
    }

    fn remove_below(&mut self, path: &str) {
        let (from, until) = below(path);
        let range = (
            Bound::Excluded(from.as_str()),
            Bound::Excluded(until.as_str()),
        );
        let gone = self.entries.range::<str, _>(range).rev();
        let gone: Vec<_> = gone.map(|(path, _)| Arc::clone(path)).collect();
        // Backwards, so that a node goes before its parent.
        gone.iter().for_each(|path| self.remove_one(path));
    }
}

fn bytes_of(node: &Arc<Node>) -> usize {
    node.data.as_ref().map_or(0, |data| data.len())
}

/// The bounds, left out, of what is below a path: `/a/` and `/a0`, as `0` follows the slash.
fn below(path: &str) -> (String, String) {
    let path = path.trim_end_matches('/');
    ([path, "/"].concat(), [path, "0"].concat())
}

impl Store for HeapStore {
    type Path = HeapPath;
    type Node = Arc<Node>;
    type Ears<W: Watcher> = HeapEars<W>;
    type Reader = Bundles;

    fn update<T>(
        &mut self,
        path: Path<'_>,
        act: impl FnOnce(&mut Mark, Option<&Arc<Node>>) -> T,
    ) -> Option<T> {
        let entry = self.entries.get_mut(path.as_str())?;
        let before = entry.mark;
        let result = act(&mut entry.mark, entry.node.as_ref());
        let after = entry.mark;
        self.tally.denied += usize::from(after.is_denied());
        self.tally.denied -= usize::from(before.is_denied());
        self.tally.cut += usize::from(after.leaves_out());
        self.tally.cut -= usize::from(before.leaves_out());
        if after.asks().is_some() && !entry.queued {
            entry.queued = true;
            let (path, _) = self.entries.get_key_value(path.as_str())?;
            self.queue.push_back(Arc::clone(path));
        }
        Some(result)
    }

    fn each(&mut self, mut act: impl FnMut(&mut Mark)) {
        for (path, entry) in &mut self.entries {
            act(&mut entry.mark);
            if entry.mark.asks().is_some() && !entry.queued {
                entry.queued = true;
                self.queue.push_back(Arc::clone(path));
            }
        }
        let marks = || self.entries.values().map(|entry| entry.mark);
        self.tally.denied = marks().filter(Mark::is_denied).count();
        self.tally.cut = marks().filter(Mark::leaves_out).count();
    }

    fn insert(&mut self, path: Path<'_>) -> Result<(), Full> {
        let path = path.as_str();
        let bytes = self.tally.bytes.saturating_add(path.len());
        let fits = self.entries.len() < self.bounds.nodes && bytes <= self.bounds.bytes;
        // There is always room for a root.
        if !fits && !self.entries.is_empty() {
            return Err(Full);
        }
        self.tally.bytes = bytes;
        let path: Arc<str> = path.into();
        self.queue.push_back(Arc::clone(&path));
        let entry = Entry {
            node: None,
            mark: Mark::NEW,
            queued: true,
        };
        self.entries.insert(path, entry);
        Ok(())
    }

    fn asked(&mut self, most: usize, mut show: impl FnMut(Path<'_>, Ask)) {
        while let Some(path) = self.queue.front() {
            match self.entries.get_mut(path) {
                Some(entry) if entry.mark.asks().is_some() => break,
                Some(entry) => entry.queued = false,
                None => {}
            }
            self.queue.pop_front();
        }
        let asking = self.queue.iter().filter_map(|path| {
            let ask = self.entries.get(path)?.mark.asks()?;
            Some((path, ask))
        });
        for (path, ask) in asking.take(most) {
            show(Path::trusted(path), ask);
        }
    }

    fn put(&mut self, path: Path<'_>, stat: Stat, data: Option<&[u8]>) -> bool {
        let Some((path, _)) = self.entries.get_key_value(path.as_str()) else {
            return true;
        };
        let path = Arc::clone(path);
        let Some(entry) = self.entries.get_mut(&path) else {
            return true;
        };
        let was = entry.node.as_ref().map_or(0, bytes_of);
        let others = self.tally.bytes.saturating_sub(was);
        let kept = data.filter(|data| data.len() <= self.bounds.bytes.saturating_sub(others));
        let is = kept.map_or(0, <[u8]>::len);
        self.tally.bytes = others.saturating_add(is);
        self.freed |= is < was;
        let node = Arc::new(Node {
            path,
            stat,
            data: kept.map(Into::into),
        });
        let old = entry.node.replace(Arc::clone(&node));
        self.tally.nodes += usize::from(old.is_none());
        if old.as_ref().is_none_or(|old| differs(old, &stat, kept)) {
            self.changes.push_back(Event::Put { old, new: node });
        }
        kept.is_some() == data.is_some()
    }

    fn hide(&mut self, path: Path<'_>) {
        self.remove_below(path.as_str());
        let Some(entry) = self.entries.get_mut(path.as_str()) else {
            return;
        };
        let node = entry.node.take();
        self.tally.bytes -= node.as_ref().map_or(0, bytes_of);
        self.freed |= node.is_some();
        self.lose(node);
    }

    fn remove(&mut self, path: Path<'_>) {
        self.remove_below(path.as_str());
        self.remove_one(path.as_str());
    }

    fn retain<'n>(&mut self, path: Path<'_>, names: impl Iterator<Item = &'n str> + Clone) {
        let mut names: Vec<_> = names.collect();
        names.sort_unstable();
        for child in self.child_paths(path.as_str()) {
            let child = Path::trusted(&child);
            if names.binary_search(&child.name()).is_err() {
                self.remove(child);
            }
        }
    }

    fn tell(&mut self) -> bool {
        let change = self.changes.pop_front();
        let any = change.is_some();
        self.told = change.or_else(|| self.told.take());
        any
    }

    fn told(&self) -> Option<Event<&Arc<Node>>> {
        self.told.as_ref().map(|told| told.map(|node| node))
    }

    fn tally(&self) -> Tally {
        self.tally
    }

    fn take_freed(&mut self) -> bool {
        core::mem::take(&mut self.freed)
    }
}

/// Watches that fire once, two for each node at most.
#[derive(Debug)]
pub struct HeapEars<W>(BTreeMap<(Box<str>, bool), W>);

impl<W> Default for HeapEars<W> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<W: Watcher> Ears<W> for HeapEars<W> {
    fn put(&mut self, path: Path<'_>, ask: Ask, watcher: W) -> Result<(), Error> {
        self.0
            .insert((path.as_str().into(), ask == Ask::Children), watcher);
        Ok(())
    }

    fn poll(&mut self, cx: &mut Context<'_>, mut hear: impl FnMut(Path<'_>, Ask)) {
        self.0.retain(|(path, children), watcher| {
            let fired = pin!(watcher.next()).poll(cx).is_ready();
            if fired {
                let ask = if *children { Ask::Children } else { Ask::Node };
                hear(Path::trusted(path), ask);
            }
            !fired
        });
    }
}
