//! Testing your own code: fail-over in milliseconds, without Java, containers or ports to choose.
//!
//! There are two ways, which share one [model](crate::server) of the servers:
//!
//! | | [`DevServer`](crate::dev::DevServer) | [`Sim`](crate::sim::Sim) |
//! |---|---|---|
//! | what it is | servers behind real sockets, in the process of the test | clients, servers, network and time, all in one thread |
//! | your code uses | `docent::Client` on tokio, as in production | anything that is a [`Client`](docent_core::client::Client) of `docent_core` |
//! | time | is real | is simulated: an hour takes a blink |
//! | faults | those that the test brings about | the same, and random ones by a seed |
//! | finds | whether the way out that you thought of works | what you did not think of |
//!
//! # With a server
//!
//! [`DevServer::start`](crate::dev::DevServer::start) takes a free port and less than a millisecond.
//! The test below holds a lock and has its session ended, as the servers do after a long pause of the
//! process. The next in the queue has the lock then, and its fencing token is higher.
//!
//! ```
//! use docent_testing::dev::DevServer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = DevServer::start().await?;
//! let first = docent::builder(&server.connect_string()).connect().await?;
//! let second = docent::builder(&server.connect_string()).connect().await?;
//!
//! let held = first.lock("/locks/report")?.acquire().await?;
//! let session = first.session_id().expect("a session");
//! assert!(server.expire(session));
//!
//! let next = second.lock("/locks/report")?.acquire().await?;
//! held.lost().await;
//! assert!(!held.is_held());
//! assert!(next.fencing_token() > held.fencing_token());
//! # Ok(())
//! # }
//! ```
//!
//! | what happens | how |
//! |---|---|
//! | a session ends | [`expire`](crate::dev::DevServer::expire) |
//! | a connection is lost, the session goes on | [`cut`](crate::dev::DevServer::cut) |
//! | a write runs, and its reply is lost | [`drop_replies`](crate::dev::DevServer::drop_replies) |
//! | the servers hang | [`pause`](crate::dev::DevServer::pause), [`resume`](crate::dev::DevServer::resume) |
//! | a server dies, and comes back | [`kill`](crate::dev::DevServer::kill), [`restart`](crate::dev::DevServer::restart) |
//! | reads are stale | [`lag`](crate::dev::DevServer::lag), of an ensemble |
//! | everything is lost, or restored from a backup | [`control`](crate::dev::DevServer::control) with [`wipe`](crate::server::Ensemble::wipe), [`rewind`](crate::server::Ensemble::rewind) |
//!
//! Time is real there. Ask for a [short tick](crate::dev::Builder::tick) and a short session timeout
//! where a test waits for a session to time out.
//!
//! # With a simulation
//!
//! Write your code for any client: [`docent_core::client::Client`] is what the recipes of Docent are
//! written for, and `docent::Client::handle` gives one in production. This adds one to a counter, and
//! starts over if another was quicker, or if the connection is lost:
//!
//! ```
//! use docent_core::client::Client;
//! use docent_core::error::{Code, Error};
//! use docent_core::path::Path;
//! use docent_core::wire::{Acl, Create, CreateMode, GetData, SetData};
//!
//! async fn count<C: Client>(client: &C, path: Path<'_>) -> Result<(u64, i32), Error> {
//!     let counter = client.retry(GetData { path }).await?;
//!     let text = String::from_utf8_lossy(counter.data());
//!     Ok((text.parse().unwrap_or(0), counter.stat().version))
//! }
//!
//! async fn add<C: Client>(client: &C, path: Path<'_>) -> Result<(), Error> {
//!     loop {
//!         let (count, version) = count(client, path).await?;
//!         let sum = (count + 1).to_string();
//!         let set = SetData { path, data: sum.as_bytes(), version: Some(version) };
//!         match client.call(set).await {
//!             Err(Error::ConnectionLost | Error::Server(Code::BadVersion)) => {}
//!             result => return result.map(drop),
//!         }
//!     }
//! }
//!
//! use std::time::Duration;
//! use docent_testing::sim::{Fault, Sim, Simulation};
//!
//! async fn adds_ten(sim: Simulation) {
//!     let path = Path::new("/count").unwrap();
//!     let create = Create { path, data: b"0", mode: CreateMode::Persistent, acl: Acl::OPEN };
//!     let client = sim.client();
//!     client.call(create).await.unwrap();
//!     for _ in 0..10 {
//!         add(&client, path).await.unwrap();
//!         sim.sleep(Duration::from_secs(1)).await;
//!     }
//!     assert_eq!(count(&client, path).await.unwrap().0, 10);
//! }
//!
//! // All is well while nothing goes wrong.
//! Sim::new(0).run(adds_ten);
//!
//! // It is not when connections are lost: a write may have run although its reply never came.
//! let found = Sim::new(0).faults(&[Fault::Cut, Fault::CutToClient]).find(0..100, adds_ten);
//! let failure = found.expect("a seed that fails");
//! assert!(failure.what.contains("left: 11"), "{failure}");
//! assert_eq!(failure.faults.len(), 1);
//! ```
//!
//! In a test of your own it is [`sweep`](crate::sim::Sim::sweep) instead of `find`: it plays the
//! scenario with every seed, and panics if one fails. The message tells the seed, the faults and the
//! timeline. Before that it plays the seed again and again with ever fewer faults, until any other
//! would be one too few. This is what it says of the above:
//!
//! ```text
//! the simulation of seed 4 failed: the scenario: panicked at tests/counter.rs:37:5:
//! assertion `left == right` failed
//!   left: 11
//!  right: 10
//! play it with Sim::new(4).only([7])
//! the faults:
//!     7.112448  7: client 0's connection to member 1 is cut after 347 more bytes of replies
//! what happened:
//!     0.009435  client 0: Connected { read_only: false }, session 0x28bcfe568040000, epoch 1, lapses 0
//!     7.112448  fault 7: client 0's connection to member 1 is cut after 347 more bytes of replies
//!    10.817581  client 0: Connected { read_only: false }, session 0x28bcfe568040000, epoch 1, lapses 1
//!    10.826686  client 0: Lapsed, session 0x28bcfe568040000, epoch 1, lapses 1
//!    10.918324  client 0: Connected { read_only: false }, session 0x28bcfe568040000, epoch 1, lapses 1
//!    12.961422  FAILED: the scenario: panicked at tests/counter.rs:37:5:
//! ```
//!
//! Keep seeds that have failed: a test that [runs](crate::sim::Sim::run) them, one line each with the
//! reason, is quick, and tells if the same comes back. A seed means the same as long as the scenario,
//! the settings and Docent stay the same; a change of those may make it an ordinary one.
//!
//! ## What there is
//!
//! * [`Simulation::process`](crate::sim::Simulation::process) is a process with a client.
//!   [What it spawns](crate::sim::Process::spawn) is frozen and ended with it; so let each part of
//!   your system run in a process of its own. [`Simulation::start`](crate::sim::Simulation::start)
//!   runs a `main` that starts again after a crash.
//! * [`Simulation::spawn`](crate::sim::Simulation::spawn),
//!   [`sleep`](crate::sim::Simulation::sleep) and [`timeout`](crate::sim::Simulation::timeout) stand
//!   for those of tokio. Give your code what sleeps as an argument where it has to.
//! * [`Fault`](crate::sim::Fault) names what may go wrong by itself, and
//!   [`Fault::USUAL`](crate::sim::Fault::USUAL) what you should be ready for.
//!   [`pause_for`](crate::sim::Process::pause_for), [`cut`](crate::sim::Process::cut),
//!   [`expire`](crate::sim::Process::expire), [`part_from`](crate::sim::Process::part_from) and
//!   [`crash`](crate::sim::Process::crash) bring it about at a moment that you choose, and
//!   [`Simulation::ensemble`](crate::sim::Simulation::ensemble) has the servers.
//! * All random faults end after [a time](crate::sim::Sim::heal_after), or with
//!   [`Simulation::heal`](crate::sim::Simulation::heal). Who then still waits for something that
//!   never comes makes the run fail; nothing needs a timeout for that.
//! * [`Simulation::note`](crate::sim::Simulation::note) adds to the timeline.
//! * [`Simulation::client_on_board`](crate::sim::Simulation::client_on_board) has as little memory as
//!   a client on a microcontroller.
//!
//! ## What to keep to
//!
//! Nothing may depend on anything but the seed: no threads, no real time or sockets, no order of a
//! `HashMap`, no statics that outlive a run. Where something does, the second run of a failing seed
//! goes another way, and the failure says so. Random numbers come from
//! [`Simulation::random`](crate::sim::Simulation::random).
//!
//! A simulation says nothing about your use of tokio or of threads, and the servers are a model,
//! though one that is compared with real ones. Keep a few tests with real servers.
