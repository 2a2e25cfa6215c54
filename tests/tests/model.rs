//! The model of a server, against recorded conversations and for itself.

#[path = "model/client.rs"]
mod client;
#[cfg(unix)]
#[path = "model/differential.rs"]
mod differential;
#[path = "model/faults.rs"]
mod faults;
#[path = "model/hostile.rs"]
mod hostile;
#[path = "model/replay.rs"]
mod replay;

use std::time::Duration;

use docent_core::error::Code;
use docent_core::wire::{Connect, Decoder, EventKind, OpCode, Perms, RequestHeader};
use docent_testing::decode::{Body, Entry};
use docent_testing::dev::DevServer;
use docent_testing::server::{Ensemble, Life, Release, Txn, digest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Refusal, World, create, encoded, new_session, set};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_silent_session_ends_with_the_tick() {
    let mut world = World::standalone();
    let mut client = world.client(0);
    world.create(&mut client, "/e", 1).unwrap();
    assert_eq!(client.timeout_ms, 10_000);
    // Any request is a sign of life.
    world.pass(SECOND * 9);
    world.exists(&mut client, "/e", false).unwrap();
    // Silent from 9 s on, it is over after 19 s, at the end of a tick of 2 s.
    world.pass(Duration::from_millis(10_999));
    assert!(world.ensemble.node("/e").is_some());
    assert_eq!(
        world.ensemble.poll_timeout().unwrap().as_micros(),
        20_000_000
    );
    world.pass(Duration::from_millis(1));
    assert!(world.ensemble.node("/e").is_none());
    world.poll(&mut client);
    assert!(client.closed);
    assert_eq!(world.reconnect(0, &client).unwrap_err(), Refusal::Expired);
}

#[test]
fn a_session_goes_on_with_another_connection() {
    let mut world = World::standalone();
    let mut first = world.client(0);
    world.create(&mut first, "/e", 1).unwrap();
    let mut second = world.reconnect(0, &first).unwrap();
    assert_eq!(
        (second.session, &second.password),
        (first.session, &first.password)
    );
    world.poll(&mut first);
    assert!(first.closed);
    let stat = world.exists(&mut second, "/e", false).unwrap();
    assert_eq!(stat.ephemeral_owner, first.session);

    let wrong = Connect {
        session: second.session,
        password: &[1; 16],
        ..new_session()
    };
    assert_eq!(world.connect(0, &wrong).unwrap_err(), Refusal::Expired);
    // The session has not suffered, but its connection has.
    world.poll(&mut second);
    assert!(second.closed);
    let mut third = world.reconnect(0, &second).unwrap();
    world.close(&mut third);
    assert!(world.ensemble.node("/e").is_none());
    assert_eq!(world.reconnect(0, &third).unwrap_err(), Refusal::Expired);
}

#[test]
fn timeouts_are_negotiated_anew() {
    let mut world = World::standalone();
    for (wanted, granted) in [(-1, 4000), (5000, 5000), (i32::MAX, 40_000)] {
        let connect = Connect {
            timeout_ms: wanted,
            ..new_session()
        };
        let client = world.connect(0, &connect).unwrap();
        assert_eq!(
            (client.timeout_ms, client.read_only),
            (granted, Some(false))
        );
        let longer = Connect {
            timeout_ms: 7000,
            session: client.session,
            password: &client.password,
            ..new_session()
        };
        assert_eq!(world.connect(0, &longer).unwrap().timeout_ms, 7000);
    }
}

#[test]
fn old_clients_get_no_read_only_flag() {
    let mut world = World::standalone();
    let mut client = world.dial(0);
    let mut bytes = encoded(|out| new_session().encode(out));
    bytes.pop();
    bytes[3] = 44;
    world.ensemble.receive(client.conn, world.now, &bytes);
    world.greeting(&mut client).unwrap();
    assert_eq!(client.read_only, None);
}

