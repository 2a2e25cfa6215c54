//! Which tasks there are, and who sees which part of the tree.

use docent_core::wire::Credential;

use crate::sim::rng::Rng;

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sim) enum Job {
    /// Competes for the lock.
    Lock,
    /// Competes for the lock without waiting, or for two at once.
    LockOtherwise,
    /// Competes for the read/write lock.
    Share,
    /// Competes for leases of the semaphore.
    Lease,
    /// Stands in the election.
    Stand,
    /// Follows who leads.
    Observe,
    /// Writes and reads.
    Write,
    /// Sets watches that fire once.
    Watch,
    /// Sets watches that last.
    Subscribe,
    /// Follows caches.
    Cache,
    /// Counts, and has nodes numbered.
    Count,
    /// Has ephemerals.
    Appear,
    /// Has a node that nobody else may see.
    Secret,
    /// Deletes the nodes of the lock by hand.
    Operate,
    /// Closes the client.
    Quit,
    /// Asks for everything, of servers that lie.
    Ask,
}

impl Job {
    pub(in crate::sim) const fn name(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::LockOtherwise => "lock otherwise",
            Self::Share => "share",
            Self::Lease => "lease",
            Self::Stand => "stand",
            Self::Observe => "observe",
            Self::Write => "write",
            Self::Watch => "watch",
            Self::Subscribe => "subscribe",
            Self::Cache => "cache",
            Self::Count => "count",
            Self::Appear => "appear",
            Self::Secret => "secret",
            Self::Operate => "operate",
            Self::Quit => "quit",
            Self::Ask => "ask",
        }
    }

    /// Whether it ends once all faults have ended.
    pub(in crate::sim) const fn is_finite(self) -> bool {
        !matches!(
            self,
            Self::Watch | Self::Subscribe | Self::Cache | Self::Observe
        )
    }

    /// How many tasks of it a client has.
    fn draw(self, rng: &mut Rng) -> usize {
        match self {
            Self::Watch if rng.once_in(30) => CROWD,
            Self::Lock | Self::Write | Self::Watch | Self::Subscribe => rng.index(3),
            // Drawn apart, as all that was drawn before there were these stays as it is.
            Self::Cache | Self::LockOtherwise | Self::Share => 0,
            Self::Lease | Self::Stand | Self::Observe => 0,
            Self::Count | Self::Appear => usize::from(rng.once_in(3)),
            Self::Secret => usize::from(rng.once_in(4)),
            Self::Operate | Self::Quit => usize::from(rng.once_in(8)),
            Self::Ask => 0,
        }
    }

    const ALL: [Self; 9] = [
        Self::Lock,
        Self::Write,
        Self::Watch,
        Self::Subscribe,
        Self::Count,
        Self::Appear,
        Self::Secret,
        Self::Operate,
        Self::Quit,
    ];
}

/// Those of other recipes than the lock.
const RECIPES: [Job; 4] = [Job::LockOtherwise, Job::Share, Job::Lease, Job::Stand];

/// So many watches that they do not fit one message.
const CROWD: usize = 120;

/// What clients prove their identity with, each with another.
static CREDENTIALS: [[Credential<'static>; 1]; 8] = [
    digest(b"ann:one"),
    digest(b"bob:two"),
    digest(b"cid:three"),
    digest(b"dot:four"),
    digest(b"eve:five"),
    digest(b"fay:six"),
    digest(b"gil:seven"),
    digest(b"hal:eight"),
];

const fn digest(data: &[u8]) -> [Credential<'_>; 1] {
    [Credential {
        scheme: "digest",
        data,
    }]
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
    /// How many permits the semaphore has, and whether a node says so.
    pub(in crate::sim) permits: u32,
    pub(in crate::sim) shared: bool,
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
            permits: 2,
            shared: false,
        }
    }

    /// Adds caches to every third seed, ahead of all else.
    pub(in crate::sim) fn add_caches(&mut self, rng: &mut Rng) {
        if rng.once_in(3) {
            let count = 1 + rng.index(2);
            let caches = std::iter::repeat_n(Job::Cache, count);
            self.jobs.splice(..0, caches);
        }
    }

    /// Adds other recipes than the lock to every other seed, ahead of all else.
    pub(in crate::sim) fn add_recipes(&mut self, rng: &mut Rng) {
        self.permits += rng.below(3) as u32;
        self.shared = rng.once_in(3);
        if rng.once_in(2) {
            let recipe = RECIPES[rng.index(RECIPES.len())];
            let count = 1 + rng.index(2);
            self.jobs.splice(..0, std::iter::repeat_n(recipe, count));
            let other = RECIPES[rng.index(RECIPES.len())];
            let observers = usize::from(recipe == Job::Stand);
            let others = std::iter::repeat_n(Job::Observe, observers).chain([other]);
            self.jobs.splice(1..1, others.take(rng.index(3)));
        }
    }

    /// How many tasks of a client compete with others.
    pub(in crate::sim) fn contenders(&self) -> usize {
        let contends = |job: &&Job| **job == Job::Lock || RECIPES.contains(job);
        self.jobs.iter().filter(contends).count()
    }

    /// Nothing: what there is to do is done by the tasks of a user.
    pub(in crate::sim) const fn none() -> Self {
        Self {
            jobs: Vec::new(),
            base: "",
            confined: 1,
            permits: 2,
            shared: false,
        }
    }

    /// How many tasks of a client do this.
    pub(in crate::sim) fn count(&self, job: Job) -> usize {
        self.jobs.iter().filter(|one| **one == job).count()
    }

    pub(in crate::sim) fn has(&self, job: Job) -> bool {
        self.jobs.contains(&job)
    }

    /// How many more watches a client needs room for.
    pub(in crate::sim) fn crowd(&self) -> usize {
        match self.count(Job::Watch) {
            CROWD => CROWD,
            _ => 0,
        }
    }

    /// What a client proves its identity with, if it has secrets.
    pub(in crate::sim) fn credentials(&self, client: usize) -> &'static [Credential<'static>] {
        match self.has(Job::Secret) {
            true => &CREDENTIALS[client % CREDENTIALS.len()],
            false => &[],
        }
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
