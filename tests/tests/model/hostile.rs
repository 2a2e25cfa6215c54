//! Clients that break the rules, by intent or not.

use docent_core::wire::{OpCode, RequestHeader};
use docent_testing::decode::Body;
use docent_testing::server::{Ensemble, Lag, Release};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::client::{Client, OPEN, Refusal, World, create, encoded, new_session};

const MAX: usize = 1_048_575;

/// A setData whose payload has this length.
fn request(len: usize) -> Vec<u8> {
    encoded(|out| {
        RequestHeader {
            xid: 9,
            op: OpCode::SET_DATA,
        }
        .encode(out);
        out.string("/a");
        let rest = len - 8 - 6 - 4 - 4;
        out.buffer(&vec![0; rest]);
        out.int(-1);
    })
}

#[test]
fn the_longest_frame_is_taken() {
    let mut world = World::standalone();
    let mut client = world.client(0);
    world.create(&mut client, "/a", 0).unwrap();
    for (len, taken) in [(MAX, true), (MAX + 1, false)] {
        let bytes = request(len);
        for piece in bytes.chunks(100_000) {
            world.ensemble.receive(client.conn, world.now, piece);
        }
        world.poll(&mut client);
        assert_eq!((client.replies.len(), client.closed), (1, !taken));
    }
    // The session goes on.
    world.reconnect(0, &client).unwrap();
}

#[test]
fn negative_and_short_frames() {
    for bytes in [&[255; 4][..], &[0; 4], &[0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0]] {
        let mut world = World::standalone();
        let mut client = world.client(0);
        world.ensemble.receive(client.conn, world.now, bytes);
        world.poll(&mut client);
        assert!(client.closed && client.replies.is_empty());

        let mut stranger = world.dial(0);
        world.ensemble.receive(stranger.conn, world.now, bytes);
        assert_eq!(world.greeting(&mut stranger), Err(Refusal::Closed));
    }
}

#[test]
fn unknown_operations() {
    for op in [0, -1, 10, 13, 99, i32::MIN] {
        let mut world = World::standalone();
        let mut client = world.client(0);
        world.send(&mut client, OpCode(op), &Body::Unknown(&[0; 100]));
        let (header, body) = client.replies.pop_front().unwrap();
        assert_eq!((header.zxid, header.err, body.len()), (-1, -6, 0));
        assert!(client.closed);
    }
}

#[test]
fn odd_requests() {
    let ok = |release, op, body: &Body<'_>| {
        let mut world = World::new(Ensemble::builder().release(release));
        let mut client = world.client(0);
        world.create(&mut client, "/a", 0).unwrap();
        let result = world.call(&mut client, op, body);
        assert!(!client.closed);
        result.map(|_| ()).map_err(|code| code.number())
    };
    let old = |op, body: &Body<'_>| ok(Release::V3_8, op, body);
    let multi = |op, body| Body::Multi(vec![(op, body)]);
    let read = || Body::Read {
        path: "/a",
        watch: false,
    };
    assert_eq!(
        old(OpCode::MULTI, &multi(OpCode::GET_DATA, read())),
        Err(-5)
    );
    assert_eq!(
        old(OpCode::MULTI_READ, &multi(OpCode::EXISTS, read())),
        Err(-5)
    );
    assert_eq!(
        old(OpCode::MULTI_READ, &multi(OpCode::CREATE, create("/b", 0))),
        Err(-5)
    );
    assert_eq!(old(OpCode::MULTI, &Body::Multi(Vec::new())), Ok(()));
    assert_eq!(old(OpCode::MULTI, &multi(OpCode(99), Body::Empty)), Err(-5));
    assert_eq!(
        old(OpCode::MULTI, &multi(OpCode::CREATE, create("/b", 5))),
        Err(-5)
    );
    assert_eq!(old(OpCode::GET_DATA, &Body::Empty), Err(-5));
    assert_eq!(old(OpCode::DELETE, &Body::Empty), Err(-5));
    assert_eq!(old(OpCode::SYNC, &Body::Unknown(&[255; 4])), Ok(()));
    assert_eq!(old(OpCode::CREATE, &create("/b", 5)), Err(-8));
    assert_eq!(old(OpCode::CREATE, &create("b", 0)), Err(-8));
    assert_eq!(old(OpCode::CREATE, &create("/b\0", 0)), Err(-8));
    assert_eq!(old(OpCode::CREATE, &create("/a/", 0)), Err(-8));
    assert_eq!(old(OpCode::CREATE, &create("/", 0)), Err(-110));
    assert_eq!(
        old(
            OpCode::GET_DATA,
            &Body::Read {
                path: "/a/",
                watch: true
            }
        ),
        Err(-101)
    );
    // Servers send this one to themselves.
    let container = Body::Path { path: "/a" };
    let bytes = encoded(|out| container.encode(out)).split_off(4);
    let own = Body::Unknown(&bytes);
    assert_eq!(old(OpCode(20), &own), Err(-8));
    assert_eq!(ok(Release::V3_9, OpCode(20), &own), Ok(()));
}

