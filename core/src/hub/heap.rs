//! Storage for servers: tables that grow, up to limits of the configuration.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::Waker;

use bytes::{Buf, Bytes};

use super::Hub;
use super::calls::{Call, Pending};
use super::claims::Claimed;
use super::storage::{Auths, Bodies, Events, Fifo, Parts, Slots, Storage, Tx, Waiters, Watches};
use super::watches::Watch;
use crate::path::{HeapPath, Path, PathBuf};
use crate::session::Config;
use crate::wire::{Credential, EventKind, Full, Sink};

/// [`Storage`] on the heap.
#[derive(Debug)]
pub struct Heap;

impl Storage for Heap {
    type Bodies = Shared;
    type Calls = Slab<Call<Shared>>;
    type Pending = Limited<Pending>;
    type Watches = HeapWatches;
    type Claims = Slab<Claimed<HeapPath>>;
    type Waiters = HeapWaiters;
    type Path = HeapPath;
    type Tx = HeapTx;
    type Chroot = Arc<str>;
    type Auths = HeapAuths;
}

/// How far the tables may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls from submission until their reply is taken. More of them wait.
    pub calls: usize,
    /// Bytes of requests that have not been handed to the transport. More of them wait. At least one
    /// request of the largest size always fits.
    pub unsent_bytes: usize,
    /// Watches at one time.
    pub watches: usize,
    /// Ephemerals of recipes, held or waiting to be cleaned up.
    pub claims: usize,
}

impl Limits {
    /// 65,536 calls, 16 MiB unsent, a million watches, 65,536 claims.
    pub const DEFAULT: Self = Self {
        calls: 1 << 16,
        unsent_bytes: 16 << 20,
        watches: 1_000_000,
        claims: 1 << 16,
    };

    /// Empty tables with these limits.
    pub fn parts(&self, config: &Config, chroot: Arc<str>, auths: HeapAuths) -> Parts<Heap> {
        Parts {
            bodies: Shared,
            calls: Slab::new(self.calls),
            // Every watch may need one more request to be renewed or ended.
            pending: Limited::new(self.calls.saturating_add(self.watches)),
            watches: HeapWatches::new(self.watches),
            claims: Slab::new(self.claims),
            room: HeapWaiters::default(),
            state: HeapWaiters::default(),
            tx: self.tx(config),
            chroot,
            auths,
        }
    }
}

