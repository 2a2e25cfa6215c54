//! Watches that are set again on another connection.

use super::*;
use crate::wire::{Exists, GetChildNames};

on_both! {<4, 10>:
    standard_watches_are_restored_with_the_golden_frame,
    persistent_watches_are_restored_with_the_golden_frame,
    without_watches_nothing_is_restored,
    the_replay_of_missed_events_ends_watches,
    persistent_watches_must_look_again,
    a_watch_set_twice_is_restored_every_time,
    watches_are_restored_below_the_chroot,
    watches_that_are_not_set_are_not_restored,
    requests_wait_for_the_last_chunk_to_go_out,
    every_chunk_is_replayed_since_before_the_connection,
    a_watch_restored_is_restored_again,
    a_new_session_restores_nothing,
}

/// Frame jv-277 as captured, without its length and xid.
const GOLDEN: &str = "00000065000000000000007200000002000000062f6a762f7232000000062f6a762f723100000002000000062f6a762f7235000000062f6a762f723400000002000000062f6a762f7233000000062f6a762f7231";
/// Frame jv-297.
const GOLDEN_PERSISTENT: &str = "00000069000000000000007800000001000000062f6a762f723300000001000000062f6a762f723500000001000000062f6a762f723100000001000000062f6a762f723100000001000000032f6a76";

const NO_NODE: i32 = -101;

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn list(text: &str) -> GetChildNames<'_> {
    GetChildNames { path: path(text) }
}

fn absent<K: Kind>(script: &mut Scripted<K>, text: &str) -> Id {
    let pair = script.watching(&Exists { path: path(text) });
    script.settle(pair, NO_NODE)
}

/// The session has seen `zxid` when its connection is cut; returns what restores its watches.
fn restored<K: Kind>(script: &mut Scripted<K>, zxid: i64) -> Vec<u8> {
    script.get("/seen");
    script.transmit();
    let xid = script.due.pop_front().unwrap();
    script.frame(&reply(xid, zxid, 0, b"")).unwrap();
    script.reconnect();
    let mut sent = script.write();
    assert_eq!(sent.len(), 1);
    let (xid, rest) = sent[0].split_at(4);
    assert_eq!(xid, (-8_i32).to_be_bytes());
    let rest = rest.to_vec();
    sent.clear();
    rest
}

fn standard_watches_are_restored_with_the_golden_frame<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    script.watch(&get("/jv/r2"));
    script.watch(&Exists {
        path: path("/jv/r1"),
    });
    absent(&mut script, "/jv/r5");
    absent(&mut script, "/jv/r4");
    script.watch(&list("/jv/r3"));
    script.watch(&list("/jv/r1"));
    assert_eq!(restored(&mut script, 114), unhex(GOLDEN));
}

fn persistent_watches_are_restored_with_the_golden_frame<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    script.watch(&get("/jv/r3"));
    absent(&mut script, "/jv/r5");
    script.watch(&list("/jv/r1"));
    script.subscribe("/jv/r1", AddWatchMode::Persistent);
    script.subscribe("/jv", AddWatchMode::Recursive);
    assert_eq!(restored(&mut script, 120), unhex(GOLDEN_PERSISTENT));
}

fn without_watches_nothing_is_restored<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let watch = script.watch(&get("/a"));
    script.event(EventKind::Deleted, "/a");
    script.reconnect();
    assert_eq!(script.transmit(), [""; 0]);
    script.hub.drop_watch(watch);
    script.get("/b");
    script.reconnect();
    assert_eq!(script.transmit(), ["get /b"]);
}

fn the_replay_of_missed_events_ends_watches<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let fired = script.watch(&get("/a"));
    let quiet = script.watch(&get("/b"));
    script.reconnect();
    assert_eq!(script.transmit(), ["restore since 1: data /a data /b"]);
    script.event(EventKind::Deleted, "/a");
    script.frame(&reply(-8, 5, 0, b"")).unwrap();
    assert_eq!(script.changes(fired), ["deleted", "end"]);
    assert_eq!(script.changes(quiet), [""; 0]);
    script.reconnect();
    assert_eq!(script.transmit(), ["restore since 1: data /b"]);
}

fn persistent_watches_must_look_again<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let node = script.subscribe("/a", AddWatchMode::Persistent);
    let below = script.subscribe("/b", AddWatchMode::Recursive);
    let standard = script.watch(&get("/c"));
    script.event(EventKind::Created, "/b/x");
    let (flag, waker) = Flag::new();
    assert!(script.hub.poll_watch(node, &waker).is_pending());
    script.cut();
    assert_eq!(script.changes(node), [""; 0]);
    assert!(script.hub.poll_watch(node, &waker).is_pending());
    script.connect();
    assert_eq!(flag.woken(), 1);
    assert_eq!(script.changes(node), ["resync"]);
    assert_eq!(script.changes(below), ["resync"]);
    assert_eq!(script.changes(standard), [""; 0]);
    script.event(EventKind::Created, "/b/y");
    assert_eq!(script.changes(below), ["Created /b/y"]);
}

fn a_watch_set_twice_is_restored_every_time<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    let one = script.watch(&get("/a"));
    let other = script.watch(&get("/a"));
    script.hub.drop_watch(one);
    assert_eq!(script.transmit(), [""; 0]);
    script.reconnect();
    assert_eq!(script.transmit(), ["restore since 1: data /a"]);
    script.event(EventKind::DataChanged, "/a");
    assert_eq!(script.changes(other), ["data", "end"]);
}

