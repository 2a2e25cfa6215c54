//! What boards do at the bounds of their memory.

use std::time::Duration;

use docent_core::client::{Client as _, Watcher as _};
use docent_core::error::Error;
use docent_core::hub::Change;
use docent_core::path::Path;
use docent_core::recipes::Lock;
use docent_core::session::BadConfig;
use docent_core::wire::{
    Acl, Create, CreateMode, Credential, Delete, Exists, GetChildNames, GetData, Pick,
    PickChildNames,
};
use docent_embassy::{BadSettings, Buffers, Resources, Settings};

use embassy_futures::join::join;

use super::world::{Pipes, Sizes, World, polls, sleep};
use super::{create, get, path};

#[test]
fn the_smallest_board_works() {
    for piece in [1, usize::MAX] {
        let world = World::new().in_pieces_of(piece);
        let (client, runner) = world.board_with::<1>(Sizes::SMALLEST, |_| ());
        world.run([runner], async {
            let (root, names) = (path("/"), GetChildNames { path: path("/") });
            let (names, mut watcher) = client.watch(names).await.unwrap();
            assert!(names.iter().eq(["zookeeper"]));
            drop(names);
            let exists = client.call(Exists { path: root }).await;
            assert!(matches!(exists, Err(Error::ReplyTooLarge { .. })));
            // The node was made all the same.
            let made = create(client, "/a", b"").await;
            assert!(matches!(made, Err(Error::ReplyTooLarge { .. })));
            assert!(matches!(watcher.next().await, Some(Change::Node(_))));
            assert!(get(client, "/absent").await.unwrap_err().is_no_node());
        });
    }
}

#[test]
fn a_reply_that_is_too_large_fails_alone() {
    let world = World::new();
    let (large, large_runner) = world.board_with::<1>(
        Sizes {
            rx: 4096,
            tx: 4096,
            body: 4096,
        },
        |_| (),
    );
    let (small, small_runner) = world.board::<2>();
    world.run([large_runner, small_runner], async {
        create(large, "/a", b"fits").await.unwrap();
        let before = small.connected().await.unwrap();
        // It fits the receive buffer and not the room of a call, or neither.
        for size in [500, 2000] {
            let at = format!("/{size}");
            create(large, &at, &vec![7; size]).await.unwrap();
            let read = small.call(GetData { path: path(&at) }).await;
            assert!(matches!(read, Err(Error::ReplyTooLarge { .. })));
            assert_eq!(get(small, "/a").await.unwrap(), b"fits");
        }
        assert_eq!(small.status(), before);
    });
}

#[test]
fn a_request_that_is_too_large_is_not_sent() {
    let world = World::new();
    let (client, runner) = world.board::<1>();
    world.run([runner], async {
        let refused = create(client, "/a", &[7; 600]).await;
        assert!(matches!(refused, Err(Error::TooLarge { .. })));
        create(client, "/a", b"fits").await.unwrap();
    });
}

#[test]
fn calls_wait_while_a_reply_occupies_the_only_room() {
    let world = World::new();
    let (client, runner) = world.board::<1>();
    world.run([runner], async {
        create(client, "/a", b"one").await.unwrap();
        let held = client.call(GetData { path: path("/a") }).await.unwrap();
        let mut second = std::pin::pin!(get(client, "/a"));
        assert!(polls(second.as_mut(), 3).await.is_none());
        let exists = Exists { path: path("/a") };
        assert_eq!(client.submit(&exists).map(drop), Err(Error::Full));
        drop(held);
        assert_eq!(second.await.unwrap(), b"one");
    });
}

