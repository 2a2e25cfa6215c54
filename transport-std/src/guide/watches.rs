//! Watches: one-shot and lasting ones, and what they do not tell.
//!
//! # Kinds
//!
//! | method | tells of | until |
//! |---|---|---|
//! | [`exists_and_watch`](crate::Client::exists_and_watch) | creation, deletion and data of the node | the first event |
//! | [`get_and_watch`](crate::Client::get_and_watch) | deletion and data of the node | the first event |
//! | [`children_and_watch`](crate::Client::children_and_watch) | children that come and go, deletion of the node | the first event |
//! | [`watch`](crate::Client::watch) | all of these | the watcher is dropped |
//! | [`watch_tree`](crate::Client::watch_tree) | creation, deletion and data of the node and of all below it | the watcher is dropped |
//!
//! All of them end with the session. The last two need servers of version 3.6.
//!
//! A [`Watcher`](crate::Watcher) is a `Stream`, and has
//! [`changed`](crate::Watcher::changed) for those who do not want one. Dropping it ends the watch, with
//! the server too unless someone else of this client looks at the same path.
//!
//! # Changes
//!
//! | [`Change`](crate::Change) | what it says |
//! |---|---|
//! | `Node(events)` | this happened at the path since the last look; a set, however often it happened |
//! | `Below { kind, path }` | this happened there; only from `watch_tree` |
//! | `Resync` | events may have been missed: read again |
//! | `Lost` | the session is over, and the watch with it |
//! | `None` | there will never be another |
//!
//! A change says "look again". It does not carry the data, and several events may have become one.
//! ACLs that change are told to nobody. From versions 3.8.4 and 3.9.2 on, servers do not tell of nodes
//! that the client may not read.
//!
//! # One-shot
//!
//! The reply and the watch are set as one, so that no change falls between them. Read again to watch
//! again. The loop below needs no other case: after `Lost` it reads in the next session.
//!
//! ```no_run
//! # fn apply(_: &[u8]) {}
//! # async fn example(client: docent::Client) -> Result<(), docent::Error> {
//! loop {
//!     let (config, mut watcher) = client.get_and_watch("/config").await?;
//!     apply(config.data());
//!     watcher.changed().await;
//! }
//! # }
//! ```
//!
//! One-shot watches survive a reconnection: servers are asked to tell what was missed meanwhile.
//!
//! # Lasting
//!
//! Set the watch, then read, then follow. After a reconnection servers do not tell what was missed:
//! the first change is then `Resync`. A watcher of a tree keeps up to 1024 events that nobody has
//! looked at; after that it has a `Resync` instead.
//!
//! ```no_run
//! use docent::{Change, Client, Error};
//!
//! async fn follow(client: &Client) -> Result<(), Error> {
//!     loop {
//!         let mut watcher = client.watch_tree("/app").await?;
//!         read_all(client).await?;
//!         while let Some(change) = watcher.changed().await {
//!             match change {
//!                 Change::Below { kind, path } => println!("{kind:?} at {path}"),
//!                 Change::Resync => read_all(client).await?,
//!                 // The next session needs a new watch.
//!                 _ => break,
//!             }
//!         }
//!     }
//! }
//! # async fn read_all(_: &Client) -> Result<(), Error> { Ok(()) }
//! ```
//!
//! # Servers before 3.9
//!
//! Such a server keeps one kind of watch for each path and connection. Docent has it keep the one
//! that hears most, and serves the others on the same path from its events: a lasting watch's events
//! serve the one-shot ones, and a tree's events all of them. So all kinds go together, as they do
//! from 3.9 on. Only where [`watch`](crate::Client::watch) joins a tree's watcher on the same path,
//! that one is told `Resync`.
