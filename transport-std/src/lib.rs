//! An Apache ZooKeeper client for tokio, in the spirit of Apache Curator.
//!
//! A [`Client`] is a session with an ensemble of servers, and all sessions that follow it. It
//! reconnects by itself, says of every failed operation whether it may have run, and has a [`Lock`]
//! whose [`Guard`] knows how long it holds.
//!
//! ```no_run
//! use docent::CreateMode;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = docent::connect("zk1:2181,zk2:2181,zk3:2181/app").await?;
//!
//! client.ensure("/members").await?;
//! let member = client
//!     .create("/members/m-", b"10.0.0.7:9000", CreateMode::EphemeralSequential)
//!     .await?;
//! println!("this is {}", member.path);
//!
//! for name in client.children("/members").await?.iter() {
//!     println!("there is {name}");
//! }
//!
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! The [guide] says more of most of the sections below, and tells those who know Curator or the Java
//! client what is called what here.
//!
//! # Connect
//!
//! [`connect`] takes a connect string and waits for a session. [`builder`] has the settings.
//! [`Builder::start`] does not wait: calls made meanwhile do.
//!
//! A client is cheap to clone, and all clones share its session. It needs a tokio runtime with
//! timers and I/O, on which one task does all of its work. End it with [`Client::close`]; a runtime
//! that shuts down before leaves the session, with its ephemerals and locks, to time out.
//!
//! More in [`guide::connecting`].
//!
//! # Operations
//!
//! Each operation of ZooKeeper is a method of [`Client`]. Requests are sent in the order in which
//! they are submitted, and answered in that order. A future submits its request when it is first
//! polled, [`Client::submit`] at once. While there is no connection requests wait, without a limit
//! of time: `tokio::time::timeout` sets one.
//!
//! A reply is a view of the buffer it was received in, which it keeps alive. Copy what is to be kept
//! for long.
//!
//! # Errors and outcomes
//!
//! An [`Error`] says what was tried on which path. Its [`kind`](Error::kind) says whether it ran:
//!
//! | [`ErrorKind`] | did it run? |
//! |---|---|
//! | `Server(code)` | no: the server refused it, save for the few codes that [leave it open](Code::may_have_run) |
//! | `ConnectionLost` | it may have or not |
//! | `ReplyTooLarge`, `Malformed` | yes, but its result is lost |
//! | all others | no: it was never sent |
//!
//! A request that may have run is never sent again behind the caller's back. One that was not sent
//! when the connection was lost is kept for the next one, and is not an error.
//!
//! More in [`guide::outcomes`].
//!
//! # Sessions
//!
//! [`Client::status`] is what the session is now, [`Client::changed`] waits for the next change, and
//! [`Client::states`] is a stream of them. A session that is lost is followed by another, of the next
//! [`Epoch`]. The ephemerals, watches and locks of the old one are gone.
//!
//! ```no_run
//! # async fn example(client: docent::Client) {
//! let mut status = client.status();
//! while status.state.end().is_none() {
//!     let next = client.changed(status).await;
//!     if next.epoch != status.epoch {
//!         println!("the session was lost ({:?}); register again", next.lost);
//!     }
//!     status = next;
//! }
//! # }
//! ```
//!
//! More in [`guide::sessions`].
//!
//! # Watches
//!
//! A read may leave a one-shot watch. [`Client::watch`] and [`Client::watch_tree`] set watches that
//! last. A [`Watcher`] is a stream of [`Change`]s, each of which says "look again". After a
//! reconnection it says so by [`Change::Resync`], and in the end by [`Change::Lost`].
//!
//! ```no_run
//! # async fn example(client: docent::Client) -> Result<(), docent::Error> {
//! loop {
//!     let (config, mut watcher) = client.get_and_watch("/config").await?;
//!     println!("version {}: {:?}", config.stat().version, config.data());
//!     watcher.changed().await;
//! }
//! # }
//! ```
//!
//! More in [`guide::watches`].
//!
//! # Locks
//!
//! ```no_run
//! # async fn work() {}
//! # async fn example(client: docent::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let lock = client.lock("/locks/report")?;
//! let guard = lock.acquire().await?;
//! tokio::select! {
//!     () = work() => println!("done, as holder {:#x}", guard.fencing_token()),
//!     () = guard.lost() => println!("the lock may be someone else's by now"),
//! }
//! guard.release().await?;
//! # Ok(())
//! # }
//! ```
//!
//! The lock is that of Curator's `InterProcessMutex`, and excludes clients that use it. Dropping the
//! future of [`acquire`](docent_core::recipes::Lock::acquire), or the guard, gives the lock back in
//! the background.
//!
//! [`RwLock`] is for readers and writers, [`Semaphore`] for several holders at a time.
//! [`acquire_all`] takes several locks at once, and [`ReentrantLock`] lets an owner have its lock more
//! than once.
//!
//! More in [`guide::locks`].
//!
//! # Leaders
//!
//! ```no_run
//! # async fn example(client: docent::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let latch = client.leader_latch("/election", "host-1")?;
//! let leadership = latch.acquired().await?;
//! let done = leadership.run(async { /* what only a leader does */ }).await;
//! println!("{}", if done.is_some() { "done" } else { "leads no more" });
//! # Ok(())
//! # }
//! ```
//!
//! A [`LeaderLatch`] stands in an [`Election`] in the background. An election can also be asked who
//! leads, or do a work again and again for as long as it leads.
//!
//! More in [`guide::leaders`].
//!
//! # Caches
//!
//! ```no_run
//! # async fn example(client: docent::Client) -> Result<(), docent::Error> {
//! let config = client.cache("/config").start()?;
//! config.ready().await?;
//! let limit = config.get("/config/limit");
//! println!("{limit:?}, as it was {:?} ago at most", config.age());
//! # Ok(())
//! # }
//! ```
//!
//! A [`cache`] follows a node, its children or a tree over reconnections and sessions, and is read
//! without waiting. [`events`](cache::Cache::events) tells how it changes.
//!
//! More in [`guide::caches`].
//!
//! # Servers
//!
//! Servers from version 3.5 on are supported; versions 3.8 and 3.9 are tested. [`Client::watch`],
//! [`Client::watch_tree`], [`Client::ephemerals`], [`Client::count_descendants`] and
//! [`Client::multi_read`] need 3.6, [`Client::who_am_i`] needs 3.7.
//!
//! # What is not there yet
//!
//! TLS, SASL, and of the recipes barriers, counters and queues.
//!
//! # Logs
//!
//! The client logs by `tracing`, in a span `docent` with the connect string: changes of state as info,
//! lost sessions and servers that break the protocol as warnings, connections as debug. Credentials
//! and data are never logged.

