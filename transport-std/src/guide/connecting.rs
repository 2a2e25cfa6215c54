//! Connecting: connect strings, settings, credentials, the end.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! # async fn example() -> Result<(), docent::ConnectError> {
//! let client = docent::builder("zk1:2181,zk2:2181,zk3:2181/app")
//!     .session_timeout(Duration::from_secs(30))
//!     .auth("digest", "app:secret")
//!     .connect()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! # The connect string
//!
//! Hosts separated by commas, then an optional path: `zk1:2181,zk2,[::1]:2183/app`. The port is 2181
//! unless given. IPv6 addresses stand in brackets. There may be up to 32 hosts.
//!
//! The path is the *chroot*. All paths of the client lie below it, and it shows in none of them. As in
//! the Java client it is not created: where it is missing, writes fail as
//! [`NoNode`](crate::Code::NoNode). Create it with a client that has no chroot:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let root = docent::connect("zk1:2181").await?;
//! root.ensure("/app").await?;
//! root.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! Names are resolved anew for every attempt, so that a server may move. Of a name with several
//! addresses all are tried, each a quarter of a second after the one before.
//! [`Builder::resolver`](crate::Builder::resolver) replaces the system's resolver.
//!
//! # Waiting or not
//!
//! [`connect`](crate::Builder::connect) waits for a session: for as long as the session timeout,
//! unless [`connect_within`](crate::Builder::connect_within) says otherwise. Then it fails, and names
//! the last failure. [`start`](crate::Builder::start) does not wait, and does not fail if there are no
//! servers. Calls made before there is a session wait for it; so does
//! [`connected`](crate::Client::connected).
//!
//! ```no_run
//! use std::time::Duration;
//! use tokio::time::timeout;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = docent::builder("zk1:2181,zk2:2181").start()?;
//! let found = timeout(Duration::from_secs(3), client.exists("/config")).await??;
//! # Ok(())
//! # }
//! ```
//!
//! # Settings
//!
//! | setting | default | what it is |
//! |---|---|---|
//! | [`session_timeout`](crate::Builder::session_timeout) | 10 s | what to ask for; [what the server grants](crate::Client::session_timeout) is by default 2 to 20 of its ticks |
//! | [`connection_timeout`](crate::Builder::connection_timeout) | 5 s | one attempt, from dialling to the end of the handshake; never more than a third of the session timeout |
//! | [`operation_timeout`](crate::Builder::operation_timeout) | 30 s | requests in flight and none answered for so long: the connection is replaced |
//! | [`close_timeout`](crate::Builder::close_timeout) | 1 s | how long closing may take |
//! | [`lease_margin`](crate::Builder::lease_margin) | 2 s, at most a third of the session timeout | how much earlier than the session timeout the [lease](crate::guide::sessions#the-lease) ends |
//! | [`backoff`](crate::Builder::backoff) | 1 s to 10 s | the pauses between attempts, with full jitter |
//! | [`limits`](crate::Builder::limits) | large | how far tables and buffers may grow |
//! | [`max_request`](crate::Builder::max_request) | 1,048,575 B | what servers accept unless their `jute.maxbuffer` is set |
//! | [`max_reply`](crate::Builder::max_reply) | 16 MiB | what the client keeps |
//!
//! The operation timeout is about connections. It does not bound a call: one that waits for a
//! connection waits on. `tokio::time::timeout` bounds a call.
//!
//! # Credentials
//!
//! [`Builder::auth`](crate::Builder::auth) and [`Client::add_auth`](crate::Client::add_auth) prove an
//! identity on every connection, ahead of all requests. Servers accept any `digest`; a wrong password
//! shows when something is forbidden. A server that refuses a credential ends the client: its state is
//! [`AuthFailed`](crate::State::AuthFailed).
//!
//! Connections are not encrypted, and `digest` sends the password as it is.
//!
//! # Read-only servers
//!
//! With [`Builder::read_only`](crate::Builder::read_only) a server that has lost its quorum will do.
//! The state is then `Connected { read_only: true }`. Reads may be stale, writes fail as
//! [`NotReadOnly`](crate::Code::NotReadOnly). Meanwhile the client looks for a server that serves
//! writes, and moves there.
//!
//! # The runtime
//!
//! All work of a client is done by one task on the runtime that it was started on. That runtime must
//! have tokio's I/O and timers enabled. Other runtimes may use the client.
//!
//! The task also sends the heartbeat. Code that blocks every thread of the runtime for two thirds of
//! the session timeout loses the connection.
//!
//! # The end
//!
//! [`Client::close`](crate::Client::close) sends what was submitted before, ends the session, and
//! waits for it. The server deletes the session's ephemerals at once. It ends all clones.
//!
//! When the last clone is dropped, and the last watcher, lock and guard made from it, the client does
//! the same in the background. That takes a runtime which is still there. A runtime that shuts down
//! before, as at the end of `main`, drops the client's task: the session, with its ephemerals and
//! locks, is left to time out. So call `close` last.
//!
//! [`Client::detach`](crate::Client::detach) leaves the session alive on purpose, to be taken up by
//! [`Builder::resume`](crate::Builder::resume).
