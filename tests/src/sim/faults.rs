//! What goes wrong, how often, and how the worlds differ otherwise.

use std::fmt;

use super::link::Weather;
use super::rng::{Rng, mix};
use super::sizes::Size;
use super::workload::{Job, Work};
use crate::server::Release;

macro_rules! faults {
    ($($name:ident = $text:literal,)*) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Fault {
            $(
                #[doc = concat!("The fault: ", $text, ".")]
                $name,
            )*
        }

        impl Fault {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

faults! {
    Cut = "a connection is cut, and both sides learn of it in their time",
    CutToServer = "a connection is cut after so many bytes of requests",
    CutToClient = "a connection is cut after so many bytes of replies",
    ServerCut = "a member closes a connection",
    Mute = "a member answers no more on a connection",
    Deaf = "a member reads nothing on a connection",
    Stall = "a connection stalls, and goes on",
    Partition = "nothing gets through between a client and a member",
    Garbage = "a member breaks the protocol",
    Lie = "a client gets wrong answers for a while",
    Duplicate = "a late handshake moves a session to another connection",
    Lag = "a member applies late",
    Hold = "a member applies nothing",
    Step = "a member that is behind applies one transaction",
    PauseMember = "a member is frozen",
    Kill = "a member is killed",
    KillAll = "all members are killed",
    Isolate = "a member is cut off from the others",
    ReadOnly = "a member serves readers without a quorum",
    Wipe = "the ensemble loses everything",
    Rewind = "the ensemble is restored from a backup",
    Wrap = "the numbers of sequential nodes run out",
    PauseClient = "a process is frozen",
    StarveTasks = "the tasks of a process do not run",
    StarveDriver = "the driver of a process does not run",
    Crash = "a process dies, and is started again",
    Close = "a client is closed, and replaced",
    Detach = "a client leaves its session behind, and is replaced",
    Expire = "a session is ended by the server out of turn",
    ExpireHolder = "the session of the first in the queue is ended out of turn",
    Cancel = "a future is dropped",
    Skew = "a clock runs too fast or too slow",
    Fragments = "all bytes arrive in small pieces",
    Full = "a request finds no room",
    Blackout = "all members are killed as somebody joins a queue, and sessions outlive their clients' patience",
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

impl Fault {
    /// What an ensemble and its clients are made to survive. Missing are the loss of data, and what
    /// only Docent's own simulation does.
    pub const USUAL: &'static [Self] = &[
        Self::Cut,
        Self::CutToServer,
        Self::CutToClient,
        Self::ServerCut,
        Self::Mute,
        Self::Deaf,
        Self::Stall,
        Self::Partition,
        Self::Duplicate,
        Self::Lag,
        Self::Hold,
        Self::PauseMember,
        Self::Kill,
        Self::KillAll,
        Self::Isolate,
        Self::PauseClient,
        Self::StarveTasks,
        Self::StarveDriver,
        Self::Crash,
        Self::Close,
        Self::Expire,
        Self::Skew,
        Self::Fragments,
    ];

    /// Whether it holds from the start, instead of happening at a time.
    pub(super) const fn is_condition(self) -> bool {
        matches!(
            self,
            Self::Cancel | Self::Skew | Self::Fragments | Self::Full
        )
    }

    /// Whether only something outside of the assumptions of leases can do this.
    const fn breaks_leases(self) -> bool {
        matches!(self, Self::Expire | Self::ExpireHolder | Self::Lie) || self.breaks_history()
    }

    /// Whether it undoes what was acknowledged.
    const fn breaks_history(self) -> bool {
        matches!(self, Self::Wipe | Self::Rewind)
    }

    /// Whether there should be few of it at a time.
    pub(super) const fn is_rare(self) -> bool {
        self.breaks_history()
    }
}

/// How many of each kind were injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts([u64; Fault::ALL.len()]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; Fault::ALL.len()])
    }
}

