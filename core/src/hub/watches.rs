//! Watches: who looks at which path, and what they have not seen yet.
//!
//! A watch says "look again". What happens at a path while nobody looks is therefore one set of
//! [`Events`](wire::Events), however often it happens. Only a recursive watch must say where, and
//! keeps a short queue, which on overflow becomes one [`Change::Resync`].

use core::task::{Poll, Waker};

use super::Hub;
use super::calls::Id;
use super::storage::{Events as Queue, Storage, Watches, register};
use crate::error::{Code, Error};
use crate::path::{Path, PathBuf, strip_chroot};
use crate::time::Instant;
use crate::wire::{
    self, AddWatchMode, Encode, EventKind, Events, OpCode, RemoveWatches, RequestHeader, Sink,
    WatchEvent, WatchKind, WatcherType, xid,
};

/// What a watch has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Change<P> {
    /// These events happened at the watched path since the last look.
    Node(Events),
    /// This happened at or below the path of a recursive watch.
    Below {
        /// What happened.
        kind: EventKind,
        /// Where.
        path: P,
    },
    /// Events may have been missed: read again whatever is of interest.
    Resync,
    /// The session is over, and the watch with it.
    Lost,
}

/// A watch of one task.
#[derive(Debug)]
pub struct Watch<Q> {
    /// What a good reply makes of it, and what a reply of "no node" does.
    kind: WatchKind,
    absent: Option<WatchKind>,
    /// Whether the request that sets it is under way. Until it is answered the place stays taken.
    asked: bool,
    armed: Option<WatchKind>,
    /// Whether the server has been left with a watch on its path, of one that was dropped.
    heir: bool,
    /// Whether the server has refused the lasting watch that was to serve this one as well.
    bare: bool,
    events: Events,
    pub(super) queue: Q,
    resync: bool,
    stage: Stage,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// More may come.
    Open,
    /// The session is over, which is yet to be told.
    Lost,
    /// Nothing more will come.
    Over,
    /// Nobody looks any more; the server has to be told.
    Dropped,
}

impl<Q: Queue> Watch<Q> {
    /// A watch that a request is about to set.
    pub(super) const fn new(kind: WatchKind, absent: Option<WatchKind>, queue: Q) -> Self {
        Self {
            kind,
            absent,
            asked: false,
            armed: None,
            heir: false,
            bare: false,
            events: Events::NONE,
            queue,
            resync: false,
            stage: Stage::Open,
            waker: None,
        }
    }

    const fn is_persistent(&self) -> bool {
        matches!(self.kind, WatchKind::Persistent | WatchKind::Recursive)
    }

    fn has_news(&self) -> bool {
        !self.events.is_empty()
            || self.resync
            || self.stage != Stage::Open
            || !self.queue.is_empty()
    }

    pub(super) fn take_waker(&mut self) -> Option<Waker> {
        if self.has_news() {
            self.waker.take()
        } else {
            None
        }
    }

    /// Takes note of an event at the watch's own path.
    fn note(&mut self, kind: EventKind) {
        let Some(armed) = self.armed.filter(|armed| hears(*armed, kind)) else {
            return;
        };
        if armed == WatchKind::Recursive {
            return;
        }
        self.events = self.events | kind.into();
        if armed != WatchKind::Persistent {
            self.armed = None;
            self.stage = Stage::Over;
        }
    }

    /// Takes note of an event at or below the path of a recursive watch.
    fn note_below(&mut self, kind: EventKind, path: &str) {
        if self.armed == Some(WatchKind::Recursive)
            && kind != EventKind::ChildrenChanged
            && self.queue.push(kind, path).is_err()
        {
            self.must_resync();
        }
    }

    fn must_resync(&mut self) {
        self.queue.clear();
        self.resync = true;
    }

    /// The session is over. A watch that was not set yet may still be, in the next one.
    fn lose(&mut self) {
        self.heir = false;
        if self.armed.take().is_some() && self.stage == Stage::Open {
            self.stage = Stage::Lost;
        }
    }

    fn is_armed_as(&self, kinds: &[WatchKind]) -> bool {
        self.armed.is_some_and(|armed| kinds.contains(&armed))
    }

