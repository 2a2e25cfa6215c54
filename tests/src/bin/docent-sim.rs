//! Plays seeds of the simulation, and tells what came of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use docent_testing::sim::{Counts, Fault, Report, Role, Size, play, play_only, shrink};

/// What to do.
struct Args {
    from: u64,
    seeds: u64,
    jobs: u64,
    seed: Option<u64>,
    /// The only faults of it that happen.
    only: Option<BTreeSet<u32>>,
    until_failure: bool,
    verbose: bool,
}

/// How much of a timeline is shown unless all of it is asked for.
const TAIL: usize = 60;
/// Of how many seeds one is played twice, to see that the same happens.
const TWICE: u64 = 500;
/// With so many seeds each kind of fault has to occur.
const ENOUGH: u64 = 1000;

const REGRESSIONS: &str = include_str!("../../regressions.txt");

const USAGE: &str = "\
Plays seeds of the simulation of Docent's clients against a model of an ensemble.

docent-sim [--seeds N] [--from N] [--jobs N] [--until-failure]
docent-sim --seed N [--only N,N] [--verbose]

  --seeds N   how many seeds to play after those that have failed once; 1000 unless told
  --from N    the first of them; 0 unless told
  --jobs N    how many threads play; one for each core unless told
  --until-failure
              stops at the first seed that fails, leaving out those that have failed once
  --seed N    plays only this one
  --only N,N  leaves out all of its faults but those of these numbers, or all: none
  --verbose   tells everything that happens in it
  --help      this text";

fn args(mut words: impl Iterator<Item = String>) -> Result<Option<Args>, String> {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let mut args = Args {
        seeds: 1000,
        from: 0,
        jobs: cores,
        seed: None,
        only: None,
        until_failure: false,
        verbose: false,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        let mut number = || parse(&word, &value()?);
        match &word[..] {
            "--from" => args.from = number()?,
            "--seeds" => args.seeds = number()?,
            "--jobs" => args.jobs = number()?.max(1),
            "--seed" => args.seed = Some(number()?),
            "--only" => args.only = Some(numbers(&word, &value()?)?),
            "--until-failure" => args.until_failure = true,
            "--verbose" => args.verbose = true,
            "--help" | "-h" => return Ok(None),
            _ => return Err(format!("there is no option {word:?}")),
        }
    }
    if args.seed.is_none() && (args.verbose || args.only.is_some()) {
        return Err("--verbose and --only are for a single --seed".to_owned());
    }
    Ok(Some(args))
}

fn parse<N: FromStr>(word: &str, value: &str) -> Result<N, String> {
    let number = value.trim().parse();
    number.map_err(|_| format!("{word} needs a number, not {value:?}"))
}

fn numbers(word: &str, value: &str) -> Result<BTreeSet<u32>, String> {
    let numbers = value.split(',').filter(|number| *number != "none");
    numbers.map(|number| parse(word, number)).collect()
}

/// What came of all seeds.
#[derive(Default)]
struct Sum {
    seeds: u64,
    failed: Vec<Report>,
    /// Seeds that were played twice with different ends.
    fickle: Vec<u64>,
    hours: f64,
    ops: u64,
    unknown: u64,
    watches: u64,
    events: u64,
    sections: BTreeMap<Role, u64>,
    overlaps: u64,
    clients: BTreeMap<Size, u64>,
    tasks: BTreeMap<(Size, &'static str), u64>,
    faults: Counts,
}

/// Adds up what there is of the same.
fn merge<K: Ord>(sums: &mut BTreeMap<K, u64>, more: BTreeMap<K, u64>) {
    for (key, count) in more {
        *sums.entry(key).or_default() += count;
    }
}

impl Sum {
    fn add(&mut self, report: Report) {
        self.seeds += 1;
        self.hours += report.seconds / 3600.0;
        self.ops += report.ops;
        self.unknown += report.unknown;
        self.watches += report.watches;
        self.events += report.events;
        self.overlaps += report.overlaps;
        merge(&mut self.sections, report.sections.clone());
        merge(&mut self.clients, report.clients.clone());
        merge(&mut self.tasks, report.tasks.clone());
        self.faults.merge(&report.faults);
        if !report.is_good() {
            self.failed.push(report);
        }
    }

    fn play(&mut self, seed: u64) {
        let report = play(seed, false);
        if seed.is_multiple_of(TWICE) && play(seed, false).hash != report.hash {
            self.fickle.push(seed);
        }
        self.add(report);
    }

    fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.hours += other.hours;
        self.ops += other.ops;
        self.unknown += other.unknown;
        self.watches += other.watches;
        self.events += other.events;
        self.overlaps += other.overlaps;
        merge(&mut self.sections, other.sections);
        merge(&mut self.clients, other.clients);
        merge(&mut self.tasks, other.tasks);
        self.faults.merge(&other.faults);
        self.failed.extend(other.failed);
        self.fickle.extend(other.fickle);
    }

    fn print(&self, seconds: f64) {
        let row = |name: &dyn fmt::Display, value: &dyn fmt::Display| {
            println!("{name:<66} {value:>12}");
        };
        row(&"seeds", &self.seeds);
        row(&"failed", &self.failed.len());
        row(&"hours simulated", &format!("{:.1}", self.hours));
        row(&"seconds taken", &format!("{seconds:.1}"));
        row(&"operations checked", &self.ops);
        row(
            &"writes of which nobody knows whether they ran",
            &self.unknown,
        );
        row(&"watches checked", &self.watches);
        row(&"events of lasting watches checked", &self.events);
        for role in Role::ALL {
            row(role, &self.sections.get(role).copied().unwrap_or(0));
        }
        row(
            &"times more held something than may, as can be without fencing",
            &self.overlaps,
        );
        for size in Size::ALL {
            let clients = self.clients.get(size).copied().unwrap_or(0);
            row(&format!("clients {size}"), &clients);
        }
        for fault in Fault::ALL {
            row(fault, &self.faults.of(*fault));
        }
    }

