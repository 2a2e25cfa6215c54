//! Seeds of the simulation: those that failed once, and some more.

use docent_testing::sim::{Fault, Report, Role, Size, play};

/// How many seeds are played. The binary plays many more.
const SEEDS: u64 = 20;

fn passes(seed: u64) -> Report {
    let report = play(seed, false);
    assert!(
        report.is_good(),
        "seed {seed}: {:#?}\nsee docent-sim --seed {seed}",
        report.failures
    );
    report
}

#[test]
fn seeds_that_failed_once_pass() {
    let seeds = include_str!("../regressions.txt").lines();
    let seeds = seeds.filter(|line| !line.starts_with('#'));
    for seed in seeds {
        passes(seed.parse().expect("a number or a comment"));
    }
}

#[test]
fn seeds_pass() {
    let reports: Vec<_> = (0..SEEDS).map(passes).collect();
    for role in Role::ALL {
        let held = |report: &Report| report.sections.contains_key(role);
        assert!(reports.iter().any(held), "{role:?}");
    }
    assert!(reports.iter().any(|report| report.watches > 0));
    for size in Size::ALL {
        let played = |report: &Report| report.clients.contains_key(size);
        assert!(reports.iter().any(played), "{size}");
    }
}

/// Every eighth seed has servers that get answers wrong.
#[test]
fn clients_of_all_sizes_survive_servers_that_lie() {
    let reports: Vec<_> = (6..).step_by(8).take(20).map(passes).collect();
    let lies = |report: &Report| report.faults.of(Fault::Lie);
    assert!(reports.iter().map(lies).sum::<u64>() > 0);
    for size in Size::ALL {
        let asks = |report: &Report| report.tasks.contains_key(&(*size, "ask"));
        assert!(reports.iter().any(asks), "{size}");
    }
}

#[test]
fn a_seed_always_gives_the_same_run() {
    for seed in 0..2 {
        let (one, other) = (play(seed, false), play(seed, true));
        assert_eq!(one.hash, other.hash, "seed {seed}");
        assert_eq!(one.ops, other.ops, "seed {seed}");
    }
    assert_ne!(play(0, false).hash, play(1, false).hash);
}
