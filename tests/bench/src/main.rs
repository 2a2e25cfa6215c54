//! The benchmarks of Docent: `tests/bench/run` builds and starts this.
//!
//! One executable plays three parts, each in a process of its own, so that what is counted for a
//! client is the client's only: the runner, the null server, and the client under test.

#[cfg(feature = "docent")]
mod caches;
#[cfg(feature = "docent")]
mod docent;
mod goal;
mod hand_offs;
mod heap;
mod idle;
mod metric;
mod packets;
mod peer;
mod plan;
mod process;
mod raw;
mod reads;
mod report;
mod runner;
mod server;
mod session;
mod syscalls;
mod table;
mod usage;
mod wire;

use std::env;
use std::process::ExitCode;

use anyhow::{Context, bail};
use tokio::runtime::Builder;

use crate::hand_offs::Contender;
use crate::metric::Metrics;
use crate::peer::{Peer, PeerLock};
use crate::plan::{Client, Plan, Runtime, Scenario};
use crate::raw::Raw;
use crate::reads::{Batch, Tasks};
use crate::session::Session;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

/// More than any plan takes.
const CLIENT_SECONDS: u32 = 120;

fn main() -> ExitCode {
    let outcome = play_part();
    outcome.map_or_else(
        |error| {
            eprintln!("docent-bench: {error:#}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn play_part() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", terms] => server::serve(serde_json::from_str(terms)?),
        ["client", plan] => print_metrics(serde_json::from_str(plan)?),
        ["run", ref options @ ..] => runner::run(&runner::Options::parse(options)?),
        ["hand-offs", ref options @ ..] => runner::run_hand_offs(&runner::Options::parse(options)?),
        #[cfg(feature = "docent")]
        ["caches", server, classes] => block_on(caches::run(server, classes)),
        #[cfg(feature = "docent")]
        ["cache", server, path] => block_on(caches::measure(server, path)),
        _ => bail!("start tests/bench/run instead"),
    }
}

#[cfg(feature = "docent")]
fn block_on(part: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(part)
}

fn print_metrics(plan: Plan) -> anyhow::Result<()> {
    process::die_after(CLIENT_SECONDS);
    process::raise_file_limit()?;
    plan.core.map_or(Ok(()), process::stay_on)?;
    let mut builder = match plan.subject.runtime {
        Runtime::Current => Builder::new_current_thread(),
        Runtime::Multi => Builder::new_multi_thread(),
    };
    let runtime = builder.enable_all().build()?;
    // A task, as in an application: `block_on` itself would stay outside of the worker threads.
    let metrics = runtime.block_on(runtime.spawn(carry_out(plan)))??;
    println!("{}", serde_json::to_string(&metrics)?);
    Ok(())
}

async fn carry_out(plan: Plan) -> anyhow::Result<Metrics> {
    match plan.subject.client {
        Client::Raw => measure_raw(&plan).await,
        #[cfg(feature = "docent")]
        Client::Docent => measure_library::<docent::Docent, docent::DocentLock>(&plan).await,
        #[cfg(not(feature = "docent"))]
        Client::Docent => bail!("built without the feature `docent`"),
        Client::Peer => measure_library::<Peer, PeerLock>(&plan).await,
        Client::Curator => bail!("that is a program of its own"),
    }
}

async fn measure_raw(plan: &Plan) -> anyhow::Result<Metrics> {
    let Scenario::Reads {
        window,
        sample_every,
        warm_up,
        measure,
    } = plan.scenario
    else {
        bail!("the raw floor has no sessions, and no lock");
    };
    let batch = Batch {
        operations: 0,
        window,
        sample_every,
    };
    let mut raw = Raw::connect(&plan.address, window).await?;
    reads::measure(&mut raw, batch, warm_up, measure).await
}

async fn measure_library<S: Session, L: Contender>(plan: &Plan) -> anyhow::Result<Metrics> {
    match plan.scenario {
        Scenario::Reads {
            window,
            sample_every,
            warm_up,
            measure,
        } => {
            let batch = Batch {
                operations: 0,
                window,
                sample_every,
            };
            let session = S::connect(&plan.address).await.context("cannot connect")?;
            let mut tasks = Tasks(session.clone());
            let metrics = reads::measure(&mut tasks, batch, warm_up, measure).await?;
            session.close().await?;
            Ok(metrics)
        }
        Scenario::Idle { sessions, hold } => {
            idle::measure::<S>(&plan.address, sessions, hold).await
        }
        Scenario::HandOffs {
            contenders,
            warm_up,
            measure,
        } => hand_offs::measure::<L>(&plan.address, contenders, warm_up, measure).await,
    }
}