impl Counts {
    /// How many there were of a kind.
    pub const fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    pub(super) const fn add(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    /// Adds all of another's.
    pub fn merge(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
    }
}

/// What a seed decides about its world. Times are in microseconds.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) members: usize,
    pub(super) clients: usize,
    /// How much memory each of them has.
    pub(super) sizes: Vec<Size>,
    /// The servers' tick in milliseconds.
    pub(super) tick_ms: u64,
    /// The session timeout in milliseconds.
    pub(super) timeout_ms: u64,
    pub(super) weather: Weather,
    /// When all faults end.
    pub(super) heal_at: u64,
    /// The mean time between two faults.
    pub(super) pace: u64,
    /// The kinds that happen.
    pub(super) faults: Vec<Fault>,
    /// Of how many cancellable futures one is cancelled; 0 for none.
    pub(super) cancel: u64,
    /// How often time passes although somebody is ready to run: once in so many times.
    pub(super) sloth: u64,
    /// By how much clocks run too slow or fast, in thousandths.
    pub(super) skew: u64,
    pub(super) release: Release,
    /// How many calls, and watches, a client has room for.
    pub(super) room: usize,
    /// The bytes that a client has room for: of a request, of all that were not sent, of a reply.
    pub(super) max_request: usize,
    pub(super) unsent_bytes: usize,
    pub(super) max_reply: usize,
    /// Whether clients can do with servers that have lost their quorum.
    pub(super) read_only: bool,
    pub(super) work: Work,
}

impl Plan {
    /// What a seed of Docent's own simulation decides.
    pub(super) fn of(seed: u64) -> Self {
        let mut plan = Self::draw(&mut Rng::new(mix(seed.wrapping_add(1))));
        // Drawn apart, as what follows: all others have the same faults as ever.
        let mut rng = Rng::new(mix(seed ^ 0x00c1_1e47));
        if rng.once_in(16) {
            plan.clients = 5 + rng.index(4);
        }
        let clients = 0..plan.clients;
        plan.work.add_caches(&mut Rng::new(mix(seed ^ 0xcac4e)));
        plan.work
            .add_recipes(&mut Rng::new(mix(seed ^ 0x4ec1_9e55)));
        plan.sizes = clients.map(|client| Size::of(seed, client)).collect();
        let mut rng = Rng::new(mix(seed ^ 0xb1ac_0074));
        if !plan.faults.is_empty() && rng.once_in(6) {
            plan.faults.push(Fault::Blackout);
        }
        if seed % 8 == 6 {
            plan.deceive();
        }
        plan
    }

    /// Lets clients be lied to, as often as anything else goes wrong; one of them is the smallest.
    /// They ask for everything, and nobody goes by what they hear.
    fn deceive(&mut self) {
        let lies = self.faults.len().max(1);
        self.faults.extend(std::iter::repeat_n(Fault::Lie, lies));
        self.sizes[0] = Size::Smallest;
        self.work.jobs = vec![Job::Ask; 3];
    }

    /// Whether servers always mean what they say.
    pub(super) fn is_honest(&self) -> bool {
        !self.faults.contains(&Fault::Lie)
    }

    fn draw(rng: &mut Rng) -> Self {
        let calm = rng.once_in(10);
        let timeout_ms = [2_000, 4_000, 10_000][rng.index(3)];
        Self {
            members: [1, 3, 3, 5][rng.index(4)],
            clients: 1 + rng.index(4),
            sizes: Vec::new(),
            tick_ms: timeout_ms / rng.range(4, 20),
            timeout_ms,
            weather: weather(rng),
            heal_at: rng.range(5, 60) * 1_000_000,
            pace: rng.range(100, 5_000) * 1000,
            faults: if calm { Vec::new() } else { kinds(rng) },
            cancel: [0, 3, 10][rng.index(3)],
            sloth: rng.range(2, 30),
            skew: [0, 20, 100][rng.index(3)],
            release: [Release::V3_8, Release::V3_9][usize::from(rng.once_in(2))],
            room: [2, 3, 8, ROOMY][rng.index(4)],
            max_request: 300,
            unsent_bytes: 512,
            max_reply: 4096,
            read_only: rng.once_in(4),
            work: Work::draw(rng),
        }
    }

