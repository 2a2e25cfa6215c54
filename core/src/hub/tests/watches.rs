//! Watches: what arms them, what they hear and how they end.

use super::*;
use crate::wire::{Exists, GetChildNames, GetChildren};

on_both! {<4, 6>:
    each_kind_of_watch_hears_what_it_is_for,
    a_read_of_a_missing_node_sets_no_watch,
    a_look_for_a_missing_node_sets_a_watch_on_its_creation,
    a_refused_request_sets_no_watch,
    a_watch_hears_nothing_before_its_request_is_answered,
    a_read_without_a_watch_sets_none,
    the_end_of_a_node_reaches_all_who_look_at_it,
    a_standard_watch_ends_with_its_first_event,
    a_persistent_watch_goes_on,
    what_happens_meanwhile_is_told_at_once,
    a_recursive_watch_tells_where,
    a_recursive_watch_on_the_root_hears_everything,
    a_recursive_watch_of_a_neighbour_hears_nothing,
    a_recursive_watch_that_falls_behind_must_look_again,
    all_who_look_at_a_path_are_told,
    everyone_who_hears_an_event_is_woken,
    events_for_nobody_are_ignored,
    events_of_unknown_kinds_are_ignored,
    events_outside_the_chroot_are_ignored,
    events_on_the_chroot_are_on_the_root,
    watches_end_with_their_session_and_say_so_once,
    what_was_heard_before_the_end_is_told_first,
    a_watch_that_ended_is_not_lost,
    a_watch_that_is_yet_to_be_asked_for_belongs_to_the_next_session,
    a_watch_whose_request_is_lost_is_over,
    without_a_place_there_is_no_watch,
    a_read_beside_a_lasting_watch_sets_that_again_and_none_of_its_own,
    a_request_and_what_goes_with_it_are_sent_together_or_not_at_all,
    a_persistent_watch_beside_a_standard_one_is_set_alone,
    a_persistent_watch_beside_a_recursive_one_sets_that_again,
    a_tree_whose_watch_was_replaced_for_a_moment_is_read_again,
    a_recursive_watch_hears_of_children_for_its_neighbours,
}

use AddWatchMode::{Persistent, Recursive};
use EventKind::{ChildrenChanged, Created, DataChanged, Deleted};

fn look(text: &str) -> Exists<'_> {
    Exists { path: path(text) }
}

fn list(text: &str) -> GetChildNames<'_> {
    GetChildNames { path: path(text) }
}

const NO_NODE: i32 = -101;

/// What a fresh watch of some kind says about one event.
fn hears<K: Kind>(set: impl Fn(&mut Scripted<K>) -> Id, kind: EventKind, at: &str) -> String {
    let mut script = Scripted::<K>::connected();
    let watch = set(&mut script);
    script.event(kind, at);
    script.changes(watch).join(" ")
}

fn each_kind_of_watch_hears_what_it_is_for<K: Kind>() {
    type Set<K> = fn(&mut Scripted<K>) -> Id;
    let data: Set<K> = |script| script.watch(&get("/a"));
    let found: Set<K> = |script| script.watch(&look("/a"));
    let absent: Set<K> = |script| {
        let pair = script.watching(&look("/a"));
        script.settle(pair, NO_NODE)
    };
    let names: Set<K> = |script| script.watch(&list("/a"));
    let children: Set<K> = |script| script.watch(&GetChildren { path: path("/a") });
    let persistent: Set<K> = |script| script.subscribe("/a", Persistent);
    let recursive: Set<K> = |script| script.subscribe("/a", Recursive);
    let table = [
        (data, ["created end", "deleted end", "data end", ""]),
        (found, ["created end", "deleted end", "data end", ""]),
        (absent, ["created end", "deleted end", "data end", ""]),
        (names, ["", "deleted end", "", "children end"]),
        (children, ["", "deleted end", "", "children end"]),
        (persistent, ["created", "deleted", "data", "children"]),
        (
            recursive,
            ["Created /a", "Deleted /a", "DataChanged /a", ""],
        ),
    ];
    for (set, heard) in table {
        let kinds = [Created, Deleted, DataChanged, ChildrenChanged];
        assert_eq!(kinds.map(|kind| hears(set, kind, "/a")), heard);
        let below = kinds.map(|kind| hears(set, kind, "/a/b").is_empty());
        let deaf = set as usize != recursive as usize;
        assert_eq!(below, [deaf, deaf, deaf, true]);
    }
}

fn a_read_of_a_missing_node_sets_no_watch<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let read = script.watching(&get("/a"));
    let read = script.settle(read, NO_NODE);
    let listed = script.watching(&list("/a"));
    let listed = script.settle(listed, NO_NODE);
    script.event(Created, "/a");
    assert_eq!(script.changes(read), ["end"]);
    assert_eq!(script.changes(listed), ["end"]);
    script.reconnect();
    assert_eq!(script.transmit(), [""; 0]);
}

