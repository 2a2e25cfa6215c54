//! Outcomes: what an error says, and what to do about a lost connection.
//!
//! # What is known of a failed operation
//!
//! [`Error::kind`](crate::Error::kind) says it:
//!
//! | [`ErrorKind`](crate::ErrorKind) | did it run? | what to do |
//! |---|---|---|
//! | `Server(code)` | no: the server refused it, save for a few [codes](crate::Code::may_have_run) | it depends on the [`Code`](crate::Code) |
//! | `ConnectionLost` | it may have or not | look, then decide; see below |
//! | `ReplyTooLarge` | yes | raise [`max_reply`](crate::Builder::max_reply), or read less |
//! | `Malformed` | yes | the server broke the protocol; the connection is replaced |
//! | `NotSent(End::Expired)` | no | its session was lost before it was sent; in the next one it may be sent |
//! | `NotSent(End::Closed)`, `NotSent(End::AuthFailed)` | no | the client is over |
//! | `Full` | no | wait for calls in flight, or raise the [limits](crate::Limits) |
//! | `Stopped` | no | a cache is no longer kept up, as its task panicked or its runtime is gone: start another |
//! | `TooLarge`, `Path`, `Acl`, `PathTooLong` | no | the request cannot be |
//!
//! [`Error::may_have_run`](crate::Error::may_have_run) is true for the rows in between: the operation
//! has failed, and may have had its effect.
//!
//! # ConnectionLost
//!
//! The request was sent, and the connection was lost before the answer came. In Curator and the Java
//! client every operation that waits for a connection fails so. Here only those do that a server may
//! have seen. What was not sent yet waits for the next connection.
//!
//! A client must not send such a request again by itself: a create could make two nodes, a write
//! could undo someone else's. So the caller decides. In general: *sync, look, then decide*. After a
//! `sync` a request that has not run will not run later, as long as the session is the same: servers
//! refuse what arrives late by an old connection.
//!
//! ## Reads
//!
//! A read may be sent again. [`Client::retry`](crate::Client::retry) does so for every request that
//! is [`Idempotent`](docent_core::wire::Idempotent):
//!
//! ```no_run
//! use docent::Path;
//! use docent::core::wire::GetData;
//!
//! # async fn example(client: docent::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let config = client.retry(GetData { path: Path::new("/config")? }).await?;
//! # Ok(())
//! # }
//! ```
//!
//! ## Writes of a version
//!
//! A write that names the version it replaces runs once at most. Look whether it was this one:
//!
//! ```no_run
//! use docent::core::wire::{GetData, Sync};
//! use docent::{Client, Error, ErrorKind, Path};
//!
//! /// Replaces the data of a node, which must have this version; says whether it had.
//! ///
//! /// No two writers may write the same `data`: put an id into it.
//! async fn replace(
//!     client: &Client,
//!     path: &str,
//!     data: &[u8],
//!     version: i32,
//! ) -> Result<bool, Error> {
//!     loop {
//!         let lost = match client.set(path, data, Some(version)).await {
//!             Ok(_) => return Ok(true),
//!             Err(error) if error.is_bad_version() => return Ok(false),
//!             Err(error) if error.may_have_run() => error,
//!             Err(error) => return Err(error),
//!         };
//!         let path = Path::new(path).map_err(ErrorKind::from)?;
//!         client.retry(Sync { path }).await?;
//!         let now = client.retry(GetData { path }).await?;
//!         if now.data() == data {
//!             return Ok(true);
//!         }
//!         if now.stat().version != version {
//!             // Someone has written since, here or after this write: nobody can tell.
//!             return Err(lost);
//!         }
//!         // It has not run, and never will.
//!     }
//! }
//! ```
//!
//! ## Creates
//!
//! The path is the answer if it is this client's alone. For an ephemeral, *mine* means that
//! [`Stat::ephemeral_owner`](crate::Stat::ephemeral_owner) is this session:
//!
//! ```no_run
//! use docent::{Client, CreateMode, Error};
//!
//! /// Whether this session has the ephemeral at `path`, made now or before.
//! async fn register(client: &Client, path: &str, data: &[u8]) -> Result<bool, Error> {
//!     loop {
//!         match client.create(path, data, CreateMode::Ephemeral).await {
//!             Ok(_) => return Ok(true),
//!             Err(error) if error.may_have_run() => continue,
//!             Err(error) if !error.is_node_exists() => return Err(error),
//!             Err(_) => {}
//!         }
//!         match client.exists(path).await {
//!             Ok(Some(stat)) => return Ok(Some(stat.ephemeral_owner) == client.session_id()),
//!             Ok(None) => {}
//!             Err(error) if error.may_have_run() => {}
//!             Err(error) => return Err(error),
//!         }
//!     }
//! }
//! ```
//!
//! `false` may be a node of this process's own last session, which its server has not ended yet.
//! Wait until it is gone; do not take it for one's own.
//!
//! The name of a sequential node is not known before the answer. Put an id into it, such as
//! `/queue/<id>-`, and look for that among the children after a `sync`. Curator calls this protection.
//! The [lock](crate::guide::locks) does it by itself.
//!
//! ## Deletes
//!
//! Delete again, with the version. [`NoNode`](crate::Error::is_no_node) then means that it is gone,
//! by whomever.
//!
//! ## Transactions
//!
//! Put a create of a node with a new id into the transaction. If the node is there, all of it ran.
//!
//! # Calls that take too long
//!
//! Any future may be dropped, and so given a limit with `tokio::time::timeout`. A request that was
//! submitted may run all the same: a call that timed out is as one whose connection was lost. What is
//! submitted later is sent later, so that a `sync` and a read after it tell.
//!
//! # Order
//!
//! Requests are sent and answered in the order in which they are submitted. A future submits when it
//! is first polled. [`Client::submit`](crate::Client::submit) submits at once, and so many requests
//! can be under way without a task for each:
//!
//! ```no_run
//! use docent::Path;
//! use docent::core::wire::{Delete, SetData};
//!
//! # async fn example(client: docent::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let written = client.submit(&SetData { path: Path::new("/a")?, data: b"1", version: None })?;
//! let deleted = client.submit(&Delete { path: Path::new("/b")?, version: None })?;
//! written.await?;
//! deleted.await?;
//! # Ok(())
//! # }
//! ```
//!
//! The order holds as long as nothing fails. If the connection is lost, an earlier request may end
//! as `ConnectionLost` while a later one, not sent yet, runs on the next connection. Where that
//! matters, use a transaction.
//!
//! # Replies keep their buffer alive
//!
//! [`Data`](crate::Data), [`Children`](crate::Children) and their like are views of the buffer that
//! the reply was received in. Nothing is copied. But a few bytes may keep 64 KiB alive, or more next
//! to a larger reply. Copy what is to be kept for long:
//!
//! ```no_run
//! # async fn example(client: docent::Client) -> Result<(), docent::Error> {
//! let kept: Vec<u8> = client.get("/config").await?.data().to_vec();
//! let names: Vec<String> =
//!     client.children("/members").await?.iter().map(str::to_owned).collect();
//! # Ok(())
//! # }
//! ```
