//! How an ensemble is set up.

use std::time::Duration;

use docent_core::wire::OpCode;

use crate::server::tree::Tree;
use crate::server::{Ensemble, membership, ops};

/// The release of ZooKeeper to behave like, where clients can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Release {
    /// 3.8.0. Events do not say which transaction caused them; a watch replaces another mode on the
    /// same path; `exists` and events ask for no permission; a create2 in a multi is answered as a
    /// create.
    #[default]
    V3_8,
    /// 3.9.3. Events have the zxid of their cause, modes of watches add up, types 4 and 5 of
    /// watches can be removed, `exists` and events need the permission to read.
    V3_9,
    /// 3.5.9. As 3.8.0, but without lasting watches, reads in bundles, and what else came with 3.6.
    V3_5,
}

impl Release {
    pub(super) const fn number(self) -> &'static str {
        match self {
            Self::V3_8 => "3.8.0",
            Self::V3_9 => "3.9.3",
            Self::V3_5 => "3.5.9",
        }
    }

    /// Whether servers know the operation.
    pub(super) const fn knows(self, op: OpCode) -> bool {
        let is_new = matches!(
            op,
            OpCode::ADD_WATCH
                | OpCode::SET_WATCHES2
                | OpCode::MULTI_READ
                | OpCode::GET_EPHEMERALS
                | OpCode::GET_ALL_CHILDREN_NUMBER
                | OpCode::WHO_AM_I
        );
        ops::is_known(op) && !(is_new && matches!(self, Self::V3_5))
    }

    pub(super) const fn mixes_modes(self) -> bool {
        matches!(self, Self::V3_9)
    }

    pub(super) const fn names_cause(self) -> bool {
        matches!(self, Self::V3_9)
    }

    /// Whether a write that cannot be read takes a zxid.
    pub(super) fn logs_malformed(self, op: OpCode) -> bool {
        !matches!(self, Self::V3_9) || op == OpCode::MULTI
    }

    pub(super) const fn guards_existence(self) -> bool {
        matches!(self, Self::V3_9)
    }
}

/// The settings of a [`Builder`].
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) members: usize,
    pub(super) release: Release,
    pub(super) filtered: Option<bool>,
    pub(super) tick: Duration,
    pub(super) min_timeout: Option<Duration>,
    pub(super) max_timeout: Option<Duration>,
    pub(super) max_frame: usize,
    pub(super) seed: u64,
    pub(super) epoch_ms: i64,
    pub(super) election: Duration,
    pub(super) sync_limit: u32,
    pub(super) reap: Duration,
    pub(super) ttl: bool,
    pub(super) sticky: bool,
    pub(super) reconfig: bool,
    pub(super) quotas: bool,
    pub(super) read_only: bool,
    pub(super) super_digest: Option<String>,
    pub(super) addresses: Vec<String>,
    pub(super) membership: Option<String>,
    pub(super) peer: String,
    pub(super) history: usize,
    pub(super) trace: usize,
    pub(super) nodes: Vec<String>,
}

impl Config {
    /// The session timeout for a client that wants another, in milliseconds.
    pub(super) fn negotiate(&self, wanted: i32) -> i32 {
        let millis = |duration: Duration| i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
        let shortest = self.min_timeout.unwrap_or(self.tick * 2);
        let longest = self.max_timeout.unwrap_or(self.tick * 20);
        wanted.max(millis(shortest)).min(millis(longest))
    }

    /// Whether events go only to those who may read the node.
    pub(super) fn filters_events(&self) -> bool {
        let default = self.release.guards_existence();
        self.filtered.unwrap_or(default)
    }

    /// Whether there is nobody to agree with.
    pub(super) fn is_standalone(&self) -> bool {
        self.members == 1
    }

    /// What `/zookeeper/config` holds at first; it is empty if there is nobody to agree with.
    pub(super) fn membership(&self) -> Option<String> {
        if self.is_standalone() || self.membership.is_some() {
            return self.membership.clone().filter(|_| !self.is_standalone());
        }
        let address = |member: usize| {
            let named = self.addresses.get(member).cloned();
            named.unwrap_or_else(|| format!("127.0.0.1:{}", 2181 + member))
        };
        let addresses: Vec<_> = (0..self.members).map(address).collect();
        Some(membership::text(&addresses))
    }

    /// The state before the first transaction.
    pub(super) fn tree(&self) -> Tree {
        let mut tree = Tree::new(self.membership(), self.epoch_ms, self.sticky);
        self.nodes.iter().for_each(|path| tree.found(path));
        tree
    }
}

/// Sets up an [`Ensemble`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder(Config);

impl Default for Builder {
    fn default() -> Self {
        Self(Config {
            members: 1,
            release: Release::default(),
            filtered: None,
            tick: Duration::from_millis(2000),
            min_timeout: None,
            max_timeout: None,
            max_frame: 1_048_575,
            seed: 0,
            epoch_ms: 1_700_000_000_000,
            election: Duration::from_millis(200),
            sync_limit: 5,
            reap: Duration::from_secs(60),
            ttl: true,
            sticky: false,
            reconfig: false,
            quotas: false,
            read_only: false,
            super_digest: None,
            addresses: Vec::new(),
            membership: None,
            peer: "127.0.0.1".to_owned(),
            history: usize::MAX,
            trace: 0,
            nodes: Vec::new(),
        })
    }
}