#[test]
fn trailing_bytes_do_not_matter() {
    let mut world = World::standalone();
    let mut client = world.client(0);
    let bytes = encoded(|out| {
        RequestHeader {
            xid: 1,
            op: OpCode::EXISTS,
        }
        .encode(out);
        Body::Read {
            path: "/",
            watch: false,
        }
        .encode(out);
        out.bytes(&[7; 100]);
    });
    world.ensemble.receive(client.conn, world.now, &bytes);
    world.poll(&mut client);
    assert_eq!(client.replies.pop_front().unwrap().0.err, 0);
}

#[test]
fn who_does_not_read_is_not_served_for_ever() {
    let mut world = World::standalone();
    let client = world.client(0);
    let bytes = encoded(|out| {
        RequestHeader {
            xid: 1,
            op: OpCode::GET_CHILDREN,
        }
        .encode(out);
        Body::Read {
            path: "/",
            watch: false,
        }
        .encode(out);
    });
    let many = bytes.repeat(1000);
    let mut sent = 0_usize;
    while world.ensemble.takes(client.conn) {
        world.ensemble.receive(client.conn, world.now, &many);
        sent += 1000;
    }
    assert!(sent < 100_000);
    // Once the replies are read, it goes on.
    let mut received = 0;
    loop {
        match world.ensemble.transmit(client.conn, 1 << 16).bytes.len() {
            0 => break,
            len => received += len,
        }
    }
    assert_eq!(received, sent * (4 + 16 + 4 + 4 + 9));
    // Who sends on regardless is cut off.
    for _ in 0..1000 {
        world
            .ensemble
            .receive(client.conn, world.now, &bytes.repeat(10_000));
    }
    assert!(world.ensemble.transmit(client.conn, usize::MAX).closed);
}

#[test]
fn small_requests_do_not_make_for_boundless_replies() {
    let mut world = World::standalone();
    let mut client = world.client(0);
    let data = Body::Create {
        path: "/a",
        data: Some(&[7; 1_000_000]),
        acl: vec![OPEN],
        flags: 0,
        ttl: None,
    };
    world.call(&mut client, OpCode::CREATE, &data).unwrap();
    let watch = false;
    let read = (OpCode::GET_DATA, Body::Read { path: "/a", watch });
    let many = |count| Body::Multi(vec![read.clone(); count]);
    let reply = world.call(&mut client, OpCode::MULTI_READ, &many(50));
    assert!(reply.unwrap().len() > 50_000_000);
    assert_eq!(
        world.try_call(&mut client, OpCode::MULTI_READ, &many(20_000)),
        None
    );
    assert!(client.closed);
    world.reconnect(0, &client).unwrap();
}

#[test]
fn requests_that_wait_for_others_take_bounded_memory() {
    let mut world = World::new(Ensemble::builder().members(3));
    let mut client = world.client(2);
    world.ensemble.lag(2, Lag::Held);
    world.send(&mut client, OpCode::CREATE, &create("/a", 0));
    let read = encoded(|out| {
        let (xid, op) = (9, OpCode::EXISTS);
        RequestHeader { xid, op }.encode(out);
        let (path, watch) = ("/", false);
        Body::Read { path, watch }.encode(out);
        // Nobody looks at what follows.
        out.bytes(&[0; 100_000]);
    });
    let mut sent = 0;
    while world.ensemble.takes(client.conn) {
        world.ensemble.receive(client.conn, world.now, &read);
        sent += 1;
    }
    assert_eq!(sent, 11);
    world.ensemble.lag(2, Lag::None);
    world.poll(&mut client);
    assert_eq!(client.replies.len(), 1 + sent);
    assert!(world.ensemble.takes(client.conn));
}