#[test]
fn a_failed_multi_leaves_nothing() {
    let mut world = World::standalone();
    let mut client = world.client(0);
    for path in ["/a", "/a/b", "/c"] {
        world.create(&mut client, path, 0).unwrap();
    }
    let before: Vec<_> = nodes(&world);
    let path = "/none";
    let ops = vec![
        (OpCode::CREATE, create("/a/s-", 3)),
        (OpCode::SET_DATA, set("/a")),
        (
            OpCode::DELETE,
            Body::Expect {
                path: "/a/b",
                version: 0,
            },
        ),
        (OpCode::CREATE_CONTAINER, create("/a/b", 4)),
        (OpCode::CREATE, create("/a/b/c", 0)),
        (OpCode::SET_DATA, set("/a/b")),
        (OpCode::DELETE, Body::Expect { path, version: -1 }),
        (OpCode::SET_DATA, set("/c")),
    ];
    let reply = world
        .call(&mut client, OpCode::MULTI, &Body::Multi(ops.clone()))
        .unwrap();
    let mut codes = Vec::new();
    let mut input = Decoder::new(&reply);
    while input.int() == Ok(-1) && input.boolean() == Ok(false) {
        codes.push(input.int().unwrap());
        assert_eq!(input.int(), Ok(*codes.last().unwrap()));
    }
    assert_eq!(codes, [0, 0, 0, 0, 0, 0, -101, -2]);
    assert_eq!(nodes(&world), before);
    assert!(matches!(
        world.ensemble.history().last().unwrap().txn,
        Txn::FailedMulti {
            at: 6,
            len: 8,
            code: Code::NoNode
        }
    ));
    // Without the culprit, it works.
    let ops = ops.into_iter().take(6).collect();
    world
        .call(&mut client, OpCode::MULTI, &Body::Multi(ops))
        .unwrap();
    assert_eq!(
        world.children(&mut client, "/a", false).unwrap(),
        ["b", "s-0000000001"]
    );
    assert_eq!(world.ensemble.node("/a/b").unwrap().life, Life::Container);
    assert_eq!(world.exists(&mut client, "/a/b", false).unwrap().version, 1);
}

fn nodes(world: &World) -> Vec<(String, docent_testing::server::Node)> {
    let nodes = world.ensemble.nodes();
    nodes
        .map(|(path, node)| (path.to_owned(), node.clone()))
        .collect()
}

#[test]
fn sequence_numbers_wrap_or_stick() {
    for (sticky, next) in [
        (false, Ok("/s/-2147483648".to_owned())),
        (true, Err(Code::NodeExists)),
    ] {
        let mut world = World::new(Ensemble::builder().sticky_sequence(sticky));
        let mut client = world.client(0);
        world.create(&mut client, "/s", 0).unwrap();
        assert!(world.ensemble.set_counter("/s", i32::MAX));
        let last = world.create(&mut client, "/s/", 2);
        assert_eq!(last.as_deref(), Ok("/s/2147483647"));
        assert_eq!(world.create(&mut client, "/s/", 2), next);
    }
    let mut world = World::standalone();
    let mut client = world.client(0);
    world.ensemble.set_counter("/", -1);
    assert_eq!(world.create(&mut client, "/s", 2).unwrap(), "/s-000000001");
    assert_eq!(world.create(&mut client, "/s", 2).unwrap(), "/s0000000000");
}

#[test]
fn containers_and_nodes_with_a_time_to_live_go() {
    let mut world = World::standalone();
    let mut client = world.client(0);
    world.pass(SECOND * 9);
    world
        .call(&mut client, OpCode::CREATE_CONTAINER, &create("/c", 4))
        .unwrap();
    world
        .call(&mut client, OpCode::CREATE_CONTAINER, &create("/unused", 4))
        .unwrap();
    let Body::Create { data, acl, .. } = create("/t", 5) else {
        unreachable!()
    };
    let ttl = Body::Create {
        path: "/t",
        data,
        acl,
        flags: 5,
        ttl: Some(55_000),
    };
    world.call(&mut client, OpCode::CREATE_TTL, &ttl).unwrap();
    world.create(&mut client, "/c/child", 0).unwrap();
    world.delete(&mut client, "/c/child").unwrap();
    world.exists(&mut client, "/c", true).unwrap();
    for _ in 0..6 {
        world.pass(SECOND * 8);
        world.children(&mut client, "/c", true).unwrap();
    }
    // It is 57 s. The first look is after 60 s, the second after 120 s.
    world.pass(SECOND * 3);
    world.poll(&mut client);
    assert_eq!(
        client.take_events(),
        [(EventKind::Deleted, "/c".to_owned())]
    );
    assert!(world.ensemble.node("/t").is_some());
    world.pass(SECOND * 60);
    assert!(world.ensemble.node("/t").is_none());
    assert!(world.ensemble.node("/unused").is_some());
}

