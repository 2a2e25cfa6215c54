//! The one log of transactions that all members of an ensemble apply.

use std::collections::VecDeque;
use std::sync::Arc;

use docent_core::error::Code;
use docent_core::time::Instant;

use crate::server::acl::Rule;

/// A transaction as the ensemble agreed on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number: the epoch in the upper half, a counter in the lower.
    pub zxid: i64,
    /// When it was agreed on: milliseconds since 1970 by the leader's clock.
    pub time: i64,
    /// The session that asked for it; 0 for the server itself.
    pub session: i64,
    /// The number that the client gave the request; 0 for the server itself.
    pub xid: i32,
    /// What it does.
    pub txn: Txn,
    /// When it was agreed on, by the model's clock.
    pub at: Instant,
}

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the request")]
pub enum Txn {
    /// The session begins.
    OpenSession { timeout_ms: i32 },
    /// The session ends, and with it these nodes.
    CloseSession { ephemerals: Vec<String> },
    /// A node is created; its parent's counter of creations becomes `counter`.
    Create {
        path: String,
        data: Option<Arc<[u8]>>,
        acl: Arc<[Rule]>,
        life: Life,
        counter: i32,
    },
    /// A node is deleted.
    Delete { path: String },
    /// A node's data is replaced; its version becomes `version`.
    SetData {
        path: String,
        data: Option<Arc<[u8]>>,
        version: i32,
    },
    /// A node's access control list is replaced; its version becomes `version`.
    SetAcl {
        path: String,
        acl: Arc<[Rule]>,
        version: i32,
    },
    /// A version was found as expected.
    Check { path: String },
    /// All of these, in order.
    Multi(Vec<Self>),
    /// Nothing: of `len` operations, that at the index `at` failed.
    FailedMulti { at: usize, len: usize, code: Code },
    /// Nothing: a failed write takes a number all the same.
    Failed(Code),
}

/// How long a node lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Until it is deleted.
    Persistent,
    /// As long as the session.
    Ephemeral(i64),
    /// Until it has had children and has none.
    Container,
    /// Until it has had no children and no change for so many milliseconds.
    Ttl(i64),
}

/// The entries that some member may still have to apply, and as many older ones as are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    entries: VecDeque<Arc<Entry>>,
    /// How many were dropped at the front.
    dropped: usize,
}

impl Log {
    pub(super) fn push(&mut self, entry: Arc<Entry>) {
        self.entries.push_back(entry);
    }

    /// The entry after the first `index`.
    pub(super) fn get(&self, index: usize) -> Option<&Arc<Entry>> {
        self.entries.get(index.checked_sub(self.dropped)?)
    }

    /// How many there have been.
    pub(super) fn len(&self) -> usize {
        self.dropped + self.entries.len()
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter().map(|entry| &**entry)
    }

    /// Whether nothing has been dropped.
    pub(super) fn is_whole(&self) -> bool {
        self.dropped == 0
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.entries.truncate(len.saturating_sub(self.dropped));
    }

    /// Drops entries that all members have applied, but for the last `keep`.
    pub(super) fn trim(&mut self, applied: usize, keep: usize) {
        let last = applied.min(self.len().saturating_sub(keep));
        while self.dropped < last && self.entries.pop_front().is_some() {
            self.dropped += 1;
        }
    }
}
