//! Faults of members and connections.

use std::time::Duration;

use docent_core::error::Code;
use docent_core::wire::{Connect, EventKind, OpCode};
use docent_testing::decode::Body;
use docent_testing::server::{Ensemble, Lag, Mode};

use crate::client::{Client, Refusal, World, create, new_session, set};

const SECOND: Duration = Duration::from_secs(1);

fn three() -> World {
    World::new(Ensemble::builder().members(3))
}

#[test]
fn a_follower_lags() {
    let mut world = three();
    let (mut near, mut far) = (world.client(0), world.client(1));
    world.create(&mut near, "/a", 0).unwrap();
    world.ensemble.lag(1, Lag::Held);
    world.set(&mut near, "/a").unwrap();
    let stale = world.data(&mut far, "/a", true).unwrap();
    assert_eq!(stale.version, 0);

    // A sync and what follows it wait.
    world.send(&mut far, OpCode::SYNC, &Body::Path { path: "/a" });
    world.send(
        &mut far,
        OpCode::GET_DATA,
        &Body::Read {
            path: "/a",
            watch: false,
        },
    );
    assert!(far.replies.is_empty());
    assert!(world.ensemble.step(1));
    world.poll(&mut far);
    assert_eq!(
        far.take_events(),
        [(EventKind::DataChanged, "/a".to_owned())]
    );
    let xids: Vec<_> = far
        .replies
        .drain(..)
        .map(|(header, _)| header.xid)
        .collect();
    assert_eq!(xids, [2, 3]);
    assert!(!world.ensemble.step(1));

    // A write is agreed on, but answered later, and after it what was sent after it.
    world.send(&mut far, OpCode::SET_DATA, &set("/a"));
    world.send(&mut far, OpCode::SET_DATA, &set("/a"));
    world.send(
        &mut far,
        OpCode::EXISTS,
        &Body::Read {
            path: "/a",
            watch: false,
        },
    );
    assert!(far.replies.is_empty());
    assert_eq!(world.data(&mut near, "/a", false).unwrap().version, 3);
    world.ensemble.lag(1, Lag::By(SECOND));
    assert!(far.replies.is_empty());
    world.pass(SECOND);
    world.poll(&mut far);
    let zxids: Vec<_> = far
        .replies
        .drain(..)
        .map(|(header, _)| header.zxid)
        .collect();
    assert_eq!(
        zxids,
        [
            world.ensemble.zxid() - 1,
            world.ensemble.zxid(),
            world.ensemble.zxid()
        ]
    );
}

#[test]
fn a_new_session_waits_for_its_member() {
    let mut world = three();
    world.ensemble.lag(1, Lag::Held);
    let refusal = world.connect(1, &new_session()).unwrap_err();
    assert_eq!(refusal, Refusal::Silent);
    assert_eq!(world.ensemble.sessions().count(), 1);
}

#[test]
fn a_member_that_is_behind_refuses() {
    let mut world = three();
    let mut client = world.client(0);
    world.ensemble.lag(1, Lag::Held);
    world.create(&mut client, "/a", 0).unwrap();
    assert_eq!(world.reconnect(1, &client).unwrap_err(), Refusal::Closed);
    world.ensemble.lag(1, Lag::None);
    world.reconnect(1, &client).unwrap();
}

#[test]
fn ephemerals_of_a_dead_session_linger_where_it_is_not_known() {
    let mut world = three();
    let mut owner = world.client(0);
    world.create(&mut owner, "/e", 1).unwrap();
    let mut other = world.client(1);
    world.ensemble.lag(1, Lag::Held);
    assert!(world.ensemble.expire(owner.session));
    let zombie = world.exists(&mut other, "/e", true).unwrap();
    assert_eq!(zombie.ephemeral_owner, owner.session);
    // The leader knows better: this waits for the lagging member, but succeeds.
    world.send(&mut other, OpCode::CREATE, &create("/e", 1));
    world.ensemble.lag(1, Lag::None);
    world.poll(&mut other);
    assert_eq!(other.replies.pop_front().unwrap().0.err, 0);
    assert_eq!(other.take_events(), [(EventKind::Deleted, "/e".to_owned())]);
    world.poll(&mut owner);
    assert!(owner.closed);
}