#[test]
fn modes_of_watches_mix_only_in_3_9() {
    for (release, events) in [(Release::V3_8, 1), (Release::V3_9, 3)] {
        let mut world = World::new(Ensemble::builder().release(release));
        let mut client = world.client(0);
        world.create(&mut client, "/a", 0).unwrap();
        let lasting = Body::Watch {
            path: "/a",
            number: 0,
        };
        world
            .call(&mut client, OpCode::ADD_WATCH, &lasting)
            .unwrap();
        world.data(&mut client, "/a", true).unwrap();
        for _ in 0..3 {
            world.set(&mut client, "/a").unwrap();
        }
        assert_eq!(client.events.len(), events, "{release:?}");
        let named = |zxid: i64| (zxid > 0) == (release == Release::V3_9);
        assert!(client.events.iter().all(|(.., zxid)| named(*zxid)));
        world.ensemble.disconnect(client.conn);
        assert_eq!(world.ensemble.watches(client.conn), 0);
    }
}

#[test]
fn one_event_for_all_watches_on_a_connection() {
    let mut world = World::standalone();
    let (mut client, mut other) = (world.client(0), world.client(0));
    world.create(&mut client, "/a", 0).unwrap();
    world.create(&mut client, "/a/b", 0).unwrap();
    for (path, number) in [("/", 1), ("/a", 0), ("/a/b", 0), ("/a/b", 1)] {
        let body = Body::Watch { path, number };
        assert_eq!(
            world.call(&mut client, OpCode::ADD_WATCH, &body).unwrap(),
            [0; 4]
        );
    }
    world.delete(&mut other, "/a/b").unwrap();
    world.poll(&mut client);
    let path = |path: &str| path.to_owned();
    assert_eq!(
        client.take_events(),
        [
            (EventKind::Deleted, path("/a/b")),
            (EventKind::ChildrenChanged, path("/a"))
        ]
    );
    world.create(&mut other, "/x", 0).unwrap();
    world.poll(&mut client);
    assert_eq!(client.take_events(), [(EventKind::Created, path("/x"))]);
}

#[test]
fn watches_on_relative_paths_trip_3_8() {
    for (release, trips) in [(Release::V3_8, -5), (Release::V3_9, -121)] {
        let mut world = World::new(Ensemble::builder().release(release));
        let mut client = world.client(0);
        let mut call = |op, path, number| {
            let body = Body::Watch { path, number };
            let result = world.call(&mut client, op, &body);
            result.map_or_else(|code| code.number(), |_| 0)
        };
        let mut check = |path| call(OpCode::CHECK_WATCHES, path, 3);
        assert_eq!((check("b"), check("x/y"), check("")), (trips, -121, -121));
        call(OpCode::ADD_WATCH, "/q", 1);
        call(OpCode::ADD_WATCH, "x/y", 0);
        let mut check = |path| call(OpCode::CHECK_WATCHES, path, 3);
        assert_eq!(
            (check("x/y"), check("x/z"), check("/a/b")),
            (0, trips, -121)
        );
    }
}

