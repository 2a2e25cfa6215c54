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

mod events;
mod follow;
mod follower;
mod shelf;
mod waiter;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use docent_core::client::Client as _;
use docent_core::handle::Handle;
use docent_core::path::Path;
use docent_core::recipes::cache::Store as _;
use tokio::task::AbortHandle;

#[doc(inline)]
pub use docent_core::recipes::cache::{Bounds, Node, Select, Tally};
pub use events::Events;

use crate::error::Error;
use crate::shared::Link;
use follow::Keeper;
use shelf::Shelf;
use waiter::Waiter;

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

    /// Keeps the nodes without their data. It is read all the same, which tells whether the client may
    /// do so: a node that it may not read is left out, as with its data.
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

    /// Keeps only what `select` says of the paths below the node; it must always say the same of a path.
    /// It is not asked about the node itself.
    pub fn select(mut self, select: impl Fn(&str) -> Select + Send + Sync + 'static) -> Self {
        self.select = Box::new(move |path| select(path.as_str()));
        self
    }

    /// Starts to follow the servers, in a task that ends with the last handle to the cache, and with
    /// the client.
    ///
    /// # Errors
    /// [`Path`](crate::ErrorKind::Path) if the path is not a valid one.
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
        let keeper = Keeper(shelf.clone());
        let task = follow::follow(core, self.handle.clone(), keeper, self.smear);
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
    /// [`NotSent`](crate::ErrorKind::NotSent) when the client is over before that, and
    /// [`Stopped`](crate::ErrorKind::Stopped) when the cache's task is: `select` panicked, or the
    /// runtime in which the cache was started is gone.
    ///
    /// # Cancel safety
    /// It can be cancelled and called again.
    pub async fn ready(&self) -> Result<(), Error> {
        self.reached(i64::MIN).await
    }

    /// Waits until the view has a transaction, with all before it: a write's is the
    /// [`mzxid`](docent_core::wire::Stat::mzxid) of its reply. If it is none of the view's nodes that it has changed, it may
    /// take some seconds.
    ///
    /// # Errors
    /// As for [`ready`](Self::ready).
    ///
    /// # Cancel safety
    /// As for [`ready`](Self::ready).
    pub async fn reached(&self, zxid: i64) -> Result<(), Error> {
        let failed = |kind| Error::new("cache", Some(&self.path), kind);
        Waiter::new(&self.shelf).reached(zxid).await.map_err(failed)
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
        let status = self.handle.status();
        let inner = self.shelf.lock();
        // The task may not have seen yet that the connection is another.
        status.state.is_connected() && inner.fresh && inner.connection == status.connections
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
    /// tries again after a pause, unless it has [stopped](crate::ErrorKind::Stopped) or the client is
    /// over.
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
        Events::new(&self.shelf, &self.tether)
    }
}