#[test]
fn a_session_moves() {
    let mut world = three();
    let mut first = world.client(1);
    let mut second = world.reconnect(2, &first).unwrap();
    world.create(&mut second, "/a", 1).unwrap();
    // A follower does not know, until it asks the leader to write.
    world.exists(&mut first, "/a", false).unwrap();
    assert!(
        world
            .try_call(&mut first, OpCode::SET_DATA, &set("/a"))
            .is_none()
    );
    assert!(first.closed);
    // The leader knows.
    let mut third = world.reconnect(0, &second).unwrap();
    let mut fourth = world.reconnect(2, &third).unwrap();
    let body = Body::Read {
        path: "/a",
        watch: false,
    };
    assert!(world.try_call(&mut third, OpCode::EXISTS, &body).is_none());
    assert!(third.closed);
    assert_eq!(world.exists(&mut fourth, "/a", false).unwrap().version, 0);
}

fn elect(world: &mut World) {
    assert_eq!(world.ensemble.leader(), None);
    let at = world.ensemble.poll_timeout().unwrap();
    world.pass(at.since(world.now));
}

#[test]
fn sessions_survive_the_leader() {
    let mut world = three();
    let mut client = world.client(0);
    world.create(&mut client, "/e", 1).unwrap();
    world.pass(SECOND * 9);
    let epoch = world.ensemble.zxid() >> 32;
    world.ensemble.kill(0);
    assert!(world.ensemble.connect(0).is_none());
    world.poll(&mut client);
    assert!(client.closed);
    assert_eq!(world.reconnect(1, &client).unwrap_err(), Refusal::Closed);
    elect(&mut world);
    assert_eq!(world.ensemble.leader(), Some(1));
    assert_eq!(world.ensemble.zxid(), (epoch + 1) << 32);
    // It has its whole timeout again.
    world.pass(SECOND * 9);
    let mut client = world.reconnect(2, &client).unwrap();
    assert_eq!(
        world
            .exists(&mut client, "/e", false)
            .unwrap()
            .ephemeral_owner,
        client.session
    );
    world.pass(SECOND * 14);
    assert!(world.ensemble.node("/e").is_none());
}

#[test]
fn no_quorum_no_service() {
    let mut world = three();
    let mut client = world.client(2);
    world.ensemble.kill(0);
    world.ensemble.kill(1);
    world.poll(&mut client);
    assert!(client.closed);
    assert_eq!(world.ensemble.mode(2), Mode::Idle);
    world.pass(SECOND * 600);
    assert_eq!(world.reconnect(2, &client).unwrap_err(), Refusal::Closed);
    world.ensemble.restart(1);
    elect(&mut world);
    let mut client = world.reconnect(2, &client).unwrap();
    world.create(&mut client, "/a", 0).unwrap();
    world.ensemble.restart(0);
    assert_eq!(world.ensemble.applied(0), world.ensemble.zxid());
}

#[test]
fn a_read_only_member() {
    let mut world = three();
    let mut client = world.client(1);
    world.create(&mut client, "/a", 0).unwrap();
    world.ensemble.read_only(1, true);
    assert_eq!(world.ensemble.mode(1), Mode::ReadOnly);
    assert_eq!(
        world.connect(1, &new_session()).unwrap_err(),
        Refusal::Closed
    );
    let reading = Connect {
        read_only: true,
        ..new_session()
    };
    let mut reader = world.connect(1, &reading).unwrap();
    assert_eq!(reader.read_only, Some(true));
    world.data(&mut reader, "/a", true).unwrap();
    assert_eq!(world.set(&mut reader, "/a").unwrap_err(), Code::NotReadOnly);
    // Sessions of the ensemble are not taken; the others are not known elsewhere.
    let real = Connect {
        session: client.session,
        password: &client.password,
        ..reading
    };
    assert_eq!(world.connect(1, &real).unwrap_err(), Refusal::Closed);
    assert_eq!(world.reconnect(0, &reader).unwrap_err(), Refusal::Expired);
    world.close(&mut reader);
    world.ensemble.read_only(1, false);
    assert_eq!(world.ensemble.mode(1), Mode::Following);
    world.reconnect(1, &client).unwrap();
}

