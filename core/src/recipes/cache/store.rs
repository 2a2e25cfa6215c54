//! Where a cache keeps its nodes: what the algorithm needs of it.

use core::task::Context;

use crate::client::Watcher;
use crate::error::Error;
use crate::path::{Path, PathBuf};
use crate::recipes::cache::{Event, Reader};
use crate::time::Instant;
use crate::wire::{Full, Stat};

/// A node that a cache holds.
pub trait Held {
    /// Where it is.
    fn path(&self) -> Path<'_>;
    /// Its state when it was last read. What follows the last change of its data may be older than
    /// on the server: the number of children, and the ACL's version.
    fn stat(&self) -> Stat;
    /// Its data; `None` if that is not kept, be it for want of room or because nobody wants it.
    fn data(&self) -> Option<&[u8]>;
}

/// Room for nodes, with a [`Mark`] for each, and for those that are yet to be read.
///
/// A store decides about nothing but room. A cache is the only one to change it.
pub trait Store: Sized {
    /// An owned path.
    type Path: PathBuf;
    /// A node.
    type Node: Held + 'static;
    /// Where watches that fire once are kept.
    type Ears<W: Watcher>: Ears<W>;
    /// How nodes are read, one at a time or several.
    type Reader: Reader;

    /// Lets `act` change the mark of an entry, with its node if that was read; `None` if there is no
    /// entry.
    fn update<T>(
        &mut self,
        path: Path<'_>,
        act: impl FnOnce(&mut Mark, Option<&Self::Node>) -> T,
    ) -> Option<T>;
    /// Lets `act` change all marks.
    fn each(&mut self, act: impl FnMut(&mut Mark));
    /// Adds an entry for a node that is yet to be read, with a [new](Mark::NEW) mark.
    ///
    /// # Errors
    /// [`Full`] if there is no room for it.
    fn insert(&mut self, path: Path<'_>) -> Result<(), Full>;
    /// Shows up to `most` entries that ask for something.
    fn asked(&mut self, most: usize, show: impl FnMut(Path<'_>, Ask));
    /// Gives an entry its node, which is told of if it [differs](differs). Says whether there was room
    /// for the data.
    fn put(&mut self, path: Path<'_>, stat: Stat, data: Option<&[u8]>) -> bool;
    /// Takes the node of an entry away, and all entries below it; the entry itself stays.
    fn hide(&mut self, path: Path<'_>);
    /// Removes an entry and all below it.
    fn remove(&mut self, path: Path<'_>);
    /// Removes the children of `path` that are not among `names`, and all below them.
    fn retain<'n>(&mut self, path: Path<'_>, names: impl Iterator<Item = &'n str> + Clone);

    /// Goes on to the next change that was not told of, if there is one.
    fn tell(&mut self) -> bool;
    /// The change that [`tell`](Self::tell) has come to.
    fn told(&self) -> Option<Event<&Self::Node>>;
    /// What there is.
    fn tally(&self) -> Tally;
    /// Whether there has been room again since the last call.
    fn take_freed(&mut self) -> bool;
    /// The view now has everything up to a transaction, and all that its server had applied at this
    /// time, as read on the connection with this [number](crate::session::Status::connections). Nothing
    /// is asked for any more.
    fn settled(&mut self, contact: (i64, Instant), connection: u32) {
        let _ = (contact, connection);
    }
}

/// What a cache knows of an entry beside its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Whether the node is to be read, and its children listed.
    pub(super) reads: bool,
    pub(super) lists: bool,
    /// By which `czxid` and `pzxid` the children were listed last.
    pub(super) listed: Option<(i64, i64)>,
    /// Whether the client may not read the node.
    pub(super) denied: bool,
    /// What is left out for want of room: the data, and some children.
    pub(super) cut: bool,
    pub(super) partial: bool,
}

impl Mark {
    /// That of a node that is yet to be read.
    pub const NEW: Self = Self {
        reads: true,
        lists: false,
        listed: None,
        denied: false,
        cut: false,
        partial: false,
    };

    /// What is asked of the server next.
    pub const fn asks(&self) -> Option<Ask> {
        match self {
            Self { reads: true, .. } => Some(Ask::Node),
            Self { lists: true, .. } => Some(Ask::Children),
            _ => None,
        }
    }

    /// Whether something is left out for want of room.
    pub const fn leaves_out(&self) -> bool {
        self.cut || self.partial
    }

    /// Whether the client may not read the node.
    pub const fn is_denied(&self) -> bool {
        self.denied
    }
}

/// What is to be asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Ask {
    /// The node.
    Node,
    /// The names of its children.
    Children,
}

/// How much a cache holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Tally {
    /// Nodes.
    pub nodes: usize,
    /// Bytes of their paths and data.
    pub bytes: usize,
    /// Nodes that are not in the view, as the client may not read them.
    pub denied: usize,
    /// Nodes without their data, or without some of their children, for want of room.
    pub cut: usize,
}

/// Watches that fire once, of those nodes that have one.
pub trait Ears<W: Watcher>: Default {
    /// Keeps a watch on a node, or on its children, instead of an earlier one.
    ///
    /// # Errors
    /// [`Error::Full`] if there is no room for it.
    fn put(&mut self, path: Path<'_>, ask: Ask, watcher: W) -> Result<(), Error>;
    /// Hands those that have fired to `hear`, and drops them.
    fn poll(&mut self, cx: &mut Context<'_>, hear: impl FnMut(Path<'_>, Ask));
}

/// Whether a node has changed: was created anew, or written, or has other data all the same, as after
/// a restore of a backup. The version says nothing: that of a new node begins at the old numbers.
pub fn differs(old: &impl Held, stat: &Stat, data: Option<&[u8]>) -> bool {
    let was = old.stat();
    (was.czxid, was.mzxid) != (stat.czxid, stat.mzxid) || old.data() != data
}
