//! What a cache makes of answers and events, in both stores.

extern crate std;

use std::borrow::ToOwned as _;
use std::collections::BTreeMap;
use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use super::reconcile::Found;
use super::*;
use crate::wire::{EventKind, Stat};

fn path(text: &str) -> Path<'_> {
    Path::new(text).unwrap()
}

/// That of a node which a transaction created, and others changed.
fn stat(czxid: i64, mzxid: i64, pzxid: i64, children: i32) -> Stat {
    Stat {
        czxid,
        mzxid,
        pzxid,
        num_children: children,
        ..Stat::default()
    }
}

/// A store, and a view that was made of what it told.
struct Told<S: Store> {
    store: S,
    scope: Scope<fn(Path<'_>) -> Select>,
    lasting: bool,
    nodes: BTreeMap<String, (i64, Option<Vec<u8>>)>,
}

impl<S: Store> Told<S> {
    fn new(store: S) -> Self {
        let select: fn(Path<'_>) -> Select = everything;
        let scope = Scope {
            depth: usize::MAX,
            data: true,
            select,
        };
        Self {
            store,
            scope,
            lasting: true,
            nodes: BTreeMap::new(),
        }
    }

    fn view(&mut self) -> View<'_, S, fn(Path<'_>) -> Select> {
        View {
            store: &mut self.store,
            root: path("/a"),
            scope: &self.scope,
            lasting: self.lasting,
        }
    }

    fn asks(&mut self) -> Vec<(String, Ask)> {
        let mut asks = Vec::new();
        self.store
            .asked(99, |path, ask| asks.push((path.as_str().to_owned(), ask)));
        asks.sort_by(|one, other| one.0.cmp(&other.0));
        asks
    }

    fn node(&mut self, at: &str, stat: Stat, data: &[u8]) -> Vec<String> {
        let found = Found::<core::iter::Empty<&str>>::Node(stat, Some(data));
        self.view().found(path(at), found);
        self.told()
    }

    fn names(&mut self, at: &str, names: &[&str]) -> Vec<String> {
        self.view()
            .found(path(at), Found::Names(names.iter().copied()));
        self.told()
    }

    fn other(&mut self, at: &str, found: Found<'_, core::iter::Empty<&str>>) -> Vec<String> {
        self.view().found(path(at), found);
        self.told()
    }

