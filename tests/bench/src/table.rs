//! The report as markdown.

use crate::goal::{self, Goal};
use crate::metric;
use crate::plan::{Client, Scenario, Subject};
use crate::report::{Machine, Report, Spread};

/// A heading and what goes below it.
type Column = (&'static str, fn(&Report, Scenario, Subject) -> String);

const READS: &[Column] = &[
    ("operations/s", |r, s, who| {
        range(r.spread(s, who, metric::OPS), 0)
    }),
    ("CPU µs/op", |r, s, who| {
        range(r.spread(s, who, metric::CPU), 3)
    }),
    ("CPU ÷ raw", |r, s, who| {
        median(r.ratio(s, who, Client::Raw, metric::CPU), 2)
    }),
    ("CPU ÷ zookeeper-client", |r, s, who| {
        median(r.ratio(s, who, Client::Peer, metric::CPU), 3)
    }),
    ("p50 µs", |r, s, who| {
        range(r.spread(s, who, metric::P50), 1)
    }),
    ("p50 ÷ raw", |r, s, who| {
        median(r.ratio(s, who, Client::Raw, metric::P50), 2)
    }),
    ("p99 µs", |r, s, who| {
        range(r.spread(s, who, metric::P99), 1)
    }),
    ("allocations/op", |r, s, who| {
        median(r.spread(s, who, metric::ALLOCATIONS), 2)
    }),
    ("sends/op", |r, s, who| {
        median(r.spread(s, who, metric::SENDS), 3)
    }),
    ("receives/op", |r, s, who| {
        median(r.spread(s, who, metric::RECEIVES), 3)
    }),
    ("peak MiB", |r, s, who| {
        median(r.spread(s, who, metric::PEAK), 1)
    }),
];

const IDLE: &[Column] = &[
    ("RSS KiB/session", |r, s, who| {
        range(r.spread(s, who, metric::RSS_EACH), 1)
    }),
    ("heap KiB/session", |r, s, who| {
        median(r.spread(s, who, metric::HEAP_EACH), 1)
    }),
    ("RSS after a get each", |r, s, who| {
        median(r.spread(s, who, metric::USED_RSS_EACH), 1)
    }),
    ("tasks/session", |r, s, who| {
        median(r.spread(s, who, metric::TASKS_EACH), 2)
    }),
    ("CPU µs/session/s", |r, s, who| {
        median(r.spread(s, who, metric::IDLE_CPU), 1)
    }),
    ("peak MiB", |r, s, who| {
        median(r.spread(s, who, metric::PEAK), 1)
    }),
];

const HAND_OFFS: &[Column] = &[
    ("hand-offs/s", |r, s, who| {
        range(r.spread(s, who, metric::OPS), 0)
    }),
    ("CPU µs/hand-off", |r, s, who| {
        range(r.spread(s, who, metric::CPU), 0)
    }),
    ("requests/hand-off", |r, s, who| {
        median(r.spread(s, who, metric::REQUESTS), 2)
    }),
    ("watch events/hand-off", |r, s, who| {
        median(r.spread(s, who, metric::EVENTS), 2)
    }),
    ("p50 µs to acquire", |r, s, who| {
        range(r.spread(s, who, metric::P50), 0)
    }),
    ("p99 µs", |r, s, who| {
        range(r.spread(s, who, metric::P99), 0)
    }),
];

/// One table per scenario, and one of the goals.
pub(crate) fn markdown(report: &Report) -> String {
    let scenarios = report.scenarios().into_iter();
    let tables = scenarios.map(|scenario| scenario_table(report, scenario));
    [introduction(report)]
        .into_iter()
        .chain(tables)
        .chain([goal_table(report)])
        .collect()
}

fn introduction(report: &Report) -> String {
    let Machine {
        processor,
        cores,
        kernel,
    } = &report.machine;
    let pace = if report.quick { "quick" } else { "full" };
    let place = match report.core {
        Some(_) => "subjects without -mt share one core with the null server",
        None => "the scheduler places all processes",
    };
    format!(
        "{processor}, {cores} cores, Linux {kernel}; {pace} run; {place}. Medians over the rounds \
         (minimum–maximum); ratios are taken round by round.\n\n"
    )
}

fn scenario_table(report: &Report, scenario: Scenario) -> String {
    let (title, columns) = match scenario {
        Scenario::Reads { window, .. } => {
            (format!("128-byte getData, {window} outstanding"), READS)
        }
        Scenario::Idle { sessions, .. } => (format!("{sessions} idle sessions"), IDLE),
        Scenario::HandOffs { contenders, .. } => {
            (format!("A lock, {contenders} contending"), HAND_OFFS)
        }
    };
    let headings = columns.iter().map(|(heading, _)| (*heading).to_owned());
    let rows = report.subjects(scenario).into_iter().map(|subject| {
        let cells = columns
            .iter()
            .map(move |(_, cell)| cell(report, scenario, subject));
        [subject.to_string()].into_iter().chain(cells).collect()
    });
    table(
        &title,
        ["subject".to_owned()].into_iter().chain(headings).collect(),
        rows,
    )
}

fn goal_table(report: &Report) -> String {
    let headings = ["goal", "at most", "measured", "met"].map(str::to_owned);
    table(
        "Goals",
        headings.into(),
        goal::all(report).iter().map(goal_row),
    )
}

fn goal_row(goal: &Goal) -> Vec<String> {
    let met = if goal.met { "yes" } else { "**no**" };
    vec![
        goal.name.into(),
        goal.limit.to_string(),
        format!("{:.3}", goal.measured),
        met.into(),
    ]
}

fn table(title: &str, headings: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> String {
    let rule = format!("|---{}|", "|---:".repeat(headings.len() - 1));
    let body: String = rows.map(|cells| line(&cells)).collect();
    format!("## {title}\n\n{}{rule}\n{body}\n", line(&headings))
}

fn line(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn median(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(|| "–".into(), |s| format!("{:.digits$}", s.median))
}

fn range(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(
        || "–".into(),
        |Spread { median, min, max }| format!("{median:.digits$} ({min:.digits$}–{max:.digits$})"),
    )
}