#[test]
fn permissions_are_asked_for() {
    for release in [Release::V3_8, Release::V3_9] {
        let builder = Ensemble::builder().release(release);
        let mut world = World::new(builder.superuser(digest("super:secret")));
        let (mut owner, mut other) = (world.client(0), world.client(0));
        assert_eq!(world.authenticate(&mut owner, "digest", "bob:secret"), 0);
        let auth = Entry {
            perms: Perms::ALL,
            scheme: Some("auth"),
            id: None,
        };
        let Body::Create {
            path,
            data,
            flags,
            ttl,
            ..
        } = create("/p", 0)
        else {
            unreachable!()
        };
        let body = Body::Create {
            path,
            data,
            acl: vec![auth],
            flags,
            ttl,
        };
        let denied = world.call(&mut other, OpCode::CREATE, &body);
        assert_eq!(denied.unwrap_err(), Code::InvalidAcl);
        world.exists(&mut other, "/p", true).unwrap_err();
        world.call(&mut owner, OpCode::CREATE, &body).unwrap();

        // Since 3.9.2, neither an event nor `exists` gives the node away.
        let guarded = release == Release::V3_9;
        world.poll(&mut other);
        assert_eq!(other.take_events().is_empty(), guarded);
        assert_eq!(world.exists(&mut other, "/p", false).is_err(), guarded);
        assert_eq!(
            world.data(&mut other, "/p", false).unwrap_err(),
            Code::NoAuth
        );
        assert_eq!(
            world.create(&mut other, "/p/q", 0).unwrap_err(),
            Code::NoAuth
        );
        // Deletion is up to the parent.
        assert_eq!(world.authenticate(&mut other, "digest", "super:secret"), 0);
        world.data(&mut other, "/p", false).unwrap();
        world.delete(&mut other, "/p").unwrap();
        assert_eq!(world.authenticate(&mut other, "nosuch", "x"), -115);
        assert!(other.closed);
    }
}

#[test]
fn a_null_list_of_watches_is_an_error() {
    let mut world = World::standalone();
    let mut client = world.client(0);
    let null = encoded(|out| {
        RequestHeader {
            xid: 1,
            op: OpCode::SET_WATCHES,
        }
        .encode(out);
        out.long(0);
        [0, -1, 0].into_iter().for_each(|count| out.int(count));
    });
    world.ensemble.receive(client.conn, world.now, &null);
    world.poll(&mut client);
    assert_eq!(client.replies.pop_front().unwrap().0.err, -5);
    let body = Body::SetWatches {
        zxid: 0,
        lists: vec![Vec::new(); 3],
    };
    world.call(&mut client, OpCode::SET_WATCHES, &body).unwrap();
}

#[test]
fn the_same_calls_have_the_same_effects() {
    let run = || {
        let mut world = World::new(Ensemble::builder().members(3).seed(7));
        let (mut first, mut second) = (world.client(0), world.client(2));
        for client in [&mut first, &mut second] {
            world.create(client, "/n-", 3).unwrap();
            world.pass(SECOND);
        }
        world.close(&mut first);
        format!("{:?} {second:?}", world.ensemble)
    };
    assert_eq!(run(), run());
}

async fn exchange(stream: &mut TcpStream, bytes: &[u8], answer: usize) -> Vec<u8> {
    stream.write_all(bytes).await.unwrap();
    let mut received = vec![0; answer];
    stream.read_exact(&mut received).await.unwrap();
    received
}

#[tokio::test]
async fn over_sockets() {
    let server = DevServer::start().await.unwrap();
    let hello = encoded(|out| new_session().encode(out));
    let mut stream = TcpStream::connect(server.connect_string()).await.unwrap();
    let welcome = exchange(&mut stream, &hello, 41).await;
    let session = i64::from_be_bytes(*welcome[12..].first_chunk().unwrap());
    let ping = encoded(|out| {
        RequestHeader {
            xid: -2,
            op: OpCode::PING,
        }
        .encode(out)
    });
    exchange(&mut stream, &ping, 20).await;

    server.pause();
    stream.write_all(&ping).await.unwrap();
    let silence = tokio::time::timeout(SECOND / 10, stream.read_u8()).await;
    assert!(silence.is_err());
    server.resume();
    exchange(&mut stream, &[], 20).await;

    assert!(server.cut(session));
    assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
    assert!(server.expire(session));
    assert!(!server.expire(session));
    let mut stream = TcpStream::connect(server.connect_string()).await.unwrap();
    assert_eq!(exchange(&mut stream, b"ruok", 4).await, b"imok");
    let address = server.connect_string();
    drop(server);
    // The tasks end soon after.
    while TcpStream::connect(&address).await.is_ok() {
        tokio::time::sleep(SECOND / 100).await;
    }
}
