//! A lock that goes from hand to hand among contenders, each with a session of its own.

use std::future::Future;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::metric::{self, Metrics};
use crate::packets::Packets;
use crate::reads::{Samples, add_latencies};
use crate::usage::Usage;

/// One who takes a lock and gives it back, in a session of its own.
pub(crate) trait Contender: Send + Sync + Sized + 'static {
    /// Opens a session with the server at `host:port`, and creates `path` for the lock.
    fn connect(address: &str, path: &str) -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// Takes the lock, does what is to be done inside, and gives the lock back, as far as the library
    /// can wait for that.
    fn turn(&self, inside: impl FnOnce() + Send)
    -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// How far the contenders have come, and when they are to stop.
#[derive(Default)]
struct Course {
    turns: AtomicU64,
    measuring: AtomicBool,
    over: AtomicBool,
}

/// Lets contenders take the lock in turn, and says what a turn has cost after the warm-up.
pub(crate) async fn measure<C: Contender>(
    address: &str,
    contenders: usize,
    warm_up: Duration,
    duration: Duration,
) -> anyhow::Result<Metrics> {
    let course = Arc::new(Course::default());
    // Another one for each process: the last may have left a node until its session ends.
    let path = format!("/bench/{}", process::id());
    let mut tasks = Vec::new();
    for _ in 0..contenders {
        let contender = C::connect(address, &path).await?;
        tasks.push(tokio::spawn(contend(contender, Arc::clone(&course))));
    }
    sleep(warm_up).await;
    course.measuring.store(true, Ordering::Relaxed);
    let mut metrics = cost(address, &course, duration).await?;
    course.over.store(true, Ordering::Relaxed);
    let mut samples = Samples::new();
    for task in tasks {
        samples.extend(task.await??);
    }
    add_latencies(&mut metrics, samples);
    Ok(metrics)
}

async fn contend<C: Contender>(contender: C, course: Arc<Course>) -> anyhow::Result<Samples> {
    let mut samples = Samples::new();
    while !course.over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let inside = || {
            course.turns.fetch_add(1, Ordering::Relaxed);
            if course.measuring.load(Ordering::Relaxed) {
                samples.push(asked.elapsed().as_nanos() as u64);
            }
        };
        contender.turn(inside).await?;
    }
    Ok(samples)
}

/// What a turn costs, of those in the time from now.
async fn cost(address: &str, course: &Course, duration: Duration) -> anyhow::Result<Metrics> {
    let packets = Packets::of(address).await?;
    let (turns, usage) = (course.turns.load(Ordering::Relaxed), Usage::now());
    sleep(duration).await;
    let turns = course.turns.load(Ordering::Relaxed) - turns;
    let mut metrics = usage.per_operation(turns);
    let packets = Packets::of(address).await?.since(packets);
    let each = |number: u64| number as f64 / turns as f64;
    metrics.extend(metric::named([
        (metric::REQUESTS, each(packets.received)),
        // Each request has one reply.
        (
            metric::EVENTS,
            each(packets.sent.saturating_sub(packets.received)),
        ),
    ]));
    Ok(metrics)
}
