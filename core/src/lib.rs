//! The core of Docent, an Apache ZooKeeper client: everything but the lock, the socket and the clock.
//!
//! It does no I/O, starts no task and reads no clock. It needs no allocator and is `no_std`. To use
//! ZooKeeper from a server, take the crate `docent`, which adds tokio to this one. This page is for
//! those who write another transport, or a recipe.
//!
//! # Layers
//!
//! ```text
//!    recipes     locks, leaders, caches: async fns of Client    no I/O, no clock, no randomness
//!    client      trait Client, Watcher, Claim                   what a recipe may ask for
//!    handle      Client for any hub behind a lock               calls, watches and claims as futures
//!  ─────────────────────────────────────────────────────────────────────────────────────────────
//!    transport   lock, socket, timer                            another crate
//!  ─────────────────────────────────────────────────────────────────────────────────────────────
//!    hub         calls, watches, claims, bytes to send          generic over Storage; sans-IO
//!    session     phase, heartbeat, lease, servers, backoff      a few hundred bytes; sans-IO
//!    wire        frames, records, requests, replies             encoded and viewed in place
//! ```
//!
//! * [`wire`] turns requests into bytes and views replies in whatever buffer they lie in.
//! * [`session`] is the protocol machine of one session and its successors: when to dial, ping, give
//!   up, and what the lease is.
//! * [`hub`] is a session with everything in flight on it. Its memory is a
//!   [`Storage`](hub::Storage): [`Borrowed`](hub::Borrowed) lives in slices that are lent to it,
//!   `Heap` grows up to limits.
//! * [`handle`] is the callers' side of a hub that several tasks [share](handle::Share).
//! * [`client`] is what [`recipes`] are generic over, so that each is written once.
//! * [`path`], [`connect_string`], [`error`] and [`time`] serve all of them.
//!
//! # A transport
//!
//! A transport is a lock around a [`Hub`](hub::Hub) and a loop that drives it:
//!
//! 1. When [`poll_timeout`](hub::Hub::poll_timeout) says so, call
//!    [`handle_timeout`](hub::Hub::handle_timeout).
//! 2. Carry out what [`poll_action`](hub::Hub::poll_action) asks for: dial, hang up, probe.
//! 3. Report what becomes of it: [`handle_opened`](hub::Hub::handle_opened),
//!    [`handle_lost`](hub::Hub::handle_lost).
//! 4. Write what [`poll_transmit`](hub::Hub::poll_transmit) fills; all of it, before asking again.
//! 5. Cut what is received into frames with a [`FrameReader`](wire::FrameReader), and pass them to
//!    [`handle_frame`](hub::Hub::handle_frame).
//! 6. Release the lock, then wake whom [`poll_waker`](hub::Hub::poll_waker) names.
//! 7. Run the [reaper](recipes::reap) beside it.
//!
//! Here is a session by hand, with a server that is made of a few lines. It needs the feature
//! `alloc`.
//!
#![cfg_attr(feature = "alloc", doc = "```")]
#![cfg_attr(not(feature = "alloc"), doc = "```ignore")]
//! use core::task::{Poll, Waker};
//! use docent_core::error::{Code, Error};
//! use docent_core::hub::{HeapAuths, Hub, Limits, Terms, Tx};
//! use docent_core::path::Path;
//! use docent_core::session::{Action, Config, Session, State};
//! use docent_core::time::Instant;
//! use docent_core::wire::{Connected, Exists, ReplyHeader, frame};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // One server; the seeds make this client unlike others. The clock stands still.
//! let (config, limits, now) = (Config::DEFAULT, Limits::DEFAULT, Instant::ZERO);
//! let session = Session::new(config, 1, 42, now)?;
//! let mut hub = Hub::new(session, limits.parts(&config, "".into(), HeapAuths::default()), 43);
//! let mut tx = limits.tx(&config);
//!
//! // A caller asks for a node. There is no connection yet: the request waits, encoded.
//! let request = Exists { path: Path::new("/app")? };
//! let call = hub.submit(&request, Terms::default(), None)?;
//!
//! // The driver dials, and says that the socket is open. Only the handshake goes out.
//! hub.handle_timeout(now);
//! assert!(matches!(hub.poll_action(), Some(Action::Dial(host)) if host.get() == 0));
//! hub.handle_opened(now);
//! assert!(hub.poll_transmit(now, &mut tx));
//! tx.clear();
//!
//! // The server opens session 7. A frame is passed without its length.
//! let connected =
//!     Connected { timeout_ms: 9_000, session: 7, password: [1; 16], read_only: Some(false) };
//! let mut reply = Vec::new();
//! frame(&mut reply, usize::MAX, "", false, |out| connected.encode(out))?;
//! hub.handle_frame(now, reply.split_off(4).into())?;
//! assert_eq!(hub.status(now).state, State::Connected { read_only: false });
//!
//! // Now the request goes out. The server does not have the node.
//! assert!(hub.poll_transmit(now, &mut tx));
//! let header = ReplyHeader { xid: 1, zxid: 5, err: Code::NoNode.number() };
//! let mut reply = Vec::new();
//! frame(&mut reply, usize::MAX, "", false, |out| header.encode(out))?;
//! hub.handle_frame(now, reply.split_off(4).into())?;
//! let reply = hub.poll_reply(call, Waker::noop());
//! assert!(matches!(reply, Poll::Ready(Err(Error::Server(Code::NoNode)))));
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! | feature | what it adds | otherwise |
//! |---|---|---|
//! | none | everything but what follows | `no_std`, no allocator: all memory is lent by the caller |
//! | `alloc` | `hub::Heap` with its `Limits`, `path::HeapPath`, a `Sink` for `Vec<u8>` | |
//! | `std` | turns `no_std` off; implies `alloc` | |
//! | `defmt` | `defmt::Format` for errors, states, paths, guards, recipes and what else is printed | |
//!
//! No feature is on by default.
//!
//! # What holds everywhere
//!
//! * "Connection lost" means one thing: the request was sent and may or may not have run. See
//!   [`Error`](error::Error).
//! * What was submitted is sent in that order and answered in that order.
//! * Everything that belongs to a session carries its [`Epoch`](session::Epoch).
//! * No input makes it panic, and there is no `unsafe`.
#![cfg_attr(not(feature = "std"), no_std)]
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

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod client;
pub mod connect_string;
pub mod error;
#[cfg(feature = "defmt")]
mod formats;
pub mod handle;
pub mod hub;
pub mod path;
pub mod recipes;
mod rng;
pub mod session;
pub mod time;
pub mod wire;
