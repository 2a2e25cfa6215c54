//! Caches: views of nodes that follow the servers, to be read without waiting.
//!
//! ```no_run
//! # async fn example(client: docent::Client) -> Result<(), docent::Error> {
//! let config = client.cache("/config").start()?;
//! config.ready().await?;
//! if let Some(node) = config.get("/config/limit") {
//!     println!("{:?}, and the view is {:?} old at most", node.data(), config.age());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Client::cache`](crate::Client::cache) has the settings, [`Cache`] the view, and
//! [`Cache::events`] tells how it changes. More in [`guide::caches`](crate::guide::caches).

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use docent_core::client::{Client as _, Watcher};
use docent_core::handle::Handle;
use docent_core::path::{HeapPath, Path};
use docent_core::recipes::cache::{Ask, Bundles, HeapEars, HeapStore, Mark, Store};
use docent_core::time::Instant;
use docent_core::wire::{Exists, Full, Stat};
use futures_core::Stream;
use tokio::task::AbortHandle;
use tokio::time;
use tracing::warn;

#[doc(inline)]
pub use docent_core::recipes::cache::{Bounds, Node, Select, Tally};

use crate::builder::random;
use crate::error::{Error, ErrorKind};
use crate::shared::Link;

/// A step from one view to the next, or what has become of the view.
pub type Event = docent_core::recipes::cache::Event<Arc<Node>>;

type Core = docent_core::recipes::cache::Cache<Handle<Link>, Shelf, Choice>;
type Choice = Box<dyn Fn(Path<'_>) -> Select + Send + Sync>;

/// Settings of a [`Cache`]. Unless told otherwise it has the whole tree, with data, within
/// [`Bounds::DEFAULT`].
#[must_use = "a cache is started by `start`"]
pub struct Builder {
    handle: Handle<Link>,
    path: String,
    depth: usize,
    data: bool,
    bounds: Bounds,
    smear: Duration,
    select: Choice,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("path", &self.path)
            .field("depth", &self.depth)
            .field("data", &self.data)
            .field("bounds", &self.bounds)
            .field("smear", &self.smear)
            .finish_non_exhaustive()
    }
}

impl Builder {
    pub(crate) fn new(handle: Handle<Link>, path: &str) -> Self {
        Self {
            handle,
            path: path.to_owned(),
            depth: usize::MAX,
            data: true,
            bounds: Bounds::DEFAULT,
            smear: Duration::from_millis(500),
            select: Box::new(|_| Select::Tree),
        }
    }

    /// Goes this many levels below the node: 0 is the node alone, 1 its children as well.
    pub const fn depth(mut self, depth: usize) -> Self {
        self.depth = depth;
        self
    }

    /// Keeps the nodes without their data.
    pub const fn without_data(mut self) -> Self {
        self.data = false;
        self
    }

    /// How much the cache may hold. What is more is left out, which the cache
    /// [says](Cache::is_complete), until there is room again.
    pub const fn bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// After a connection was lost all is read again a random time later, up to this; half a second
    /// unless told. It keeps many clients from doing so at once.
    pub const fn smear(mut self, most: Duration) -> Self {
        self.smear = most;
        self
    }

    /// Keeps only what `select` says of the paths below the node; it must always say the same.
    pub fn select(mut self, select: impl Fn(&str) -> Select + Send + Sync + 'static) -> Self {
        self.select = Box::new(move |path| select(path.as_str()));
        self
    }

    /// Starts to follow the servers, in a task that ends with the last handle to the cache, and with
    /// the client.
    ///
    /// # Errors
    /// [`Path`](ErrorKind::Path) if the path is none.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(self) -> Result<Cache, Error> {
        let failed = |kind| Error::new("cache", Some(&self.path), kind);
        let path = Path::new(&self.path).map_err(|bad| failed(bad.into()))?;
        let shelf = Shelf::new(self.bounds);
        let core =
            docent_core::recipes::cache::Cache::tree(self.handle.clone(), path, shelf.clone());
        let mut core = core.map_err(failed)?.depth(self.depth).select(self.select);
        if !self.data {
            core = core.without_data();
        }
        let task = follow(core, self.handle.clone(), shelf.clone(), self.smear);
        let task = tokio::spawn(task).abort_handle();
        Ok(Cache {
            handle: self.handle,
            path: self.path.into(),
            shelf,
            tether: Arc::new(Tether(task)),
        })
    }
}