    /// Whether somebody may still hear of its path by it.
    fn is_live(&self) -> bool {
        self.stage == Stage::Open && (self.asked || self.armed.is_some())
    }

    /// The next thing to tell; `None` after the last.
    fn next(&mut self) -> Poll<Option<Change<Q::Path>>> {
        if core::mem::take(&mut self.resync) {
            return Poll::Ready(Some(Change::Resync));
        }
        if !self.events.is_empty() {
            return Poll::Ready(Some(Change::Node(core::mem::replace(
                &mut self.events,
                Events::NONE,
            ))));
        }
        if let Some((kind, path)) = self.queue.pop() {
            return Poll::Ready(Some(Change::Below { kind, path }));
        }
        match self.stage {
            Stage::Open => Poll::Pending,
            Stage::Lost => {
                self.stage = Stage::Over;
                Poll::Ready(Some(Change::Lost))
            }
            Stage::Over | Stage::Dropped => Poll::Ready(None),
        }
    }
}

/// The path type of a storage's recursive events.
type EventPath<S> = <<<S as Storage>::Watches as Watches>::Events as Queue>::Path;

impl<S: Storage> Hub<S> {
    /// Makes a place for a watch on `path` that a request is about to set.
    ///
    /// # Errors
    /// [`Error::Full`] if there is no place, [`Error::PathTooLong`] if the path does not fit one.
    pub fn add_watch(
        &mut self,
        path: Path<'_>,
        kind: WatchKind,
        absent: Option<WatchKind>,
    ) -> Result<Id, Error> {
        let new = |queue| Watch::new(kind, absent, queue);
        match self.parts.watches.insert(path, new) {
            Ok(index) => Id::new(index).ok_or(Error::Full),
            Err(_) if S::Path::try_from_parts(&[path.as_str()]).is_none() => {
                Err(Error::PathTooLong)
            }
            Err(_) => Err(Error::Full),
        }
    }

    /// How many watches there are, those included that the server has yet to be told to forget.
    pub fn watches(&mut self) -> usize {
        let watches = &mut self.parts.watches;
        (0..watches.bound())
            .filter(|&index| watches.get_mut(index).is_some())
            .count()
    }

    /// The next change that a watch has to tell; `None` after the last.
    pub fn poll_watch(&mut self, id: Id, waker: &Waker) -> Poll<Option<Change<EventPath<S>>>> {
        let Some(watch) = self.parts.watches.get_mut(id.index()) else {
            return Poll::Ready(None);
        };
        let next = watch.next();
        if next.is_pending() {
            register(&mut watch.waker, waker);
        }
        next
    }

    /// Nobody looks at a watch any more. The server is told if it was the last one on its path.
    pub fn drop_watch(&mut self, id: Id) {
        let Some(watch) = self.parts.watches.get_mut(id.index()) else {
            return;
        };
        let known_to_server = (watch.armed.take().is_some() || watch.heir) && self.session.is_up();
        if !known_to_server && !watch.asked {
            return self.parts.watches.remove(id.index());
        }
        watch.stage = Stage::Dropped;
        watch.waker = None;
        if !watch.asked {
            self.unwatching += 1;
            self.unwatch(id.index());
        }
    }

    /// Tells the server of watches that nobody looks at, as far as there is room to do so.
    pub(super) fn flush_unwatched(&mut self) {
        let mut index = 0;
        while self.unwatching > 0 && index < self.parts.watches.bound() {
            if self.is_dropped(index) && !self.unwatch(index) {
                return;
            }
            index += 1;
        }
    }

    fn is_dropped(&mut self, index: usize) -> bool {
        self.parts
            .watches
            .get_mut(index)
            .is_some_and(|watch| watch.stage == Stage::Dropped && !watch.asked)
    }