fn a_look_for_a_missing_node_sets_a_watch_on_its_creation<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let pair = script.watching(&look("/a"));
    script.settle(pair, NO_NODE);
    script.reconnect();
    assert_eq!(script.transmit(), ["restore since 1: exist /a"]);
}

fn a_refused_request_sets_no_watch<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let pair = script.watching(&look("/a"));
    let watch = script.settle(pair, -102);
    script.event(DataChanged, "/a");
    assert_eq!(script.changes(watch), ["end"]);
}

fn a_watch_hears_nothing_before_its_request_is_answered<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let (watch, call) = script.watching(&get("/a"));
    script.transmit();
    // What it tells of happened before the read.
    script.event(DataChanged, "/a");
    script.answer(0, b"");
    script.end(call).unwrap();
    assert_eq!(script.changes(watch), [""; 0]);
    script.event(DataChanged, "/a");
    assert_eq!(script.changes(watch), ["data", "end"]);
}

fn a_read_without_a_watch_sets_none<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    script.get("/a");
    assert_eq!(script.transmit(), ["get /a"]);
    script.watching(&get("/a"));
    assert_eq!(script.transmit(), ["get! /a"]);
}

fn the_end_of_a_node_reaches_all_who_look_at_it<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let data = script.watch(&get("/a"));
    let child = script.watch(&list("/a"));
    let parent = script.watch(&list("/"));
    script.event(Deleted, "/a");
    assert_eq!(script.changes(data), ["deleted", "end"]);
    assert_eq!(script.changes(child), ["deleted", "end"]);
    assert_eq!(script.changes(parent), [""; 0]);
    script.reconnect();
    assert_eq!(script.transmit(), ["restore since 1: child /"]);
}

fn a_standard_watch_ends_with_its_first_event<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let watch = script.watch(&get("/a"));
    script.event(DataChanged, "/a");
    script.event(Deleted, "/a");
    assert_eq!(script.changes(watch), ["data", "end"]);
    assert_eq!(script.changes(watch), ["end"]);
}

fn a_persistent_watch_goes_on<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let watch = script.subscribe("/a", Persistent);
    for kind in [Created, DataChanged, Deleted, Created] {
        script.event(kind, "/a");
        assert_eq!(script.changes(watch).len(), 1);
    }
}

fn what_happens_meanwhile_is_told_at_once<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let watch = script.subscribe("/a", Persistent);
    for _ in 0..1_000 {
        script.event(Created, "/a");
        script.event(DataChanged, "/a");
        script.event(ChildrenChanged, "/a");
    }
    assert_eq!(script.changes(watch), ["created+data+children"]);
    assert_eq!(script.changes(watch), [""; 0]);
}

fn a_recursive_watch_tells_where<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let watch = script.subscribe("/a", Recursive);
    for at in ["/a/b", "/a", "/a/b/c/d"] {
        script.event(DataChanged, at);
        let expected = std::format!("DataChanged {at}");
        assert_eq!(script.changes(watch), [expected]);
    }
}

fn a_recursive_watch_on_the_root_hears_everything<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let watch = script.subscribe("/", Recursive);
    script.event(Created, "/a/b/c");
    assert_eq!(script.changes(watch), ["Created /a/b/c"]);
    script.event(DataChanged, "/");
    assert_eq!(script.changes(watch), ["DataChanged /"]);
}

fn a_recursive_watch_of_a_neighbour_hears_nothing<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let watch = script.subscribe("/app", Recursive);
    script.event(Created, "/apple");
    script.event(Created, "/");
    assert_eq!(script.changes(watch), [""; 0]);
}

fn a_recursive_watch_that_falls_behind_must_look_again<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let watch = script.subscribe("/a", Recursive);
    let (flag, waker) = Flag::new();
    assert!(script.hub.poll_watch(watch, &waker).is_pending());
    for _ in 0..1_025 {
        script.event(Created, "/a/b");
    }
    assert_eq!(flag.woken(), 1);
    let changes = script.changes(watch);
    assert_eq!(changes[0], "resync");
    assert!(changes.len() <= 2, "{changes:?}");
    script.event(Deleted, "/a/b");
    assert_eq!(script.changes(watch), ["Deleted /a/b"]);
}

fn all_who_look_at_a_path_are_told<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let data = [script.watch(&get("/a")), script.watch(&get("/a"))];
    let persistent = script.subscribe("/a", Persistent);
    let recursive = script.subscribe("/", Recursive);
    script.event(DataChanged, "/a");
    for watch in data {
        assert_eq!(script.changes(watch), ["data", "end"]);
    }
    assert_eq!(script.changes(persistent), ["data"]);
    assert_eq!(script.changes(recursive), ["DataChanged /a"]);
}

