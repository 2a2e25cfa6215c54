//! How to use Docent, for those who know Curator or the Java client.
//!
//! * [`connecting`]: connect strings, settings, credentials, the end.
//! * [`outcomes`]: what an error says, and what to do about a lost connection.
//! * [`sessions`]: states, epochs, the lease, and the timeline of a session that is lost.
//! * [`watches`]: one-shot and lasting watches, and what they do not tell.
//! * [`caches`]: views of nodes that follow the servers, and say how far they do.
//! * [`locks`]: the mutex and its kin, their guards, and fencing.
//! * [`leaders`]: elections, and what one may do who leads.
//!
//! # What is called what
//!
//! | Curator, Java client | here |
//! |---|---|
//! | `CuratorFramework.start()` | [`Builder::start`](crate::Builder::start) |
//! | `start()` and `blockUntilConnected()` | [`Builder::connect`](crate::Builder::connect) |
//! | `usingNamespace("app")` | `/app` at the end of the [connect string](connecting#the-connect-string) |
//! | `authorization("digest", ..)`, `addAuthInfo` | [`Builder::auth`](crate::Builder::auth), [`Client::add_auth`](crate::Client::add_auth) |
//! | `RetryPolicy` between connections | [`Builder::backoff`](crate::Builder::backoff) |
//! | `RetryPolicy` of an operation | none: see [`outcomes`]; for reads [`Client::retry`](crate::Client::retry) |
//! | `create().forPath(..)` | [`Client::create`](crate::Client::create) |
//! | `creatingParentsIfNeeded()` | [`Client::ensure`](crate::Client::ensure) on the parent |
//! | `withProtection()` | within [locks], semaphores and [elections](leaders) only |
//! | `setData().withVersion(3)` | `client.set(path, data, Some(3))` |
//! | `checkExists()` | [`Client::exists`](crate::Client::exists) |
//! | `inBackground()` | [`Client::submit`](crate::Client::submit), or a task |
//! | `transaction()`, `multi` | [`Client::multi`](crate::Client::multi) |
//! | `usingWatcher(..)` | [`get_and_watch`](crate::Client::get_and_watch) and its like |
//! | `watchers().add()`, `addWatch` | [`Client::watch`](crate::Client::watch), [`Client::watch_tree`](crate::Client::watch_tree) |
//! | `ConnectionStateListener`, default watcher | [`Client::states`](crate::Client::states): see [`sessions`] |
//! | `SUSPENDED`, `LOST`, `RECONNECTED` | [a table of its own](sessions#curators-states) |
//! | `ConnectionLossException` | [`ErrorKind::ConnectionLost`](crate::ErrorKind::ConnectionLost), but only for what was sent |
//! | `SessionExpiredException` | [`ErrorKind::NotSent`](crate::ErrorKind::NotSent) with [`End::Expired`](crate::End::Expired); the next session opens by itself |
//! | `NoNodeException` and its like | [`ErrorKind::Server`](crate::ErrorKind::Server) with a [`Code`](crate::Code) |
//! | `NodeCache`, `TreeCache`, `CuratorCache` | [`Client::cache`](crate::Client::cache): see [`caches`](caches#curators-caches) |
//! | `InterProcessMutex` and other locks | [a table of their own](locks#coming-from-curator) |
//! | `LeaderLatch`, `LeaderSelector` | [a table of their own](leaders#which-to-take) |
//! | `getSessionId`, `getSessionPasswd` | [`Client::credentials`](crate::Client::credentials), [`Builder::resume`](crate::Builder::resume) |
//! | `close()` | [`Client::close`](crate::Client::close) |
//!
//! Barriers, queues and counters are not there yet.

pub mod caches;
pub mod connecting;
pub mod leaders;
pub mod locks;
pub mod outcomes;
pub mod sessions;
pub mod watches;
