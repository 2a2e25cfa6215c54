//! What boards do while nothing goes wrong.

use std::time::Duration;

use docent_core::client::{Client as _, Watcher as _};
use docent_core::hub::Change;
use docent_core::recipes::Lock;
use docent_core::session::{End, State};
use docent_core::wire::{Acl, AddWatchMode, Credential, GetAcl, GetData, SetAcl};
use docent_testing::server::Ensemble;

use super::world::{Sizes, World, polls, sleep};
use super::{create, get, path, set};

#[test]
fn a_board_reads_writes_and_watches() {
    let world = World::new();
    let (client, runner) = world.board::<1>();
    world.run([runner], async {
        create(client, "/a", b"one").await.unwrap();
        assert_eq!(get(client, "/a").await.unwrap(), b"one");
        let watched = client.watch(GetData { path: path("/a") }).await;
        let (data, mut watcher) = watched.unwrap();
        drop(data);
        set(client, "/a", b"two").await.unwrap();
        assert!(matches!(watcher.next().await, Some(Change::Node(_))));
        assert_eq!(get(client, "/a").await.unwrap(), b"two");
    });
}

#[test]
fn a_lasting_watch_tells_of_every_change() {
    let world = World::new();
    let (client, runner) = world.board::<2>();
    world.run([runner], async {
        let subscribed = client.subscribe(path("/a"), AddWatchMode::Recursive).await;
        let mut watcher = subscribed.unwrap();
        create(client, "/a", b"").await.unwrap();
        assert!(matches!(watcher.next().await, Some(Change::Below { .. })));
        create(client, "/a/b", b"").await.unwrap();
        assert!(matches!(watcher.next().await, Some(Change::Below { .. })));
        assert!(polls(watcher.next(), 5).await.is_none());
    });
}

#[test]
fn boards_take_turns_at_a_lock() {
    let world = World::new();
    let boards = [world.board::<1>(), world.board::<1>()];
    let [(one, one_runner), (other, other_runner)] = boards;
    world.run([one_runner, other_runner], async {
        let lock = Lock::new(one, path("/lock")).unwrap();
        let first = lock.acquire().await.unwrap();
        let waits = Lock::new(other, path("/lock")).unwrap();
        let waits = std::pin::pin!(waits.acquire());
        let releases = async {
            sleep(Duration::from_secs(30)).await;
            assert!(first.is_held());
            let token = first.fencing_token();
            first.release().await.unwrap();
            token
        };
        let (second, token) = embassy_futures::join::join(waits, releases).await;
        assert!(second.unwrap().fencing_token() > token);
    });
}

#[test]
fn any_number_of_tasks_shares_a_call() {
    let world = World::new();
    let (client, runner) = world.board::<1>();
    world.run([runner], async {
        create(client, "/a", b"one").await.unwrap();
        let reads = [(); 6].map(|()| get(client, "/a"));
        let reads = embassy_futures::join::join_array(reads).await;
        assert!(reads.into_iter().all(|read| read.unwrap() == b"one"));
    });
}

#[test]
fn a_session_lives_while_nothing_is_asked() {
    let world = World::new();
    let (client, runner) = world.board::<1>();
    world.run([runner], async {
        let before = client.connected().await.unwrap();
        sleep(Duration::from_secs(600)).await;
        assert_eq!(client.status(), before);
    });
}

#[test]
fn paths_lie_below_the_chroot() {
    let world = World::new();
    let (root, root_runner) = world.board::<1>();
    let (below, runner) = world.board_with::<1>(Sizes::COMMON, |settings| {
        settings.servers = "m0/plant";
    });
    world.run([root_runner, runner], async {
        create(root, "/plant", b"").await.unwrap();
        create(below, "/valve", b"open").await.unwrap();
        assert_eq!(get(root, "/plant/valve").await.unwrap(), b"open");
    });
}

#[test]
fn identities_are_proved_first() {
    let world = World::new();
    let (client, runner) = world.board_with::<1>(Sizes::COMMON, |settings| {
        settings.auths = &[Credential {
            scheme: "digest",
            data: b"board:secret",
        }];
    });
    world.run([runner], async {
        create(client, "/a", b"").await.unwrap();
        let acl = Acl::CREATOR_ALL;
        let (path, version) = (path("/a"), None);
        client.call(SetAcl { path, acl, version }).await.unwrap();
        let acls = client.call(GetAcl { path }).await.unwrap();
        let acl = acls.iter().next().unwrap();
        assert!(acl.id.starts_with("board:"));
    });
}

#[test]
fn a_closed_client_has_ended_its_session() {
    let world = World::new();
    let (client, mut runner) = world.board::<1>();
    let other = world.clone();
    world.run([], async {
        let closes = async {
            create(client, "/a", b"").await.unwrap();
            client.close().await;
        };
        let (end, ()) = embassy_futures::join::join(runner.run(), closes).await;
        assert_eq!(end, End::Closed);
        assert_eq!(client.status().state, State::Closed);
        assert_eq!(other.ensemble(|ensemble| ensemble.sessions().count()), 0);
    });
}

#[test]
fn a_session_goes_on_after_a_restart() {
    let world = World::new();
    let (before, mut runner) = world.board::<1>();
    let saved = world.run([], async {
        let uses = async {
            create(before, "/a", b"").await.unwrap();
            before.detach()
        };
        embassy_futures::join::join(runner.run(), uses).await.1
    });
    let saved = saved.unwrap();
    let (after, runner) = world.board_with::<1>(Sizes::COMMON, |settings| {
        settings.resume = Some(saved);
    });
    world.run([runner], async {
        get(after, "/a").await.unwrap();
        assert_eq!(after.session_id(), Some(saved.id));
    });
}

#[test]
fn a_read_only_server_will_do_for_reads() {
    let mut ensemble = Ensemble::builder().members(3).read_only_mode(true).build();
    ensemble.isolate(0, true);
    let world = World::with(ensemble);
    let (client, runner) = world.board_with::<1>(Sizes::COMMON, |settings| {
        settings.config.read_only = true;
    });
    world.run([runner], async {
        let status = client.connected().await.unwrap();
        assert_eq!(status.state, State::Connected { read_only: true });
        sleep(Duration::from_secs(60)).await;
        assert!(get(client, "/zookeeper").await.is_ok());
    });
}
