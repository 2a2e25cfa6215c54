//! The client: every operation of ZooKeeper as one method.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use docent_core::client::Client as _;
use docent_core::error::Error as ErrorKind;
use docent_core::handle::{Handle, Reply, Share as _, act};
use docent_core::path::{BadPath, Path};
use docent_core::session::{Credentials, End, Status};
use docent_core::wire::{
    self, Acl, Acls, AddWatchMode, Children, CountDescendants, CreateMode, Data, Delete, Exists,
    GetAcl, GetChildren, GetConfig, GetData, GetEphemerals, Idempotent, Identities, Multi,
    MultiRead, MultiReadReply, MultiReply, Op, Paths, ReadOp, Reconfig, Request, SetAcl, SetData,
    Stat, Sync, Watchable, WhoAmI, check_acl,
};

use crate::builder::check_auth;
use crate::cache;
use crate::error::Error;
use crate::shared::Link;
use crate::watch::{States, Watcher};
use crate::{Election, Lock, RwLock, Semaphore};

/// A ZooKeeper client: a session, and all sessions that follow it.
///
/// It is cheap to clone, and all clones share the session. When the last one goes, and the last
/// watcher, lock and guard made from it, the session is closed in the background;
/// [`close`](Self::close) does so in the foreground.
///
/// Requests are sent in the order in which they are submitted, and answered in that order. A future
/// of this client submits its request when it is first polled; [`submit`](Self::submit) does so at
/// once. While there is no connection, requests wait.
///
/// # Errors
/// Every [`Error`] says by its [kind](Error::kind) whether the operation has run. In particular
/// [`ConnectionLost`](ErrorKind::ConnectionLost) means that it may have or not: nothing is sent
/// again that may have run.
///
/// # Cancel safety
/// Every future may be dropped at any time; its request may run all the same.
#[doc(alias = "CuratorFramework")]
#[derive(Clone)]
pub struct Client {
    handle: Handle<Link>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({:?})", self.handle.shared())
    }
}

/// A node that was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// Its path, with the server's number if it is sequential.
    pub path: String,
    /// Its state.
    pub stat: Stat,
}

impl Client {
    pub(crate) const fn new(link: Link) -> Self {
        Self {
            handle: Handle::new(link),
        }
    }

    /// The handle that recipes of `docent_core` are generic over.
    pub const fn handle(&self) -> &Handle<Link> {
        &self.handle
    }

    // ---- nodes ----

    /// Creates a node that is open to the world.
    ///
    /// # Errors
    /// `NodeExists`, `NoNode` if the parent is missing, `NoChildrenForEphemerals`, and those of
    /// [all operations](Client#errors).
    ///
    /// # Cancel safety
    /// As for [all operations](Client#cancel-safety).
    pub async fn create(
        &self,
        path: &str,
        data: &[u8],
        mode: CreateMode,
    ) -> Result<Created, Error> {
        self.create_with(path, data, mode, Acl::OPEN).await
    }

