//! Docent for boards: an Apache ZooKeeper client on [embassy](https://embassy.dev), without an
//! allocator.
//!
//! The sessions, watches and recipes are those of the crate `docent` for servers. What differs is
//! where they live: all memory is handed over once, to [`new`], and nothing else is ever used.
//!
//! # A lock
//!
//! Docent is not on crates.io yet, so name the folder of a checkout:
//!
//! ```toml
//! [dependencies]
//! docent-embassy = { path = "../docent/transport-embassy" }
//! embassy-executor = "0.10"
//! embassy-net = "0.9"
//! static_cell = "2.1"
//! ```
//!
//! The board's own crates bring what these leave open: an executor for its processor, a network
//! driver, and a driver for `embassy-time`, without which the firmware does not link.
//!
//! From a stack of embassy-net to a lock:
//!
#![cfg_attr(feature = "net", doc = "```no_run")]
#![cfg_attr(not(feature = "net"), doc = "```ignore")]
//! use docent_embassy::core::path::Path;
//! use docent_embassy::core::recipes::Lock;
//! use docent_embassy::{Buffers, Net, Resources, Runner, Settings};
//! use embassy_executor::Spawner;
//! use static_cell::{ConstStaticCell, StaticCell};
//!
//! static RESOURCES: StaticCell<Resources<'_, 4, 4>> = StaticCell::new();
//! static BYTES: ConstStaticCell<[u8; 4096]> = ConstStaticCell::new([0; 4096]);
//!
//! #[embassy_executor::task]
//! async fn zookeeper(mut runner: Runner<'static, Net<'static>>) {
//!     let end = runner.run().await;
//!     panic!("the client is over: {end}");
//! }
//!
//! #[embassy_executor::task]
//! async fn valve(spawner: Spawner, stack: embassy_net::Stack<'static>, seed: u64) {
//!     let (rx, rest) = BYTES.take().split_at_mut(1024);
//!     let (tx, rest) = rest.split_at_mut(1024);
//!     let (bodies, sockets) = rest.split_at_mut(1024);
//!     let (one, other) = tx.split_at_mut(512);
//!     let (socket_rx, socket_tx) = sockets.split_at_mut(512);
//!
//!     let dial = Net::new(stack, socket_rx, socket_tx);
//!     let settings = Settings::new("10.0.0.1:2181,zk2.plant.example");
//!     let buffers = Buffers { rx, tx: [one, other], bodies };
//!     let resources = RESOURCES.init(Resources::new());
//!     let (client, runner) =
//!         docent_embassy::new(dial, settings, resources, buffers, seed).expect("good settings");
//!     spawner.spawn(zookeeper(runner).expect("it runs once"));
//!
//!     let path = Path::new("/locks/valve").expect("a path");
//!     let lock = Lock::new(client, path).expect("a short path");
//!     let guard = lock.acquire().await.expect("a lock");
//!     // Turn the valve, until it is done or somebody else may have the lock.
//!     guard.lost().await;
//! }
//! # fn main() {}
//! ```
//!
//! # A leader
//!
//! The other recipes are made of a client and a path in the same way:
//!
//! ```no_run
//! use docent_embassy::Client;
//! use docent_embassy::core::error::Error;
//! use docent_embassy::core::path::Path;
//! use docent_embassy::core::recipes::Election;
//!
//! async fn lead(client: Client<'static>) -> Result<(), Error> {
//!     let election = Election::new(client, Path::new("/plant/leader")?)?.with_id(b"board 7");
//!     loop {
//!         let leadership = election.campaign().await?;
//!         // Lead, until somebody else may.
//!         leadership.lost().await;
//!     }
//! }
//! ```
//!
//! # A cache of a node
//!
//! ```no_run
//! use docent_embassy::Client;
//! use docent_embassy::core::error::Error;
//! use docent_embassy::core::path::Path;
//! use docent_embassy::core::recipes::cache::{Cache, Event, FixedStore, Held as _};
//!
//! # fn apply(_: &[u8]) {}
//! async fn follow(client: Client<'static>) -> Result<(), Error> {
//!     // Room for one node, with a path of 16 bytes and data of 8.
//!     let store = FixedStore::<1, 16, 8>::new();
//!     let mut rate = Cache::node(client, Path::new("/plant/rate")?, store)?;
//!     loop {
//!         if let Event::Put { new, .. } = rate.next().await? {
//!             apply(new.data().unwrap_or_default());
//!         }
//!     }
//! }
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `net`, on by default | `Net`: TCP and DNS by embassy-net |
//! | `ipv6` | IPv6, beside IPv4 |
//! | `tls` | `Tls`: TLS 1.3 by embedded-tls, over connections of any kind |
//! | `defmt` | log messages by `defmt`, and `defmt::Format` for what users print |
//! | `log` | log messages by `log`, unless there is `defmt`, too |
//!
//! # Bounds
//!
//! | what | bounds | what happens at the bound |
//! |---|---|---|
//! | `CALLS` of [`Resources`] | calls in flight, and replies that are not dropped yet | further calls wait; [`submit`](core::handle::Handle::submit) says [`Full`](core::error::Error::Full) |
//! | `CALLS` | ephemerals of recipes, held or to be cleaned up | those who need one more [wait](core::client::Client::claim) for a clean-up, or are told [`Full`](core::error::Error::Full) |
//! | `WATCHES` | watches | [`Full`](core::error::Error::Full) |
//! | `TASKS` | tasks that wait for room, or for a change of state | more of them keep each other awake |
//! | [`Buffers::tx`] | the largest request | [`TooLarge`](core::error::Error::TooLarge) |
//! | [`Buffers::rx`] and [`Buffers::bodies`] | the largest reply | [`ReplyTooLarge`](core::error::Error::ReplyTooLarge) for that call; the session lives |
//! | [`BYTES_PER_PATH`](hub::BYTES_PER_PATH) | the path of a watch or of a lock's node | [`PathTooLong`](core::error::Error::PathTooLong) |
//!
//! # What recipes take
//!
//! Of what is bounded, a [recipe](core::recipes) takes this while it is under way. Room is in bytes,
//! for each call, and the chroot is a part of the path:
//!
//! | recipe | calls | watches | claims | room for a reply | at least, in a queue of any length |
//! |---|---:|---:|---:|---|---:|
//! | `Lock` | 1 | 1 | 1 | 128 and the path | 176 |
//! | `Election` | 1 | 1 | 1 | 129 and the path | 180 |
//! | `RwLock` | 1 | 1 | 1 | 131 and the path | 208 |
//! | `RwLock::downgrade`, `try_upgrade` | 1 | 0 | 2 | 131 and the path | 208 |
//! | `Semaphore` | 1 | 2 | 2 | 136 and the path | 176 |
//! | `Semaphore` with shared permits | 1 | 3 | 2 | 136 and the path | 176 |
//! | `Observer` | 1 | 1 | 0 | 72 and the leader's id | 123 |
//! | `Cache` | 1 | 1 | 0 | 72 and the data of a node | |
//!
//! A [`Guard`](core::recipes::Guard) keeps one claim, and each lease more of a semaphore takes one more.
//! [`Guard::lost`](core::recipes::Guard::lost) takes a watch, too; where there is none left it waits for
//! the end of the lease alone. [`Guard::revocations`](core::recipes::Guard::revocations) take one.
//!
//! A call is taken from a request until its reply is dropped, so that recipes may share one, and wait
//! for each other; a [`Leader`](core::recipes::Leader) is such a reply. There is room for as many claims
//! as calls.
//!
//! # Memory
//!
//! A client has what it is given, and nothing else: the bytes of [`Buffers`], [`Resources`], a
//! [`Runner`], and the futures that the application runs. At most, in bytes, where pointers have
//! this many bits:
//!
//! | what | 32 | 64 |
//! |---|---:|---:|
//! | `Resources`, for each call | 160 | 192 |
//! | `Resources`, for each watch | 120 | 128 |
//! | `Resources`, for each task | 24 | 48 |
//! | `Resources`, the rest | 640 | 904 |
//! | `Runner<Net>` | 28 | 56 |
//! | the future of `Runner::run` | 432 | 736 |
//! | the future of `Lock::acquire` | 424 | 584 |
//! | `Guard` | 152 | 160 |
//!
//! So a board with `CALLS` = 4, `WATCHES` = 4 and `TASKS` = 4, and with buffers of 1,024 bytes to receive,
//! 2 × 512 to send and 4 × 256 for replies, sets aside 3,072 + 1,856 bytes for its session, the flags
//! of their cells apart, and 460 in the task that runs it.
//!
//! A quarter of that is room for paths, of 96 bytes each. A board whose paths are shorter, or longer, sets
//! [`DOCENT_BYTES_PER_PATH`](hub::BYTES_PER_PATH) when it is compiled: with 72, as in the project's own
//! firmware, 192 bytes less are set aside for the tables, and less in all futures of locks.
//!
//! # Other stacks, and TLS
//!
//! Anything that implements [`Dial`] over `embedded-io-async` will do for a stack. With the feature
//! `tls`, `Tls` wraps any of them in TLS 1.3.
//!
//! # Deep sleep
//!
//! A board that loses its memory can keep its session: save what
//! [`credentials`](core::handle::Handle::credentials) says, and give it back as
//! [`Settings::resume`]. Servers keep the session for its timeout after the last sign of life. There
//! are 32 bytes to save, of which the password is a secret:
//!
//! ```
//! use docent_embassy::core::session::Credentials;
//!
//! fn save(credentials: &Credentials) -> [u8; 32] {
//!     let mut saved = [0; 32];
//!     let (numbers, password) = saved.split_at_mut(16);
//!     numbers[..8].copy_from_slice(&credentials.id.to_le_bytes());
//!     numbers[8..].copy_from_slice(&credentials.zxid.to_le_bytes());
//!     password.copy_from_slice(&credentials.password);
//!     saved
//! }
//!
//! fn restore(saved: &[u8; 32]) -> Option<Credentials> {
//!     let (id, rest) = saved.split_first_chunk()?;
//!     let (zxid, password) = rest.split_first_chunk()?;
//!     Some(Credentials {
//!         id: i64::from_le_bytes(*id),
//!         password: password.try_into().ok()?,
//!         zxid: i64::from_le_bytes(*zxid),
//!     })
//! }
//! # let credentials = Credentials { id: 1, password: *b"sixteen secrets!", zxid: -2 };
//! # assert!(restore(&save(&credentials)) == Some(credentials));
//! ```
#![no_std]
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

