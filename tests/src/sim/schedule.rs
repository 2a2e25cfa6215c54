//! The list of what will go wrong: drawn before anything happens, so that any of it can be left out.

use std::collections::BTreeSet;

use super::faults::{Fault, Plan};
use super::rng::Rng;

/// Something that will go wrong.
#[derive(Clone, Debug)]
pub(super) struct Injection {
    /// Its place in the list of its seed.
    pub(super) number: u32,
    pub(super) at: u64,
    pub(super) fault: Fault,
    /// Decides whom it hits, and for how long.
    pub(super) rng: Rng,
}

/// Which of the faults of a seed happen: all, or those of these numbers.
pub(super) type Only<'a> = Option<&'a BTreeSet<u32>>;

/// What goes wrong in a world. The conditions that hold from the start come first; those that were
/// left out no longer hold in `plan`.
pub(super) fn draw(plan: &mut Plan, rng: &mut Rng, only: Only<'_>) -> Vec<Injection> {
    let mut all = Vec::new();
    for fault in plan.conditions() {
        add(&mut all, 0, fault, rng);
    }
    let mut at = plan.pace;
    while at < plan.heal_at && !plan.faults.is_empty() {
        let fault = pick(&plan.faults, rng);
        add(&mut all, at, fault, rng);
        at += rng.range(1, 2 * plan.pace);
    }
    all.retain(|injection| {
        let happens = only.is_none_or(|only| only.contains(&injection.number));
        if !happens && injection.fault.is_condition() {
            plan.spare(injection.fault);
        }
        happens
    });
    all
}

fn add(all: &mut Vec<Injection>, at: u64, fault: Fault, rng: &mut Rng) {
    all.push(Injection {
        number: all.len() as u32,
        at,
        fault,
        rng: rng.fork(),
    });
}

/// One of the kinds; seldom one of those after which nothing is as before.
fn pick(faults: &[Fault], rng: &mut Rng) -> Fault {
    let fault = faults[rng.index(faults.len())];
    if fault.is_rare() && !rng.once_in(4) {
        return faults[rng.index(faults.len())];
    }
    fault
}
