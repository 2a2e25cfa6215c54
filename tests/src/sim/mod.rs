//! A simulation of clients and their ensemble under faults: one thread, one seed, no real time.
//!
//! The clients are the real ones: the hub in either [storage](docent_core::hub::Storage), the
//! handles, the recipes and the reaper. The servers are those of the [model](crate::server). The
//! network, the clocks, the order in which tasks run and what goes wrong are drawn from the seed. The
//! same seed always gives the same run.
//!
//! [`Sim`] runs a scenario of your own; the [guide](crate::guide#with-a-simulation) shows how.
//!
//! ```
//! use docent_core::client::Client;
//! use docent_testing::sim::{Fault, Sim, Simulation};
//!
//! Sim::new(0).faults(Fault::USUAL).sweep(0..20, async |sim: Simulation| {
//!     let process = sim.process();
//!     let (_, session, _) = process.client().session().await.unwrap();
//!     sim.note(format_args!("it has session {session:#x}"));
//! });
//! ```
//!
//! [`play`] runs Docent's own: from one to four clients do everything at once, and compete for locks,
//! leases and leadership, with faults of all kinds. At some time all faults end. Within three session timeouts everything
//! must then be well again, and what was done and seen is compared with what the ensemble has agreed
//! on. In some worlds [servers lie](Fault::Lie): there nothing may panic or hang, and whoever is told the
//! truth again is well. The program `docent-sim` plays thousands of seeds.
//!
//! What goes wrong is drawn first, as a numbered list, and each fault has its own source of chance:
//! any of them can be left out, and the others stay the same. So a seed that fails can be
//! [shrunk](shrink).

mod builder;
mod catch;
mod check;
mod client;
mod conduct;
mod executor;
mod failure;
mod faults;
mod lies;
mod link;
mod process;
mod rng;
mod roles;
mod run;
mod schedule;
mod shrink;
mod simulation;
mod sizes;
mod swarm;
mod trouble;
mod workload;
mod world;

pub use self::builder::Sim;
pub use self::client::{Hold, Kind, OnBoard, OnHeap, Room};
pub use self::failure::Failure;
pub use self::faults::{Counts, Fault};
pub use self::roles::Role;
pub use self::simulation::{Client, Process, Simulation, Task};
pub use self::sizes::Size;
pub use self::swarm::{Report, play, play_only, shrink};
pub use self::world::Sleep;