pub use docent_core as core;

mod dial;
mod fmt;
#[cfg(feature = "net")]
mod net;
mod orders;
mod receiver;
mod resources;
mod runner;
mod sender;
mod settings;
mod shared;
#[cfg(feature = "tls")]
mod tls;

use docent_core::connect_string::ConnectString;
use docent_core::handle::Handle;
use docent_core::hub::{self, Hub};
use docent_core::session::Session;

pub use crate::dial::Dial;
#[cfg(feature = "net")]
pub use crate::net::{Net, NetError, Tcp};
pub use crate::resources::{Buffers, Resources};
pub use crate::runner::Runner;
pub use crate::settings::{BadSettings, Settings};
pub use crate::shared::{Body, Link};
#[cfg(feature = "tls")]
pub use crate::tls::{CryptoRngCore, Identities, NoClock, SecureError, Tls, TlsClock, TlsError};

use crate::runner::Line;
use crate::settings::MIN_RX;
use crate::shared::{Shared, now};

/// A ZooKeeper client: a session, and all sessions that follow it.
///
/// It is [`Copy`], for the tasks of one executor.
pub type Client<'d> = Handle<Link<'d>>;

/// Sets up a client and the task that runs it. Nothing happens before the runner
/// [runs](Runner::run).
///
/// `seed` makes the client's pauses, order of servers and names unlike those of others: take it from
/// a generator of random numbers.
///
/// # Errors
/// [`BadSettings`] says which setting cannot be, or which buffer is too small.
pub fn new<'d, D: Dial, const CALLS: usize, const WATCHES: usize, const TASKS: usize>(
    dial: D,
    mut settings: Settings<'d>,
    resources: &'d mut Resources<'d, CALLS, WATCHES, TASKS>,
    buffers: Buffers<'d>,
    seed: u64,
) -> Result<(Client<'d>, Runner<'d, D>), BadSettings> {
    let Buffers { rx, tx, bodies } = buffers;
    if rx.len() < MIN_RX {
        return Err(BadSettings::Receive { size: rx.len() });
    }
    if bodies.len() < CALLS.max(1) || CALLS == 0 {
        return Err(BadSettings::Bodies);
    }
    let longest = tx[0].len().min(tx[1].len()).saturating_sub(4);
    settings.config.max_request = settings.config.max_request.min(longest);
    let servers = ConnectString::parse(settings.servers)?;
    let mut session = Session::new(settings.config, servers.len(), seed, now())?;
    settings.check_auths()?;
    if let Some(credentials) = settings.resume {
        session.resume(credentials);
    }
    let buffers = hub::Buffers { tx, bodies };
    let (parts, tx, place) = resources.split(buffers, servers.chroot(), settings.auths);
    let hub = Hub::new(session, parts, seed);
    let link = Link::new(place.shared.insert(Shared::new(hub)));
    let line = place.line.insert(Line::new(link, servers, rx, tx));
    Ok((Handle::new(link), Runner::new(dial, line)))
}