#[test]
fn what_clients_say_is_told_in_bounds() {
    let mut world = World::new(Ensemble::builder().trace(10));
    let mut client = world.client(0);
    let path = format!("/\u{1b}{}", "x".repeat(10_000));
    for _ in 0..100 {
        world.exists(&mut client, &path, false).unwrap_err();
    }
    let records: Vec<_> = world.ensemble.trace().cloned().collect();
    assert_eq!(records.len(), 10);
    let asked = "exists /\\u{1b}xxx";
    assert!(records[0].words.contains(asked) || records[1].words.contains(asked));
    let lengths = records.iter().map(|record| record.words.chars().count());
    assert_eq!(lengths.max(), Some(240));
    assert_eq!(world.ensemble.take_trace(), records);
    assert_eq!(world.ensemble.trace().len(), 0);
}

#[test]
fn commands() {
    let mut world = World::new(Ensemble::builder().members(3));
    world.ensemble.read_only(2, true);
    world.ensemble.isolate(1, true);
    world.ensemble.handle_timeout(world.now);
    for (member, answer) in [(0, "null"), (1, "null"), (2, "ro")] {
        assert_eq!(command(&mut world, member, b"isro"), answer);
    }
    world.ensemble.isolate(1, false);
    let at = world.ensemble.poll_timeout().unwrap();
    world.ensemble.handle_timeout(at);
    assert_eq!(command(&mut world, 0, b"isro"), "rw");
    assert!(command(&mut world, 1, b"srvr").contains("Mode: follower\n"));
    assert!(command(&mut world, 1, b"dump").contains("not in the whitelist"));
}

fn command(world: &mut World, member: usize, word: &[u8]) -> String {
    let client: Client = world.dial(member);
    world.ensemble.receive(client.conn, world.now, word);
    let output = world.ensemble.transmit(client.conn, usize::MAX);
    assert!(output.closed);
    String::from_utf8(output.bytes).unwrap()
}

/// Frames that begin as requests do, and go on as they like.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let op = prop_oneof![-12..24_i32, 99..108_i32, any::<i32>()];
    let number = prop_oneof![-2..8_i32, any::<i32>()].prop_map(|int| int.to_be_bytes().to_vec());
    let path = prop_oneof![
        Just("/"),
        Just("/a"),
        Just("/a/b"),
        Just(""),
        Just("/zookeeper")
    ];
    let string = path.prop_map(|path| encoded(|out| out.bytes(path.as_bytes())));
    let field = prop_oneof![3 => string, 3 => number, 1 => vec(any::<u8>(), 0..9)];
    (any::<i32>(), op, vec(field, 0..8)).prop_map(|(xid, op, fields)| {
        encoded(|out| {
            RequestHeader {
                xid,
                op: OpCode(op),
            }
            .encode(out);
            out.bytes(&fields.concat());
        })
    })
}

proptest! {
    #[test]
    fn nothing_that_clients_send_does_harm(
        frames in vec(frames(), 0..40),
        noise in vec(any::<u8>(), 0..100),
        size in 1..50_usize,
    ) {
        let mut world = World::new(Ensemble::builder().members(3));
        let bytes = [frames.concat(), noise.clone()].concat();
        let client = world.client(1);
        for piece in bytes.chunks(size) {
            world.ensemble.receive(client.conn, world.now, piece);
        }
        let stranger = world.dial(2);
        world.ensemble.receive(stranger.conn, world.now, &noise);
        let mut witness = world.connect(0, &new_session()).unwrap();
        world.create(&mut witness, "/witness", 1).unwrap();
        let nodes = |world: &World| -> Vec<_> {
            let nodes = world.ensemble.nodes();
            nodes.map(|(path, node)| (path.to_owned(), node.clone())).collect()
        };
        // All members have the same tree, and the log leads to it.
        let before = nodes(&world);
        for (path, node) in &before {
            prop_assert!((0..3).all(|member| world.ensemble.node_at(member, path) == Some(node)));
        }
        prop_assert!(world.ensemble.rewind(world.ensemble.zxid()));
        prop_assert_eq!(nodes(&world), before);
    }
}
