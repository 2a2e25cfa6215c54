//! Plays seeds of the simulation, and tells what came of them.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use docent_testing::sim::{Counts, Fault, Report, play};

/// What to do.
#[derive(Default)]
struct Args {
    from: u64,
    seeds: u64,
    jobs: u64,
    seed: Option<u64>,
    verbose: bool,
}

/// How much of a timeline is shown unless all of it is asked for.
const TAIL: usize = 60;

const USAGE: &str = "docent-sim [--seeds N] [--from N] [--jobs N] | --seed N [--verbose]";

fn args() -> Option<Args> {
    let mut args = Args {
        seeds: 1000,
        jobs: 1,
        ..Args::default()
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if word == "--verbose" {
            args.verbose = true;
            continue;
        }
        let number = words.next()?.parse().ok()?;
        match &word[..] {
            "--from" => args.from = number,
            "--seeds" => args.seeds = number,
            "--jobs" => args.jobs = number,
            "--seed" => args.seed = Some(number),
            _ => return None,
        }
    }
    Some(args)
}

/// What came of all seeds.
#[derive(Default)]
struct Sum {
    seeds: u64,
    failed: Vec<u64>,
    hours: f64,
    ops: u64,
    watches: u64,
    sections: u64,
    faults: Counts,
}

impl Sum {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.hours += report.seconds / 3600.0;
        self.ops += report.ops;
        self.watches += report.watches;
        self.sections += report.sections;
        self.faults.merge(&report.faults);
        if !report.failures.is_empty() {
            self.failed.push(report.seed);
        }
    }

    fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.hours += other.hours;
        self.ops += other.ops;
        self.watches += other.watches;
        self.sections += other.sections;
        self.faults.merge(&other.faults);
        self.failed.extend(other.failed);
    }

    fn print(&self, seconds: f64) {
        let row = |name: &str, value: String| println!("{name:<60} {value:>12}");
        row("seeds", self.seeds.to_string());
        row("failed", self.failed.len().to_string());
        row("hours simulated", format!("{:.1}", self.hours));
        row("seconds taken", format!("{seconds:.1}"));
        row("operations checked", self.ops.to_string());
        row("watches checked", self.watches.to_string());
        row("times the lock was held", self.sections.to_string());
        for &fault in Fault::ALL {
            row(&fault.to_string(), self.faults.of(fault).to_string());
        }
    }
}

/// Plays a seed and prints what was wrong.
fn tell(report: &Report) {
    for line in &report.timeline {
        println!("{line}");
    }
    for failure in &report.failures {
        println!("seed {}: {failure}", report.seed);
    }
}

fn sweep(args: &Args) -> Sum {
    let next = AtomicU64::new(args.from);
    let end = args.from + args.seeds;
    let work = || {
        let mut sum = Sum::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return sum;
            }
            let report = play(seed, false);
            tell(&report);
            sum.add(&report);
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..args.jobs).map(|_| scope.spawn(work)).collect();
        let mut sum = Sum::default();
        for thread in threads {
            sum.merge(thread.join().expect("a thread that does not panic"));
        }
        sum
    })
}

fn main() -> ExitCode {
    let Some(args) = args() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if let Some(seed) = args.seed {
        let report = play(seed, args.verbose);
        tell(&report);
        println!("seed {seed}: hash {:#x}", report.hash);
        return ExitCode::from(u8::from(!report.failures.is_empty()));
    }
    let started = Instant::now();
    let mut sum = sweep(&args);
    sum.failed.sort_unstable();
    if let Some(&seed) = sum.failed.first() {
        let report = play(seed, true);
        let skipped = report.timeline.len().saturating_sub(TAIL);
        println!("the end of seed {seed}, after {skipped} lines:");
        for line in report.timeline.iter().skip(skipped) {
            println!("{line}");
        }
        println!("failing seeds: {:?}", sum.failed);
    }
    sum.print(started.elapsed().as_secs_f64());
    ExitCode::from(u8::from(!sum.failed.is_empty()))
}
