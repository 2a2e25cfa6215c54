//! Sessions: states, epochs, the lease, and the timeline of a session that is lost.
//!
//! A session outlives its connections. Servers end it, and delete its ephemerals, when they have not
//! heard of the client for the session timeout. Only servers decide that; a client without a
//! connection cannot know, but it can know until when it is impossible.
//!
//! # Status
//!
//! [`Client::status`](crate::Client::status) is one value: what the client can do now, and counters
//! of what has happened.
//!
//! | field | what it says |
//! |---|---|
//! | [`state`](crate::Status::state) | what the client can do now |
//! | [`epoch`](crate::Status::epoch) | which session it is, counted from 1 |
//! | [`connections`](crate::Status::connections) | how many connections have served |
//! | [`lapses`](crate::Status::lapses) | how often a lease ran out or a session ended |
//! | [`lost`](crate::Status::lost) | how the session before this one was lost |
//!
//! | [`State`](crate::State) | what it means | requests |
//! |---|---|---|
//! | `Connecting` | there is no session yet | wait |
//! | `Connected` | the session has a connection | are served |
//! | `Suspended` | the connection is lost, and the session lives for sure | wait |
//! | `Lapsed` | the connection is lost, and the servers may have ended the session | wait |
//! | `Expired` | the session is over and was [not to be renewed](crate::Builder::renew) | fail |
//! | `AuthFailed` | a server refused the credentials | fail |
//! | `Closed` | the client was closed | fail |
//!
//! A session that is lost is followed by a new one: the epoch grows and the state is `Connecting`
//! again. Requests of the old session that were sent end as `ConnectionLost`, those that were not as
//! `NotSent(End::Expired)`. Watches say [`Lost`](crate::Change::Lost). Whatever was an ephemeral has
//! to be created again. This keeps one, and is over when the client is:
//!
//! ```no_run
//! use docent::{Client, CreateMode, End, Error, ErrorKind};
//!
//! async fn keep_registered(client: &Client, path: &str) -> Result<(), Error> {
//!     while client.connected().await.is_ok() {
//!         let node = async {
//!             match client.create(path, b"", CreateMode::Ephemeral).await {
//!                 Err(error) if !error.is_node_exists() => Err(error),
//!                 _ => client.exists_and_watch(path).await,
//!             }
//!         };
//!         match node.await {
//!             // Of this session or the last: create it again when it goes, or the session does.
//!             Ok((Some(_), mut watcher)) => drop(watcher.changed().await),
//!             Ok((None, _)) => {}
//!             Err(error) if error.may_have_run() => {}
//!             Err(error) if error.kind() == ErrorKind::NotSent(End::Expired) => {}
//!             Err(error) => return Err(error),
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! States that pass quicker than they are looked at are skipped. But each connection, lapse and
//! session moves a counter, so that [`changed`](crate::Client::changed) and
//! [`states`](crate::Client::states) miss no loss. Compare counters, not states.
//!
//! # Curator's states
//!
//! | Curator | here |
//! |---|---|
//! | `CONNECTED` | the first `State::Connected` |
//! | `READ_ONLY` | `State::Connected { read_only: true }` |
//! | `SUSPENDED` | `State::Suspended` |
//! | `LOST` | `lapses` has grown: at the latest when the lease ends, not when a timer of the client does |
//! | `RECONNECTED` | `connections` has grown; the same session if `epoch` has not |
//!
//! Curator's `LOST` is two things here. The lease may have run out: then the session may live, and
//! the client goes on trying to save it, but nobody should act on a lock. Or the session is over:
//! then the epoch has grown.
//!
//! # The timeline
//!
//! A session of 30 seconds, whose servers fall silent just after they have answered. Time counts
//! from when that request was *sent*:
//!
//! | after | what happens | state |
//! |---|---|---|
//! | 10 s | nothing was sent for a third of the timeout: a ping goes out | `Connected` |
//! | 20 s | nothing was answered for two thirds: the connection is given up, requests in flight end as `ConnectionLost`, other servers are tried | `Suspended` |
//! | 28 s | the lease ends, two seconds early: `lapses` grows, guards are not held any more | `Lapsed` |
//! | 30 s | the servers may end the session, and give its locks away | `Lapsed` |
//! | 40 s | no server was reached for four thirds: the session is presumed lost, the epoch grows | `Connecting` |
//!
//! A connection that breaks audibly is given up at once, not after 20 seconds. An attempt to connect
//! takes 5 seconds at most, or [as set](crate::Builder::connection_timeout). The pause before it is
//! at most an eighth of the session timeout while there is a session to save.
//!
//! What the client finds when it reaches a server again:
//!
//! * The session lives: the state is `Connected`, the epoch the same. Watches are set again.
//! * The server has ended it: the epoch grows, `lost` is [`Expired`](crate::Lost::Expired), and a new
//!   session opens.
//! * The server answers with another session: as the last, but [`Replaced`](crate::Lost::Replaced).
//!
//! # The lease
//!
//! No server can have ended the session before the session timeout has passed since the newest
//! request that was answered was sent. That moment, less a
//! [margin](crate::Builder::lease_margin), is the end of the lease. It moves on with every answer,
//! and the heartbeat sees to it that there are answers.
//! [`Guard::valid_until`](docent_core::recipes::Guard::valid_until) is the lease of a lock.
//!
//! The margin allows for the time that servers take to tell their leader of a heartbeat. It should be
//! a tick of the servers at least.
//!
//! # The clock
//!
//! Time is that of [`std::time::Instant`], on Linux `CLOCK_MONOTONIC`. Setting the clock of the
//! machine does no harm. A process that is stopped and goes on finds its time passed: `status` and
//! `Guard::is_held` look at the clock.
//!
//! But `CLOCK_MONOTONIC` stands still while the machine sleeps, and in a virtual machine that is
//! paused. After that a lease looks longer than it is, until a server answers. On such machines rely
//! on [fencing](crate::guide::locks#fencing) alone.
//!
//! # The end of a session
//!
//! [`Client::close`](crate::Client::close) ends the session with the servers. Without a connection it
//! cannot, and the session times out. So it does when the process dies, and when the runtime shuts
//! down before the client was closed.
//!
//! [`Client::detach`](crate::Client::detach) ends the client and keeps the session, for
//! [`Builder::resume`](crate::Builder::resume) to take up within the session timeout. Watches are not
//! taken along. Two clients that share a session take it away from each other for ever.