    /// What else is wrong than that a seed has failed.
    fn complaints(&self) -> Vec<String> {
        let fickle = self.fickle.iter();
        let mut complaints: Vec<_> = fickle
            .map(|seed| format!("seed {seed} was played twice, and went differently"))
            .collect();
        let missing = Fault::ALL
            .iter()
            .filter(|fault| self.faults.of(**fault) == 0);
        if self.seeds >= ENOUGH {
            complaints.extend(missing.map(|fault| format!("no seed had this fault: {fault}")));
            complaints.extend(self.idle());
            let missing = Role::ALL
                .iter()
                .filter(|role| !self.sections.contains_key(role));
            complaints.extend(missing.map(|role| format!("no seed had any {role}")));
        }
        complaints
    }

    /// What clients of some sizes have done and those of another have not.
    fn idle(&self) -> impl Iterator<Item = String> {
        let jobs: BTreeSet<_> = self.tasks.keys().map(|(_, job)| *job).collect();
        let pairs = jobs
            .into_iter()
            .flat_map(|job| Size::ALL.iter().map(move |size| (*size, job)));
        let missing = pairs.filter(|pair| !self.tasks.contains_key(pair));
        missing.map(|(size, job)| format!("no client {size} had this task: {job}"))
    }
}

/// The seeds that have failed once.
fn regressions() -> impl Iterator<Item = u64> {
    let lines = REGRESSIONS.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        line.trim()
            .parse()
            .expect("regressions.txt has a seed a line")
    })
}

/// Prints what was wrong with a seed, and the end of what happened.
fn tell(report: &Report, whole: bool) {
    let skipped = if whole {
        0
    } else {
        report.timeline.len().saturating_sub(TAIL)
    };
    if skipped > 0 {
        println!("after {skipped} lines:");
    }
    for line in report.timeline.iter().skip(skipped) {
        println!("{line}");
    }
    for failure in &report.failures {
        println!("seed {}: {failure}", report.seed);
    }
}

/// Shrinks a seed that has failed, and tells all about it.
fn explain(failed: &Report) {
    let report = shrink(failed);
    println!(
        "seed {} fails with {} of {} faults:",
        failed.seed,
        report.injected.len(),
        failed.injected.len()
    );
    for (_, fault) in &report.injected {
        println!("{fault}");
    }
    let numbers = report.injected.iter().map(|(number, _)| number.to_string());
    let numbers: Vec<_> = numbers.collect();
    let only = match &numbers[..] {
        [] => "none".to_owned(),
        _ => numbers.join(","),
    };
    println!(
        "see docent-sim --seed {} --only {only} --verbose; it ends so:",
        report.seed
    );
    tell(&report, false);
}

fn sweep(args: &Args) -> Sum {
    let next = AtomicU64::new(args.from);
    let end = args.from.saturating_add(args.seeds);
    let enough = AtomicBool::new(false);
    let work = || {
        let mut sum = Sum::default();
        loop {
            // A seed that was taken is played, so that the first one to fail is always the same.
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end || enough.load(Ordering::Relaxed) {
                return sum;
            }
            sum.play(seed);
            if args.until_failure && !sum.failed.is_empty() {
                enough.store(true, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..args.jobs).map(|_| scope.spawn(work)).collect();
        let mut sum = Sum::default();
        if !args.until_failure {
            regressions().for_each(|seed| sum.play(seed));
        }
        for thread in threads {
            sum.merge(thread.join().expect("a thread that does not panic"));
        }
        sum
    })
}

fn play_until_failure(args: &Args) -> ExitCode {
    let failed = sweep(args).failed;
    let first = failed.iter().min_by_key(|report| report.seed);
    let Some(first) = first else {
        println!("no seed fails");
        return ExitCode::SUCCESS;
    };
    println!("the first seed to fail: {}", first.seed);
    tell(first, true);
    ExitCode::FAILURE
}

fn play_all(args: &Args) -> ExitCode {
    let started = Instant::now();
    let mut sum = sweep(args);
    sum.failed.sort_by_key(|report| report.seed);
    for report in &sum.failed {
        tell(report, true);
    }
    if let Some(first) = sum.failed.first() {
        explain(first);
    }
    sum.print(started.elapsed().as_secs_f64());
    let complaints = sum.complaints();
    complaints
        .iter()
        .for_each(|complaint| println!("{complaint}"));
    ExitCode::from(u8::from(!sum.failed.is_empty() || !complaints.is_empty()))
}

fn play_one(seed: u64, only: Option<&BTreeSet<u32>>, verbose: bool) -> ExitCode {
    let report = play_only(seed, only, verbose);
    tell(&report, true);
    if !report.is_good() && !verbose {
        explain(&report);
    }
    println!("seed {seed}: hash {:#x}", report.hash);
    ExitCode::from(u8::from(!report.is_good()))
}

fn main() -> ExitCode {
    match args(std::env::args().skip(1)) {
        Ok(Some(args)) => match args.seed {
            Some(seed) => play_one(seed, args.only.as_ref(), args.verbose),
            None if args.until_failure => play_until_failure(&args),
            None => play_all(&args),
        },
        Ok(None) => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("docent-sim: {error}; see --help");
            ExitCode::from(2)
        }
    }
}
