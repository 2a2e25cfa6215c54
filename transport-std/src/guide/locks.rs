//! Locks: the mutex and its kin, their guards, and fencing.
//!
//! ```no_run
//! use std::time::Duration;
//! use tokio::time::timeout;
//!
//! # async fn work() {}
//! # async fn example(client: docent::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let lock = client.lock("/locks/report")?;
//! let guard = timeout(Duration::from_secs(5), lock.acquire()).await??;
//! tokio::select! {
//!     () = work() => {}
//!     () = guard.lost() => println!("stopped: the lock may be someone else's by now"),
//! }
//! guard.release().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Coming from Curator
//!
//! | `InterProcessMutex` | here |
//! |---|---|
//! | `new InterProcessMutex(client, path)` | [`Client::lock`](crate::Client::lock) |
//! | `acquire()` | [`Lock::acquire`](docent_core::recipes::Lock::acquire) |
//! | `acquire(5, SECONDS)` | `timeout(Duration::from_secs(5), lock.acquire())` |
//! | `release()` | [`Guard::release`](docent_core::recipes::Guard::release), or drop the guard |
//! | `isAcquiredInThisProcess()` | [`Guard::is_held`](docent_core::recipes::Guard::is_held) |
//! | a `ConnectionStateListener` of one's own | [`Guard::lost`](docent_core::recipes::Guard::lost) |
//! | reentrant, bound to a thread | neither: a second `acquire` waits for the first guard. [`ReentrantLock`](crate::ReentrantLock) knows owners by a key |
//! | `getParticipantNodes()` | [`Lock::explain`](docent_core::recipes::Lock::explain) |
//! | `makeRevocable(listener)`, `Revoker` | [`Guard::revocations`](docent_core::recipes::Guard::revocations), [`revoke`](docent_core::recipes::revoke) |
//! | `InterProcessReadWriteLock` | [`Client::rw_lock`](crate::Client::rw_lock) |
//! | `InterProcessSemaphoreV2` | [`Client::semaphore`](crate::Client::semaphore) |
//! | `InterProcessSemaphoreMutex` | [`Client::lock`](crate::Client::lock), or a semaphore of one permit at Curator's paths |
//! | `InterProcessMultiLock` | [`acquire_all`](crate::acquire_all) |
//!
//! The nodes are laid out as Curator does it, so that processes with Curator, or with the Go client,
//! and processes with Docent exclude each other at one path. kazoo gives its nodes other names: its
//! locks do not see the others, nor they them. Where it competes, too, there are three ways:
//!
//! | who competes | Docent | kazoo |
//! |---|---|---|
//! | all | as it is | a subclass of `Lock` with `_NODE_NAME = "-lock-"` and `_EXCLUDE_NAMES = ["-lock-"]` |
//! | Docent and kazoo | [`Names::KAZOO`](docent_core::recipes::Names::KAZOO) | as it is |
//! | Docent and kazoo | `Names { own: "lock-", ahead: "lock-/__lock__" }` | `extra_lock_patterns=["lock-"]` |
//!
//! kazoo creates the path of a lock once. If a container is there, which servers delete when it is
//! empty, its next `acquire` with the same lock fails; a persistent node stays.
//!
//! ```no_run
//! # fn example(client: docent::Client) -> Result<(), docent::Error> {
//! let lock = client.lock("/locks/report")?.with_names(docent::Names::KAZOO);
//! # Ok(())
//! # }
//! ```
//!
//! # Waiting
//!
//! Contenders are served in the order in which they asked. Each watches the one ahead, so that a
//! release wakes one. The place in the queue is kept over reconnections. If the session is lost the
//! wait starts again at the end of the queue, in the next session.
//!
//! The lock is granted only if the node belongs to the session there is now. A node of an earlier
//! session of the same process does not count.
//!
//! [`try_acquire`](docent_core::recipes::Lock::try_acquire) does not wait for others. A timeout around
//! `acquire` waits for so long; what it leaves is cleaned up.
//!
//! # Who is in the way
//!
//! [`explain`](docent_core::recipes::Lock::explain) reads the queue and prints, for the person on call,
//! who holds the lock, since when, in which session, and who waits for whom:
//!
//! ```text
//! /locks/report: 2 in the queue, and 1 other children, which are ignored
//!   0. _c_0f..-lock-0000000001 of session 0x10, since 2001-09-09 01:46:40 UTC, is served
//!   1. _c_1e..-lock-0000000002 of session 0x20 (this one), since 2001-09-09 01:46:41 UTC, waits for 0.
//! ```
//!
//! # Asking a holder to give up
//!
//! A holder that is asked to may give the lock up, or not. It listens beside its work:
//!
//! ```no_run
//! # async fn work() {}
//! # async fn example(guard: docent::Guard) -> Result<(), docent::ErrorKind> {
//! let mut requests = guard.revocations();
//! tokio::select! {
//!     () = work() => {}
//!     asked = requests.next() => asked?,
//! }
//! guard.release().await
//! # }
//! ```
//!
//! Whoever wants the lock looks who has it, and asks:
//!
//! ```no_run
//! # async fn example(client: docent::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let queue = client.lock("/locks/report")?.explain().await?;
//! if let Some(holder) = queue.contenders.first() {
//!     let node = format!("{}/{}", queue.path, holder.name);
//!     docent::revoke(client.handle(), docent::Path::new(&node)?).await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Acquiring again
//!
//! ```no_run
//! # async fn example(client: docent::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let lock = docent::ReentrantLock::new(client.lock("/locks/report")?);
//! let outer = lock.acquire("job 7").await?;
//! let inner = lock.acquire("job 7").await?; // at once: it is the same owner
//! inner.release().await?; // "job 7" still has the lock
//! outer.release().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Readers and writers
//!
//! ```no_run
//! # async fn example(client: docent::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let lock = client.rw_lock("/locks/table")?;
//! let writer = lock.write().await?;
//! // .. and nobody writes before this has read what it wrote:
//! let reader = lock.downgrade(writer).await.map_err(|kept| kept.error)?;
//! match lock.try_upgrade(reader).await {
//!     Ok(writer) => writer.release().await?,
//!     Err(kept) => println!("others read, too: {}", kept.error),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A reader waits for the writers ahead of it, a writer for everybody ahead. There is no waiting for an
//! upgrade: two readers who did would wait for each other for ever.
//!
//! # Permits
//!
//! ```no_run
//! # async fn example(client: docent::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let semaphore = client.semaphore("/licences", 10)?;
//! let lease = semaphore.acquire().await?;
//! let more: Vec<_> = semaphore.acquire_many(3).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A lease is a guard; the [lease of a session](crate::guide::sessions#the-lease), of which the other
//! sections speak, is a time. Several are taken together, so that nobody holds some and waits for others who do
//! the same. All who share a semaphore should agree about the number of permits, or read it from a
//! [node](docent_core::recipes::Semaphore::with_shared_permits), which holds it as Curator's
//! `SharedCount` does:
//!
//! ```no_run
//! # use docent::{CreateMode, Path};
//! # async fn example(client: docent::Client) -> Result<(), Box<dyn std::error::Error>> {
//! client.create("/permits", &10_i32.to_be_bytes(), CreateMode::Persistent).await?;
//! // The number that is given here does not count.
//! let semaphore = client.semaphore("/licences", 0)?.with_shared_permits(Path::new("/permits")?)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Giving back
//!
//! Dropping the future of `acquire`, at any moment, gives the place back. Dropping the guard releases
//! the lock. Both happen in the background and over reconnections, for as long as the session lives;
//! with the session the node goes anyway. Room for this is set aside before the node is created, so
//! that it cannot fail. [`Client::pending_cleanups`](crate::Client::pending_cleanups) counts what is
//! still to be done. [`Guard::release`](docent_core::recipes::Guard::release) waits for the server.
//!
//! # How long a lock is held
//!
//! | method | what it says |
//! |---|---|
//! | [`valid_until`](docent_core::recipes::Guard::valid_until) | until when nobody else can hold it, even if all servers fell silent now; `None` once it may have been lost |
//! | [`is_held`](docent_core::recipes::Guard::is_held) | whether it is held, as far as this process can know without asking |
//! | [`lost`](docent_core::recipes::Guard::lost) | waits until it may have been lost, also by deletion of its node where that can be watched |
//!
//! They are about the [lease](crate::guide::sessions#the-lease) of the session. A lost connection
//! alone does not end a lock; the end of the lease does, before any server can give the lock away.
//! Once `is_held` is false it stays false, even if the session turns out to have survived. Drop the
//! guard then, and acquire again.
//!
//! # Fencing
//!
//! No lock of this kind can stop a holder who does not know that its time is over: a process may be
//! stopped between the look at the clock and the write. So let the protected thing refuse the write
//! of an old holder.
//!
//! What is protected is elsewhere: send
//! [`fencing_token`](docent_core::recipes::Guard::fencing_token) along, and have the other side refuse
//! a smaller one than the largest it has seen. The token is the czxid of the lock's node. It grows
//! from holder to holder, also when the lock's parent is deleted and made anew. The number in the
//! node's name does not.
//!
//! What is protected is in ZooKeeper: write in a transaction with
//! [`check`](docent_core::recipes::Guard::check). It runs while the lock's node exists, or not at all.
//!
//! ```no_run
//! use docent::core::wire::SetData;
//! use docent::{Guard, Op, Path};
//!
//! # async fn example(client: docent::Client, guard: Guard) -> Result<(), Box<dyn std::error::Error>> {
//! let write = SetData { path: Path::new("/report")?, data: b"42", version: None };
//! let reply = client.multi(&[guard.check(), Op::SetData(write)]).await?;
//! match reply.outcome() {
//!     Ok(_) => println!("written"),
//!     Err(failure) if failure.index == 0 => println!("the lock is someone else's"),
//!     Err(failure) => return Err(failure.into()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Nodes
//!
//! The lock's path, and what is missing above it, is created as containers, which the servers delete
//! some time after they have been emptied. [`Lock::with_acl`](docent_core::recipes::Lock::with_acl)
//! closes them; otherwise they are open to the world. The nodes of contenders are named
//! `_c_<id>-lock-<number>`. The id is made of the session's id and a counter.
