//! Watches that nobody looks at any more.

use super::*;
use crate::wire::{Exists, GetChildNames, SetData};

on_both! {<4, 6>:
    a_watch_that_nobody_looks_at_is_removed_from_the_server,
    a_watch_beside_another_one_stays_on_the_server,
    the_last_watch_on_a_path_takes_all_with_it,
    a_watch_that_ends_takes_those_dropped_before_it_with_it,
    a_request_that_sets_no_watch_takes_all_with_it,
    a_watch_is_the_last_on_its_connection_only,
    a_watch_that_has_ended_keeps_none_on_the_server,
    a_watch_that_ends_is_not_removed_from_the_server,
    a_watch_dropped_without_a_connection_is_not_restored,
    a_watch_dropped_before_it_is_set_is_removed_once_it_is,
    a_watch_dropped_before_it_is_asked_for_is_removed_after_a_reconnection_too,
    a_watch_dropped_before_it_is_refused_leaves_nothing_behind,
    a_place_is_not_shared_with_the_request_of_a_watch_that_was_dropped,
    a_removal_waits_for_room,
    a_removal_is_forgotten_with_the_connection,
}

use AddWatchMode::{Persistent, Recursive};
use EventKind::{ChildrenChanged, Created, DataChanged};

const NO_NODE: i32 = -101;

fn list(text: &str) -> GetChildNames<'_> {
    GetChildNames { path: path(text) }
}

/// Every place for a watch is free.
fn is_vacant<K: Kind>(script: &mut Scripted<K>) {
    let kind = Persistent.kind();
    let mut add = || script.hub.add_watch(path("/v"), kind, None);
    let watches: Vec<_> = (0..K::WATCHES).map(|_| add().unwrap()).collect();
    for watch in watches {
        script.hub.drop_watch(watch);
    }
    assert_eq!(script.transmit(), [""; 0]);
}

fn a_watch_that_nobody_looks_at_is_removed_from_the_server<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let watches = [
        script.watch(&get("/a")),
        script.subscribe("/b", Persistent),
        script.subscribe("/c", Recursive),
    ];
    for watch in watches {
        script.hub.drop_watch(watch);
    }
    assert_eq!(
        script.transmit(),
        ["remove3 /a", "remove3 /b", "remove3 /c"]
    );
    for err in [0, -121, -6] {
        script.answer(err, b"");
    }
    is_vacant(&mut script);
}

fn a_watch_beside_another_one_stays_on_the_server<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let one = script.watch(&get("/a"));
    let other = script.watch(&list("/a"));
    let (asked, _) = script.watching(&Exists { path: path("/b") });
    script.transmit();
    let beside = script.subscribe("/b", Persistent);
    script.hub.drop_watch(one);
    script.hub.drop_watch(beside);
    assert_eq!(script.transmit(), [""; 0]);
    script.hub.drop_watch(other);
    script.hub.drop_watch(asked);
    assert_eq!(script.transmit(), ["remove3 /a", "remove3 /b"]);
}

fn the_last_watch_on_a_path_takes_all_with_it<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let persistent = script.subscribe("/a", Persistent);
    let others = [script.watch(&get("/a")), script.watch(&list("/a"))];
    script.hub.drop_watch(persistent);
    // Whichever goes last: the server still has the persistent one.
    for (other, kind) in others.into_iter().zip([DataChanged, ChildrenChanged]) {
        assert_eq!(script.transmit(), [""; 0]);
        script.event(kind, "/a");
        script.hub.drop_watch(other);
    }
    assert_eq!(script.transmit(), ["remove3 /a"]);
    script.answer(0, b"");
    is_vacant(&mut script);
}

fn a_watch_that_ends_takes_those_dropped_before_it_with_it<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let (dropped, other) = (script.watch(&get("/a")), script.watch(&list("/a")));
    script.hub.drop_watch(dropped);
    script.event(ChildrenChanged, "/a");
    script.hub.drop_watch(other);
    assert_eq!(script.transmit(), ["remove3 /a"]);

    let dropped = script.watch(&get("/b"));
    let asked = script.watching(&list("/b"));
    script.transmit();
    script.hub.drop_watch(dropped);
    assert_eq!(script.transmit(), [""; 0]);
    script.answer(0, b"");
    let refused = script.settle(asked, NO_NODE);
    script.hub.drop_watch(refused);
    assert_eq!(script.transmit(), ["remove3 /b"]);
}

fn a_request_that_sets_no_watch_takes_all_with_it<K: Kind>() {
    for err in [0, NO_NODE] {
        let mut script = Scripted::<K>::connected();
        let persistent = script.subscribe("/a", Persistent);
        let (other, call) = script.watching(&list("/a"));
        script.transmit();
        script.hub.drop_watch(persistent);
        script.hub.abandon(call);
        script.hub.drop_watch(other);
        while !script.due.is_empty() {
            assert_eq!(script.transmit(), [""; 0]);
            let err = [0, err][usize::from(script.due.len() == 1)];
            script.answer(err, b"");
            if script.hub.requests() > script.due.len() {
                break;
            }
        }
        let sent = script.transmit();
        assert_eq!(sent, ["remove3 /a"]);
        while !script.due.is_empty() {
            script.answer(0, b"");
        }
        is_vacant(&mut script);
    }
}

