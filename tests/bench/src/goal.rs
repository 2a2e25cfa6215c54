//! What Docent has to reach, and whether it did.

use serde::Serialize;

use crate::metric;
use crate::plan::{Client, Runtime, Scenario, Subject};
use crate::report::Report;

/// The subject that the goals are about.
const DOCENT: Subject = Subject {
    client: Client::Docent,
    runtime: Runtime::Current,
};

/// An upper limit, and the median that was measured.
#[derive(Serialize)]
pub(crate) struct Goal {
    pub(crate) name: &'static str,
    pub(crate) limit: f64,
    pub(crate) measured: f64,
    pub(crate) met: bool,
}

impl Goal {
    /// `None` when nothing was measured.
    fn new(name: &'static str, limit: f64, measured: Option<f64>) -> Option<Self> {
        let measured = measured?;
        Some(Self {
            name,
            limit,
            measured,
            met: measured <= limit,
        })
    }
}

/// The goals whose values were measured.
pub(crate) fn all(report: &Report) -> Vec<Goal> {
    let codec = Goal::new(
        "core: encode + decode of getData, ns",
        100.0,
        report.codec_ns,
    );
    let scenarios = report.scenarios().into_iter();
    let goals = scenarios.flat_map(|scenario| of_scenario(&Measured { report, scenario }));
    goals.chain([codec]).flatten().collect()
}

fn of_scenario(docent: &Measured<'_>) -> Vec<Option<Goal>> {
    match docent.scenario {
        Scenario::Reads { window: 1, .. } => one_outstanding(docent),
        Scenario::Reads { .. } => many_outstanding(docent),
        Scenario::Idle { .. } => idle(docent),
        Scenario::HandOffs { contenders: 1, .. } => vec![Goal::new(
            "1 contender: requests per acquisition and release",
            // The hundredth is for pings.
            3.01,
            docent.value(metric::REQUESTS),
        )],
        Scenario::HandOffs { .. } => contended(docent),
    }
}

fn contended(docent: &Measured<'_>) -> Vec<Option<Goal>> {
    let own = docent.best(metric::OPS, |client| client == DOCENT.client);
    let other = docent.best(metric::OPS, |client| client != DOCENT.client);
    vec![
        Goal::new(
            "8 contenders: the best other's hand-offs, multiple of Docent's",
            1.0,
            other.zip(own).map(|(other, own)| other / own),
        ),
        Goal::new(
            "8 contenders: watch events per hand-off",
            1.01,
            docent.value(metric::EVENTS),
        ),
    ]
}

fn many_outstanding(docent: &Measured<'_>) -> Vec<Option<Goal>> {
    let to_peer = docent.ratio(Client::Peer, metric::CPU);
    let to_raw = docent.ratio(Client::Raw, metric::CPU);
    vec![
        Goal::new(
            "256 outstanding: CPU, share of zookeeper-client's",
            0.1,
            to_peer,
        ),
        Goal::new(
            "256 outstanding: CPU, multiple of the raw floor's",
            4.0,
            to_raw,
        ),
        // One for a reply that is kept; the hundredth is for the tasks of the benchmark itself.
        Goal::new(
            "256 outstanding: allocations per op",
            1.01,
            docent.value(metric::ALLOCATIONS),
        ),
        Goal::new(
            "256 outstanding: sends per op",
            0.1,
            docent.value(metric::SENDS),
        ),
        Goal::new(
            "256 outstanding: receives per op",
            0.1,
            docent.value(metric::RECEIVES),
        ),
    ]
}

fn one_outstanding(docent: &Measured<'_>) -> Vec<Option<Goal>> {
    let to_raw = docent.ratio(Client::Raw, metric::P50);
    // The hundredth is for pings.
    vec![
        Goal::new(
            "1 outstanding: p50, multiple of the raw floor's",
            1.1,
            to_raw,
        ),
        Goal::new(
            "1 outstanding: sends per op",
            1.01,
            docent.value(metric::SENDS),
        ),
        Goal::new(
            "1 outstanding: receives per op",
            1.01,
            docent.value(metric::RECEIVES),
        ),
    ]
}

fn idle(docent: &Measured<'_>) -> Vec<Option<Goal>> {
    vec![
        Goal::new(
            "idle: KiB resident per session",
            8.0,
            docent.value(metric::RSS_EACH),
        ),
        Goal::new(
            "idle: tasks per session",
            1.0,
            docent.value(metric::TASKS_EACH),
        ),
    ]
}

/// The medians of Docent in a scenario.
struct Measured<'a> {
    report: &'a Report,
    scenario: Scenario,
}

impl Measured<'_> {
    fn value(&self, metric: &str) -> Option<f64> {
        Some(self.report.spread(self.scenario, DOCENT, metric)?.median)
    }

    /// The highest median of some clients, in any runtime.
    fn best(&self, metric: &str, of: impl Fn(Client) -> bool) -> Option<f64> {
        let subjects = self.report.subjects(self.scenario).into_iter();
        let spreads = subjects
            .filter(|subject| of(subject.client))
            .filter_map(|subject| self.report.spread(self.scenario, subject, metric));
        spreads.map(|spread| spread.median).reduce(f64::max)
    }

    fn ratio(&self, to: Client, metric: &str) -> Option<f64> {
        Some(self.report.ratio(self.scenario, DOCENT, to, metric)?.median)
    }
}
