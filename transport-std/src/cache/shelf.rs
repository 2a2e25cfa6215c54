//! What a cache holds, between the task that keeps it up and those who read it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use docent_core::client::Watcher;
use docent_core::path::{HeapPath, Path};
use docent_core::recipes::cache::{
    Ask, Bounds, Bundles, HeapEars, HeapStore, Mark, Node, Store, Tally,
};
use docent_core::time::Instant;
use docent_core::wire::{Full, Stat};

use super::Event;
use super::follower::Follower;
use crate::error::ErrorKind;

/// A store that its readers share with the task.
#[derive(Clone)]
pub(super) struct Shelf(Arc<Mutex<Inner>>);

pub(super) struct Inner {
    pub(super) store: HeapStore,
    pub(super) fresh: bool,
    pub(super) ready: bool,
    /// The last time that all was looked at: what was in the view, and by when.
    pub(super) contact: (i64, Instant),
    /// The connection on which that was.
    pub(super) connection: u32,
    /// The last two events of readiness and of completeness, for those who come later.
    readiness: Option<Event>,
    complete: bool,
    /// Whether nothing is being read, and no watch being set.
    pub(super) idle: bool,
    pub(super) failure: Option<ErrorKind>,
    pub(super) over: Option<ErrorKind>,
    pub(super) followers: BTreeMap<u64, Follower>,
    next_id: u64,
    /// Those who wait for the view to get somewhere.
    pub(super) waiting: BTreeMap<u64, Waker>,
    due: Vec<Waker>,
}

impl Shelf {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            store: HeapStore::new(bounds),
            fresh: false,
            ready: false,
            contact: (0, Instant::ZERO),
            connection: 0,
            readiness: None,
            complete: true,
            idle: false,
            failure: None,
            over: None,
            followers: BTreeMap::new(),
            next_id: 0,
            waiting: BTreeMap::new(),
            due: Vec::new(),
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the view, and wakes those who are to know once the lock is released.
    pub(super) fn act<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        let (result, due) = {
            let mut inner = self.lock();
            let result = act(&mut inner);
            inner.spread();
            (result, std::mem::take(&mut inner.due))
        };
        due.into_iter().for_each(Waker::wake);
        result
    }
}

impl Inner {
    /// Lets all followers know what has changed.
    fn spread(&mut self) {
        while let Some(change) = self.store.take_change() {
            for follower in self.followers.values_mut() {
                follower.note(&change);
                self.due.extend(follower.waker.take());
            }
        }
    }

    /// Something has become of the view.
    pub(super) fn turn(&mut self, event: Event) {
        match &event {
            Event::Ready { .. } | Event::Fresh => self.fresh = true,
            // Soon the watch is set anew, and nodes are read.
            Event::Stale => (self.fresh, self.idle) = (false, false),
            Event::Overflow => self.complete = false,
            Event::Complete => self.complete = true,
            _ => return,
        }
        if let Event::Ready { .. } = event {
            self.ready = true;
            self.readiness = Some(event.map(Arc::clone));
        }
        for follower in self.followers.values_mut() {
            follower.turn(event.map(Arc::clone));
            self.due.extend(follower.waker.take());
        }
        self.wake_waiting();
    }

    /// The client, or the task, is over. What was said first holds.
    pub(super) fn end(&mut self, error: ErrorKind) {
        self.over.get_or_insert(error);
        self.fresh = false;
        for follower in self.followers.values_mut() {
            self.due.extend(follower.waker.take());
        }
        self.wake_waiting();
    }

    /// They look again, and wait on if they have to.
    fn wake_waiting(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.due.extend(waiting.into_values());
    }

    pub(super) const fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// A new follower, who has been told nothing.
    pub(super) fn follow(&mut self) -> u64 {
        let mut follower = Follower::new(&self.store);
        if !self.complete {
            follower.turn(Event::Overflow);
        }
        if let Some(ready) = self.readiness.as_ref() {
            follower.turn(ready.map(Arc::clone));
            if !self.fresh {
                follower.turn(Event::Stale);
            }
        }
        let id = self.new_id();
        self.followers.insert(id, follower);
        id
    }

    pub(super) fn next_for(&mut self, id: u64) -> Option<Event> {
        self.followers.get_mut(&id)?.next(&self.store)
    }
}

impl Store for Shelf {
    type Path = HeapPath;
    type Node = Arc<Node>;
    type Ears<W: Watcher> = HeapEars<W>;
    type Reader = Bundles;

    fn update<T>(
        &mut self,
        path: Path<'_>,
        act: impl FnOnce(&mut Mark, Option<&Arc<Node>>) -> T,
    ) -> Option<T> {
        self.lock().store.update(path, act)
    }

    fn each(&mut self, act: impl FnMut(&mut Mark)) {
        self.lock().store.each(act);
    }

    fn insert(&mut self, path: Path<'_>) -> Result<(), Full> {
        self.lock().store.insert(path)
    }

    fn asked(&mut self, most: usize, mut show: impl FnMut(Path<'_>, Ask)) {
        let Inner { store, idle, .. } = &mut *self.lock();
        store.asked(most, |path, ask| {
            *idle = false;
            show(path, ask);
        });
    }

    fn put(&mut self, path: Path<'_>, stat: Stat, data: Option<&[u8]>) -> bool {
        self.act(|inner| inner.store.put(path, stat, data))
    }

    fn hide(&mut self, path: Path<'_>) {
        self.act(|inner| inner.store.hide(path));
    }

    fn remove(&mut self, path: Path<'_>) {
        self.act(|inner| inner.store.remove(path));
    }

    fn retain<'n>(&mut self, path: Path<'_>, names: impl Iterator<Item = &'n str> + Clone) {
        self.act(|inner| inner.store.retain(path, names));
    }

    // Each follower is told by itself.
    fn tell(&mut self) -> bool {
        false
    }

    fn told(&self) -> Option<docent_core::recipes::cache::Event<&Arc<Node>>> {
        None
    }

    fn tally(&self) -> Tally {
        self.lock().store.tally()
    }

    fn take_freed(&mut self) -> bool {
        self.lock().store.take_freed()
    }

    fn settled(&mut self, contact: (i64, Instant), connection: u32) {
        self.act(|inner| {
            (inner.contact, inner.connection) = (contact, connection);
            (inner.idle, inner.failure) = (true, None);
            inner.wake_waiting();
        });
    }
}
