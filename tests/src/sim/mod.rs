//! A simulation of clients and their ensemble under faults: one thread, one seed, no real time.
//!
//! The clients are the real ones: the hub in either [storage](docent_core::hub::Storage), the
//! handles, the recipes and the reaper. The servers are those of the [model](crate::server). A seed
//! decides about everything else: how many there are of each, what the applications do and what
//! goes wrong when. The same seed always gives the same run.
//!
//! At some time all faults end. Within three session timeouts everything must then be well again.
//! What was done and seen is compared with what the ensemble has agreed on.

mod builder;
mod catch;
mod check;
mod client;
mod conduct;
mod executor;
mod failure;
mod faults;
mod link;
mod process;
mod rng;
mod run;
mod schedule;
mod shrink;
mod simulation;
mod swarm;
mod trouble;
mod workload;
mod world;

pub use self::builder::Sim;
pub use self::client::{Hold, Kept, Kind, OnBoard, OnHeap};
pub use self::failure::Failure;
pub use self::faults::{Counts, Fault};
pub use self::simulation::{Client, Process, Simulation, Task};
pub use self::swarm::{Report, play, play_only, shrink};
pub use self::world::Sleep;