mod builder;
pub mod cache;
mod client;
mod connect;
mod driver;
mod error;
pub mod guide;
mod latch;
mod reentrant;
mod shared;
mod watch;

pub use builder::Builder;
pub use client::{Client, Created};
pub use connect::{Addresses, Host, Resolve, SystemResolver};
pub use docent_core as core;
#[doc(inline)]
pub use docent_core::error::Code;
#[doc(inline)]
pub use docent_core::hub::Limits;
#[doc(inline)]
pub use docent_core::path::Path;
#[doc(inline)]
pub use docent_core::session::{Backoff, Credentials, End, Epoch, Lost, State, Status};
/// Requests and replies, to [submit](Client::submit) or to put into a [`multi`](Client::multi).
pub use docent_core::wire;
#[doc(inline)]
pub use docent_core::wire::{
    Acl, Acls, Children, CreateMode, Data, EventKind, Events, Identities, MultiFailure, MultiReply,
    Op, OpResult, Paths, Perms, ReadOp, Reconfig, Stat, Ttl,
};
#[doc(inline)]
pub use error::{BuildError, ConnectError, Error, ErrorKind};
pub use latch::{CloseMode, LatchListener, LeaderLatch, Leadership};
pub use reentrant::{ReentrantGuard, ReentrantLock};
pub use shared::Link;
pub use watch::{Change, States, Watcher};

use docent_core::handle::Handle;

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[doc(inline)]
pub use docent_core::recipes::{
    Contender, Explanation, Names, Permits, RwNames, StepDown, Unchanged, acquire_all, revoke,
};

/// A [fair mutex](docent_core::recipes::Lock).
#[doc(alias = "InterProcessMutex")]
#[doc(alias = "InterProcessSemaphoreMutex")]
pub type Lock<D = &'static [u8]> = docent_core::recipes::Lock<Handle<Link>, D>;
/// A held [`Lock`].
pub type Guard = docent_core::recipes::Guard<Handle<Link>>;
/// [Requests to give a lock up](docent_core::recipes::Revocations), made by [`revoke`].
pub type Revocations<'g> = docent_core::recipes::Revocations<'g, Handle<Link>>;
/// A [read/write lock](docent_core::recipes::RwLock).
#[doc(alias = "InterProcessReadWriteLock")]
pub type RwLock<D = &'static [u8]> = docent_core::recipes::RwLock<Handle<Link>, D>;
/// An [`RwLock`] that is held to read.
pub type ReadGuard = docent_core::recipes::ReadGuard<Handle<Link>>;
/// An [`RwLock`] that is held to write.
pub type WriteGuard = docent_core::recipes::WriteGuard<Handle<Link>>;
/// A [semaphore](docent_core::recipes::Semaphore).
#[doc(alias = "InterProcessSemaphoreV2")]
pub type Semaphore<D = &'static [u8]> = docent_core::recipes::Semaphore<Handle<Link>, D>;
/// A [leader election](docent_core::recipes::Election).
#[doc(alias = "LeaderSelector")]
pub type Election<D = Vec<u8>> = docent_core::recipes::Election<Handle<Link>, D>;
/// A [candidate](docent_core::recipes::Candidate) in an [`Election`].
pub type Candidate<'e, D = Vec<u8>> = docent_core::recipes::Candidate<'e, Handle<Link>, D>;
/// An [observer](docent_core::recipes::Observer) of an [`Election`].
pub type Observer = docent_core::recipes::Observer<Handle<Link>>;
/// [Who leads](docent_core::recipes::Leader) in an [`Election`].
pub type Leader = docent_core::recipes::Leader<Handle<Link>>;

/// Connects to the servers in `connect_string`, such as `zk1:2181,zk2,[::1]:2183/app`.
///
/// # Errors
/// See [`Builder::connect`].
///
/// # Cancel safety
/// Cancelling it closes the client.
pub async fn connect(connect_string: &str) -> Result<Client, ConnectError> {
    builder(connect_string).connect().await
}

/// Settings for a client of the servers in `connect_string`.
pub fn builder(connect_string: &str) -> Builder {
    Builder::new(connect_string)
}