/// A view of a node, its children or a tree, which a task keeps up with the servers, over
/// reconnections and sessions.
///
/// It is cheap to clone, and all clones share the view. Reads never wait, save for a short lock. The
/// nodes that they return stay as they are.
#[derive(Clone)]
pub struct Cache {
    handle: Handle<Link>,
    path: Arc<str>,
    shelf: Shelf,
    tether: Arc<Tether>,
}

/// Ends the task with the last handle.
struct Tether(AbortHandle);

impl Drop for Tether {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, fresh) = (self.tally().nodes, self.is_fresh());
        let state = if fresh { "fresh" } else { "stale" };
        write!(f, "Cache({}, {nodes} nodes, {state})", self.path)
    }
}

impl Cache {
    /// Waits until the view has all that there is, for the first time.
    ///
    /// # Errors
    /// [`NotSent`](ErrorKind::NotSent) when the client is over before that.
    ///
    /// # Cancel safety
    /// It can be cancelled and called again.
    pub async fn ready(&self) -> Result<(), Error> {
        self.reached(i64::MIN).await
    }

    /// Waits until the view has a transaction, with all before it: a write's is the
    /// [`mzxid`](Stat::mzxid) of its reply. If it is none of the view's nodes that it has changed, it may
    /// take some seconds.
    ///
    /// # Errors
    /// As for [`ready`](Self::ready).
    ///
    /// # Cancel safety
    /// As for [`ready`](Self::ready).
    pub async fn reached(&self, zxid: i64) -> Result<(), Error> {
        let reached = std::future::poll_fn(|cx| {
            let mut inner = self.shelf.lock();
            if inner.ready && inner.contact.0 >= zxid {
                return Poll::Ready(Ok(()));
            }
            match inner.over {
                Some(over) => Poll::Ready(Err(over)),
                None => {
                    inner.wait(cx.waker());
                    Poll::Pending
                }
            }
        });
        let failed = |kind| Error::new("cache", Some(&self.path), kind);
        reached.await.map_err(failed)
    }

    /// The node at `path`, as it was when it was last looked at.
    pub fn get(&self, path: &str) -> Option<Arc<Node>> {
        self.shelf.lock().store.get(path).cloned()
    }

    /// The children of the node at `path`, by name.
    pub fn children(&self, path: &str) -> Vec<Arc<Node>> {
        self.shelf.lock().store.children(path)
    }

    /// All nodes at one moment, by path.
    pub fn snapshot(&self) -> Vec<Arc<Node>> {
        self.shelf.lock().store.iter().cloned().collect()
    }

    /// How much there is.
    pub fn tally(&self) -> Tally {
        self.shelf.lock().store.tally()
    }

    /// Whether the view follows its server: all that there is was looked at, and the connection has
    /// not been lost since.
    pub fn is_fresh(&self) -> bool {
        let connected = self.handle.status().state.is_connected();
        connected && self.shelf.lock().fresh
    }

    /// Whether nothing is left out for want of room.
    pub fn is_complete(&self) -> bool {
        self.tally().cut == 0
    }

    /// The last transaction that is in the view for sure, with all before it; 0 before the view is
    /// [ready](Self::ready).
    pub fn as_of_zxid(&self) -> i64 {
        self.shelf.lock().contact.0
    }

