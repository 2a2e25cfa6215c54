//! What boards make of servers and networks that fail.

use std::time::Duration;

use docent_core::client::{Client as _, Watcher as _};
use docent_core::error::Error;
use docent_core::hub::Change;
use docent_core::session::State;
use docent_core::wire::GetData;
use docent_testing::server::Ensemble;
use embassy_futures::join::join;

use super::world::{Sizes, World, sleep};
use super::{create, get, path, set};

#[test]
fn a_session_outlives_its_connection() {
    let world = World::new();
    let (client, runner) = world.board::<1>();
    let servers = world.clone();
    world.run([runner], async {
        create(client, "/a", b"one").await.unwrap();
        let session = client.session_id();
        for connections in 2..10 {
            servers.cut(session);
            let read = client.retry(GetData { path: path("/a") }).await;
            assert_eq!(read.unwrap().data(), b"one");
            assert_eq!(client.session_id(), session);
            assert_eq!(client.status().connections, connections);
        }
    });
}

#[test]
fn what_was_sent_may_have_run_and_what_was_not_is_sent_later() {
    let world = World::new();
    let (client, runner) = world.board::<2>();
    let servers = world.clone();
    world.run([runner], async {
        create(client, "/a", b"").await.unwrap();
        servers.ensemble(|ensemble| ensemble.pause(0));
        let cuts = async {
            sleep(Duration::from_secs(1)).await;
            servers.ensemble(|ensemble| ensemble.resume(0));
            servers.cut(client.session_id());
        };
        let (sent, ()) = join(set(client, "/a", b"one"), cuts).await;
        assert_eq!(sent, Err(Error::ConnectionLost));
        // There is no connection now.
        set(client, "/a", b"two").await.unwrap();
        assert_eq!(get(client, "/a").await.unwrap(), b"two");
    });
}

#[test]
fn a_watch_survives_a_lost_connection() {
    let world = World::new();
    let (watching, one) = world.board::<1>();
    let (writing, other) = world.board::<1>();
    let servers = world.clone();
    world.run([one, other], async {
        create(writing, "/a", b"").await.unwrap();
        let watched = watching.watch(GetData { path: path("/a") }).await;
        let (data, mut watcher) = watched.unwrap();
        drop(data);
        servers.cut(watching.session_id());
        set(writing, "/a", b"one").await.unwrap();
        assert!(matches!(watcher.next().await, Some(Change::Node(_))));
    });
}

#[test]
fn another_server_is_tried_when_one_is_silent() {
    let world = World::with(Ensemble::builder().members(3).build());
    let (client, runner) = world.board_with::<1>(Sizes::COMMON, |settings| {
        settings.servers = "m0,m1,m2";
    });
    let servers = world.clone();
    world.run([runner], async {
        create(client, "/a", b"").await.unwrap();
        let session = client.session_id();
        // Without a leader nobody serves.
        let leader = servers.ensemble(|ensemble| ensemble.leader());
        for member in (0..3).filter(|member| Some(*member) != leader) {
            servers.ensemble(|ensemble| ensemble.pause(member));
            client.retry(GetData { path: path("/a") }).await.unwrap();
            servers.ensemble(|ensemble| ensemble.resume(member));
            sleep(Duration::from_secs(30)).await;
        }
        assert_eq!(client.session_id(), session);
    });
}

#[test]
fn a_connection_that_never_opens_is_given_up() {
    let world = World::new();
    let (client, runner) = world.board::<1>();
    let servers = world.clone();
    world.run([runner], async {
        servers.silence(true);
        sleep(Duration::from_secs(60)).await;
        servers.silence(false);
        create(client, "/a", b"").await.unwrap();
    });
}

#[test]
fn a_new_session_follows_one_that_was_ended() {
    let world = World::new();
    let (client, runner) = world.board::<1>();
    let servers = world.clone();
    world.run([runner], async {
        create(client, "/a", b"").await.unwrap();
        let watched = client.watch(GetData { path: path("/a") }).await;
        let (data, mut watcher) = watched.unwrap();
        drop(data);
        let before = client.status();
        let session = client.session_id().unwrap();
        servers.ensemble(|ensemble| ensemble.expire(session));
        assert!(matches!(watcher.next().await, Some(Change::Lost)));
        get(client, "/a").await.unwrap();
        assert!(client.status().epoch > before.epoch);
        assert_ne!(client.session_id(), Some(session));
    });
}

#[test]
fn a_board_is_told_when_it_can_not_reach_anybody() {
    let world = World::new();
    let (client, runner) = world.board::<1>();
    let servers = world.clone();
    world.run([runner], async {
        let connected = client.connected().await.unwrap();
        servers.ensemble(|ensemble| ensemble.kill(0));
        let suspended = client.changed(connected).await;
        assert_eq!(suspended.state, State::Suspended);
        let lapsed = client.changed(suspended).await;
        assert_eq!(lapsed.state, State::Lapsed);
        servers.ensemble(|ensemble| ensemble.restart(0));
        assert!(client.connected().await.is_ok());
    });
}

#[test]
fn bytes_may_come_and_go_in_pieces_of_any_size() {
    for piece in [1, 2, 3, 7, 64] {
        let world = World::new().in_pieces_of(piece);
        let (client, runner) = world.board::<2>();
        world.run([runner], async {
            create(client, "/a", &[7; 100]).await.unwrap();
            let (one, other) = join(get(client, "/a"), get(client, "/a")).await;
            assert_eq!(one.unwrap(), [7; 100]);
            assert_eq!(other.unwrap(), [7; 100]);
        });
    }
}
