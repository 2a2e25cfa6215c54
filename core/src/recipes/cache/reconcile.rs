//! What follows from what a server says: the decisions of a cache, without any waiting.

use crate::path::{JoinError, Path, PathBuf};
use crate::recipes::cache::scope::Scope;
use crate::recipes::cache::{Ask, Held, Mark, Select, Store};
use crate::wire::{EventKind, Stat};

/// What a server answered about one node.
#[derive(Clone, Debug)]
pub(super) enum Found<'a, I> {
    /// The node, with its data unless that is too large to keep.
    Node(Stat, Option<&'a [u8]>),
    /// The names of its children.
    Names(I),
    /// There are more names than there is room for.
    TooManyNames,
    /// There is no such node.
    Absent,
    /// The client may not read it.
    Denied,
}

/// A view and what it is to be of.
pub struct View<'a, S, F> {
    pub(super) store: &'a mut S,
    pub(super) root: Path<'a>,
    pub(super) scope: &'a Scope<F>,
    /// Whether a watch tells of all changes below the root, so that lists need none of their own.
    pub(super) lasting: bool,
}

impl<S: Store, F: Fn(Path<'_>) -> Select> View<'_, S, F> {
    /// Takes in an answer.
    pub(super) fn found<'n, I>(&mut self, path: Path<'_>, found: Found<'_, I>)
    where
        I: Iterator<Item = &'n str> + Clone + Default,
    {
        // Another answer of the same time may have removed it.
        if self.store.update(path, |_, _| ()).is_none() {
            return;
        }
        match found {
            Found::Node(stat, data) => {
                if self.found_node(path, &stat, data) {
                    self.found_names(path, I::default());
                }
            }
            Found::Names(names) => self.found_names(path, names),
            Found::TooManyNames => {
                self.store.update(path, |mark, _| {
                    (mark.lists, mark.partial) = (false, true);
                });
            }
            Found::Absent => self.store.remove(path),
            Found::Denied => self.found_denied(path),
        }
    }

    /// Whether its children have thereby been listed: there are none.
    fn found_node(&mut self, path: Path<'_>, stat: &Stat, data: Option<&[u8]>) -> bool {
        let kept = self
            .store
            .put(path, *stat, data.filter(|_| self.scope.data));
        let cut = self.scope.data && !(kept && data.is_some());
        let descends = self.scope.descends(self.root, path);
        let state = (stat.czxid, stat.pzxid);
        // Where the children are watched one by one, even no child at all is to be listed.
        let childless = self.lasting && stat.num_children == 0;
        let was_listed = self.store.update(path, |mark, _| {
            (mark.reads, mark.denied, mark.cut) = (false, false, cut);
            mark.lists |= descends && mark.listed != Some(state);
            !mark.lists
        });
        childless && was_listed == Some(false)
    }

    fn found_names<'n>(&mut self, path: Path<'_>, names: impl Iterator<Item = &'n str> + Clone) {
        self.store.retain(path, names.clone());
        let mut all = true;
        for name in names {
            all &= self.found_name(path, name);
        }
        self.store.update(path, |mark, node| {
            mark.listed = node.map(|node| (node.stat().czxid, node.stat().pzxid));
            (mark.lists, mark.partial) = (false, !all);
        });
    }

    /// Whether there is room for a child.
    fn found_name(&mut self, path: Path<'_>, name: &str) -> bool {
        let child: S::Path = match path.join(name) {
            Ok(child) => child,
            // No server has such a child. One that says so is not to be followed.
            Err(JoinError::Name(_)) => return true,
            Err(JoinError::TooLong { .. }) => return false,
        };
        let child = child.as_path();
        !self.scope.accepts(self.root, child)
            || self.store.update(child, |_, _| ()).is_some()
            || self.store.insert(child).is_ok()
    }

    fn found_denied(&mut self, path: Path<'_>) {
        self.store.hide(path);
        self.store.update(path, |mark, _| {
            *mark = Mark {
                reads: false,
                denied: true,
                ..Mark::NEW
            };
        });
    }

    /// Something has happened at `path`: it is to be looked at.
    pub(super) fn heard(&mut self, kind: EventKind, path: Path<'_>) {
        let known = self.store.update(path, |mark, _| mark.reads = true);
        if known.is_some() {
            return;
        }
        let gone = kind == EventKind::Deleted;
        if path == self.root && !gone {
            return self.expect(path);
        }
        // What is below a node that is not there will be listed once that is.
        let Some(parent) = path.parent() else { return };
        let expected = self.store.update(parent, |mark, _| {
            // It may have been the last that was left out.
            mark.lists |= gone && mark.partial;
            !gone && !mark.denied
        });
        if expected == Some(true)
            && self.scope.descends(self.root, parent)
            && self.scope.accepts(self.root, path)
        {
            self.expect(path);
        }
    }

    /// Adds an entry for a node that is to be read; where there is no room its parent says so.
    fn expect(&mut self, path: Path<'_>) {
        if self.store.insert(path).is_err()
            && let Some(parent) = path.parent()
        {
            self.store.update(parent, |mark, _| mark.partial = true);
        }
    }

    /// A watch has fired that was set on a node or its children.
    pub(super) fn fired(&mut self, path: Path<'_>, ask: Ask) {
        let known = self.store.update(path, |mark, _| match ask {
            Ask::Node => mark.reads = true,
            Ask::Children => mark.lists = true,
        });
        if known.is_none() && path == self.root {
            self.expect(path);
        }
    }

    /// Anything may have happened: all nodes are to be read again. Lists are needed where something
    /// has changed since the last one, or everywhere if they are to be watched anew.
    ///
    /// Watches that fire once tell what they missed, before anything that is asked from now on is
    /// answered. Then it is enough to ask for what nothing tells of.
    pub(super) fn doubt(&mut self, anew: bool) {
        let all = anew || self.lasting;
        self.store.each(|mark| {
            mark.reads |= all || mark.denied;
            mark.lists |= mark.partial && !all;
            if anew {
                mark.listed = None;
            }
        });
        let root = self.root;
        let known = self.store.update(root, |mark, _| mark.reads = true);
        if known.is_none() {
            self.expect(root);
        }
    }

    /// There is room again: what was left out is asked for once more. Whether there is any such.
    pub(super) fn fill(&mut self) -> bool {
        let mut any = false;
        self.store.each(|mark| {
            mark.reads |= mark.cut;
            mark.lists |= mark.partial;
            any |= mark.leaves_out();
        });
        any
    }
}