    /// How old the view may be: it has everything that its server had applied so long ago. `None`
    /// before it is [ready](Self::ready).
    ///
    /// While nothing happens it is as long as it is since the newest ping was sent, and up to a second
    /// more. While there is no connection it grows. A server may itself be behind the others.
    pub fn age(&self) -> Option<Duration> {
        let at = {
            let inner = self.shelf.lock();
            inner.ready.then_some(inner.contact.1)
        };
        Some(self.handle.time(at?).elapsed())
    }

    /// What the servers have last said to a read or a watch, if it keeps the cache from going on. It
    /// tries again after a pause.
    pub fn failure(&self) -> Option<Error> {
        let inner = self.shelf.lock();
        let kind = inner.over.or(inner.failure)?;
        Some(Error::new("cache", Some(&self.path), kind))
    }

    /// How the view changes: first a step to each node that there is, and then all changes.
    ///
    /// Those who are slow are told less, but nothing wrong: what happens to a node while nobody looks
    /// becomes one step, and what happens to the view is told when all steps have been. So there are
    /// at most as many steps to be told as there are nodes, in what was told and in the view.
    pub fn events(&self) -> Events {
        Events {
            id: self.shelf.lock().follow(),
            shelf: self.shelf.clone(),
            _tether: Arc::clone(&self.tether),
        }
    }
}

/// The changes of a [`Cache`]: a stream, which ends with the client.
pub struct Events {
    shelf: Shelf,
    id: u64,
    _tether: Arc<Tether>,
}