fn watches_are_restored_below_the_chroot<K: Kind>() {
    let mut script = Scripted::<K>::connected_with(Setup {
        chroot: "/app",
        ..SETUP
    });
    script.watch(&get("/a"));
    script.watch(&list("/"));
    script.reconnect();
    let restore = "restore since 1: data /app/a child /app";
    assert_eq!(script.transmit(), [restore]);
}

fn watches_that_are_not_set_are_not_restored<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    script.watching(&get("/sent"));
    script.transmit();
    script.watching(&get("/unsent"));
    script.reconnect();
    assert_eq!(script.transmit(), ["get! /unsent"]);
    script.answer(0, b"");
    script.reconnect();
    assert_eq!(script.transmit(), ["restore since 1: data /unsent"]);
}

/// A hub whose transmit buffer has room for about two watches at a time.
fn tight<K: Kind>() -> Scripted<K> {
    let config = Config {
        max_request: 90,
        ..SETUP.config
    };
    Scripted::<K>::connected_with(Setup {
        config,
        tx: 94,
        ..SETUP
    })
}

fn requests_wait_for_the_last_chunk_to_go_out<K: Kind>() {
    let mut script = tight::<K>();
    for name in ["/watch1", "/watch2", "/watch3", "/watch4", "/watch5"] {
        script.watch(&get(name));
    }
    script.subscribe("/watch6", AddWatchMode::Persistent);
    script.reconnect();
    script.get("/request");
    let sent = script.transmit();
    assert_eq!(sent.last().unwrap(), "get /request");
    let restores = &sent[..sent.len() - 1];
    assert!(restores.len() >= 2, "{restores:?}");
    let joined = restores.join("");
    for watch in 1..=5 {
        let expected = std::format!(" data /watch{watch}");
        assert_eq!(joined.matches(&expected).count(), 1, "{restores:?}");
    }
    assert_eq!(joined.matches(" persistent /watch6").count(), 1);
    // Every part is answered.
    for _ in restores {
        script.frame(&reply(-8, 9, 0, b"")).unwrap();
    }
    let stray = script.frame(&reply(-8, 9, 0, b""));
    assert_eq!(stray, Err(ProtocolError::UnexpectedXid(-8)));
}

fn every_chunk_is_replayed_since_before_the_connection<K: Kind>() {
    let mut script = tight::<K>();
    let paths = ["/watch1", "/watch2", "/watch3", "/watch4", "/watch5"];
    for name in paths {
        script.watch(&get(name));
    }
    script.reconnect();
    let mut chunks = 0;
    while script.hub.poll_transmit(script.now, &mut script.spare) {
        let mut bytes = script.spare.bytes();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_first_chunk().unwrap();
            let (frame, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
            let text = trace::text(frame);
            assert!(text.starts_with("restore since 1:"), "{text}");
            bytes = rest;
            chunks += 1;
        }
        script.spare.clear();
        script.frame(&reply(-8, 900, 0, b"")).unwrap();
    }
    assert!(chunks >= 2);
}

fn a_watch_restored_is_restored_again<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    script.watch(&get("/a"));
    for _ in 0..3 {
        script.reconnect();
        assert_eq!(script.transmit(), ["restore since 1: data /a"]);
    }
    // A connection that dies before they went out changes nothing.
    script.reconnect();
    script.reconnect();
    assert_eq!(script.transmit(), ["restore since 1: data /a"]);
}

fn a_new_session_restores_nothing<K: Kind>() {
    let mut script = Scripted::<K>::connected();
    script.watch(&get("/a"));
    script.cut();
    script.connect_to(ID + 1);
    assert_eq!(script.transmit(), [""; 0]);
}

#[cfg(feature = "alloc")]
#[test]
fn no_message_that_restores_watches_is_over_128_kib() {
    let config = Config {
        max_request: 1_000_000,
        ..SETUP.config
    };
    let mut script = Scripted::<OnHeap<4, 1_000>>::connected_with(Setup {
        config,
        tx: 4_000_000,
        ..SETUP
    });
    let names: Vec<_> = (0..700)
        .map(|number| std::format!("/{}{number:03}", "x".repeat(800)))
        .collect();
    for name in &names {
        script.watch(&get(name));
    }
    script.reconnect();
    let sent = script.write();
    assert_eq!(sent.len(), 5);
    assert!(sent.iter().all(|frame| frame.len() <= 128 * 1024));
    let texts: Vec<_> = sent.iter().map(|frame| trace::text(frame)).collect();
    let restored = texts.iter().flat_map(|text| text.split(' '));
    let restored: Vec<_> = restored.filter(|word| word.starts_with('/')).collect();
    assert_eq!(restored, names);
}

/// A read of a node takes fewer bytes than to restore the watch that it leaves.
#[test]
fn a_watch_that_does_not_fit_a_message_by_itself_is_lost_alone() {
    let mut script = Scripted::<OnBoard<4, 4>>::connected_with(Setup { tx: 100, ..SETUP });
    let long = std::format!("/{}", "x".repeat(79));
    let before = script.watch(&get("/a"));
    let lost = script.watch(&get(&long));
    let (asked, call) = script.watching(&get("/b"));
    let (after, _) = script.watching(&get("/c"));
    script.reconnect();
    script.transmit();
    assert_eq!(script.changes(lost), ["lost", "end"]);
    for watch in [before, asked, after] {
        assert_eq!(script.changes(watch), [""; 0]);
    }
    script.answer(0, b"");
    script.end(call).unwrap();
    script.event(EventKind::DataChanged, "/b");
    assert_eq!(script.changes(asked), ["data", "end"]);
}
