//! Docent for boards: an Apache ZooKeeper client on [embassy](https://embassy.dev), without an
//! allocator.
//!
//! The sessions, watches and recipes are those of the crate `docent` for servers. What differs is
//! where they live: all memory is handed over once, to [`new`], and nothing else is ever used.
//!
//! # A lock
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
//! # Bounds
//!
//! | what | bounds | what happens at the bound |
//! |---|---|---|
//! | `CALLS` of [`Resources`] | calls in flight, and replies that are not dropped yet | further calls wait; [`submit`](core::handle::Handle::submit) says [`Full`](core::error::Error::Full) |
//! | `CALLS` | ephemerals of recipes, held or to be cleaned up | those who need one more [wait](core::client::Client::claim) |
//! | `WATCHES` | watches | [`Full`](core::error::Error::Full) |
//! | `TASKS` | tasks that wait for room, or for a change of state | more of them keep each other awake |
//! | [`Buffers::tx`] | the largest request | [`TooLarge`](core::error::Error::TooLarge) |
//! | [`Buffers::rx`] and [`Buffers::bodies`] | the largest reply | [`ReplyTooLarge`](core::error::Error::ReplyTooLarge) for that call; the session lives |
//! | [`BYTES_PER_PATH`](hub::BYTES_PER_PATH) | the path of a watch or of a lock's node | [`PathTooLong`](core::error::Error::PathTooLong) |
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
//! 2 × 512 to send and 4 × 256 for replies, sets aside 3,072 + 1,856 bytes for its session, and 460 in
//! the task that runs it.
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
//! [`Settings::resume`]. Servers keep the session for its timeout after the last sign of life.
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