impl Events {
    /// The next event; `None` when there will never be another.
    ///
    /// # Cancel safety
    /// Cancelling it loses no event.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Option<Event>> {
        let mut inner = self.shelf.lock();
        let over = inner.over.is_some();
        match inner.next_for(self.id) {
            Some(event) => Poll::Ready(Some(event)),
            None if over => Poll::Ready(None),
            None => {
                if let Some(follower) = inner.followers.get_mut(&self.id) {
                    follower.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll(cx)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.shelf.lock().followers.remove(&self.id);
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}

/// How often an idle cache learns what pings have told of how fresh it is.
const TICK: Duration = Duration::from_secs(1);
/// How long to pause after a failure, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Keeps the view up until the client is over.
async fn follow(mut cache: Core, handle: Handle<Link>, shelf: Shelf, smear: Duration) {
    let mut pause = PAUSE.0;
    loop {
        let event = match next_or_tick(&mut cache, &shelf).await {
            None => {
                ask_for_waiting(&handle, &shelf, cache.root()).await;
                continue;
            }
            Some(Ok(event)) => event,
            Some(Err(error @ ErrorKind::NotSent(_))) => return shelf.act(|inner| inner.end(error)),
            Some(Err(error)) => {
                warn!(%error, "a cache cannot go on for now");
                shelf.act(|inner| inner.failure = Some(error));
                time::sleep(jitter(pause)).await;
                pause = PAUSE.1.min(pause * 2);
                continue;
            }
        };
        pause = PAUSE.0;
        let stale = matches!(event, Event::Stale);
        shelf.act(|inner| inner.turn(event));
        if stale {
            // The view stays stale until somebody may look again.
            let _ = handle.connected().await;
            time::sleep(jitter(smear)).await;
        }
    }
}

/// The next event of the core; `None` if it has been idle for so long that it is to look around. What
/// it reads meanwhile is never given up.
async fn next_or_tick(cache: &mut Core, shelf: &Shelf) -> Option<Result<Event, ErrorKind>> {
    let (mut next, mut tick) = (pin!(cache.next()), pin!(time::sleep(TICK)));
    std::future::poll_fn(|cx| {
        if let Poll::Ready(event) = next.as_mut().poll(cx) {
            return Poll::Ready(Some(event.map(|event| event.map(|node| Arc::clone(node)))));
        }
        while tick.as_mut().poll(cx).is_ready() {
            if shelf.lock().idle {
                return Poll::Ready(None);
            }
            tick.set(time::sleep(TICK));
        }
        Poll::Pending
    })
    .await
}

/// Asks for the last transaction if somebody waits for one: pings do not tell, nor do changes that are
/// not in the view.
async fn ask_for_waiting(handle: &Handle<Link>, shelf: &Shelf, root: Path<'_>) {
    let waits = !shelf.lock().waiting.is_empty();
    if waits && handle.status().state.is_connected() {
        let _ = time::timeout(TICK, handle.call(Exists { path: root })).await;
    }
}

/// Any part of `most`.
fn jitter(most: Duration) -> Duration {
    most.mul_f64(random() as f64 / u64::MAX as f64)
}

/// A store that its readers share with the task.
#[derive(Clone)]
struct Shelf(Arc<Mutex<Inner>>);

struct Inner {
    store: HeapStore,
    fresh: bool,
    ready: bool,
    /// The last time that all was looked at: what was in the view, and by when.
    contact: (i64, Instant),
    /// The last two events of readiness and of completeness, for those who come later.
    readiness: Option<Event>,
    complete: bool,
    /// Whether nothing is being read.
    idle: bool,
    failure: Option<ErrorKind>,
    over: Option<ErrorKind>,
    followers: BTreeMap<u64, Follower>,
    next_id: u64,
    waiting: Vec<Waker>,
    due: Vec<Waker>,
}

/// What somebody who follows the view has not been told.
#[derive(Default)]
struct Follower {
    /// Where something has changed, and what was there when that was told last.
    changes: BTreeMap<Arc<str>, Option<Arc<Node>>>,
    turns: VecDeque<Event>,
    waker: Option<Waker>,
}

impl Shelf {
    fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            store: HeapStore::new(bounds),
            fresh: false,
            ready: false,
            contact: (0, Instant::ZERO),
            readiness: None,
            complete: true,
            idle: false,
            failure: None,
            over: None,
            followers: BTreeMap::new(),
            next_id: 0,
            waiting: Vec::new(),
            due: Vec::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the view, and wakes those who are to know once the lock is released.
    fn act<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
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
    fn turn(&mut self, event: Event) {
        match &event {
            Event::Ready { .. } | Event::Fresh => self.fresh = true,
            Event::Stale => self.fresh = false,
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
        self.due.append(&mut self.waiting);
    }

    /// The client is over.
    fn end(&mut self, error: ErrorKind) {
        (self.over, self.fresh) = (Some(error), false);
        for follower in self.followers.values_mut() {
            self.due.extend(follower.waker.take());
        }
        self.due.append(&mut self.waiting);
    }

    fn wait(&mut self, waker: &Waker) {
        if !self.waiting.iter().any(|one| one.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
    }

    /// A new follower, who has been told nothing.
    fn follow(&mut self) -> u64 {
        let mut follower = Follower::default();
        for node in self.store.iter() {
            follower.changes.insert(node.path().into(), None);
        }
        if !self.complete {
            follower.turns.push_back(Event::Overflow);
        }
        if let Some(ready) = self.readiness.as_ref() {
            follower.turns.push_back(ready.map(Arc::clone));
            if !self.fresh {
                follower.turns.push_back(Event::Stale);
            }
        }
        self.next_id += 1;
        self.followers.insert(self.next_id, follower);
        self.next_id
    }

    fn next_for(&mut self, id: u64) -> Option<Event> {
        let follower = self.followers.get_mut(&id)?;
        while let Some((path, old)) = follower.changes.pop_first() {
            match (old, self.store.get(&path).cloned()) {
                (Some(old), None) => return Some(Event::Removed { old }),
                (old, Some(new)) if old.as_ref() != Some(&new) => {
                    return Some(Event::Put { old, new });
                }
                _ => {}
            }
        }
        follower.turns.pop_front()
    }
}

impl Follower {
    fn note(&mut self, change: &Event) {
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
    fn turn(&mut self, event: Event) {
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

    fn settled(&mut self, contact: (i64, Instant)) {
        self.act(|inner| {
            (inner.contact, inner.idle, inner.failure) = (contact, true, None);
            inner.due.append(&mut inner.waiting);
        });
    }
}