    /// What is told, each of which must follow from what was told before.
    fn told(&mut self) -> Vec<String> {
        let mut told = vec![];
        while self.store.tell() {
            match self.store.told().unwrap() {
                Event::Put { old, new } => {
                    let is = new.path().as_str().to_owned();
                    let value = (new.stat().czxid, new.data().map(Vec::from));
                    let old = old.map(|old| (old.stat().czxid, old.data().map(Vec::from)));
                    let sign = if old.is_some() { '=' } else { '+' };
                    told.push(format!("{sign}{is}"));
                    assert_eq!(self.nodes.insert(is, value), old);
                }
                Event::Removed { old } => {
                    let was = old.path().as_str();
                    let value = (old.stat().czxid, old.data().map(Vec::from));
                    told.push(format!("-{was}"));
                    assert_eq!(self.nodes.remove(was), Some(value));
                }
                _ => panic!("no state of a cache is told by its store"),
            }
        }
        assert_eq!(self.nodes.len(), self.store.tally().nodes);
        told
    }
}

const NOTHING: [&str; 0] = [];

/// Runs a test with both stores.
fn with_both(test: impl Fn(&mut dyn Play)) {
    test(&mut Told::new(FixedStore::<8, 32, 8>::new()));
    #[cfg(feature = "alloc")]
    test(&mut Told::new(HeapStore::new(Bounds {
        nodes: 8,
        bytes: 64,
    })));
}

/// What tests do with a store, whichever it is.
trait Play {
    fn node(&mut self, at: &str, stat: Stat, data: &[u8]) -> Vec<String>;
    fn names(&mut self, at: &str, names: &[&str]) -> Vec<String>;
    fn other(&mut self, at: &str, found: Found<'_, core::iter::Empty<&str>>) -> Vec<String>;
    fn heard(&mut self, kind: EventKind, at: &str);
    fn doubt(&mut self, anew: bool);
    fn fill(&mut self) -> bool;
    fn asks(&mut self) -> Vec<(String, Ask)>;
    fn tally(&self) -> Tally;
    fn limit(&mut self, depth: usize, lasting: bool);
}

impl<S: Store> Play for Told<S> {
    fn node(&mut self, at: &str, stat: Stat, data: &[u8]) -> Vec<String> {
        Self::node(self, at, stat, data)
    }
    fn names(&mut self, at: &str, names: &[&str]) -> Vec<String> {
        Self::names(self, at, names)
    }
    fn other(&mut self, at: &str, found: Found<'_, core::iter::Empty<&str>>) -> Vec<String> {
        Self::other(self, at, found)
    }
    fn heard(&mut self, kind: EventKind, at: &str) {
        self.view().heard(kind, path(at));
    }
    fn doubt(&mut self, anew: bool) {
        self.view().doubt(anew);
    }
    fn fill(&mut self) -> bool {
        self.store.take_freed() && self.view().fill()
    }
    fn asks(&mut self) -> Vec<(String, Ask)> {
        Self::asks(self)
    }
    fn tally(&self) -> Tally {
        self.store.tally()
    }
    fn limit(&mut self, depth: usize, lasting: bool) {
        (self.scope.depth, self.lasting) = (depth, lasting);
    }
}

fn asks(expected: &[(&str, Ask)]) -> Vec<(String, Ask)> {
    let asks = expected.iter();
    asks.map(|(path, ask)| ((*path).to_owned(), *ask)).collect()
}

#[test]
fn a_tree_is_walked_from_its_root() {
    with_both(|cache| {
        cache.doubt(false);
        assert_eq!(cache.asks(), asks(&[("/a", Ask::Node)]));
        assert_eq!(cache.node("/a", stat(1, 1, 3, 2), b"x"), ["+/a"]);
        assert_eq!(cache.asks(), asks(&[("/a", Ask::Children)]));
        assert_eq!(cache.names("/a", &["b", "c"]), NOTHING);
        let children = asks(&[("/a/b", Ask::Node), ("/a/c", Ask::Node)]);
        assert_eq!(cache.asks(), children);
        assert_eq!(cache.node("/a/b", stat(2, 2, 2, 0), b"y"), ["+/a/b"]);
        // One that went before it was read was never there.
        assert_eq!(cache.other("/a/c", Found::Absent), NOTHING);
        assert_eq!(cache.asks(), asks(&[]));
    });
}

#[test]
fn a_node_that_was_created_again_has_changed_though_its_version_has_not() {
    with_both(|cache| {
        cache.doubt(false);
        cache.node("/a", stat(1, 1, 2, 1), b"x");
        cache.names("/a", &["b"]);
        cache.node("/a/b", stat(2, 2, 2, 0), b"y");
        cache.doubt(false);
        // All numbers but those of transactions are as they were.
        assert_eq!(cache.node("/a", stat(5, 5, 7, 1), b"x"), ["=/a"]);
        assert!(cache.asks().contains(&("/a".to_owned(), Ask::Children)));
        assert_eq!(cache.names("/a", &["d"]), ["-/a/b"]);
        assert_eq!(cache.asks(), asks(&[("/a/d", Ask::Node)]));
    });
}

#[test]
fn a_list_is_needed_again_only_where_something_has_come_or_gone() {
    with_both(|cache| {
        cache.doubt(false);
        cache.node("/a", stat(1, 1, 2, 1), b"x");
        cache.names("/a", &["b"]);
        cache.node("/a/b", stat(2, 2, 2, 0), b"y");
        cache.doubt(false);
        assert_eq!(cache.node("/a", stat(1, 1, 2, 1), b"x"), NOTHING);
        assert_eq!(cache.asks(), asks(&[("/a/b", Ask::Node)]));
        cache.node("/a/b", stat(2, 2, 2, 0), b"y");
        cache.doubt(false);
        cache.node("/a", stat(1, 1, 3, 0), b"x");
        assert_eq!(cache.asks(), asks(&[]), "no child is left to ask for");
        assert_eq!(cache.tally().nodes, 1);
        // Where lists are watched, all of them are needed.
        cache.limit(9, false);
        cache.doubt(true);
        cache.node("/a", stat(1, 1, 3, 0), b"x");
        assert_eq!(cache.asks(), asks(&[("/a", Ask::Children)]));
    });
}

#[test]
fn what_is_below_goes_before_its_parent() {
    with_both(|cache| {
        cache.doubt(false);
        cache.node("/a", stat(1, 1, 2, 1), b"");
        cache.names("/a", &["b", "b-c"]);
        cache.node("/a/b", stat(2, 2, 3, 1), b"");
        cache.names("/a/b", &["c"]);
        cache.node("/a/b/c", stat(3, 3, 3, 0), b"");
        cache.node("/a/b-c", stat(4, 4, 4, 0), b"");
        assert_eq!(cache.other("/a/b", Found::Absent), ["-/a/b/c", "-/a/b"]);
        assert_eq!(cache.other("/a", Found::Absent), ["-/a/b-c", "-/a"]);
        assert_eq!(cache.tally(), Tally::default());
    });
}

#[test]
fn events_are_signs_to_look() {
    with_both(|cache| {
        cache.heard(EventKind::Deleted, "/a");
        assert_eq!(cache.asks(), asks(&[]));
        cache.heard(EventKind::Created, "/a/b/c");
        assert_eq!(cache.asks(), asks(&[]), "its parent will be listed");
        cache.heard(EventKind::Created, "/a");
        assert_eq!(cache.asks(), asks(&[("/a", Ask::Node)]));
        cache.node("/a", stat(1, 1, 1, 0), b"x");
        cache.heard(EventKind::Created, "/a/b");
        cache.node("/a/b", stat(2, 2, 2, 0), b"y");
        for kind in [EventKind::DataChanged, EventKind::Deleted] {
            cache.heard(kind, "/a/b");
            assert_eq!(cache.asks(), asks(&[("/a/b", Ask::Node)]));
            assert_eq!(cache.node("/a/b", stat(2, 2, 2, 0), b"y"), NOTHING);
        }
    });
}

#[test]
fn the_depth_holds() {
    with_both(|cache| {
        cache.limit(1, true);
        cache.doubt(false);
        cache.node("/a", stat(1, 1, 2, 1), b"");
        cache.names("/a", &["b"]);
        cache.node("/a/b", stat(2, 2, 3, 5), b"");
        cache.heard(EventKind::Created, "/a/b/c");
        assert_eq!(cache.asks(), asks(&[]));
        cache.limit(0, false);
        cache.node("/a", stat(1, 4, 4, 2), b"");
        assert_eq!(cache.asks(), asks(&[]));
    });
}

#[test]
fn what_may_not_be_read_is_counted_and_not_shown() {
    with_both(|cache| {
        cache.doubt(false);
        cache.node("/a", stat(1, 1, 2, 1), b"");
        cache.names("/a", &["b"]);
        cache.node("/a/b", stat(2, 2, 3, 1), b"");
        cache.names("/a/b", &["c"]);
        cache.node("/a/b/c", stat(3, 3, 3, 0), b"");
        let mut gone = cache.other("/a/b", Found::Denied);
        gone.sort_unstable();
        assert_eq!(gone, ["-/a/b", "-/a/b/c"]);
        assert_eq!((cache.tally().nodes, cache.tally().denied), (1, 1));
        assert_eq!(cache.asks(), asks(&[]), "it is not tried again for nothing");
        cache.heard(EventKind::Created, "/a/b/d");
        assert_eq!(cache.asks(), asks(&[]), "nor what is below it");
        cache.heard(EventKind::DataChanged, "/a/b");
        assert_eq!(cache.node("/a/b", stat(2, 4, 3, 1), b""), ["+/a/b"]);
        assert_eq!(cache.tally().denied, 0);
        assert_eq!(cache.asks(), asks(&[("/a/b", Ask::Children)]));
    });
}

#[test]
fn watches_that_fire_once_tell_of_nothing_that_is_not_in_the_view() {
    with_both(|cache| {
        cache.limit(9, false);
        cache.doubt(true);
        cache.node("/a", stat(1, 1, 5, 4), b"");
        cache.names("/a", &["b", "c", "d"]);
        cache.node("/a/b", stat(2, 2, 2, 0), b"");
        cache.names("/a/b", &[]);
        cache.other("/a/c", Found::Denied);
        cache.node("/a/d", stat(4, 4, 9, 70_000), b"");
        cache.other("/a/d", Found::TooManyNames);
        assert_eq!(cache.asks(), asks(&[]));
        cache.doubt(false);
        let again = [
            ("/a", Ask::Node),
            ("/a/c", Ask::Node),
            ("/a/d", Ask::Children),
        ];
        assert_eq!(cache.asks(), asks(&again));
    });
}

#[test]
fn what_does_not_fit_is_left_out_until_there_is_room() {
    with_both(|cache| {
        cache.doubt(false);
        cache.node("/a", stat(1, 1, 9, 9), b"");
        let names = ["0", "1", "2", "3", "4", "5", "6", "7", "8"];
        cache.names("/a", &names);
        for name in &names[..7] {
            cache.node(&format!("/a/{name}"), stat(2, 2, 2, 0), b"");
        }
        assert_eq!((cache.tally().nodes, cache.tally().cut), (8, 1));
        assert!(!cache.fill(), "nothing has gone");
        assert_eq!(cache.asks(), asks(&[]));
        cache.other("/a/3", Found::Absent);
        assert!(cache.fill());
        assert_eq!(cache.asks(), asks(&[("/a", Ask::Children)]));
        cache.names("/a", &["0", "1", "2", "4", "5", "6", "7"]);
        assert_eq!(cache.asks(), asks(&[("/a/7", Ask::Node)]));
        assert_eq!(cache.node("/a/7", stat(2, 2, 2, 0), b""), ["+/a/7"]);
        assert_eq!((cache.tally().nodes, cache.tally().cut), (8, 0));
    });
}

#[test]
fn nothing_is_left_out_any_more_once_that_is_gone() {
    with_both(|cache| {
        cache.doubt(false);
        cache.node("/a", stat(1, 1, 10, 9), b"");
        cache.names("/a", &["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
        for name in 0..7 {
            cache.node(&format!("/a/{name}"), stat(2, 2, 2, 0), b"");
        }
        for gone in ["/a/7", "/a/8"] {
            cache.heard(EventKind::Deleted, gone);
        }
        assert_eq!(cache.asks(), asks(&[("/a", Ask::Children)]));
        assert_eq!(
            cache.names("/a", &["0", "1", "2", "3", "4", "5", "6"]),
            NOTHING
        );
        assert_eq!((cache.tally().nodes, cache.tally().cut), (8, 0));
        cache.heard(EventKind::Deleted, "/a/8");
        assert_eq!(cache.asks(), asks(&[]), "nothing is left out");
    });
}

#[test]
fn data_that_does_not_fit_is_left_out_until_it_does() {
    with_both(|cache| {
        cache.doubt(false);
        let large = [7; 70];
        assert_eq!(cache.node("/a", stat(1, 1, 1, 0), b"x"), ["+/a"]);
        cache.heard(EventKind::DataChanged, "/a");
        assert_eq!(cache.node("/a", stat(1, 2, 1, 0), &large), ["=/a"]);
        assert_eq!((cache.tally().nodes, cache.tally().cut), (1, 1));
        cache.heard(EventKind::DataChanged, "/a");
        assert_eq!(cache.node("/a", stat(1, 2, 1, 0), &large), NOTHING);
        assert_eq!(cache.node("/a", stat(1, 3, 1, 0), b"y"), ["=/a"]);
        assert_eq!((cache.tally().bytes, cache.tally().cut), (3, 0));
        let found = Found::Node(stat(1, 4, 1, 0), None);
        assert_eq!(cache.other("/a", found), ["=/a"]);
        assert_eq!(cache.tally().cut, 1);
    });
}

#[test]
fn too_many_names_leave_children_out() {
    with_both(|cache| {
        cache.doubt(false);
        cache.node("/a", stat(1, 1, 2, 70_000), b"");
        cache.other("/a", Found::TooManyNames);
        assert_eq!(cache.asks(), asks(&[]));
        assert_eq!(cache.tally().cut, 1);
        cache.heard(EventKind::Deleted, "/a/b");
        assert_eq!(cache.asks(), asks(&[("/a", Ask::Children)]));
        cache.other("/a", Found::TooManyNames);
        assert_eq!(cache.asks(), asks(&[]), "it is tried once for each");
        cache.heard(EventKind::Deleted, "/a/c");
        cache.names("/a", &["d"]);
        assert_eq!(cache.tally().cut, 0);
    });
}

#[test]
fn names_that_no_server_has_are_not_followed() {
    with_both(|cache| {
        cache.doubt(false);
        cache.node("/a", stat(1, 1, 2, 4), b"");
        cache.names("/a", &["", "..", "x/y", "\0", "b", "b"]);
        assert_eq!(cache.asks(), asks(&[("/a/b", Ask::Node)]));
        assert_eq!(cache.tally().cut, 0);
    });
}

#[cfg(feature = "alloc")]
#[test]
fn a_list_may_have_more_names_than_16_bits_count() {
    const MANY: usize = 70_000;
    let mut cache = Told::new(HeapStore::default());
    cache.view().doubt(false);
    cache.node("/a", stat(1, 1, 2, 70_000), b"");
    let names: Vec<_> = (0..MANY).map(|name| format!("{name}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    cache.names("/a", &names);
    let mut asked = 0;
    cache.store.asked(usize::MAX, |_, _| asked += 1);
    assert_eq!((asked, cache.store.tally().cut), (MANY, 0));
}

#[cfg(feature = "alloc")]
#[test]
fn a_child_whose_name_goes_on_with_a_zero_is_one_of_its_own() {
    let mut cache = Told::new(HeapStore::default());
    cache.view().doubt(false);
    cache.node("/a", stat(1, 1, 2, 2), b"");
    cache.names("/a", &["1", "10", "1-"]);
    for at in ["/a/1", "/a/10", "/a/1-"] {
        cache.node(at, stat(2, 2, 3, 1), b"");
        cache.names(at, &["x"]);
        cache.node(&format!("{at}/x"), stat(3, 3, 3, 0), b"");
    }
    let children = cache.store.children("/a");
    let names: Vec<_> = children.iter().map(|node| node.name()).collect();
    assert_eq!(names, ["1", "1-", "10"]);
    assert_eq!(cache.names("/a", &["1"]).len(), 4, "the others are gone");
}