fn a_watch_is_the_last_on_its_connection_only<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let persistent = script.subscribe("/a", Persistent);
    let other = script.watch(&get("/a"));
    script.hub.drop_watch(persistent);
    script.reconnect();
    assert_eq!(script.transmit(), ["restore since 1: data /a"]);
    script.event(DataChanged, "/a");
    script.hub.drop_watch(other);
    is_vacant(&mut script);
}

fn a_watch_that_has_ended_keeps_none_on_the_server<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let ended = script.watch(&list("/a"));
    script.event(ChildrenChanged, "/a");
    let pair = script.watching(&get("/a"));
    let refused = script.settle(pair, NO_NODE);
    let watch = script.subscribe("/a", Persistent);
    script.hub.drop_watch(watch);
    assert_eq!(script.transmit(), ["remove3 /a"]);
    script.answer(0, b"");
    script.hub.drop_watch(ended);
    script.hub.drop_watch(refused);
    is_vacant(&mut script);
}

fn a_watch_that_ends_is_not_removed_from_the_server<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let watch = script.watch(&get("/a"));
    script.event(DataChanged, "/a");
    script.hub.drop_watch(watch);
    is_vacant(&mut script);
}

fn a_watch_dropped_without_a_connection_is_not_restored<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let watch = script.watch(&get("/a"));
    script.cut();
    script.hub.drop_watch(watch);
    script.connect();
    is_vacant(&mut script);
}

fn a_watch_dropped_before_it_is_set_is_removed_once_it_is<K: Kind>() {
    for sent in [false, true] {
        let mut script = Scripted::<K>::connected();
        let (watch, call) = script.subscribing("/a", Persistent);
        if sent {
            script.transmit();
        }
        script.hub.abandon(call);
        script.hub.drop_watch(watch);
        script.transmit();
        assert_eq!(script.due.len(), 1);
        script.answer(0, b"");
        assert_eq!(script.transmit(), ["remove3 /a"]);
        script.answer(0, b"");
        is_vacant(&mut script);
    }
}

fn a_watch_dropped_before_it_is_asked_for_is_removed_after_a_reconnection_too<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let (watch, call) = script.subscribing("/a", Persistent);
    script.hub.abandon(call);
    script.hub.drop_watch(watch);
    script.reconnect();
    assert_eq!(script.transmit(), ["add0 /a"]);
    script.answer(0, b"");
    assert_eq!(script.transmit(), ["remove3 /a"]);
    script.answer(0, b"");
    is_vacant(&mut script);
}

fn a_watch_dropped_before_it_is_refused_leaves_nothing_behind<K: Kind>() {
    type End<K> = fn(&mut Scripted<K>);
    let refused: End<K> = |script| script.answer(NO_NODE, b"");
    let lost: End<K> = |script| script.reconnect();
    let expired: End<K> = |script| {
        script.expire();
        script.connect_to(ID + 1);
    };
    for end in [refused, lost, expired] {
        let mut script = Scripted::<K>::connected();
        let (watch, call) = script.watching(&get("/a"));
        script.transmit();
        script.hub.abandon(call);
        script.hub.drop_watch(watch);
        end(&mut script);
        is_vacant(&mut script);
    }
}

fn a_place_is_not_shared_with_the_request_of_a_watch_that_was_dropped<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let (dropped, call) = script.watching(&get("/a"));
    script.transmit();
    script.hub.abandon(call);
    script.hub.drop_watch(dropped);
    let kind = Persistent.kind();
    let watch = script.hub.add_watch(path("/b"), kind, None).unwrap();
    script.answer(0, b"");
    script.event(Created, "/b");
    assert_eq!(script.changes(watch), [""; 0]);
}

/// A hub whose transmit buffer has room for nothing more, and a watch.
fn crowded<K: Kind>() -> (Scripted<K>, Id) {
    let mut script = Scripted::<K>::connected();
    let watch = script.watch(&get("/a"));
    let set = SetData {
        path: path("/b"),
        data: &[0; 990],
        version: None,
    };
    let call = script.submit(&set).unwrap();
    script.hub.abandon(call);
    (script, watch)
}

fn a_removal_waits_for_room<K: Kind>() {
    let (mut script, watch) = crowded::<K>();
    script.hub.drop_watch(watch);
    assert_eq!(script.hub.requests(), 1);
    assert_eq!(script.transmit(), ["set /b", "remove3 /a"]);
    script.answer(0, b"");
    script.answer(0, b"");
    is_vacant(&mut script);
}

fn a_removal_is_forgotten_with_the_connection<K: Kind>() {
    let (mut script, watch) = crowded::<K>();
    script.hub.drop_watch(watch);
    script.reconnect();
    assert_eq!(script.transmit(), ["set /b"]);
    script.answer(0, b"");
    is_vacant(&mut script);
}

#[test]
fn a_removal_that_waited_for_a_place_in_the_queue_goes_out_with_a_reply() {
    let mut script = Scripted::<OnBoard<1, 3>>::connected();
    let watches = ["/a", "/b", "/c"].map(|path| script.watch(&get(path)));
    for watch in watches {
        script.hub.drop_watch(watch);
    }
    assert_eq!(script.transmit(), ["remove3 /a", "remove3 /b"]);
    script.answer(0, b"");
    assert_eq!(script.transmit(), ["remove3 /c"]);
}
