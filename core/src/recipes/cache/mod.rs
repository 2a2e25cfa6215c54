//! A cache: a view of some nodes that follows the servers, and says how far it does.
//!
//! One algorithm serves a node, its children and a tree, on servers and on boards; they differ in the
//! [`Store`], which bounds what is kept. A [`Cache`] does nothing unless its user polls
//! [`next`](Cache::next).
//!
//! * A watch says where to look; what is there is always read. Nodes are compared by `czxid` and
//!   `mzxid`, lists of children by `czxid` and `pzxid`, never by versions, which begin anew with a
//!   node that is deleted and created again.
//! * Servers of version 3.6 and later are asked for one watch of the whole tree. With others, and for
//!   a single node, every node is watched by itself.
//! * After a reconnection in the same session every node is read once more, and lists of children only
//!   where something has come or gone. A new session sets the watch anew first. Reads go out one at a
//!   time, on servers in bundles. Where every node is watched by itself the watches tell what they have
//!   missed, and only the root is read again, and what is not in the view.
//! * A node that the client may not read is not in the view, nor is what is below it. It is
//!   [counted](Tally::denied), and tried again when something happens to it, and after a
//!   reconnection: nobody tells of an ACL that changes.

#[cfg(feature = "alloc")]
mod bundle;
mod event;
mod fixed;
#[cfg(feature = "alloc")]
mod heap;
mod read;
mod reconcile;
mod scope;
mod store;
#[cfg(test)]
mod tests;

#[cfg(feature = "alloc")]
pub use bundle::Bundles;
pub use event::Event;
pub use fixed::{FixedNode, FixedStore, OneEar};
#[cfg(feature = "alloc")]
pub use heap::{Bounds, HeapEars, HeapStore, Node};
pub use read::{OneByOne, Reader};
pub use reconcile::View;
pub use scope::{Select, everything};
pub use store::{Ask, Ears, Held, Mark, Store, Tally, differs};

use core::fmt;
use core::future::{Future as _, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll};

use crate::client::{Client, Watcher};
use crate::error::{Code, Error};
use crate::hub::Change;
use crate::path::{Path, PathBuf};
use crate::recipes::race::race;
use crate::session::{End, Epoch, Status};
use crate::time::Instant;
use crate::wire::{AddWatchMode, Exists};
use read::{Answer, first, look};
use scope::Scope;

/// A view of a node, of its children or of a tree, in a [`Store`].
///
/// It lives as long as its client, over all sessions. The root need not exist.
pub struct Cache<C: Client, S: Store, F = fn(Path<'_>) -> Select> {
    client: C,
    root: C::Path,
    scope: Scope<F>,
    store: S,
    reader: S::Reader,
    ears: S::Ears<C::Watcher>,
    link: Option<Link<C>>,
    /// Whether servers are asked for one watch of the whole tree, as long as none has refused: a
    /// server that does not know such watches ends the connection, too.
    lasting: bool,
    /// The session as it was when the cache last looked.
    status: Status,
    /// Whether all has been looked at since something may have been missed.
    settled: bool,
    /// What was told last: of freshness, of completeness, and in which session of readiness.
    fresh: bool,
    complete: bool,
    ready: Option<Epoch>,
    /// The client's contact when all had been looked at.
    contact: (i64, Instant),
}

/// What a cache has of a session.
struct Link<C: Client> {
    /// Pinned to it.
    client: C,
    epoch: Epoch,
    /// The connection on which the nodes were, or are being, read.
    connection: u32,
    /// The watch of the whole tree; none where each node is watched by itself.
    watcher: Option<C::Watcher>,
}

impl<C: Client, S: Store> Cache<C, S> {
    /// A cache of the node at `path` alone, as Curator's `NodeCache`.
    ///
    /// # Errors
    /// [`Error::PathTooLong`] if there is no room for `path`, be it the client's or the store's.
    pub fn node(client: C, path: Path<'_>, store: S) -> Result<Self, Error> {
        Ok(Self::tree(client, path, store)?.depth(0))
    }