fn everyone_who_hears_an_event_is_woken<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let mut watches = std::vec![script.watch(&get("/a")), script.watch(&look("/a"))];
    watches.push(script.subscribe("/a", Persistent));
    watches.push(script.subscribe("/", Recursive));
    let deaf = script.watch(&list("/a"));
    let flags: Vec<_> = watches
        .iter()
        .chain([&deaf])
        .map(|watch| {
            let (flag, waker) = Flag::new();
            assert!(script.hub.poll_watch(*watch, &waker).is_pending());
            flag
        })
        .collect();
    let frame = event(DataChanged, "/a");
    let waker = script.hub.handle_frame(script.now, K::frame(&frame));
    assert!(flags.iter().all(|flag| flag.woken() == 0));
    waker.unwrap().unwrap().wake();
    script.wake();
    let woken: Vec<_> = flags.iter().map(|flag| flag.woken()).collect();
    assert_eq!(woken, [1, 1, 1, 1, 0]);
}

fn events_for_nobody_are_ignored<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    for at in ["/nobody", "/", "", "no path", "/a//b", "/a/"] {
        script.event(Created, at);
    }
    assert!(script.state().is_connected());
}

fn events_of_unknown_kinds_are_ignored<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let watch = script.subscribe("/a", Persistent);
    for kind in [-1, 0, 5, 99] {
        let mut body = Vec::from([0_u8; 0]);
        body.extend(i32::to_be_bytes(kind));
        body.extend([0, 0, 0, 3, 0, 0, 0, 2, b'/', b'a']);
        script
            .frame(&reply(xid::NOTIFICATION, -1, 0, &body))
            .unwrap();
    }
    assert_eq!(script.changes(watch), [""; 0]);
}

fn chrooted<K: Kind>() -> Scripted<K> {
    Scripted::<K>::connected_with(Setup {
        chroot: "/app",
        ..SETUP
    })
}

fn events_outside_the_chroot_are_ignored<K: Kind>() {
    let mut script = chrooted::<K>();
    let watch = script.watch(&get("/le"));
    let all = script.subscribe("/", Recursive);
    for at in ["/apple", "/le", "/", "/zookeeper/config", "/ap"] {
        script.event(DataChanged, at);
    }
    assert_eq!(script.changes(watch), [""; 0]);
    assert_eq!(script.changes(all), [""; 0]);
    script.event(DataChanged, "/app/le");
    assert_eq!(script.changes(watch), ["data", "end"]);
    assert_eq!(script.changes(all), ["DataChanged /le"]);
}

fn events_on_the_chroot_are_on_the_root<K: Kind>() {
    let mut script = chrooted::<K>();
    let watch = script.watch(&list("/"));
    script.event(ChildrenChanged, "/app");
    assert_eq!(script.changes(watch), ["children", "end"]);
}

fn watches_end_with_their_session_and_say_so_once<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let mut watches = std::vec![script.watch(&get("/a")), script.watch(&list("/a"))];
    watches.push(script.subscribe("/a", Persistent));
    watches.push(script.subscribe("/b", Recursive));
    let flags: Vec<_> = watches
        .iter()
        .map(|watch| {
            let (flag, waker) = Flag::new();
            assert!(script.hub.poll_watch(*watch, &waker).is_pending());
            flag
        })
        .collect();
    script.expire();
    assert!(flags.iter().all(|flag| flag.woken() == 1));
    script.connect_to(ID + 1);
    assert_eq!(script.transmit(), [""; 0]);
    script.event(Deleted, "/a");
    for watch in watches {
        assert_eq!(script.changes(watch), ["lost", "end"]);
        assert_eq!(script.changes(watch), ["end"]);
    }
}

fn what_was_heard_before_the_end_is_told_first<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let node = script.subscribe("/a", Persistent);
    let below = script.subscribe("/b", Recursive);
    script.event(Created, "/a");
    script.event(Created, "/b/c");
    script.hub.detach();
    assert_eq!(script.changes(node), ["created", "lost", "end"]);
    assert_eq!(script.changes(below), ["Created /b/c", "lost", "end"]);
}

fn a_watch_that_ended_is_not_lost<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let watch = script.watch(&get("/a"));
    script.event(DataChanged, "/a");
    script.expire();
    assert_eq!(script.changes(watch), ["data", "end"]);
}

fn a_watch_that_is_yet_to_be_asked_for_belongs_to_the_next_session<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let kind = Persistent.kind();
    let watch = script.hub.add_watch(path("/a"), kind, None).unwrap();
    script.expire();
    script.connect_to(ID + 1);
    let terms = Terms {
        watch: Some(watch),
        epoch: None,
    };
    let add = AddWatch {
        path: path("/a"),
        mode: Persistent,
    };
    let call = script.hub.submit(&add, terms, None).unwrap();
    script.settle((watch, call), 0);
    assert_eq!(script.changes(watch), [""; 0]);
    script.event(Created, "/a");
    assert_eq!(script.changes(watch), ["created"]);
}

