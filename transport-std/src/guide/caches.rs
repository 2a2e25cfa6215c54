//! Caches: views of nodes that follow the servers, and say how far they do.
//!
//! ```no_run
//! # fn apply(_: &docent::cache::Node) {}
//! # async fn example(client: docent::Client) -> Result<(), docent::Error> {
//! use docent::cache::Event;
//!
//! let config = client.cache("/config").start()?;
//! config.ready().await?;
//! let limit = config.get("/config/limit"); // without waiting
//!
//! let mut events = config.events();
//! while let Some(event) = events.next().await {
//!     match event {
//!         Event::Put { new, .. } => apply(&new),
//!         Event::Removed { old } => println!("{} is gone", old.path()),
//!         Event::Stale => println!("the servers are out of reach; what is there may be old"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A [`Cache`](crate::cache::Cache) is kept up by a task, over reconnections and sessions, until its
//! last handle is dropped or the client ends. The root need not exist: the cache waits for it.
//!
//! # Which nodes
//!
//! | setting of the [`Builder`](crate::cache::Builder) | what it does |
//! |---|---|
//! | `depth(0)` | the node alone |
//! | `depth(1)` | the node and its children |
//! | `select(..)` | leaves nodes, or what is below them, out by their path |
//! | `without_data()` | keeps paths and states only |
//! | `bounds(..)` | how many nodes, and how many bytes of paths and data; a million and 256 MiB unless told |
//! | `smear(..)` | by how much clients that come back at once are kept apart |
//!
//! # What it tells
//!
//! | [`Event`](crate::cache::Event) | what it says |
//! |---|---|
//! | `Put { old, new }` | a node is new, or has changed |
//! | `Removed { old }` | a node is gone, or may not be read any more |
//! | `Ready { epoch, zxid }` | for the first time in a session all has been looked at |
//! | `Stale` | something may have been missed; the view stays as it is |
//! | `Fresh` | all has been looked at again |
//! | `Overflow`, `Complete` | something is left out for want of room; nothing is any more |
//!
//! The steps to nodes are an edit script: applied one after the other they give the view, and `old` is
//! what was there. Those who look seldom are told fewer steps, never wrong ones.
//!
//! A node that was deleted and created again while nobody looked is one `Put`, whose `old` and `new`
//! have different `czxid`. Of the [`Stat`](crate::Stat) that comes with a node, the number of children
//! and `pzxid` are as of when the node itself was read last, as they change without it.
//!
//! # How old it is
//!
//! * [`is_fresh`](crate::cache::Cache::is_fresh): the connection has not been lost since all was looked
//!   at.
//! * [`as_of_zxid`](crate::cache::Cache::as_of_zxid): everything up to this transaction is in the view.
//!   [`reached`](crate::cache::Cache::reached) waits for one, such as that of an own write.
//! * [`age`](crate::cache::Cache::age): the view has everything that its server had applied so long ago.
//!   A server may be behind the others, by a time that the ensemble bounds.
//!
//! # What is left out
//!
//! What does not fit the bounds: of a node that is too large the data, of a node with too many children
//! some of them, or all if the list itself is longer than a
//! [reply](crate::Builder::max_reply) may be. Then
//! [`is_complete`](crate::cache::Cache::is_complete) is false, and everything that is in the view is
//! right all the same. Where something goes, what was left out is asked for again; but servers before
//! 3.6 tell nothing about a list that was too long, which is asked for again when something goes that is
//! in the view, when its node changes, and after a reconnection.
//!
//! What may not be read, with all below it. It is counted in
//! [`Tally::denied`](crate::cache::Tally::denied), and tried again when the node changes and after a
//! reconnection; servers tell nobody of an ACL that changes.
//!
//! # What it costs the servers
//!
//! One watch of the whole tree; for a single node, and with servers before 3.6, one-shot watches. A
//! change costs one read. After a reconnection every node is read again, 256 by one request, one request
//! at a time and each client a random time later; a list of children only where one has come or gone. In
//! the same session one-shot watches tell what they have missed, and only the root is read again, and
//! what is left out.
//!
//! # Curator's caches
//!
//! | Curator | here |
//! |---|---|
//! | `NodeCache`, `SINGLE_NODE_CACHE` | `depth(0)` |
//! | `PathChildrenCache` | `depth(1)` |
//! | `TreeCache`, `CuratorCache` | unless told otherwise |
//! | `TreeCacheSelector`, `setMaxDepth` | `select`, `depth`, with a watch of the whole tree, too |
//! | `start(BUILD_INITIAL_CACHE)`, `INITIALIZED` | [`ready`](crate::cache::Cache::ready), `Ready`: again in every session |
//! | `NODE_CREATED`, `NODE_CHANGED`, `NODE_DELETED` | `Put` without `old`, `Put`, `Removed` |
//! | `CONNECTION_SUSPENDED` and the like | `Stale`, `Fresh` |
//! | `DO_NOT_CACHE_DATA` | `without_data` |
//! | `getCurrentData`, `getCurrentChildren`, `stream()` | [`get`](crate::cache::Cache::get), [`children`](crate::cache::Cache::children), [`snapshot`](crate::cache::Cache::snapshot) |
//! | `CuratorCacheStorage` | [`Store`](docent_core::recipes::cache::Store) of the core |
//! | listeners on an executor, with a queue without bounds | streams, whose steps to one node become one |
//! | compares versions, so that a node deleted and created again may go unseen | compares `czxid` and `mzxid` |
//! | no bounds | `bounds` |
//! | no way to tell how old it is | `age`, `as_of_zxid` |
//!
//! # On boards
//!
//! `docent_core::recipes::cache` has the same algorithm without a task: its user polls
//! [`next`](docent_core::recipes::cache::Cache::next), and a
//! [`FixedStore`](docent_core::recipes::cache::FixedStore) has the nodes, without an allocator. There is
//! no `smear`: to keep boards apart that come back at once, wait after `Stale` until there is a
//! connection, and then for a random time, before `next` is polled again.