    /// Whether the watch at `index` is settled with the server.
    fn unwatch(&mut self, index: usize) -> bool {
        let Some((path, _)) = self.parts.watches.get(index) else {
            return true;
        };
        let Some(path) = S::Path::try_from_parts(&[path]) else {
            return true;
        };
        let mut others = 0;
        self.parts
            .watches
            .each_at(path.as_path().as_str(), &mut |watch| {
                if watch.is_live() {
                    watch.heir |= others == 0;
                    others += 1;
                }
            });
        // While someone else looks at the path, events without a taker are ignored.
        let remove = RemoveWatches {
            path: path.as_path(),
            kind: WatcherType::Any,
        };
        let remove: &dyn Encode = &remove;
        if others == 0 && self.session.is_up() && self.enqueue(remove, None, None).is_err() {
            return false;
        }
        self.parts.watches.remove(index);
        self.unwatching -= 1;
        true
    }

    /// The request that sets a watch is under way, with `beside` one for a persistent watch.
    pub(super) fn expect_watch(&mut self, id: Id, beside: bool) {
        if let Some(watch) = self.parts.watches.get_mut(id.index()) {
            watch.asked = true;
            watch.heir |= beside;
            watch.bare = false;
        }
    }

    /// The lasting watch that was to serve this one was refused. Its own request is still under way.
    pub(super) fn bare_watch(&mut self, id: Id) {
        if let Some(watch) = self.parts.watches.get_mut(id.index()) {
            watch.bare = true;
        }
    }

    /// The request that sets a watch was answered with `err`, or failed.
    pub(super) fn settle_watch(&mut self, id: Id, err: i32) {
        let Some(watch) = self.parts.watches.get_mut(id.index()) else {
            return;
        };
        let armed = match err {
            _ if watch.bare => None,
            0 => Some(watch.kind),
            err if err == Code::NoNode.number() => watch.absent,
            _ => None,
        };
        if err == 0 && watch.kind == WatchKind::Persistent && watch.heir {
            self.resync_trees(id.index());
        }
        let Some(watch) = self.parts.watches.get_mut(id.index()) else {
            return;
        };
        watch.asked = false;
        match (watch.stage, armed) {
            (Stage::Open, Some(_)) => watch.armed = armed,
            (Stage::Open, None) => {
                watch.stage = Stage::Over;
                if watch.waker.is_some() {
                    self.wake.watches = Some(0);
                }
            }
            // It was dropped before the server had set it.
            (Stage::Dropped, armed) if armed.is_some() || watch.heir => {
                self.unwatching += 1;
                self.unwatch(id.index());
            }
            (Stage::Dropped, _) => self.parts.watches.remove(id.index()),
            (Stage::Lost | Stage::Over, _) => {}
        }
    }

    /// A persistent watch was set on the path of recursive ones, and these again behind it: a server
    /// before 3.9 did not have them in between.
    fn resync_trees(&mut self, index: usize) {
        let Some((path, _)) = self.parts.watches.get(index) else {
            return;
        };
        let Some(path) = S::Path::try_from_parts(&[path]) else {
            return;
        };
        self.parts
            .watches
            .each_at(path.as_path().as_str(), &mut |watch| {
                if watch.armed == Some(WatchKind::Recursive) {
                    watch.must_resync();
                }
            });
        self.wake.watches = Some(0);
    }

    /// Hands an event to all who look at its path. Returns one of the tasks to be woken.
    pub(super) fn dispatch(&mut self, event: &WatchEvent<'_>) -> Option<Waker> {
        let kind = event.kind?;
        let path = strip_chroot(event.path, self.parts.chroot.as_ref())?;
        let mut wakers = Wakers::default();
        self.parts.watches.each_at(path, &mut |watch| {
            watch.note(kind);
            wakers.collect(watch);
        });
        let path = Path::new(path).ok()?;
        if matches!(kind, EventKind::Created | EventKind::Deleted) {
            self.dispatch_to_parent(path, &mut wakers);
        }
        for ancestor in path.ancestors() {
            self.parts.watches.each_at(ancestor.as_str(), &mut |watch| {
                watch.note_below(kind, path.as_str());
                wakers.collect(watch);
            });
        }
        if wakers.more {
            self.wake.watches = Some(0);
        }
        wakers.first
    }