fn a_watch_whose_request_is_lost_is_over<K: Kind>() {
    for sent in [false, true] {
        let mut script = Scripted::<K>::connected();
        let (watch, call) = script.watching(&get("/a"));
        if sent {
            script.transmit();
            script.reconnect();
        } else {
            script.expire();
        }
        script.end(call).unwrap_err();
        assert_eq!(script.changes(watch), ["end"]);
    }
}

fn without_a_place_there_is_no_watch<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let mut add = |text| script.hub.add_watch(path(text), Persistent.kind(), None);
    let long = std::format!("/{}", "x".repeat(300));
    let too_long = add(&long).err();
    assert_eq!(too_long, K::BOUNDED.then_some(Error::PathTooLong));
    let taken = usize::from(!K::BOUNDED);
    let first = add("/a").unwrap();
    for _ in 1 + taken..K::WATCHES {
        add("/a").unwrap();
    }
    assert_eq!(add("/a"), Err(Error::Full));
    script.hub.drop_watch(first);
    script
        .hub
        .add_watch(path("/b"), Persistent.kind(), None)
        .unwrap();
}

fn a_read_beside_a_lasting_watch_sets_that_again_and_none_of_its_own<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    script.subscribe("/a", Persistent);
    script.subscribe("/b", Recursive);
    let persistent = script.watching(&get("/a"));
    assert_eq!(script.transmit(), ["add0 /a", "get /a"]);
    script.settle(persistent, 0);
    let recursive = script.watching(&list("/b"));
    assert_eq!(script.transmit(), ["add1 /b", "names /b"]);
    let listed = script.settle(recursive, 0);
    script.event(ChildrenChanged, "/b");
    assert_eq!(script.changes(listed), ["children", "end"]);
}

fn a_request_and_what_goes_with_it_are_sent_together_or_not_at_all<K: Kind>() {
    let config = Config {
        max_request: 90,
        ..SETUP.config
    };
    let setup = Setup {
        config,
        tx: 94,
        ..SETUP
    };
    let mut script = Scripted::<K>::connected_with(setup);
    let long = std::format!("/{}", "x".repeat(29));
    script.subscribe(&long, Persistent);
    let kind = crate::wire::WatchKind::Data;
    let watch = script.hub.add_watch(path(&long), kind, None).unwrap();
    let terms = Terms {
        watch: Some(watch),
        epoch: None,
    };
    let submitted = script.hub.submit(&get(&long), terms, None);
    let size = 47 + 50;
    assert_eq!(submitted, Err(Error::TooLarge { size, limit: 94 }));
    assert_eq!(script.transmit(), [""; 0]);
    assert_eq!(script.hub.requests(), 0);
    script.hub.drop_watch(watch);

    script.subscribe("/y", Persistent);
    let (watch, call) = script.watching(&get("/y"));
    let watch = script.settle((watch, call), 0);
    assert_eq!(script.changes(watch), [""; 0]);
}

fn a_persistent_watch_beside_a_standard_one_is_set_alone<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    script.watch(&get("/a"));
    script.subscribing("/a", Persistent);
    assert_eq!(script.transmit(), ["add0 /a"]);
}

fn a_persistent_watch_beside_a_recursive_one_sets_that_again<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    script.subscribe("/a", Recursive);
    script.subscribing("/a", Persistent);
    assert_eq!(script.transmit(), ["add0 /a", "add1 /a"]);
}

fn a_tree_whose_watch_was_replaced_for_a_moment_is_read_again<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let tree = script.subscribe("/a", Recursive);
    let other = script.subscribe("/b", Recursive);
    script.subscribe("/a", Persistent);
    assert_eq!(script.changes(tree), ["resync"]);
    assert_eq!(script.changes(other), [""; 0]);
}

fn a_recursive_watch_hears_of_children_for_its_neighbours<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let children = script.watch(&list("/a"));
    let persistent = script.subscribe("/a", Persistent);
    let recursive = script.subscribe("/a", Recursive);
    script.event(DataChanged, "/a/b");
    assert_eq!(script.changes(children), [""; 0]);
    script.event(Deleted, "/a/b/c");
    assert_eq!(script.changes(children), [""; 0]);
    script.event(Created, "/a/b");
    assert_eq!(script.changes(children), ["children", "end"]);
    assert_eq!(script.changes(persistent), ["children"]);
    script.hub.drop_watch(recursive);
    script.event(Deleted, "/a/b");
    assert_eq!(script.changes(persistent), ["children"]);
}
