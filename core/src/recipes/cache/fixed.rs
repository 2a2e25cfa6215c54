//! Room of a fixed size, as on a board.

use core::pin::pin;
use core::task::Context;

use crate::client::Watcher;
use crate::error::Error;
use crate::path::{FixedPath, Path, PathBuf};
use crate::recipes::cache::{Ask, Ears, Event, Held, Mark, OneByOne, Store, Tally, differs};
use crate::wire::{Full, Stat};

/// A [`Store`] of `NODES` nodes at most, with paths of up to `PATH` bytes and data of up to `DATA`.
/// One node more is kept that was replaced or removed, to tell of it.
///
/// With servers before 3.6 there is room for one watch only, which is enough for the cache of a single
/// node; any other fails with [`Error::Full`].
#[derive(Debug)]
pub struct FixedStore<const NODES: usize, const PATH: usize, const DATA: usize> {
    entries: [Option<Entry<PATH, DATA>>; NODES],
    /// What was replaced or removed last, and what there is instead.
    old: Option<FixedNode<PATH, DATA>>,
    new: Option<usize>,
    /// Whether a change waits to be told.
    untold: bool,
    freed: bool,
}

/// A node in room of a fixed size.
#[derive(Clone, PartialEq, Eq)]
pub struct FixedNode<const PATH: usize, const DATA: usize> {
    path: FixedPath<PATH>,
    stat: Stat,
    data: Option<heapless::Vec<u8, DATA>>,
}

impl<const PATH: usize, const DATA: usize> Held for FixedNode<PATH, DATA> {
    fn path(&self) -> Path<'_> {
        self.path.as_path()
    }

    fn stat(&self) -> Stat {
        self.stat
    }

    fn data(&self) -> Option<&[u8]> {
        self.data.as_deref()
    }
}

/// Leaves out the data, which may be secret.
impl<const PATH: usize, const DATA: usize> core::fmt::Debug for FixedNode<PATH, DATA> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("FixedNode")
            .field("path", &self.path)
            .field("stat", &self.stat)
            .finish_non_exhaustive()
    }
}

/// An entry's node has its path, and nothing else that counts before it was read.
#[derive(Debug)]
struct Entry<const PATH: usize, const DATA: usize> {
    node: FixedNode<PATH, DATA>,
    mark: Mark,
    read: bool,
    /// Whether it is no longer in the view, which is yet to be told.
    gone: bool,
}

impl<const PATH: usize, const DATA: usize> Entry<PATH, DATA> {
    fn is_below(&self, path: Path<'_>) -> bool {
        let own = self.node.path.as_path();
        own != path && own.starts_with(path)
    }
}

impl<const NODES: usize, const PATH: usize, const DATA: usize> Default
    for FixedStore<NODES, PATH, DATA>
{
    fn default() -> Self {
        Self::new()
    }
}

impl<const NODES: usize, const PATH: usize, const DATA: usize> FixedStore<NODES, PATH, DATA> {
    /// An empty store.
    pub const fn new() -> Self {
        Self {
            entries: [const { None }; NODES],
            old: None,
            new: None,
            untold: false,
            freed: false,
        }
    }

    /// The node at `path`.
    pub fn get(&self, path: &str) -> Option<&FixedNode<PATH, DATA>> {
        self.iter().find(|node| node.path.as_ref() == path)
    }

    /// All nodes, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &FixedNode<PATH, DATA>> {
        let read = self.live().filter(|entry| entry.read);
        read.map(|entry| &entry.node)
    }

    fn live(&self) -> impl Iterator<Item = &Entry<PATH, DATA>> {
        self.entries.iter().flatten().filter(|entry| !entry.gone)
    }

    fn find(&mut self, path: Path<'_>) -> Option<(usize, &mut Entry<PATH, DATA>)> {
        let mut entries = self.entries.iter_mut().enumerate();
        entries.find_map(|(index, entry)| {
            let entry = entry.as_mut()?;
            (!entry.gone && entry.node.path.as_path() == path).then_some((index, entry))
        })
    }

    /// Lets go of the entries that `goes` says, those with a node once that is told.
    fn drop_if(&mut self, goes: impl Fn(&Entry<PATH, DATA>) -> bool) {
        for place in &mut self.entries {
            if let Some(entry) = place.as_mut().filter(|entry| goes(entry)) {
                self.freed = true;
                entry.gone = true;
                if !entry.read {
                    *place = None;
                }
            }
        }
    }

    /// The entry that is gone whose path is longest, so that a node goes before its parent.
    fn next_gone(&mut self) -> Option<&mut Option<Entry<PATH, DATA>>> {
        let length = |place: &&mut Option<Entry<PATH, DATA>>| {
            let gone = place.as_ref().filter(|entry| entry.gone);
            gone.map(|entry| entry.node.path.as_ref().len())
        };
        let places = self.entries.iter_mut();
        let deepest = places.max_by_key(length)?;
        deepest
            .as_ref()
            .is_some_and(|entry| entry.gone)
            .then_some(deepest)
    }
}

