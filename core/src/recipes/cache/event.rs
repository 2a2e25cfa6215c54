//! What a cache tells.

use crate::session::Epoch;

/// A step from one view of the nodes to the next, or what has become of the view.
///
/// Applied one after the other to nothing, the steps give the view: `old` is always what was there.
/// Several changes of a node may have become one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Event<N> {
    /// A node is new, or has changed. If it was deleted and created again in the meantime, the two
    /// differ in their `czxid`.
    Put {
        /// What was there.
        old: Option<N>,
        /// What is there now.
        new: N,
    },
    /// A node is gone, or may not be read any more.
    Removed {
        /// What was there.
        old: N,
    },
    /// For the first time in a session, the view has all that there is. It is [fresh](Self::Fresh).
    Ready {
        /// The session.
        epoch: Epoch,
        /// The last transaction that is in the view, with all before it.
        zxid: i64,
    },
    /// Changes may have been missed, as the connection was lost or there were too many at a time. The
    /// view stays as it is until all of it has been looked at again.
    Stale,
    /// Everything has been looked at again. The view follows its server.
    Fresh,
    /// Something is left out, for want of room: nodes, or the data of nodes.
    Overflow,
    /// There is room again, and nothing is left out any more.
    Complete,
}

impl<N> Event<N> {
    /// The same of what `act` makes of the nodes.
    pub fn map<'a, M>(&'a self, act: impl Fn(&'a N) -> M) -> Event<M> {
        match self {
            Self::Put { old, new } => Event::Put {
                old: old.as_ref().map(&act),
                new: act(new),
            },
            Self::Removed { old } => Event::Removed { old: act(old) },
            Self::Ready { epoch, zxid } => Event::Ready {
                epoch: *epoch,
                zxid: *zxid,
            },
            Self::Stale => Event::Stale,
            Self::Fresh => Event::Fresh,
            Self::Overflow => Event::Overflow,
            Self::Complete => Event::Complete,
        }
    }
}