impl Limits {
    /// An empty transmit buffer.
    pub fn tx(&self, config: &Config) -> HeapTx {
        HeapTx {
            bytes: Vec::new(),
            limit: self.unsent_bytes.max(config.max_request.saturating_add(4)),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Replies as parts of the buffers they were received in.
#[derive(Debug)]
pub struct Shared;

impl Bodies for Shared {
    type Frame<'f> = Bytes;
    type Room = ();
    type Body = Bytes;

    #[inline]
    fn reserve(&mut self) -> Option<()> {
        Some(())
    }

    #[inline]
    fn keep((): (), mut frame: Bytes, skip: usize) -> Result<Bytes, ()> {
        frame.advance(skip.min(frame.len()));
        Ok(frame)
    }

    #[inline]
    fn bytes((): &mut ()) -> Option<&mut [u8]> {
        None
    }

    fn seal((): (), _: usize) -> Bytes {
        Bytes::new()
    }

    #[inline]
    fn release(&mut self, (): ()) {}

    #[inline]
    fn recycle(&mut self, _: Bytes) {}
}

/// A growing table that reuses its places.
#[derive(Debug)]
pub struct Slab<T> {
    entries: Vec<Option<T>>,
    vacant: Vec<u32>,
    limit: usize,
}

impl<T> Slab<T> {
    const fn new(limit: usize) -> Self {
        // An index must fit an `Id`.
        let limit = if limit < u32::MAX as usize {
            limit
        } else {
            u32::MAX as usize - 1
        };
        Self {
            entries: Vec::new(),
            vacant: Vec::new(),
            limit,
        }
    }
}

impl<T> Slab<T> {
    #[inline]
    fn forget(&mut self, index: usize) {
        self.vacant.push(index as u32);
        if self.vacant.len() == self.entries.len() && self.entries.len() > ROOMY {
            self.entries = Vec::new();
            self.vacant = Vec::new();
        }
    }
}

impl<T> Slots<T> for Slab<T> {
    #[inline]
    fn vacancy(&self) -> Option<usize> {
        match self.vacant.last() {
            Some(&index) => Some(index as usize),
            None => Some(self.entries.len()).filter(|&len| len < self.limit),
        }
    }

    #[inline]
    fn fill(&mut self, index: usize, value: T) {
        match self.entries.get_mut(index) {
            Some(entry) => {
                *entry = Some(value);
                self.vacant.pop();
            }
            None => self.entries.push(Some(value)),
        }
    }

    #[inline]
    fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.entries.get_mut(index)?.as_mut()
    }

    #[inline]
    fn remove(&mut self, index: usize) -> Option<T> {
        let value = self.entries.get_mut(index)?.take()?;
        self.forget(index);
        Some(value)
    }

    #[inline]
    fn vacate(&mut self, index: usize) {
        if let Some(entry) = self.entries.get_mut(index)
            && entry.is_some()
        {
            // In place, as an entry may be large.
            *entry = None;
            self.forget(index);
        }
    }

    fn bound(&self) -> usize {
        self.entries.len()
    }
}

/// A table that has grown past this many entries is given back when it is empty.
const ROOMY: usize = 1024;

/// A growing queue.
#[derive(Debug)]
pub struct Limited<T> {
    queue: VecDeque<T>,
    limit: usize,
}

impl<T> Limited<T> {
    const fn new(limit: usize) -> Self {
        Self {
            queue: VecDeque::new(),
            limit,
        }
    }
}

impl<T: Copy> Fifo<T> for Limited<T> {
    #[inline]
    fn push(&mut self, value: T) -> Result<(), Full> {
        if self.queue.len() >= self.limit {
            return Err(Full);
        }
        self.queue.push_back(value);
        Ok(())
    }

    fn unpush(&mut self) {
        self.queue.pop_back();
    }

    #[inline]
    fn front(&self) -> Option<T> {
        self.queue.front().copied()
    }

    #[inline]
    fn pop(&mut self) -> Option<T> {
        self.queue.pop_front()
    }

    #[inline]
    fn len(&self) -> usize {
        self.queue.len()
    }
}

/// Watches in a slab, with an index by path.
#[derive(Debug)]
pub struct HeapWatches {
    slab: Slab<(Arc<str>, Watch<HeapEvents>)>,
    by_path: BTreeMap<Arc<str>, Vec<u32>>,
}

impl HeapWatches {
    const fn new(limit: usize) -> Self {
        Self {
            slab: Slab::new(limit),
            by_path: BTreeMap::new(),
        }
    }
}

impl Watches for HeapWatches {
    type Events = HeapEvents;

    fn insert(
        &mut self,
        path: Path<'_>,
        new: impl FnOnce(HeapEvents) -> Watch<HeapEvents>,
    ) -> Result<usize, Full> {
        let watch = new(HeapEvents::default());
        let known = self
            .by_path
            .get_key_value(path.as_str())
            .map(|(path, _)| Arc::clone(path));
        let path = known.unwrap_or_else(|| Arc::from(path.as_str()));
        let index = self
            .slab
            .insert((Arc::clone(&path), watch))
            .map_err(|_| Full)?;
        self.by_path.entry(path).or_default().push(index as u32);
        Ok(index)
    }

    fn get(&self, index: usize) -> Option<(&str, &Watch<HeapEvents>)> {
        let (path, watch) = self.slab.entries.get(index)?.as_ref()?;
        Some((path, watch))
    }

    fn get_mut(&mut self, index: usize) -> Option<&mut Watch<HeapEvents>> {
        self.slab.get_mut(index).map(|(_, watch)| watch)
    }

    fn remove(&mut self, index: usize) {
        let Some((path, _)) = self.slab.remove(index) else {
            return;
        };
        let Some(indices) = self.by_path.get_mut(&path) else {
            return;
        };
        indices.retain(|&at| at as usize != index);
        if indices.is_empty() {
            self.by_path.remove(&path);
        }
    }

    fn bound(&self) -> usize {
        self.slab.bound()
    }

    fn each_at(&mut self, path: &str, visit: &mut dyn FnMut(&mut Watch<HeapEvents>)) {
        let Some(indices) = self.by_path.get(path) else {
            return;
        };
        for &index in indices {
            if let Some((_, watch)) = self.slab.get_mut(index as usize) {
                visit(watch);
            }
        }
    }
}

/// Up to 1024 events of a recursive watch.
#[derive(Debug, Default)]
pub struct HeapEvents(VecDeque<(EventKind, HeapPath)>);

const MAX_EVENTS: usize = 1024;

impl Events for HeapEvents {
    type Path = HeapPath;

    fn push(&mut self, kind: EventKind, path: &str) -> Result<(), Full> {
        if self.0.len() >= MAX_EVENTS {
            return Err(Full);
        }
        self.0
            .push_back((kind, HeapPath::try_from_parts(&[path]).ok_or(Full)?));
        Ok(())
    }

    fn pop(&mut self) -> Option<(EventKind, HeapPath)> {
        self.0.pop_front()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn clear(&mut self) {
        self.0 = VecDeque::new();
    }
}

/// Waiting tasks by ticket.
#[derive(Debug, Default)]
pub struct HeapWaiters(BTreeMap<usize, Waker>);

impl Waiters for HeapWaiters {
    fn set(&mut self, ticket: usize, waker: &Waker) -> Option<Waker> {
        self.0.insert(ticket, waker.clone());
        None
    }

    fn remove(&mut self, ticket: usize) -> bool {
        self.0.remove(&ticket).is_some()
    }

    fn pop(&mut self) -> Option<Waker> {
        self.0.pop_first().map(|(_, waker)| waker)
    }
}

/// A growing transmit buffer.
#[derive(Debug)]
pub struct HeapTx {
    bytes: Vec<u8>,
    limit: usize,
}

impl HeapTx {
    /// Gives the memory of an empty buffer back.
    pub fn shrink(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
    }
}

impl Sink for HeapTx {
    #[inline]
    fn len(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        if bytes.len() > self.limit - self.bytes.len() {
            return Err(Full);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn patch(&mut self, at: usize, word: [u8; 4]) {
        Sink::patch(&mut self.bytes, at, word);
    }

    fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }
}

impl Tx for HeapTx {
    #[inline]
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[inline]
    fn capacity(&self) -> usize {
        self.limit
    }
}

/// Credentials, which are secrets and not printed.
#[derive(Default)]
pub struct HeapAuths(Vec<(Box<str>, Box<[u8]>)>);

impl HeapAuths {
    /// Adds one to be sent after the others.
    pub fn push(&mut self, scheme: &str, data: &[u8]) {
        self.0.push((scheme.into(), data.into()));
    }
}

impl Auths for HeapAuths {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn get(&self, index: usize) -> Option<Credential<'_>> {
        self.0
            .get(index)
            .map(|(scheme, data)| Credential { scheme, data })
    }
}

impl Hub<Heap> {
    /// Adds a credential, which goes out ahead of all requests of this and every later connection.
    /// Returns its place, to ask for with [`poll_auth`](Hub::poll_auth).
    pub fn add_auth(&mut self, scheme: &str, data: &[u8]) -> u16 {
        let place = u16::try_from(self.parts.auths.count()).unwrap_or(u16::MAX);
        self.parts.auths.push(scheme, data);
        self.session.add_auth();
        self.wake.driver = true;
        place
    }
}