    /// What a user's own simulation starts from, with nothing of Docent's own.
    pub(super) fn of_a_user(kinds: &[Fault], rng: &mut Rng) -> Self {
        let has = |fault| kinds.contains(&fault);
        let mut plan = Self::draw(rng);
        plan.faults = kinds.to_vec();
        plan.faults.retain(|fault| !fault.is_condition());
        plan.clients = 0;
        plan.work = Work::none();
        plan.cancel = 0;
        plan.skew = if has(Fault::Skew) { 50 } else { 0 };
        plan.room = if has(Fault::Full) { 4 } else { 1000 };
        plan.weather.piece = if has(Fault::Fragments) { 7 } else { usize::MAX };
        plan.weather.window = 1 << 16;
        plan.max_request = 1_048_575;
        plan.unsent_bytes = 1 << 20;
        plan.max_reply = 1 << 20;
        plan
    }

    /// Whether there is room for all that tasks ask for.
    pub(super) const fn has_room(&self) -> bool {
        self.room >= ROOMY
    }

    /// Whether it has nothing of Docent's own simulation.
    pub(super) const fn is_of_a_user(&self) -> bool {
        self.clients == 0
    }

    /// What is wrong from the start.
    pub(super) fn conditions(&self) -> impl Iterator<Item = Fault> + use<> {
        let conditions = [
            (Fault::Cancel, self.cancel > 0),
            (Fault::Skew, self.skew > 0),
            (Fault::Fragments, self.weather.piece < WHOLE),
            (Fault::Full, self.room < ROOMY),
        ];
        let hold = conditions.into_iter().filter(|(_, holds)| *holds);
        hold.map(|(fault, _)| fault)
    }

    /// Leaves a condition out.
    pub(super) const fn spare(&mut self, condition: Fault) {
        match condition {
            Fault::Cancel => self.cancel = 0,
            Fault::Skew => self.skew = 0,
            Fault::Fragments => self.weather.piece = WHOLE,
            Fault::Full => self.room = ROOMY,
            _ => {}
        }
    }

    /// How long it may take until everything is well again: three session timeouts, and a turn for
    /// everybody who waits for one.
    pub(super) fn recovery(&self) -> u64 {
        let turns = (self.work.contenders() * self.clients) as u64;
        3000 * self.timeout_ms + 30 * turns * self.weather.delay.1
    }

    /// Whether a session's lease means what it says.
    pub(super) fn leases_hold(&self) -> bool {
        !self.faults.iter().any(|fault| fault.breaks_leases())
    }

    /// Whether what was acknowledged stays so.
    pub(super) fn history_holds(&self) -> bool {
        !self.faults.iter().any(|fault| fault.breaks_history())
    }
}

/// The kinds of faults that happen at times: about half of them, and some more rarely.
fn kinds(rng: &mut Rng) -> Vec<Fault> {
    let timed = Fault::ALL
        .iter()
        .copied()
        .filter(|fault| !fault.is_condition() && !matches!(fault, Fault::Lie | Fault::Blackout));
    timed
        .filter(|fault| {
            let rarity = match fault {
                fault if fault.breaks_history() => 8,
                fault if fault.breaks_leases() => 4,
                _ => 1,
            };
            rng.once_in(2) && rng.once_in(rarity)
        })
        .collect()
}

/// A piece that holds any message.
const WHOLE: usize = 4096;
/// Room for more than all tasks can ask for.
const ROOMY: usize = 64;

fn weather(rng: &mut Rng) -> Weather {
    let least = rng.range(10, 2_000);
    Weather {
        delay: (least, least + [10, 5_000, 50_000][rng.index(3)]),
        piece: [1, 7, 64, WHOLE, WHOLE, WHOLE][rng.index(6)],
        window: [300, 1 << 16][rng.index(2)],
    }
}
