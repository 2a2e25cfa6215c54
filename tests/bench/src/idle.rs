//! The idle workload: what a session occupies while it only pings.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::metric::{self, Metrics};
use crate::session::Session;
use crate::usage::{Usage, resident_kib};
use crate::{heap, usage};

/// Opens the sessions, lets them ping for a while, and says what each of them occupies.
pub(crate) async fn measure<S: Session>(
    address: &str,
    sessions: usize,
    hold: Duration,
) -> anyhow::Result<Metrics> {
    // What the first session sets up for the whole process is not the price of a session.
    let first = S::connect(address).await?;
    first.get().await?;
    let mut open = Vec::with_capacity(sessions);
    let before = Footprint::now()?;
    for _ in 0..sessions {
        open.push(S::connect(address).await?);
    }
    let cpu = ping_for(hold).await;
    let idle = Footprint::now()?.since(&before).per(sessions);
    for session in &open {
        session.get().await?;
    }
    let used = Footprint::now()?.since(&before).per(sessions);
    Ok(metric::named([
        (metric::RSS_EACH, idle.resident_kib),
        (metric::HEAP_EACH, idle.heap_kib),
        (metric::TASKS_EACH, idle.tasks),
        (metric::USED_RSS_EACH, used.resident_kib),
        (metric::IDLE_CPU, cpu / sessions as f64),
        (metric::PEAK, usage::peak_kib()? / 1024.0),
    ]))
}

/// Waits, and returns the processor time in microseconds per second that went by.
async fn ping_for(hold: Duration) -> f64 {
    let before = Usage::now();
    sleep(hold).await;
    before.cpu_us() / hold.as_secs_f64()
}

/// What the process occupies.
struct Footprint {
    resident_kib: f64,
    heap_kib: f64,
    tasks: f64,
}

impl Footprint {
    fn now() -> anyhow::Result<Self> {
        Ok(Self {
            resident_kib: resident_kib()?,
            heap_kib: heap::live_bytes() as f64 / 1024.0,
            tasks: Handle::current().metrics().num_alive_tasks() as f64,
        })
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            resident_kib: self.resident_kib - before.resident_kib,
            heap_kib: self.heap_kib - before.heap_kib,
            tasks: self.tasks - before.tasks,
        }
    }

    fn per(&self, sessions: usize) -> Self {
        let each = |total: f64| total / sessions as f64;
        Self {
            resident_kib: each(self.resident_kib),
            heap_kib: each(self.heap_kib),
            tasks: each(self.tasks),
        }
    }
}