    /// Tells those who look at the children of a node that is watched with all below it: servers
    /// before 3.9 then tell of the children only.
    fn dispatch_to_parent(&mut self, child: Path<'_>, wakers: &mut Wakers) {
        let Some(parent) = child.parent() else { return };
        let watches = &mut self.parts.watches;
        let mut recursive = false;
        watches.each_at(parent.as_str(), &mut |watch| {
            recursive |= watch.armed == Some(WatchKind::Recursive) || watch.heir;
        });
        watches.each_at(parent.as_str(), &mut |watch| {
            if recursive {
                watch.note(EventKind::ChildrenChanged);
                wakers.collect(watch);
            }
        });
    }

    /// The watch on the path of another one that the server is to keep, if there is one.
    ///
    /// Its events serve the other one as well: a recursive one's for all kinds, a persistent one's
    /// for those that fire once.
    pub(super) fn persistent_beside(&mut self, id: Id) -> Option<(S::Path, AddWatchMode)> {
        let (path, watch) = self.parts.watches.get(id.index())?;
        let own = watch.kind;
        if own == WatchKind::Recursive {
            return None;
        }
        let path = S::Path::try_from_parts(&[path])?;
        let mut mode = None;
        self.parts
            .watches
            .each_at(path.as_path().as_str(), &mut |watch| match watch.kind {
                _ if !watch.is_live() => {}
                WatchKind::Recursive => mode = Some(AddWatchMode::Recursive),
                WatchKind::Persistent if own != WatchKind::Persistent && mode.is_none() => {
                    mode = Some(AddWatchMode::Persistent);
                }
                _ => {}
            });
        Some((path, mode?))
    }

    /// After a reconnection: servers tell one-shot watches what they missed, but not the others.
    pub(super) fn resync_watches(&mut self) {
        self.each_watch(|watch| {
            // What is not sent yet may still set a persistent watch beside this one.
            watch.heir &= watch.asked;
            if watch.armed.is_some() && watch.is_persistent() {
                watch.must_resync();
            }
        });
        // The new connection knows nothing of them.
        for index in 0..self.parts.watches.bound() {
            if self.is_dropped(index) {
                self.parts.watches.remove(index);
            }
        }
        self.unwatching = 0;
    }

    pub(super) fn lose_watches(&mut self) {
        self.each_watch(Watch::lose);
    }

    fn each_watch(&mut self, mut visit: impl FnMut(&mut Watch<<S::Watches as Watches>::Events>)) {
        for index in 0..self.parts.watches.bound() {
            if let Some(watch) = self.parts.watches.get_mut(index) {
                visit(watch);
            }
        }
        self.wake.watches = Some(0);
    }

    /// Appends as many watches as fit one message. Whether it made progress.
    ///
    /// Where all do not fit one, those that last go last: a server before 3.9 keeps one watch per
    /// path, the last one set, and their events serve the others, too.
    pub(super) fn encode_restore(
        &mut self,
        now: Instant,
        cursor: usize,
        zxid: i64,
        spare: &mut S::Tx,
    ) -> bool {
        let budget = MAX_RESTORE.min(self.session.max_request());
        let mut end = self.parts.watches.bound();
        let (kinds, from) = match cursor {
            0 if self.measure(0, end, &WatchKind::ALL, budget).end == end => {
                (&WatchKind::ALL[..], 0)
            }
            LASTING.. => (&WatchKind::ALL[3..], cursor - LASTING),
            _ => (&WatchKind::ALL[..3], cursor),
        };
        while from < end {
            let chunk = self.measure(from, end, kinds, budget);
            if chunk.count == 0 && chunk.end >= end {
                break;
            }
            let rest = self.rest(cursor, chunk.end, kinds);
            if self.encode_chunk(from, &chunk, kinds, zxid, spare) {
                self.session.restore_sent(now, rest, true);
                return true;
            }
            if !spare.is_empty() {
                return false;
            }
            if chunk.count <= 1 {
                // Even alone it does not fit; it was set by a message of another layout.
                self.lose_in(from, chunk.end, kinds);
                self.session.restore_sent(now, rest, false);
                return true;
            }
            end = from + (chunk.end - from) / 2;
        }
        let rest = self.rest(cursor, end, kinds);
        self.session.restore_sent(now, rest, false);
        true
    }