/// What comes of settings and sizes.
fn refusal(sizes: Sizes, settings: Settings<'static>) -> Option<BadSettings> {
    let room = |size| Vec::leak(vec![0; size]);
    let buffers = Buffers {
        rx: room(sizes.rx),
        tx: [room(sizes.tx), room(64)],
        bodies: room(sizes.body),
    };
    let resources = Box::leak(Box::new(Resources::<1, 1>::new()));
    let dial = Pipes::new(&World::new());
    docent_embassy::new(dial, settings, resources, buffers, 1).err()
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let fine = Settings::new("m0");
    assert_eq!(refusal(Sizes::SMALLEST, fine), None);
    let bad = refusal(Sizes::SMALLEST, Settings::new("m0,,m1"));
    assert!(matches!(bad, Some(BadSettings::Servers(_))));
    let small = |rx, tx, body| refusal(Sizes { rx, tx, body }, fine);
    assert_eq!(small(63, 64, 1), Some(BadSettings::Receive { size: 63 }));
    assert_eq!(small(64, 64, 0), Some(BadSettings::Bodies));
    let size = Some(BadSettings::Config(BadConfig::Size { size: 16 }));
    assert_eq!(small(64, 20, 1), size);
    let mut secret = fine;
    secret.auths = &[Credential {
        scheme: "digest",
        data: &[b'x'; 100],
    }];
    let auth = BadSettings::Auth {
        place: 0,
        limit: 60,
    };
    assert_eq!(refusal(Sizes::SMALLEST, secret), Some(auth));
    assert!(!auth.to_string().contains('x'));
}

/// How long the queue is for the lock of a board.
const QUEUE: usize = 10_000;

#[test]
fn a_board_takes_its_place_behind_thousands() {
    let world = World::new().in_pieces_of(41);
    let (crowd, crowd_runner) = world.board::<4>();
    let (client, runner) = world.board::<1>();
    let servers = world.clone();
    world.run([crowd_runner, runner], async {
        create(crowd, "/lock", b"").await.unwrap();
        for _ in 0..QUEUE {
            let contender = Create {
                path: Path::prefix("/lock/_c_crowd-lock-").unwrap(),
                data: b"",
                mode: CreateMode::EphemeralSequential,
                acl: Acl::OPEN,
            };
            crowd.call(contender).await.unwrap();
        }
        let lock = Lock::new(client, path("/lock")).unwrap();
        let ends = async {
            // Long enough to take the last place, and to be told about it twice.
            for last in [QUEUE - 1, QUEUE - 2] {
                sleep(Duration::from_secs(20)).await;
                let path = format!("/lock/_c_crowd-lock-{last:010}");
                let path = Path::new(&path).unwrap();
                let version = None;
                crowd.call(Delete { path, version }).await.unwrap();
            }
            sleep(Duration::from_secs(20)).await;
            let session = crowd.session_id().unwrap();
            servers.ensemble(|ensemble| ensemble.expire(session));
        };
        let (guard, ()) = join(lock.acquire(), ends).await;
        assert!(guard.unwrap().is_held());
    });
}

#[test]
fn a_long_list_may_be_cut_and_given_up() {
    for cut in (0..40).map(|cut| cut * 20) {
        let world = World::new().in_pieces_of(64);
        let (client, runner) = world.board::<1>();
        let servers = world.clone();
        world.run([runner], async {
            create(client, "/lock", b"").await.unwrap();
            for number in 0..30 {
                let at = format!("/lock/_c_crowd-lock-{number:010}");
                create(client, &at, b"").await.unwrap();
            }
            let own = "_c_crowd-lock-0000000020";
            let pick = Pick::Ahead {
                own,
                suffixes: "lock-",
            };
            let list = PickChildNames {
                path: path("/lock"),
                pick,
            };
            // Given up in the middle of the reply, or cut there.
            let _ = polls(client.call(list), cut / 10).await;
            let mut listed = std::pin::pin!(client.call(list));
            let listed = match polls(listed.as_mut(), cut / 20).await {
                Some(listed) => listed,
                None => {
                    servers.cut(client.session_id());
                    listed.await
                }
            };
            let names = match listed {
                Err(Error::ConnectionLost) => client.retry(list).await,
                listed => listed,
            };
            let names = names.unwrap();
            assert!(names.iter().eq([own, "_c_crowd-lock-0000000019"]));
        });
    }
}
