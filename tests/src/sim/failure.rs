//! What a simulation that failed has to say.

use std::fmt;

/// How much of a timeline is shown.
const TAIL: usize = 60;

/// A simulation that failed: [displayed](fmt::Display) it says all there is to know.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What was wrong: what a panic said, or that nobody goes on.
    pub what: String,
    /// The faults that happened, by their number in the list of the seed, with time and target.
    pub faults: Vec<(u32, String)>,
    /// Everything that happened, with the time in seconds.
    pub timeline: Vec<String>,
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            what,
            faults,
            timeline,
        } = self;
        writeln!(f, "the simulation of seed {seed} failed: {what}")?;
        let numbers: Vec<_> = faults.iter().map(|(number, _)| number).collect();
        writeln!(f, "play it with Sim::new({seed}).only({numbers:?})")?;
        writeln!(f, "the faults:")?;
        faults
            .iter()
            .try_for_each(|(_, fault)| writeln!(f, "{fault}"))?;
        let skipped = timeline.len().saturating_sub(TAIL);
        match skipped {
            0 => writeln!(f, "what happened:")?,
            _ => writeln!(f, "what happened, after {skipped} lines:")?,
        }
        timeline[skipped..]
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}
