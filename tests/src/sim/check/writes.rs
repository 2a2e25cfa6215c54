//! Whether writes were applied as their callers were told, once, and in their order.

use std::collections::BTreeMap;

use docent_core::error::Error;

use super::Journal;
use super::history::{History, Place};

/// What is known of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Nobody has waited for its end.
    Open,
    /// It was applied, and this is known of it.
    Done(Effect),
    Refused(Error),
    Unknown(Error),
}

/// What the reply to a write says: the transaction and the version that it has led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::sim) struct Effect {
    pub(in crate::sim) zxid: Option<i64>,
    pub(in crate::sim) version: Option<i32>,
}

/// A write that can be told from all others in the history.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "it is printed")]
struct Write {
    client: usize,
    mark: String,
    outcome: Outcome,
    /// Writes of the same batch were submitted one after the other.
    batch: u64,
    /// The last transaction when it was submitted, and when it had ended.
    since: i64,
    until: i64,
}

/// All writes.
#[derive(Debug, Default)]
pub(in crate::sim) struct Writes(Vec<Write>);

impl Writes {
    /// A write is about to be made that leaves `mark` in the history, which goes up to `since`.
    pub(in crate::sim) fn begin(
        &mut self,
        client: usize,
        mark: &str,
        batch: u64,
        since: i64,
    ) -> usize {
        self.0.push(Write {
            client,
            mark: mark.to_owned(),
            outcome: Outcome::Open,
            batch,
            since,
            until: i64::MAX,
        });
        self.0.len() - 1
    }

    /// The write has ended, with the history at `until`.
    pub(in crate::sim) fn end(&mut self, write: usize, result: Result<Effect, Error>, until: i64) {
        let write = &mut self.0[write];
        write.outcome = match result {
            Ok(effect) => Outcome::Done(effect),
            Err(Error::ReplyTooLarge { .. }) => Outcome::Done(Effect::default()),
            Err(error) if error.may_have_run() => Outcome::Unknown(error),
            Err(error) => Outcome::Refused(error),
        };
        if matches!(write.outcome, Outcome::Done(_)) {
            write.until = until;
        }
    }

    /// The last transaction that somebody was told of.
    pub(in crate::sim) fn acknowledged(&self) -> i64 {
        let zxids = self.0.iter().filter_map(|write| match write.outcome {
            Outcome::Done(effect) => effect.zxid,
            _ => None,
        });
        zxids.max().unwrap_or(0)
    }

    /// How many have ended without anybody knowing whether they were applied.
    pub(in crate::sim) fn unknown(&self) -> u64 {
        let unknown = |write: &&Write| matches!(write.outcome, Outcome::Unknown(_));
        self.0.iter().filter(unknown).count() as u64
    }
}

pub(super) fn check(journal: &Journal, history: &History<'_>) -> Vec<String> {
    let writes = &journal.writes.0;
    let mut wrong: Vec<_> = writes
        .iter()
        .filter_map(|write| {
            let places = history.places(&write.mark);
            (!write.agrees(places)).then(|| format!("{write:x?}, but it was applied: {places:x?}"))
        })
        .collect();
    wrong.extend(order(writes, history));
    wrong
}

impl Write {
    fn agrees(&self, places: &[Place<'_>]) -> bool {
        let count = match self.outcome {
            Outcome::Done(_) => places.len() == 1,
            Outcome::Refused(_) => places.is_empty(),
            Outcome::Unknown(_) | Outcome::Open => places.len() <= 1,
        };
        count && places.iter().all(|place| self.fits(place))
    }

    /// Whether it was applied while it was under way, as its reply says: so all writes are applied
    /// in an order that agrees with time.
    fn fits(&self, place: &Place<'_>) -> bool {
        let Outcome::Done(Effect { zxid, version }) = self.outcome else {
            return place.zxid > self.since;
        };
        (self.since + 1..=self.until).contains(&place.zxid)
            && zxid.is_none_or(|zxid| zxid == place.zxid)
            && version.is_none_or(|version| version == place.version)
    }
}

/// What was submitted in an order was applied in that order.
fn order(writes: &[Write], history: &History<'_>) -> Vec<String> {
    let mut last = BTreeMap::<u64, i64>::new();
    let mut wrong = Vec::new();
    for write in writes.iter().filter(|write| write.batch > 0) {
        let Some(place) = history.places(&write.mark).first() else {
            continue;
        };
        let before = last.insert(write.batch, place.zxid);
        if before.is_some_and(|before| before >= place.zxid) {
            wrong.push(format!("{write:x?} was applied out of order"));
        }
    }
    wrong
}
