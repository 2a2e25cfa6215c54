//! The read workloads: getData with a window of requests outstanding.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::metric::{self, Metrics};
use crate::session::Session;
use crate::usage::{self, Usage};
use crate::wire::DATA_LEN;

/// Latencies in nanoseconds.
pub(crate) type Samples = Vec<u64>;

/// Some operations in a row.
#[derive(Clone, Copy)]
pub(crate) struct Batch {
    pub(crate) operations: u64,
    pub(crate) window: usize,
    pub(crate) sample_every: u64,
}

impl Batch {
    /// How many latencies it yields, at most.
    pub(crate) fn samples(self) -> usize {
        self.operations.div_ceil(self.sample_every) as usize
    }

    fn with(self, operations: u64) -> Self {
        Self { operations, ..self }
    }
}

/// Something that can do a batch of reads.
pub(crate) trait Reader: Send {
    /// Does the batch and returns the latencies that were taken.
    fn read(&mut self, batch: Batch) -> impl Future<Output = anyhow::Result<Samples>> + Send;
}

/// Reads for about as long as asked, after a warm-up, and says what each operation cost.
pub(crate) async fn measure(
    reader: &mut impl Reader,
    batch: Batch,
    warm_up: Duration,
    duration: Duration,
) -> anyhow::Result<Metrics> {
    let rate = warm(reader, batch, warm_up).await?;
    let laps = (rate * duration.as_secs_f64() / batch.window as f64).ceil();
    let batch = batch.with(laps as u64 * batch.window as u64);
    let before = Usage::now();
    let samples = reader.read(batch).await?;
    let mut metrics = before.per_operation(batch.operations);
    add_latencies(&mut metrics, samples);
    metrics.insert(metric::PEAK.to_owned(), usage::peak_kib()? / 1024.0);
    Ok(metrics)
}

/// Reads until `duration` is over and returns the operations per second of the last batch.
async fn warm(reader: &mut impl Reader, batch: Batch, duration: Duration) -> anyhow::Result<f64> {
    let start = Instant::now();
    let mut batch = batch.with(4 * batch.window as u64);
    loop {
        let lap = Instant::now();
        reader.read(batch).await?;
        if start.elapsed() >= duration {
            return Ok(batch.operations as f64 / lap.elapsed().as_secs_f64());
        }
        batch = batch.with(2 * batch.operations);
    }
}

/// Adds percentiles of what was sampled.
pub(crate) fn add_latencies(metrics: &mut Metrics, mut samples: Samples) {
    samples.sort_unstable();
    for (name, percent) in [(metric::P50, 50), (metric::P99, 99)] {
        let rank = samples.len() * percent / 100;
        metrics.insert(name.to_owned(), samples[rank] as f64 / 1e3);
    }
}

/// A client library, used by as many tasks as there are to be requests outstanding.
pub(crate) struct Tasks<S>(pub(crate) S);

impl<S: Session> Reader for Tasks<S> {
    async fn read(&mut self, batch: Batch) -> anyhow::Result<Samples> {
        let share = batch.with(batch.operations / batch.window as u64);
        let spawn = |_| tokio::spawn(read_in_turn(self.0.clone(), share));
        let tasks: Vec<_> = (0..batch.window).map(spawn).collect();
        let mut samples = Samples::with_capacity(batch.samples() + batch.window);
        for task in tasks {
            samples.extend(task.await??);
        }
        Ok(samples)
    }
}

async fn read_in_turn<S: Session>(session: S, batch: Batch) -> anyhow::Result<Samples> {
    let mut samples = Samples::with_capacity(batch.samples());
    for operation in 0..batch.operations {
        // Asking for the time at each operation would cost more than some of the operations.
        let start = operation
            .is_multiple_of(batch.sample_every)
            .then(Instant::now);
        let length = session.get().await?;
        ensure!(length == DATA_LEN, "a reply of {length} bytes");
        samples.extend(start.map(|start| start.elapsed().as_nanos() as u64));
    }
    Ok(samples)
}
