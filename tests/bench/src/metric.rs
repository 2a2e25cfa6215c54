//! The names of what is measured, as they appear in the JSON.

use std::collections::BTreeMap;

/// What one process measured, by name.
pub(crate) type Metrics = BTreeMap<String, f64>;

pub(crate) const OPS: &str = "operations_per_second";
pub(crate) const CPU: &str = "cpu_us_per_operation";
pub(crate) const P50: &str = "p50_us";
pub(crate) const P99: &str = "p99_us";
pub(crate) const ALLOCATIONS: &str = "allocations_per_operation";
pub(crate) const PEAK: &str = "peak_rss_mib";
pub(crate) const SENDS: &str = "sends_per_operation";
pub(crate) const RECEIVES: &str = "receives_per_operation";
pub(crate) const POLLS: &str = "epoll_waits_per_operation";
pub(crate) const WAKES: &str = "writes_to_wake_per_operation";
pub(crate) const SWITCHES: &str = "context_switches_per_operation";
pub(crate) const REQUESTS: &str = "requests_per_operation";
pub(crate) const EVENTS: &str = "watch_events_per_operation";

pub(crate) const RSS_EACH: &str = "rss_kib_per_session";
pub(crate) const HEAP_EACH: &str = "heap_kib_per_session";
pub(crate) const USED_RSS_EACH: &str = "rss_kib_per_session_after_a_get";
pub(crate) const TASKS_EACH: &str = "tasks_per_session";
pub(crate) const IDLE_CPU: &str = "cpu_us_per_session_and_second";

/// Metrics with these names and values.
pub(crate) fn named<const N: usize>(pairs: [(&str, f64); N]) -> Metrics {
    Metrics::from(pairs.map(|(name, value)| (name.to_owned(), value)))
}