fn ask(world: &mut World, client: &mut Client) -> bool {
    let body = Body::Read {
        path: "/",
        watch: false,
    };
    world.send(client, OpCode::EXISTS, &body);
    client.replies.pop_front().is_some()
}

#[test]
fn a_frozen_follower_wakes_up() {
    let mut world = three();
    let (mut client, mut other) = (world.client(1), world.client(0));
    world.data(&mut client, "/", true).unwrap();
    world.ensemble.pause(1);
    assert!(!ask(&mut world, &mut client));
    world.create(&mut other, "/a", 0).unwrap();
    world.pass(SECOND);
    world.ensemble.resume(1);
    world.poll(&mut client);
    assert_eq!(client.replies.len(), 1);
    assert_eq!(world.ensemble.applied(1), world.ensemble.zxid());
    assert!(!client.closed);

    // After five ticks the others have given it up.
    world.ensemble.pause(1);
    world.pass(SECOND * 11);
    world.ensemble.resume(1);
    world.poll(&mut client);
    assert!(client.closed);
    assert_eq!(world.ensemble.mode(1), Mode::Following);
}

#[test]
fn a_frozen_leader_is_replaced() {
    let mut world = three();
    let (mut near, mut far) = (world.client(0), world.client(1));
    world.ensemble.pause(0);
    // Followers go on reading.
    assert!(ask(&mut world, &mut far));
    world.send(&mut far, OpCode::CREATE, &create("/a", 0));
    assert!(!ask(&mut world, &mut far) && !ask(&mut world, &mut near));
    world.ensemble.resume(0);
    world.poll(&mut far);
    assert_eq!(far.replies.len(), 2);
    assert!(world.ensemble.node("/a").is_some());

    world.ensemble.pause(0);
    world.pass(SECOND * 10);
    elect(&mut world);
    assert_eq!(
        (world.ensemble.leader(), world.ensemble.mode(2)),
        (Some(1), Mode::Following)
    );
    world.poll(&mut near);
    assert!(!near.closed);
    world.ensemble.resume(0);
    world.poll(&mut near);
    assert!(near.closed);
    world.reconnect(0, &near).unwrap();
}

#[test]
fn lost_replies_are_not_lost_writes() {
    let mut world = World::standalone();
    let mut client = world.client(0);
    world.ensemble.drop_replies(client.conn, true);
    assert!(
        world
            .try_call(&mut client, OpCode::CREATE, &create("/a", 0))
            .is_none()
    );
    world.ensemble.cut(client.conn);
    world.poll(&mut client);
    assert!(client.closed);
    let mut client = world.reconnect(0, &client).unwrap();
    assert_eq!(
        world.create(&mut client, "/a", 0).unwrap_err(),
        Code::NodeExists
    );
}

#[test]
fn all_is_lost() {
    let mut world = three();
    let mut client = world.client(0);
    for path in ["/a", "/b"] {
        world.create(&mut client, path, 0).unwrap();
    }
    world.ensemble.wipe();
    world.poll(&mut client);
    assert!(client.closed);
    assert_eq!(world.reconnect(0, &client).unwrap_err(), Refusal::Closed);
    client.last_zxid = 0;
    assert_eq!(world.reconnect(0, &client).unwrap_err(), Refusal::Expired);
    let mut client = world.client(1);
    assert_eq!(
        world.children(&mut client, "/", false).unwrap(),
        ["zookeeper"]
    );
}

#[test]
fn a_backup_is_restored() {
    let mut world = three();
    let mut client = world.client(0);
    world.create(&mut client, "/a", 0).unwrap();
    let backup = world.ensemble.zxid();
    world.create(&mut client, "/b", 1).unwrap();
    assert!(world.ensemble.rewind(backup));
    client.last_zxid = backup;
    let mut client = world.reconnect(2, &client).unwrap();
    assert_eq!(
        world.children(&mut client, "/", false).unwrap(),
        ["a", "zookeeper"]
    );
}
