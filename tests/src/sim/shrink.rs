//! The fewest faults with which a seed still fails.

use std::collections::BTreeSet;

/// How many runs are worth it.
const MOST_RUNS: usize = 200;

/// Leaves out as many of `faults` as it can while `fails` holds of the rest: halves first, then
/// smaller and smaller parts, and at last one at a time.
pub(super) fn fewest(
    faults: BTreeSet<u32>,
    mut fails: impl FnMut(&BTreeSet<u32>) -> bool,
) -> BTreeSet<u32> {
    let (mut rest, mut runs) = (faults, 0);
    let mut part = rest.len().div_ceil(2);
    while part > 0 {
        let mut at = 0;
        let mut shrunk = false;
        while at < rest.len() {
            if runs == MOST_RUNS {
                return rest;
            }
            runs += 1;
            let without = leave_out(&rest, at, part);
            if fails(&without) {
                (rest, shrunk) = (without, true);
            } else {
                at += part;
            }
        }
        // What is left out may make more of it needless.
        part = if part == 1 && shrunk { 1 } else { part / 2 };
    }
    rest
}

fn leave_out(faults: &BTreeSet<u32>, at: usize, part: usize) -> BTreeSet<u32> {
    let all = faults.iter().copied().enumerate();
    let rest = all.filter(|(place, _)| !(at..at + part).contains(place));
    rest.map(|(_, fault)| fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_left() {
        let mut runs = 0;
        let left = fewest((0..500).collect(), |faults| {
            runs += 1;
            faults.contains(&17) && (faults.contains(&20) || faults.contains(&400))
        });
        assert_eq!(left.len(), 2);
        assert!(left.contains(&17));
        assert!(runs < MOST_RUNS, "{runs}");
    }

    #[test]
    fn nothing_is_left_if_nothing_is_needed() {
        assert!(fewest((0..9).collect(), |_| true).is_empty());
    }

    #[test]
    fn it_gives_up_in_the_end() {
        let mut runs = 0;
        let left = fewest((0..5000).collect(), |_| {
            runs += 1;
            false
        });
        assert_eq!((left.len(), runs), (5000, MOST_RUNS));
    }
}