    /// Creates a node that is open to those in `acl`.
    ///
    /// # Errors
    /// As for [`create`](Self::create), and `InvalidAcl`.
    ///
    /// # Cancel safety
    /// As for [all operations](Client#cancel-safety).
    pub async fn create_with(
        &self,
        path: &str,
        data: &[u8],
        mode: CreateMode,
        acl: &[Acl<'_>],
    ) -> Result<Created, Error> {
        let failed = |kind| Error::new("create", Some(path), kind);
        check_acl(acl).map_err(|bad| failed(bad.into()))?;
        let checked = if mode.is_sequential() {
            Path::prefix(path)
        } else {
            Path::new(path)
        };
        let checked = checked.map_err(|bad| failed(bad.into()))?;
        let created = self
            .handle
            .call(wire::Create {
                path: checked,
                data,
                mode,
                acl,
            })
            .await
            .map_err(failed)?;
        Ok(Created {
            path: created.path().as_str().to_owned(),
            stat: created.stat(),
        })
    }

    /// Creates `path` and what is missing above it, as persistent nodes without data that are open to
    /// the world. What exists is left as it is.
    ///
    /// # Errors
    /// Those of [all operations](Client#errors).
    ///
    /// # Cancel safety
    /// Cancelling it leaves what was created so far; otherwise as for
    /// [all operations](Client#cancel-safety).
    pub async fn ensure(&self, path: &str) -> Result<(), Error> {
        let checked = checked("ensure", path)?;
        let made = docent_core::recipes::create_parents(
            &self.handle,
            checked,
            CreateMode::Persistent,
            Acl::OPEN,
        )
        .await;
        made.map_err(|kind| Error::new("ensure", Some(path), kind))
    }

    /// Deletes a node, of this version if one is given.
    ///
    /// # Errors
    /// `NoNode`, `BadVersion`, `NotEmpty`, and those of [all operations](Client#errors).
    ///
    /// # Cancel safety
    /// As for [all operations](Client#cancel-safety).
    pub async fn delete(&self, path: &str, version: Option<i32>) -> Result<(), Error> {
        self.call("delete", path, |path| Delete { path, version })
            .await
    }

    /// The state of a node, or `None` if it does not exist.
    ///
    /// # Errors
    /// Those of [all operations](Client#errors).
    ///
    /// # Cancel safety
    /// As for [all operations](Client#cancel-safety).
    pub async fn exists(&self, path: &str) -> Result<Option<Stat>, Error> {
        absent(self.call("exists", path, |path| Exists { path }).await)
    }

    /// The data and state of a node.
    ///
    /// The [`Data`] is a part of the buffer that it was received in, and keeps all of it alive: copy
    /// what is to be kept for long.
    ///
    /// # Errors
    /// `NoNode`, and those of [all operations](Client#errors).
    ///
    /// # Cancel safety
    /// As for [all operations](Client#cancel-safety).
    pub async fn get(&self, path: &str) -> Result<Data<Bytes>, Error> {
        self.call("get", path, |path| GetData { path }).await
    }

    /// Replaces the data of a node, of this version if one is given.
    ///
    /// # Errors
    /// `NoNode`, `BadVersion`, and those of [all operations](Client#errors).
    ///
    /// # Cancel safety
    /// As for [all operations](Client#cancel-safety).
    pub async fn set(&self, path: &str, data: &[u8], version: Option<i32>) -> Result<Stat, Error> {
        self.call("set", path, |path| SetData {
            path,
            data,
            version,
        })
        .await
    }

    /// The names of the children of a node, in no order, and its state.
    ///
    /// # Errors
    /// `NoNode`, and those of [all operations](Client#errors).
    ///
    /// # Cancel safety
    /// As for [all operations](Client#cancel-safety).
    pub async fn children(&self, path: &str) -> Result<Children<Bytes>, Error> {
        self.call("children", path, |path| GetChildren { path })
            .await
    }

    /// How many nodes there are below a node, at any depth. Needs a server of version 3.6 or later.
    ///
    /// # Errors
    /// `NoNode`, and those of [all operations](Client#errors).
    ///
    /// # Cancel safety
    /// As for [all operations](Client#cancel-safety).
    pub async fn count_descendants(&self, path: &str) -> Result<i32, Error> {
        self.call("count_descendants", path, |path| CountDescendants { path })
            .await
    }

    /// Who may do what to a node.
    ///
    /// # Errors
    /// `NoNode`, and those of [all operations](Client#errors).
    ///
    /// # Cancel safety
    /// As for [all operations](Client#cancel-safety).
    pub async fn get_acl(&self, path: &str) -> Result<Acls<Bytes>, Error> {
        self.call("get_acl", path, |path| GetAcl { path }).await
    }

    /// Replaces who may do what to a node, whose ACL is of this version if one is given.
    ///
    /// # Errors
    /// `NoNode`, `BadVersion`, `InvalidAcl`, and those of [all operations](Client#errors).
    ///
    /// # Cancel safety
    /// As for [all operations](Client#cancel-safety).
    pub async fn set_acl(
        &self,
        path: &str,
        acl: &[Acl<'_>],
        version: Option<i32>,
    ) -> Result<Stat, Error> {
        check_acl(acl).map_err(|bad| Error::new("set_acl", Some(path), bad.into()))?;
        self.call("set_acl", path, |path| SetAcl { path, acl, version })
            .await
    }

    /// Waits until the server has caught up with its leader: a read submitted after this sees all
    /// that was written before.
    ///
    /// That holds for the connection it was sent on. It is no quorum read: a leader that was just
    /// deposed may answer.
    ///
    /// # Errors
    /// Those of [all operations](Client#errors).
    ///
    /// # Cancel safety
    /// As for [all operations](Client#cancel-safety).
    pub async fn sync(&self, path: &str) -> Result<(), Error> {
        self.call("sync", path, |path| Sync { path }).await
    }

    /// The ephemerals of this session whose paths begin with `prefix`. Needs a server of version 3.6
    /// or later.
    ///
    /// # Errors
    /// Those of [all operations](Client#errors).
    ///
    /// # Cancel safety
    /// As for [all operations](Client#cancel-safety).
    pub async fn ephemerals(&self, prefix: &str) -> Result<Paths<Bytes>, Error> {
        self.call("ephemerals", prefix, |prefix| GetEphemerals { prefix })
            .await
    }

    /// The identities that the server knows this client by. Needs a server of version 3.7 or later.
    ///
    /// # Errors
    /// Those of [all operations](Client#errors).
    ///
    /// # Cancel safety
    /// As for [all operations](Client#cancel-safety).
    pub async fn who_am_i(&self) -> Result<Identities<Bytes>, Error> {
        self.handle
            .call(WhoAmI)
            .await
            .map_err(|kind| Error::new("who_am_i", None, kind))
    }

    /// The configuration of the ensemble, as text of one line for each member.
    ///
    /// # Errors
    /// Those of [all operations](Client#errors).
    ///
    /// # Cancel safety
    /// As for [all operations](Client#cancel-safety).
    pub async fn config(&self) -> Result<Data<Bytes>, Error> {
        self.handle
            .call(GetConfig)
            .await
            .map_err(|kind| Error::new("config", None, kind))
    }

    /// Changes the configuration of the ensemble, and returns the new one.
    ///
    /// # Errors
    /// `ReconfigDisabled`, `NewConfigNoQuorum`, `BadVersion`, `NoAuth`, and those of
    /// [all operations](Client#errors).
    ///
    /// # Cancel safety
    /// As for [all operations](Client#cancel-safety).
    pub async fn reconfig(&self, reconfig: Reconfig<'_>) -> Result<Data<Bytes>, Error> {
        self.handle
            .call(reconfig)
            .await
            .map_err(|kind| Error::new("reconfig", None, kind))
    }

    /// Runs all of `ops`, or none of them.
    ///
    /// The reply's [outcome](MultiReply::outcome) says which operation failed, if one did.
    ///
    /// # Errors
    /// Those of [all operations](Client#errors).
    ///
    /// # Cancel safety
    /// As for [all operations](Client#cancel-safety).
    pub async fn multi(&self, ops: &[Op<'_>]) -> Result<MultiReply<Bytes>, Error> {
        self.handle
            .call(Multi { ops })
            .await
            .map_err(|kind| Error::new("multi", None, kind))
    }

    /// Reads several nodes at once; each may fail for itself. Needs a server of version 3.6 or later.
    ///
    /// # Errors
    /// Those of [all operations](Client#errors).
    ///
    /// # Cancel safety
    /// As for [all operations](Client#cancel-safety).
    pub async fn multi_read(&self, ops: &[ReadOp<'_>]) -> Result<MultiReadReply<Bytes>, Error> {
        self.handle
            .call(MultiRead { ops })
            .await
            .map_err(|kind| Error::new("multi_read", None, kind))
    }

    /// Queues any request now, ahead of all that is queued later, and returns its reply to wait for.
    ///
    /// # Errors
    /// The request will never run: [`Full`](ErrorKind::Full) where the other methods would wait,
    /// [`TooLarge`](ErrorKind::TooLarge) or [`NotSent`](ErrorKind::NotSent).
    pub fn submit<R: Request>(&self, request: &R) -> Result<Reply<Link, R>, ErrorKind> {
        self.handle.submit(request)
    }

    /// Sends a read, and sends it again for as long as connections are lost before it is answered.
    ///
    /// # Errors
    /// See [`ErrorKind`]; [`ConnectionLost`](ErrorKind::ConnectionLost) is none of them.
    ///
    /// # Cancel safety
    /// As for [all operations](Client#cancel-safety).
    pub async fn retry<R: Idempotent + Copy>(
        &self,
        request: R,
    ) -> Result<R::Response<Bytes>, ErrorKind> {
        self.handle.retry(request).await
    }

    // ---- watches ----

    /// As [`exists`](Self::exists), with a one-shot watch: on the node, or on its creation.
    ///
    /// # Errors
    /// Those of [all operations](Client#errors). Then there is no watch.
    ///
    /// # Cancel safety
    /// Cancelling it leaves no watch; otherwise as for [all operations](Client#cancel-safety).
    pub async fn exists_and_watch(&self, path: &str) -> Result<(Option<Stat>, Watcher), Error> {
        let failed = |kind| Error::new("exists", Some(path), kind);
        let checked = checked("exists", path)?;
        let (stat, watcher) = self
            .handle
            .watch_absent(Exists { path: checked })
            .await
            .map_err(failed)?;
        Ok((stat, Watcher::new(watcher)))
    }

    /// As [`get`](Self::get), with a one-shot watch on the node.
    ///
    /// # Errors
    /// As for [`get`](Self::get). Then there is no watch.
    ///
    /// # Cancel safety
    /// Cancelling it leaves no watch; otherwise as for [all operations](Client#cancel-safety).
    pub async fn get_and_watch(&self, path: &str) -> Result<(Data<Bytes>, Watcher), Error> {
        self.call_and_watch("get", path, |path| GetData { path })
            .await
    }

    /// As [`children`](Self::children), with a one-shot watch on the children and the node's end.
    ///
    /// # Errors
    /// As for [`children`](Self::children). Then there is no watch.
    ///
    /// # Cancel safety
    /// Cancelling it leaves no watch; otherwise as for [all operations](Client#cancel-safety).
    pub async fn children_and_watch(
        &self,
        path: &str,
    ) -> Result<(Children<Bytes>, Watcher), Error> {
        self.call_and_watch("children", path, |path| GetChildren { path })
            .await
    }

    /// Watches a node, which need not exist, until the watcher is dropped or the session is over.
    /// Needs a server of version 3.6 or later.
    ///
    /// Servers do not tell what happened while the connection was lost: the watcher then has a
    /// [`Change::Resync`](crate::Change::Resync).
    ///
    /// # Errors
    /// Those of [all operations](Client#errors).
    ///
    /// # Cancel safety
    /// Cancelling it leaves no watch; otherwise as for [all operations](Client#cancel-safety).
    pub async fn watch(&self, path: &str) -> Result<Watcher, Error> {
        self.subscribe(path, AddWatchMode::Persistent).await
    }

    /// Watches a node and all below it, like [`watch`](Self::watch), except that each event comes
    /// with its path, and changes of lists of children are not told.
    ///
    /// # Errors
    /// Those of [all operations](Client#errors).
    ///
    /// # Cancel safety
    /// Cancelling it leaves no watch; otherwise as for [all operations](Client#cancel-safety).
    pub async fn watch_tree(&self, path: &str) -> Result<Watcher, Error> {
        self.subscribe(path, AddWatchMode::Recursive).await
    }

    async fn subscribe(&self, path: &str, mode: AddWatchMode) -> Result<Watcher, Error> {
        let subscribed = self.handle.subscribe(checked("watch", path)?, mode).await;
        subscribed
            .map(Watcher::new)
            .map_err(|kind| Error::new("watch", Some(path), kind))
    }

    // ---- recipes ----

    /// The lock at `path`: see [`guide::locks`](crate::guide::locks).
    ///
    /// # Errors
    /// [`Path`](ErrorKind::Path) if `path` is not a valid path.
    pub fn lock(&self, path: &str) -> Result<Lock, Error> {
        self.recipe("lock", path, Lock::new)
    }

    /// The read/write lock at `path`: see [its guide](crate::guide::locks#readers-and-writers).
    ///
    /// # Errors
    /// [`Path`](ErrorKind::Path) if `path` is not a valid path.
    pub fn rw_lock(&self, path: &str) -> Result<RwLock, Error> {
        self.recipe("lock", path, RwLock::new)
    }

    /// The semaphore at `path`, of so many permits: see [its guide](crate::guide::locks#permits).
    ///
    /// # Errors
    /// [`Path`](ErrorKind::Path) if `path` is not a valid path.
    pub fn semaphore(&self, path: &str, permits: u32) -> Result<Semaphore, Error> {
        self.recipe("semaphore", path, |handle, path| {
            Semaphore::new(handle, path, permits)
        })
    }

    /// The election at `path`, in which this client is known as `id`: see
    /// [`guide::leaders`](crate::guide::leaders).
    ///
    /// # Errors
    /// [`Path`](ErrorKind::Path) if `path` is not a valid path.
    pub fn election(&self, path: &str, id: impl Into<Vec<u8>>) -> Result<Election, Error> {
        let election = self.recipe("election", path, docent_core::recipes::Election::new)?;
        Ok(election.with_id(id.into()))
    }

    fn recipe<T>(
        &self,
        operation: &'static str,
        path: &str,
        new: impl FnOnce(Handle<Link>, Path<'_>) -> Result<T, ErrorKind>,
    ) -> Result<T, Error> {
        let recipe = new(self.handle.clone(), checked(operation, path)?);
        recipe.map_err(|kind| Error::new(operation, Some(path), kind))
    }

    /// Settings for a cache of the node at `path` and all below it: see
    /// [`guide::caches`](crate::guide::caches).
    #[doc(alias = "CuratorCache")]
    #[doc(alias = "NodeCache")]
    #[doc(alias = "PathChildrenCache")]
    #[doc(alias = "TreeCache")]
    pub fn cache(&self, path: &str) -> cache::Builder {
        cache::Builder::new(self.handle.clone(), path)
    }

    // ---- the session ----

    /// Waits until requests are served.
    ///
    /// # Errors
    /// The client is over.
    ///
    /// # Cancel safety
    /// It can be cancelled and called again.
    pub async fn connected(&self) -> Result<Status, End> {
        self.handle.connected().await
    }

    /// The state of the session, after a look at the clock.
    pub fn status(&self) -> Status {
        self.handle.status()
    }

    /// Waits until the state differs from `since`. No change is missed: each moves a counter.
    ///
    /// # Cancel safety
    /// It can be cancelled and called again; no change is missed.
    pub async fn changed(&self, since: Status) -> Status {
        self.handle.changed(since).await
    }

    /// The states of the client from now on.
    pub fn states(&self) -> States {
        States::new(self.handle.clone())
    }

    /// The id of the session, if there is one.
    pub fn session_id(&self) -> Option<i64> {
        self.handle.session_id()
    }

    /// The timeout of the session as the server granted it.
    pub fn session_timeout(&self) -> Duration {
        self.handle.session_timeout()
    }

    /// What it takes to [resume](crate::Builder::resume) this session elsewhere. Two clients that
    /// share a session take it away from each other for ever.
    pub fn credentials(&self) -> Option<Credentials> {
        self.handle.credentials()
    }

    /// Proves one more identity, on this connection and all later ones, ahead of all requests that
    /// have not been sent.
    ///
    /// Servers accept any digest; a wrong password shows when something is forbidden.
    ///
    /// # Errors
    /// [`NotSent`](ErrorKind::NotSent) if the client is over. A refused credential ends the client:
    /// it would be refused for ever. [`TooLarge`](ErrorKind::TooLarge) if it fits no request.
    ///
    /// # Cancel safety
    /// Once polled, the identity is proved all the same.
    pub async fn add_auth(&self, scheme: &str, data: &[u8]) -> Result<(), Error> {
        let failed = |kind| Error::new("add_auth", None, kind);
        let link = self.handle.shared();
        let limit = link.with(|hub| hub.session().max_request());
        check_auth(scheme, data, limit).map_err(|_| {
            failed(ErrorKind::TooLarge {
                size: data.len(),
                limit,
            })
        })?;
        let place = act(link, |hub| hub.add_auth(scheme, data));
        self.handle.authenticated(place).await.map_err(failed)
    }

    /// How many ephemerals of abandoned recipes are still to be deleted.
    pub fn pending_cleanups(&self) -> usize {
        self.handle.pending_cleanups()
    }

    /// Closes the session: what was submitted before is still sent, the server deletes the session's
    /// ephemerals, and all later calls of any clone fail. It takes the close timeout at most.
    ///
    /// Without a connection it is done at once: what was not sent fails as
    /// [`NotSent`](ErrorKind::NotSent), and the servers let the session time out.
    ///
    /// # Cancel safety
    /// Once polled, closing goes on.
    pub async fn close(self) {
        self.handle.close().await;
    }

    /// Ends the client but leaves the session to time out, with its ephemerals, or to be resumed.
    pub fn detach(self) -> Option<Credentials> {
        self.handle.detach()
    }

    pub(crate) fn last_failure(&self) -> Option<String> {
        self.handle.shared().shared().last_failure().clone()
    }

    // ---- the common path ----

    async fn call<'p, R: Request>(
        &self,
        operation: &'static str,
        path: &'p str,
        request: impl FnOnce(Path<'p>) -> R,
    ) -> Result<R::Response<Bytes>, Error> {
        let request = request(checked(operation, path)?);
        self.handle
            .exchange(request)
            .await
            .map_err(|kind| Error::new(operation, Some(path), kind))
    }

    async fn call_and_watch<'p, R: Watchable>(
        &self,
        operation: &'static str,
        path: &'p str,
        request: impl FnOnce(Path<'p>) -> R,
    ) -> Result<(R::Response<Bytes>, Watcher), Error> {
        let request = request(checked(operation, path)?);
        let watched = self.handle.watch(request).await;
        let (response, watcher) =
            watched.map_err(|kind| Error::new(operation, Some(path), kind))?;
        Ok((response, Watcher::new(watcher)))
    }
}

fn checked<'p>(operation: &'static str, path: &'p str) -> Result<Path<'p>, Error> {
    Path::new(path).map_err(|bad: BadPath| Error::new(operation, Some(path), bad.into()))
}

fn absent<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Err(error) if error.is_no_node() => Ok(None),
        result => result.map(Some),
    }
}
