//! All that was measured: medians over the rounds, ratios between subjects, the JSON.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::goal;
use crate::metric::{self, Metrics};
use crate::plan::{Client, Scenario, Subject};

/// A value over the rounds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` when there are no values.
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let half = values.len() / 2;
        let median = f64::midpoint(values[(values.len() - 1) / 2], values[half]);
        Some(Self { median, min, max })
    }
}

/// What one process measured.
struct Run {
    scenario: Scenario,
    subject: Subject,
    metrics: Metrics,
}

/// Every run, in the order of the rounds.
pub(crate) struct Report {
    pub(crate) quick: bool,
    pub(crate) machine: Machine,
    /// The core that single-threaded subjects share with their null server.
    pub(crate) core: Option<usize>,
    runs: Vec<Run>,
    /// Nanoseconds of encoding a getData and decoding its reply, in the core.
    pub(crate) codec_ns: Option<f64>,
}

impl Report {
    /// An empty report.
    pub(crate) fn new(quick: bool, core: Option<usize>) -> Self {
        Self {
            quick,
            machine: Machine::this(),
            core,
            runs: Vec::new(),
            codec_ns: None,
        }
    }

    /// Adds the outcome of one process.
    pub(crate) fn add(&mut self, scenario: Scenario, subject: Subject, metrics: Metrics) {
        self.runs.push(Run {
            scenario,
            subject,
            metrics,
        });
    }

    /// Adds what criterion has found out, if it has run.
    pub(crate) fn add_codec(&mut self, criterion: Option<&Path>) -> anyhow::Result<()> {
        self.codec_ns = criterion.map(codec_ns).transpose()?;
        Ok(())
    }

    /// The scenarios, in the order in which they first ran.
    pub(crate) fn scenarios(&self) -> Vec<Scenario> {
        distinct(self.runs.iter().map(|run| run.scenario))
    }

    /// The subjects of a scenario, in the order in which they first ran.
    pub(crate) fn subjects(&self, scenario: Scenario) -> Vec<Subject> {
        let runs = self.runs.iter().filter(|run| run.scenario == scenario);
        distinct(runs.map(|run| run.subject))
    }

    fn runs(&self, scenario: Scenario, subject: Subject) -> impl Iterator<Item = &Metrics> {
        let same = move |run: &&Run| run.scenario == scenario && run.subject == subject;
        self.runs.iter().filter(same).map(|run| &run.metrics)
    }

    fn values(&self, scenario: Scenario, subject: Subject, metric: &str) -> Vec<f64> {
        let runs = self.runs(scenario, subject);
        runs.filter_map(|metrics| metrics.get(metric).copied())
            .collect()
    }

    /// A metric over the rounds.
    pub(crate) fn spread(
        &self,
        scenario: Scenario,
        subject: Subject,
        metric: &str,
    ) -> Option<Spread> {
        Spread::of(self.values(scenario, subject, metric))
    }

    /// How often the value of `client` in the same runtime goes into that of the subject. It is
    /// taken round by round, because what disturbs one process often disturbs its neighbours too.
    pub(crate) fn ratio(
        &self,
        scenario: Scenario,
        subject: Subject,
        client: Client,
        metric: &str,
    ) -> Option<Spread> {
        let own = self.values(scenario, subject, metric);
        let base = self.values(scenario, Subject { client, ..subject }, metric);
        Spread::of(
            own.iter()
                .zip(&base)
                .map(|(own, base)| own / base)
                .collect(),
        )
    }

    /// Everything, for programs.
    pub(crate) fn to_json(&self) -> Value {
        let scenarios = self.scenarios();
        json!({
            "quick": self.quick,
            "unix_seconds": SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs()),
            "machine": self.machine,
            "shared_core": self.core,
            "scenarios": scenarios.iter().map(|&s| self.scenario_json(s)).collect::<Vec<_>>(),
            "core": { "encode_and_decode_get_data_ns": self.codec_ns },
            "goals": goal::all(self),
        })
    }

    fn scenario_json(&self, scenario: Scenario) -> Value {
        let subjects = self.subjects(scenario);
        let rows = subjects
            .iter()
            .map(|&subject| self.subject_json(scenario, subject));
        json!({ "scenario": scenario, "subjects": rows.collect::<Vec<_>>() })
    }

    fn subject_json(&self, scenario: Scenario, subject: Subject) -> Value {
        let names: BTreeSet<_> = self
            .runs(scenario, subject)
            .flat_map(|m| m.keys())
            .collect();
        let metrics = names.into_iter().map(|name| {
            let spread = self.spread(scenario, subject, name);
            (
                name.clone(),
                json!({ "over_rounds": spread, "rounds": self.values(scenario, subject, name) }),
            )
        });
        json!({
            "subject": subject.to_string(),
            "client": subject.client,
            "runtime": subject.runtime,
            "metrics": metrics.collect::<Map<_, _>>(),
            "ratios": {
                "cpu_to_raw": self.ratio(scenario, subject, Client::Raw, metric::CPU),
                "cpu_to_zookeeper_client": self.ratio(scenario, subject, Client::Peer, metric::CPU),
                "p50_to_raw": self.ratio(scenario, subject, Client::Raw, metric::P50),
            },
        })
    }
}

fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.fold(Vec::new(), |mut seen, item| {
        if !seen.contains(&item) {
            seen.push(item);
        }
        seen
    })
}

/// Where it was measured.
#[derive(Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
}

impl Machine {
    fn this() -> Self {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = |line: &str| {
            Some(
                line.strip_prefix("model name")?
                    .split_once(": ")?
                    .1
                    .to_owned(),
            )
        };
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            processor: processors
                .lines()
                .find_map(name)
                .unwrap_or_else(|| "unknown".into()),
            cores: available_parallelism().map_or(1, usize::from),
            kernel: kernel.trim().to_owned(),
        }
    }
}

/// The point estimate of the benchmark `benches/core.rs`.
fn codec_ns(criterion: &Path) -> anyhow::Result<f64> {
    let file = criterion.join("getData/both/new/estimates.json");
    let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let estimates: Value = serde_json::from_slice(&text)?;
    let median = estimates["median"]["point_estimate"].as_f64();
    median.with_context(|| format!("{} has no median", file.display()))
}