    /// Where to go on after the watches of these kinds up to `end`.
    fn rest(&self, cursor: usize, end: usize, kinds: &[WatchKind]) -> Option<usize> {
        let lasting = cursor & LASTING;
        if end < self.parts.watches.bound() {
            return Some(lasting + end);
        }
        let all = kinds.len() == WatchKind::ALL.len();
        (lasting == 0 && !all).then_some(LASTING)
    }

    /// How far the watches from `from` on go into `budget` bytes; at least one does.
    fn measure(&mut self, from: usize, end: usize, kinds: &[WatchKind], budget: usize) -> Chunk {
        let chroot = self.parts.chroot.as_ref().len();
        let mut chunk = Chunk {
            end: from,
            count: 0,
            persistent: false,
        };
        let mut size = RESTORE_OVERHEAD;
        for index in from..end {
            if let Some((path, watch)) = self.parts.watches.get(index)
                && watch.is_armed_as(kinds)
            {
                size += 4 + chroot + path.len();
                if size > budget && chunk.count > 0 {
                    break;
                }
                chunk.count += 1;
                chunk.persistent |= watch.is_persistent();
            }
            chunk.end = index + 1;
        }
        chunk
    }

    fn encode_chunk(
        &mut self,
        from: usize,
        chunk: &Chunk,
        kinds: &[WatchKind],
        zxid: i64,
        spare: &mut S::Tx,
    ) -> bool {
        let op = if chunk.persistent {
            OpCode::SET_WATCHES2
        } else {
            OpCode::SET_WATCHES
        };
        let header = RequestHeader {
            xid: xid::SET_WATCHES,
            op,
        };
        let chroot = self.parts.chroot.as_ref();
        let watches = &self.parts.watches;
        wire::frame(spare, usize::MAX, chroot, false, |out| {
            header.encode(out);
            wire::set_watches(out, zxid, chunk.persistent, |kind, visit| {
                if !kinds.contains(&kind) {
                    return;
                }
                for index in from..chunk.end {
                    if let Some((path, watch)) = watches.get(index)
                        && watch.armed == Some(kind)
                    {
                        visit(Path::trusted(path));
                    }
                }
            });
        })
        .is_ok()
    }

    fn lose_in(&mut self, from: usize, end: usize, kinds: &[WatchKind]) {
        for index in from..end {
            if let Some(watch) = self.parts.watches.get_mut(index)
                && watch.is_armed_as(kinds)
            {
                watch.lose();
            }
        }
        self.wake.watches = Some(0);
    }
}

/// Whether an event at a watch's own path is for a watch of this kind.
///
/// A node's end is the end of its child watches too. Frames are sent once however many kinds hear
/// them, so that they must be told apart here.
const fn hears(armed: WatchKind, kind: EventKind) -> bool {
    match armed {
        WatchKind::Persistent => true,
        WatchKind::Recursive => !matches!(kind, EventKind::ChildrenChanged),
        WatchKind::Data | WatchKind::Exist => !matches!(kind, EventKind::ChildrenChanged),
        WatchKind::Child => matches!(kind, EventKind::ChildrenChanged | EventKind::Deleted),
    }
}

/// Servers refuse frames over 1 MiB; ZooKeeper's own client stays well below, and so does this.
const MAX_RESTORE: usize = 128 * 1024;
/// Header, zxid and the counts of five lists.
const RESTORE_OVERHEAD: usize = 8 + 8 + 5 * 4;

/// Added to the place in the table where a restoration goes on, once only persistent watches are left.
const LASTING: usize = 1 << (usize::BITS - 1);

struct Chunk {
    end: usize,
    count: usize,
    persistent: bool,
}

/// The first task of several to be woken.
#[derive(Default)]
struct Wakers {
    first: Option<Waker>,
    more: bool,
}

impl Wakers {
    fn collect<Q: Queue>(&mut self, watch: &mut Watch<Q>) {
        if self.first.is_none() {
            self.first = watch.take_waker();
        } else {
            self.more |= watch.has_news() && watch.waker.is_some();
        }
    }
}