impl<const NODES: usize, const PATH: usize, const DATA: usize> Store
    for FixedStore<NODES, PATH, DATA>
{
    type Path = FixedPath<PATH>;
    type Node = FixedNode<PATH, DATA>;
    type Ears<W: Watcher> = OneEar<W, PATH>;
    type Reader = OneByOne;

    fn update<T>(
        &mut self,
        path: Path<'_>,
        act: impl FnOnce(&mut Mark, Option<&Self::Node>) -> T,
    ) -> Option<T> {
        let (_, entry) = self.find(path)?;
        Some(act(&mut entry.mark, entry.read.then_some(&entry.node)))
    }

    fn each(&mut self, mut act: impl FnMut(&mut Mark)) {
        let entries = self.entries.iter_mut().flatten();
        for entry in entries.filter(|entry| !entry.gone) {
            act(&mut entry.mark);
        }
    }

    fn insert(&mut self, path: Path<'_>) -> Result<(), Full> {
        let path = FixedPath::try_from_parts(&[path.as_str()]).ok_or(Full)?;
        let place = self.entries.iter_mut().find(|place| place.is_none());
        *place.ok_or(Full)? = Some(Entry {
            node: FixedNode {
                path,
                stat: Stat::default(),
                data: None,
            },
            mark: Mark::NEW,
            read: false,
            gone: false,
        });
        Ok(())
    }

    fn asked(&mut self, most: usize, mut show: impl FnMut(Path<'_>, Ask)) {
        let asking = self
            .live()
            .filter_map(|entry| Some((&entry.node.path, entry.mark.asks()?)));
        for (path, ask) in asking.take(most) {
            show(path.as_path(), ask);
        }
    }

    fn put(&mut self, path: Path<'_>, stat: Stat, data: Option<&[u8]>) -> bool {
        let Some((index, entry)) = self.find(path) else {
            return true;
        };
        let kept = data.filter(|data| data.len() <= DATA);
        let fits = kept.is_some() == data.is_some();
        let differs = !entry.read || differs(&entry.node, &stat, kept);
        if !differs {
            entry.node.stat = stat;
            return fits;
        }
        let old = entry.read.then(|| entry.node.clone());
        entry.node.stat = stat;
        entry.node.data = kept.and_then(|data| heapless::Vec::from_slice(data).ok());
        entry.read = true;
        (self.old, self.new, self.untold) = (old, Some(index), true);
        fits
    }

    fn hide(&mut self, path: Path<'_>) {
        self.drop_if(|entry| entry.is_below(path));
        let Some((_, entry)) = self.find(path) else {
            return;
        };
        if core::mem::take(&mut entry.read) {
            let node = entry.node.clone();
            entry.node.data = None;
            (self.old, self.new, self.untold) = (Some(node), None, true);
        }
    }

    fn remove(&mut self, path: Path<'_>) {
        self.drop_if(|entry| entry.node.path.as_path().starts_with(path));
    }

    fn retain<'n>(&mut self, path: Path<'_>, names: impl Iterator<Item = &'n str> + Clone) {
        self.drop_if(|entry| {
            let below = entry.node.path.as_ref().get(path.as_str().len()..);
            let mut levels = below.unwrap_or_default().split('/');
            let child = levels.find(|name| !name.is_empty());
            entry.is_below(path) && !names.clone().any(|name| Some(name) == child)
        });
    }

    fn tell(&mut self) -> bool {
        if core::mem::take(&mut self.untold) {
            return true;
        }
        let Some(gone) = self.next_gone().and_then(Option::take) else {
            return false;
        };
        (self.old, self.new) = (Some(gone.node), None);
        true
    }

    fn told(&self) -> Option<Event<&Self::Node>> {
        let old = self.old.as_ref();
        let Some(index) = self.new else {
            return old.map(|old| Event::Removed { old });
        };
        let new = &self.entries.get(index)?.as_ref()?.node;
        Some(Event::Put { old, new })
    }

    fn tally(&self) -> Tally {
        let bytes = |node: &Self::Node| {
            let data = node.data.as_ref().map_or(0, |data| data.len());
            node.path.as_ref().len().saturating_add(data)
        };
        Tally {
            nodes: self.iter().count(),
            bytes: self.iter().map(bytes).sum(),
            denied: self.live().filter(|entry| entry.mark.is_denied()).count(),
            cut: self.live().filter(|entry| entry.mark.leaves_out()).count(),
        }
    }

    fn take_freed(&mut self) -> bool {
        core::mem::take(&mut self.freed)
    }
}

/// Room for one watch that fires once.
#[derive(Debug)]
pub struct OneEar<W, const PATH: usize>(Option<(FixedPath<PATH>, Ask, W)>);

impl<W, const PATH: usize> Default for OneEar<W, PATH> {
    fn default() -> Self {
        Self(None)
    }
}

impl<W: Watcher, const PATH: usize> Ears<W> for OneEar<W, PATH> {
    fn put(&mut self, path: Path<'_>, ask: Ask, watcher: W) -> Result<(), Error> {
        let other =
            |(taken, of, _): &(FixedPath<PATH>, Ask, W)| (taken.as_path(), *of) != (path, ask);
        if self.0.as_ref().is_some_and(other) {
            return Err(Error::Full);
        }
        let path = FixedPath::try_from_parts(&[path.as_str()]).ok_or(Error::PathTooLong)?;
        self.0 = Some((path, ask, watcher));
        Ok(())
    }

    fn poll(&mut self, cx: &mut Context<'_>, mut hear: impl FnMut(Path<'_>, Ask)) {
        if let Some((path, ask, watcher)) = &mut self.0
            && pin!(watcher.next()).poll(cx).is_ready()
        {
            hear(path.as_path(), *ask);
            self.0 = None;
        }
    }
}
