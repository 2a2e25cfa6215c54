//! Which names of a list matter to a recipe.

use crate::path::{Path, contender, sequence};
use crate::wire::{
    Encoder, GetChildNames, Idempotent, Malformed, Names, OpCode, Request, WatchKind, Watchable,
};

/// Lists the children of a node, or those that are picked if there is no room for all of them.
///
/// On a board, a list that is longer than the room for a reply is looked through while it comes in.
#[derive(Clone, Copy, Debug)]
pub struct PickChildNames<'a> {
    /// The node.
    pub path: Path<'a>,
    /// Which of them matter.
    pub pick: Pick<'a>,
}

impl Request for PickChildNames<'_> {
    type Response<B: AsRef<[u8]>> = Names<B>;

    fn op(&self) -> OpCode {
        OpCode::GET_CHILDREN
    }

    fn encode(&self, out: &mut Encoder<'_>) {
        GetChildNames { path: self.path }.encode(out);
    }

    fn decode<B: AsRef<[u8]>>(body: B, chroot: &str) -> Result<Names<B>, Malformed> {
        GetChildNames::decode(body, chroot)
    }

    fn pick(&self) -> Option<Pick<'_>> {
        Some(self.pick)
    }
}

impl Idempotent for PickChildNames<'_> {}

impl Watchable for PickChildNames<'_> {
    const WATCH: WatchKind = WatchKind::Child;

    fn path(&self) -> Path<'_> {
        self.path
    }
}

/// Which names of a list matter.
///
/// Contenders are compared as their numbers wrap around: a parent that has had 2^31 children goes on
/// at the smallest number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick<'a> {
    /// The first that begins with this.
    First(&'a str),
    /// That of the [contender] with these suffixes that is ahead of all others.
    Front(&'a str),
    /// An own name, and that of the [contender] just ahead of it. None at all if the own
    /// one is missing.
    Ahead {
        /// The own name, which ends with a number.
        own: &'a str,
        /// What the names of those end with that count, before their number.
        suffixes: &'a str,
    },
}

impl Pick<'_> {
    /// By what to compare a name with others, if it may matter.
    pub(crate) fn rank(self, name: &str) -> Option<i32> {
        match self {
            Self::First(prefix) => name.starts_with(prefix).then_some(0),
            Self::Front(suffixes) => contender(name, suffixes),
            Self::Ahead { own, suffixes } => {
                let (_, mine) = sequence(own)?;
                let distance = mine.wrapping_sub(contender(name, suffixes)?);
                (distance > 0).then_some(distance)
            }
        }
    }

    /// Whether a name of this rank matters more than the best so far.
    pub(crate) const fn prefers(self, rank: i32, best: i32) -> bool {
        match self {
            Self::First(_) => false,
            Self::Front(_) => best.wrapping_sub(rank) > 0,
            Self::Ahead { .. } => rank < best,
        }
    }

    /// The name that matters most, other than the own one.
    pub(crate) fn best<'n>(self, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
        let ranked = names.filter_map(|name| Some((self.rank(name)?, name)));
        let best = ranked.reduce(|best, next| match self.prefers(next.0, best.0) {
            true => next,
            false => best,
        });
        best.map(|(_, name)| name)
    }
}