impl Builder {
    /// How many servers there are, at least one. One by itself is a standalone server: its zxids
    /// have no epoch.
    pub const fn members(mut self, members: usize) -> Self {
        self.0.members = if members == 0 { 1 } else { members };
        self
    }

    /// The release to behave like.
    pub const fn release(mut self, release: Release) -> Self {
        self.0.release = release;
        self
    }

    /// Whether events go only to those who may read the node, whatever the release: they do in the
    /// 3.8.0 of Debian.
    pub const fn filter_events(mut self, on: bool) -> Self {
        self.0.filtered = Some(on);
        self
    }

    /// The unit of the server's time: sessions end at multiples of it. 2 s unless told.
    pub const fn tick(mut self, tick: Duration) -> Self {
        self.0.tick = tick;
        self
    }

    /// The shortest session timeout; two ticks unless told.
    pub const fn min_timeout(mut self, timeout: Duration) -> Self {
        self.0.min_timeout = Some(timeout);
        self
    }

    /// The longest session timeout; twenty ticks unless told.
    pub const fn max_timeout(mut self, timeout: Duration) -> Self {
        self.0.max_timeout = Some(timeout);
        self
    }

    /// The longest payload of a request; 1,048,575 bytes unless told.
    pub const fn max_frame(mut self, bytes: usize) -> Self {
        self.0.max_frame = bytes;
        self
    }

    /// What the secret behind the sessions' passwords is made of.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.0.seed = seed;
        self
    }

    /// The wall clock at the zero of the model's clock: milliseconds since 1970.
    pub const fn wall_clock(mut self, millis: i64) -> Self {
        self.0.epoch_ms = millis;
        self
    }

    /// How long nobody serves after the leader was lost.
    pub const fn election(mut self, duration: Duration) -> Self {
        self.0.election = duration;
        self
    }

    /// After how many ticks a member that is paused is given up by the others; 5 unless told.
    pub const fn sync_limit(mut self, ticks: u32) -> Self {
        self.0.sync_limit = ticks;
        self
    }

    /// How often containers and nodes with a time to live are looked through; 60 s unless told.
    pub fn reap_interval(mut self, interval: Duration) -> Self {
        self.0.reap = interval.max(Duration::from_millis(1));
        self
    }

    /// Whether nodes may have a time to live (`extendedTypesEnabled`); true unless told.
    pub const fn ttl_nodes(mut self, enabled: bool) -> Self {
        self.0.ttl = enabled;
        self
    }

    /// Whether the numbers of sequential nodes stop at 2147483647, so that the next create finds
    /// that its node exists, as of 3.6. Unless told they go on with -2147483648, as before, and as
    /// with creates that follow each other closely.
    pub const fn sticky_sequence(mut self, sticky: bool) -> Self {
        self.0.sticky = sticky;
        self
    }

    /// Whether the configuration may be changed (`reconfigEnabled`); false unless told. It is only
    /// the node that changes: no member comes or goes.
    pub const fn reconfig(mut self, enabled: bool) -> Self {
        self.0.reconfig = enabled;
        self
    }

    /// Whether the hard limits of quotas are enforced (`enforceQuota`, since 3.7); false unless told.
    pub const fn enforce_quotas(mut self, enabled: bool) -> Self {
        self.0.quotas = enabled;
        self
    }

    /// Whether members without a quorum serve clients that can do with reading
    /// (`readonlymode.enabled`); false unless told.
    pub const fn read_only_mode(mut self, enabled: bool) -> Self {
        self.0.read_only = enabled;
        self
    }

    /// The user who may do everything, as [`digest`](super::digest) gives it.
    pub fn superuser(mut self, digest: impl Into<String>) -> Self {
        self.0.super_digest = Some(digest.into());
        self
    }

    /// Where the members listen for clients, as `/zookeeper/config` tells it; 127.0.0.1 and the
    /// ports from 2181 on unless told.
    pub fn addresses(mut self, addresses: impl IntoIterator<Item = String>) -> Self {
        self.0.addresses = addresses.into_iter().collect();
        self
    }

    /// What `/zookeeper/config` holds at first, whatever the addresses; a standalone server has
    /// nothing there.
    pub fn membership(mut self, text: impl Into<String>) -> Self {
        self.0.membership = Some(text.into());
        self
    }

    /// The address that clients seem to come from, unless a connection is made
    /// [from another](Ensemble::connect_from); 127.0.0.1 unless told.
    pub fn peer(mut self, address: impl Into<String>) -> Self {
        self.0.peer = address.into();
        self
    }

    /// How many transactions to keep after all members have applied them; all unless told.
    pub const fn history(mut self, entries: usize) -> Self {
        self.0.history = entries;
        self
    }

    /// How many records of what clients ask and are answered to [keep](Ensemble::trace); none unless
    /// told. One takes up to 1 KiB.
    pub const fn trace(mut self, records: usize) -> Self {
        self.0.trace = records;
        self
    }

    /// A node without data that is there from the start, open to everyone. Name those above it first.
    pub fn node(mut self, path: impl Into<String>) -> Self {
        self.0.nodes.push(path.into());
        self
    }

    pub(crate) const fn count(&self) -> usize {
        self.0.members
    }

    /// Starts the servers, with a leader elected.
    pub fn build(self) -> Ensemble {
        Ensemble::new(self.0)
    }
}