    /// A cache of the node at `path` and its children, as Curator's `PathChildrenCache`.
    ///
    /// # Errors
    /// As for [`node`](Self::node).
    pub fn children(client: C, path: Path<'_>, store: S) -> Result<Self, Error> {
        Ok(Self::tree(client, path, store)?.depth(1))
    }

    /// A cache of the node at `path` and all below it, as Curator's `TreeCache` and `CuratorCache`.
    ///
    /// # Errors
    /// As for [`node`](Self::node).
    pub fn tree(client: C, path: Path<'_>, store: S) -> Result<Self, Error> {
        let root = C::Path::try_from_parts(&[path.as_str()]).ok_or(Error::PathTooLong)?;
        S::Path::try_from_parts(&[path.as_str()]).ok_or(Error::PathTooLong)?;
        let status = client.status();
        let contact = client.contact();
        Ok(Self {
            client,
            root,
            scope: Scope {
                depth: usize::MAX,
                data: true,
                select: everything,
            },
            store,
            reader: S::Reader::default(),
            ears: S::Ears::default(),
            link: None,
            lasting: true,
            status,
            settled: false,
            fresh: false,
            complete: true,
            ready: None,
            contact,
        })
    }
}

impl<C: Client, S: Store, F: Fn(Path<'_>) -> Select> Cache<C, S, F> {
    /// Goes this many levels below the root: 0 is the root alone, 1 its children as well.
    #[must_use]
    pub const fn depth(mut self, depth: usize) -> Self {
        self.scope.depth = depth;
        self
    }

    /// Keeps the nodes without their data. It is read all the same, which tells whether the client may
    /// do so: a node that it may not read is left out, as with its data.
    #[must_use]
    pub const fn without_data(mut self) -> Self {
        self.scope.data = false;
        self
    }

    /// Keeps only what `select` says; it must always say the same of a path. It is not asked about
    /// the root, only about what is below it.
    pub fn select<G: Fn(Path<'_>) -> Select>(self, select: G) -> Cache<C, S, G> {
        Cache {
            client: self.client,
            root: self.root,
            scope: Scope {
                depth: self.scope.depth,
                data: self.scope.data,
                select,
            },
            store: self.store,
            reader: self.reader,
            ears: self.ears,
            link: self.link,
            lasting: self.lasting,
            status: self.status,
            settled: self.settled,
            fresh: self.fresh,
            complete: self.complete,
            ready: self.ready,
            contact: self.contact,
        }
    }

    /// The root of the view.
    pub fn root(&self) -> Path<'_> {
        self.root.as_path()
    }

    /// The nodes, as far as they are known. They may be ahead of what [`next`](Self::next) has told.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// Whether the view follows its server: all that there is has been looked at, and the connection
    /// was not lost since.
    pub fn is_fresh(&self) -> bool {
        self.fresh && self.settled && self.follows_connection()
    }

    /// Whether nothing is left out for want of room.
    pub fn is_complete(&self) -> bool {
        self.store.tally().cut == 0
    }

    /// The last transaction that is in the view for sure, with all before it; 0 before the view was
    /// ever [ready](Event::Ready).
    pub const fn as_of_zxid(&self) -> i64 {
        match self.ready {
            Some(_) => self.contact.0,
            None => 0,
        }
    }

    /// How far back the view may be: it has everything that its server had applied by this time;
    /// `None` before it was ever [ready](Event::Ready). It moves on when [`next`](Self::next) is
    /// polled, and comes from the newest request, or ping, that was answered.
    ///
    /// A server may itself be behind the others.
    pub fn as_of(&self) -> Option<C::Time> {
        self.ready.map(|_| self.client.time(self.contact.1))
    }

    /// The next change of the view, or of what is known of it.
    ///
    /// # Errors
    /// [`Error::NotSent`] when the client is over. Whatever else the servers say to a read or a watch,
    /// save that a node is absent or may not be read: the cache stays as it is, and tries again at the
    /// next call. Pause before that.
    ///
    /// # Cancel safety
    /// It can be cancelled and called again: no change is lost, though a read may be made twice.
    pub async fn next(&mut self) -> Result<Event<&S::Node>, Error> {
        match self.step().await? {
            Some(state) => Ok(state),
            None => Ok(self.store.told().unwrap_or(Event::Stale)),
        }
    }

    /// The next change of state; `None` for a change of the store, which has it.
    async fn step(&mut self) -> Result<Option<Event<&'static S::Node>>, Error> {
        loop {
            if self.store.tell() {
                return Ok(None);
            }
            if self.goes_stale() {
                return Ok(Some(Event::Stale));
            }
            if self.link.is_none() {
                self.open().await?;
                continue;
            }
            // What had been told by now will have been heard when nothing is left to hear.
            let contact = self.client.contact();
            poll_fn(|cx| Poll::Ready(self.hear(cx))).await;
            if self.link.is_none() {
                continue;
            }
            if !self.follows_connection() {
                self.wait().await;
            } else if self.is_asked() {
                let read = self.read().await;
                self.get_over(read)?;
            } else if let Some(state) = self.settle(contact) {
                return Ok(Some(state));
            } else if !self.is_asked() {
                self.wait().await;
            }
        }
    }

    /// Looks at the session. Whether the view has just ceased to follow its server.
    fn goes_stale(&mut self) -> bool {
        let status = self.client.status();
        self.status = status;
        let over = status.state.end().is_some();
        self.link.take_if(|link| over || link.epoch != status.epoch);
        if let Some(link) = &mut self.link
            && status.state.is_connected()
            && link.connection != status.connections
        {
            link.connection = status.connections;
            self.doubt();
        }
        let followed = self.link.is_some() && status.state.is_connected() && self.settled;
        let was_fresh = self.fresh;
        self.fresh &= followed;
        was_fresh && !followed
    }

    /// Begins to follow the servers in the session there is.
    async fn open(&mut self) -> Result<(), Error> {
        let (client, _, status) = self.client.session().await?;
        let mut watcher = None;
        if self.lasting && self.scope.depth > 0 {
            let root = self.root.as_path();
            match client.subscribe(root, AddWatchMode::Recursive).await {
                Ok(lasting) => watcher = Some(lasting),
                // A server before 3.6.
                Err(Error::Server(Code::Unimplemented)) => self.lasting = false,
                Err(error) => return self.get_over(Err(error)),
            }
        }
        let lasting = watcher.is_some();
        self.link = Some(Link {
            client,
            epoch: status.epoch,
            connection: status.connections,
            watcher,
        });
        self.ears = S::Ears::default();
        self.settled = false;
        self.view().doubt(!lasting);
        Ok(())
    }

    /// Something may have been missed.
    fn doubt(&mut self) {
        self.settled = false;
        self.view().doubt(false);
    }

    fn view(&mut self) -> View<'_, S, F> {
        let link = self.link.as_ref();
        View {
            lasting: link.is_some_and(|link| link.watcher.is_some()),
            store: &mut self.store,
            root: self.root.as_path(),
            scope: &self.scope,
        }
    }

    fn is_asked(&mut self) -> bool {
        let mut any = false;
        self.store.asked(1, |_, _| any = true);
        any
    }

    /// Takes in what watches tell, without waiting. Whether there was anything.
    fn hear(&mut self, cx: &mut Context<'_>) -> bool {
        let reads = self.is_asked();
        let Some(link) = &mut self.link else {
            return false;
        };
        let mut view = View {
            lasting: link.watcher.is_some(),
            store: &mut self.store,
            root: self.root.as_path(),
            scope: &self.scope,
        };
        let mut heard = false;
        // Watches that fire once keep what they tell until all is read: there may be one for each node.
        if !reads {
            self.ears.poll(cx, |path, ask| {
                heard = true;
                view.fired(path, ask);
            });
        }
        let Some(watcher) = &mut link.watcher else {
            return heard;
        };
        let mut lost = false;
        while !lost && let Poll::Ready(change) = poll_change(watcher, cx) {
            heard = true;
            match change {
                Some(Change::Below { kind, path }) => view.heard(kind, path.as_path()),
                Some(Change::Resync) => {
                    self.settled = false;
                    view.doubt(false);
                }
                // The session is over, or the watch could not be kept: begin anew.
                _ => lost = true,
            }
        }
        if lost {
            self.settled = false;
            self.link = None;
        }
        heard
    }

    async fn read(&mut self) -> Result<(), Error> {
        let Some(link) = &self.link else {
            return Ok(());
        };
        if link.watcher.is_none() {
            return self.read_and_watch().await;
        }
        let view = View {
            lasting: true,
            store: &mut self.store,
            root: self.root.as_path(),
            scope: &self.scope,
        };
        self.reader.read(&link.client, view).await
    }

    /// Reads one node, and leaves a watch on what was read.
    async fn read_and_watch(&mut self) -> Result<(), Error> {
        let (Some(link), Some((path, ask))) = (&self.link, first(&mut self.store)) else {
            return Ok(());
        };
        let path = path.as_path();
        let (answer, ear) = look(&link.client, path, ask, true).await?;
        if let Some(ear) = ear {
            self.ears.put(path, ask, ear)?;
        } else if matches!(answer, Answer::Denied)
            || (matches!(answer, Answer::Absent) && path == self.root.as_path())
        {
            let stat = match link.client.watch_absent(Exists { path }).await {
                Ok((stat, ear)) => {
                    self.ears.put(path, Ask::Node, ear)?;
                    stat
                }
                Err(Error::Server(Code::NoAuth)) => None,
                Err(error) => return Err(error),
            };
            if stat.is_some() && matches!(answer, Answer::Absent) {
                // It has come meanwhile, and is still asked for.
                return Ok(());
            }
        }
        answer.tell(&mut self.view(), path);
        Ok(())
    }

    /// What is no error to the user.
    fn get_over(&mut self, result: Result<(), Error>) -> Result<(), Error> {
        match result {
            // The next attempt waits for a connection, which the session paces.
            Err(Error::ConnectionLost) => Ok(()),
            Err(Error::NotSent(End::Expired)) if self.client.status().state.end().is_none() => {
                self.link = None;
                Ok(())
            }
            result => result,
        }
    }

    /// Whether there is a connection, and the nodes are read on it.
    fn follows_connection(&self) -> bool {
        let status = self.client.status();
        let link = self.link.as_ref();
        status.state.is_connected()
            && link.is_some_and(|link| link.connection == status.connections)
    }

    /// All has been looked at, and what was told by the time of `contact` has been heard. What there
    /// is to say about it.
    fn settle(&mut self, contact: (i64, Instant)) -> Option<Event<&'static S::Node>> {
        if self.store.take_freed() && self.view().fill() {
            return None;
        }
        self.settled = true;
        let complete = self.is_complete();
        if self.complete != complete {
            self.complete = complete;
            return Some(if complete {
                Event::Complete
            } else {
                Event::Overflow
            });
        }
        self.contact = contact;
        let (zxid, epoch) = (contact.0, self.status.epoch);
        self.store.settled(contact, self.status.connections);
        let was_fresh = core::mem::replace(&mut self.fresh, true);
        if self.ready != Some(epoch) {
            self.ready = Some(epoch);
            return Some(Event::Ready { epoch, zxid });
        }
        (!was_fresh).then_some(Event::Fresh)
    }

    /// Waits until there is something to hear, or the session changes.
    async fn wait(&mut self) {
        let (client, status) = (self.client.clone(), self.status);
        let news = poll_fn(|cx| match self.hear(cx) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
        let changed = async {
            client.changed(status).await;
        };
        race(pin!(news), pin!(changed)).await;
    }
}

fn poll_change<W: Watcher>(watcher: &mut W, cx: &mut Context<'_>) -> Poll<Option<Change<W::Path>>> {
    pin!(watcher.next()).poll(cx)
}

impl<C: Client, S: Store, F> fmt::Debug for Cache<C, S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { nodes, .. } = self.store.tally();
        let state = if self.fresh { "fresh" } else { "stale" };
        write!(f, "Cache({}, {nodes} nodes, {state})", self.root.as_path())
    }
}
