//! Which tasks there are, and who sees which part of the tree.

use crate::sim::rng::Rng;

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Job {
    /// Competes for the lock.
    Lock,
    /// Writes and reads.
    Write,
    /// Sets watches that fire once.
    Watch,
    /// Sets watches that last.
    Subscribe,
}

impl Job {
    pub(in crate::sim) const fn name(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Write => "write",
            Self::Watch => "watch",
            Self::Subscribe => "subscribe",
        }
    }

    /// Whether it ends once all faults have ended.
    pub(in crate::sim) const fn is_finite(self) -> bool {
        !matches!(self, Self::Watch | Self::Subscribe)
    }

    /// How many tasks of it a client has.
    fn draw(self, rng: &mut Rng) -> usize {
        match self {
            Self::Lock | Self::Write | Self::Watch | Self::Subscribe => rng.index(3),
        }
    }

    const ALL: [Self; 4] = [Self::Lock, Self::Write, Self::Watch, Self::Subscribe];
}

/// What the applications of a seed do.
#[derive(Clone, Debug)]
pub(in crate::sim) struct Work {
    /// What every client has a task for.
    pub(in crate::sim) jobs: Vec<Job>,
    /// What all nodes are below.
    pub(in crate::sim) base: &'static str,
    /// Every how many clients one is confined to what is below.
    confined: usize,
}

impl Work {
    pub(in crate::sim) fn draw(rng: &mut Rng) -> Self {
        let mut jobs = Vec::new();
        for job in Job::ALL {
            let count = job.draw(rng);
            jobs.extend(std::iter::repeat_n(job, count));
        }
        // Boards only have room for the first few.
        (1..jobs.len()).for_each(|last| jobs.swap(last, rng.index(last + 1)));
        if jobs.is_empty() {
            jobs.push(Job::Lock);
        }
        Self {
            jobs,
            base: ["", "/app"][rng.index(2)],
            confined: 1 + rng.index(2),
        }
    }

    /// Nothing: what there is to do is done by the tasks of a user.
    pub(in crate::sim) const fn none() -> Self {
        Self {
            jobs: Vec::new(),
            base: "",
            confined: 1,
        }
    }

    /// How many tasks of a client compete for the lock.
    pub(in crate::sim) fn lockers(&self) -> usize {
        self.jobs.iter().filter(|job| **job == Job::Lock).count()
    }

    /// The prefix of all paths of a client, which it does not see.
    pub(in crate::sim) fn chroot(&self, client: usize) -> &'static str {
        if client.is_multiple_of(self.confined) {
            self.base
        } else {
            ""
        }
    }

    /// What a client calls the place where all nodes are.
    pub(in crate::sim) fn prefix(&self, client: usize) -> &'static str {
        &self.base[self.chroot(client).len()..]
    }
}
