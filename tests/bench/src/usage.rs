//! What the process has used so far: processor time, allocations, system calls, memory.

#![allow(unsafe_code)]

use std::fs;
use std::mem::MaybeUninit;
use std::time::Instant;

use anyhow::Context;

use crate::metric::{self, Metrics};
use crate::{heap, syscalls};

/// A snapshot of the counters of this process.
pub(crate) struct Usage {
    at: Instant,
    cpu_seconds: f64,
    switches: i64,
    allocations: u64,
    calls: syscalls::Calls,
}

impl Usage {
    /// The counters as they are now.
    pub(crate) fn now() -> Self {
        let own = resources();
        Self {
            at: Instant::now(),
            cpu_seconds: seconds(own.ru_utime) + seconds(own.ru_stime),
            switches: own.ru_nvcsw + own.ru_nivcsw,
            allocations: heap::allocations(),
            calls: syscalls::calls(),
        }
    }

    /// Processor time in microseconds, user and system, since the snapshot was taken.
    pub(crate) fn cpu_us(&self) -> f64 {
        (Self::now().cpu_seconds - self.cpu_seconds) * 1e6
    }

    /// What each of `operations` cost since the snapshot was taken.
    pub(crate) fn per_operation(&self, operations: u64) -> Metrics {
        let now = Self::now();
        let each = |total: f64| total / operations as f64;
        let count = |now: u64, then: u64| each((now - then) as f64);
        metric::named([
            (
                metric::OPS,
                operations as f64 / (now.at - self.at).as_secs_f64(),
            ),
            (
                metric::CPU,
                each((now.cpu_seconds - self.cpu_seconds) * 1e6),
            ),
            (
                metric::SWITCHES,
                each((now.switches - self.switches) as f64),
            ),
            (
                metric::ALLOCATIONS,
                count(now.allocations, self.allocations),
            ),
            (metric::SENDS, count(now.calls.sends, self.calls.sends)),
            (
                metric::RECEIVES,
                count(now.calls.receives, self.calls.receives),
            ),
            (metric::POLLS, count(now.calls.polls, self.calls.polls)),
            (metric::WAKES, count(now.calls.wakes, self.calls.wakes)),
        ])
    }
}

fn resources() -> libc::rusage {
    let mut usage = MaybeUninit::zeroed();
    // SAFETY: the kernel fills the struct; all zeros is a valid value of it anyway.
    unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    }
}

fn seconds(time: libc::timeval) -> f64 {
    time.tv_sec as f64 + time.tv_usec as f64 / 1e6
}

/// Resident memory in KiB. The rollup is exact, where `VmRSS` lags behind by some pages per core.
pub(crate) fn resident_kib() -> anyhow::Result<f64> {
    kib_of("/proc/self/smaps_rollup", "Rss:")
}

/// The most memory that was ever resident, in KiB.
pub(crate) fn peak_kib() -> anyhow::Result<f64> {
    kib_of("/proc/self/status", "VmHWM:")
}

fn kib_of(file: &str, field: &str) -> anyhow::Result<f64> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(field));
    let digits = value.and_then(|v| v.split_whitespace().next());
    let kib = digits.and_then(|d| d.parse().ok());
    kib.with_context(|| format!("{file} has no {field}"))
}
