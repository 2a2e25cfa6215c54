use docent::core::wire::{CheckWatches, WatcherType};
use docent::{Change, Client, Code, CreateMode, ErrorKind, EventKind, Events, Path, Watcher};

use super::{Realm, at_once, code, next, next_change, until, within};
use EventKind::{ChildrenChanged, Created, DataChanged, Deleted};

const PERSISTENT: CreateMode = CreateMode::Persistent;

fn node(kinds: &[EventKind]) -> Option<Change> {
    let all = kinds.iter().copied().map(Events::from);
    Some(Change::Node(all.fold(Events::NONE, |all, one| all | one)))
}

async fn changed(watcher: &mut Watcher) -> Option<Change> {
    within(watcher.changed()).await
}

/// Nothing more is to come, and nothing has come meanwhile.
async fn assert_over(mut watcher: Watcher) {
    assert_eq!(changed(&mut watcher).await, None);
    assert_eq!(changed(&mut watcher).await, None);
}

/// Nothing has come so far. What the client has done itself by now would have.
async fn assert_silent(client: &Client, watcher: &mut Watcher) {
    client.sync("/").await.unwrap();
    assert_eq!(at_once(watcher.changed()), None);
}

/// Whether the server has a watch of this client on `path`.
async fn has_watch(client: &Client, path: &str) -> bool {
    let path = Path::new(path).unwrap();
    let kind = WatcherType::Any;
    match client.submit(&CheckWatches { path, kind }).unwrap().await {
        Ok(()) => true,
        Err(ErrorKind::Server(Code::NoWatcher)) => false,
        Err(error) => panic!("{error}"),
    }
}

pub async fn a_watch_on_data_fires_once(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    client.create("/node", b"1", PERSISTENT).await.unwrap();
    let (data, mut watcher) = client.get_and_watch("/node").await.unwrap();
    assert_eq!(data.data(), b"1");
    client.ensure("/node/child").await.unwrap();
    client.delete("/node/child", None).await.unwrap();
    assert_silent(&client, &mut watcher).await;
    other.set("/node", b"2", None).await.unwrap();
    assert_eq!(changed(&mut watcher).await, node(&[DataChanged]));
    other.set("/node", b"3", None).await.unwrap();
    assert_over(watcher).await;

    let (data, mut watcher) = client.get_and_watch("/node").await.unwrap();
    assert_eq!(data.data(), b"3");
    other.delete("/node", None).await.unwrap();
    assert_eq!(changed(&mut watcher).await, node(&[Deleted]));
    assert_over(watcher).await;
}

pub async fn a_watch_on_existence_fires_at_birth_change_and_death(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    for event in [Created, DataChanged, Deleted] {
        let (stat, mut watcher) = client.exists_and_watch("/node").await.unwrap();
        assert_eq!(stat.is_none(), event == Created);
        match event {
            Created => drop(other.create("/node", b"", PERSISTENT).await.unwrap()),
            DataChanged => drop(other.set("/node", b"", None).await.unwrap()),
            _ => other.delete("/node", None).await.unwrap(),
        }
        assert_eq!(changed(&mut watcher).await, node(&[event]));
        assert_over(watcher).await;
    }
}

pub async fn a_watch_on_children_fires_once(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    client.ensure("/node").await.unwrap();
    let (children, mut watcher) = client.children_and_watch("/node").await.unwrap();
    assert!(children.is_empty());
    client.set("/node", b"", None).await.unwrap();
    assert_silent(&client, &mut watcher).await;
    other.create("/node/a", b"", PERSISTENT).await.unwrap();
    other.create("/node/b", b"", PERSISTENT).await.unwrap();
    assert_eq!(changed(&mut watcher).await, node(&[ChildrenChanged]));
    assert_over(watcher).await;

    let (children, mut watcher) = client.children_and_watch("/node").await.unwrap();
    assert_eq!(children.len(), 2);
    other.delete("/node/a", None).await.unwrap();
    assert_eq!(changed(&mut watcher).await, node(&[ChildrenChanged]));

    let (_, mut watcher) = client.children_and_watch("/node/b").await.unwrap();
    other.delete("/node/b", None).await.unwrap();
    assert_eq!(changed(&mut watcher).await, node(&[Deleted]));
    assert_over(watcher).await;
}

pub async fn a_persistent_watch_goes_on(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    let mut watcher = client.watch("/node").await.unwrap();
    for _ in 0..3 {
        other.create("/node", b"", PERSISTENT).await.unwrap();
        assert_eq!(changed(&mut watcher).await, node(&[Created]));
        other.set("/node", b"", None).await.unwrap();
        assert_eq!(changed(&mut watcher).await, node(&[DataChanged]));
        other.create("/node/child", b"", PERSISTENT).await.unwrap();
        assert_eq!(changed(&mut watcher).await, node(&[ChildrenChanged]));
        other.set("/node/child", b"", None).await.unwrap();
        other.delete("/node/child", None).await.unwrap();
        assert_eq!(changed(&mut watcher).await, node(&[ChildrenChanged]));
        other.delete("/node", None).await.unwrap();
        assert_eq!(changed(&mut watcher).await, node(&[Deleted]));
    }
    assert_silent(&client, &mut watcher).await;
}

pub async fn changes_that_nobody_looks_at_are_told_as_one(realm: Realm) {
    let client = realm.client().await;
    let mut watcher = client.watch("/node").await.unwrap();
    client.create("/node", b"", PERSISTENT).await.unwrap();
    for _ in 0..100 {
        client.set("/node", b"", None).await.unwrap();
    }
    assert_eq!(changed(&mut watcher).await, node(&[Created, DataChanged]));
    assert_silent(&client, &mut watcher).await;
    client.ensure("/node/child").await.unwrap();
    client.delete("/node/child", None).await.unwrap();
    client.delete("/node", None).await.unwrap();
    assert_eq!(
        changed(&mut watcher).await,
        node(&[ChildrenChanged, Deleted])
    );
    assert_silent(&client, &mut watcher).await;
}

fn place(change: Option<Change>) -> (EventKind, String) {
    match change {
        Some(Change::Below { kind, path }) => (kind, path.to_string()),
        other => panic!("{other:?}"),
    }
}

pub async fn a_recursive_watch_tells_every_place(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    for top in ["/top", "/"] {
        let mut watcher = client.watch_tree(top).await.unwrap();
        // A watch on children below makes servers send what recursive watches are not told.
        client.ensure("/top").await.unwrap();
        assert_eq!(place(changed(&mut watcher).await), (Created, "/top".into()));
        let (_, children) = client.children_and_watch("/top").await.unwrap();
        other.create("/topper", b"", PERSISTENT).await.unwrap();
        other.create("/top/a", b"", PERSISTENT).await.unwrap();
        other.create("/top/a/b", b"", PERSISTENT).await.unwrap();
        other.set("/top/a/b", b"", None).await.unwrap();
        other.set("/top/a/b", b"", None).await.unwrap();
        other.set("/top", b"", None).await.unwrap();
        other.delete("/top/a/b", None).await.unwrap();
        other.delete("/top/a", None).await.unwrap();
        other.delete("/topper", None).await.unwrap();
        other.delete("/top", None).await.unwrap();
        let expected = [
            (Created, "/topper"),
            (Created, "/top/a"),
            (Created, "/top/a/b"),
            (DataChanged, "/top/a/b"),
            (DataChanged, "/top/a/b"),
            (DataChanged, "/top"),
            (Deleted, "/top/a/b"),
            (Deleted, "/top/a"),
            (Deleted, "/topper"),
            (Deleted, "/top"),
        ];
        for (kind, path) in expected {
            if top == "/" || path != "/topper" {
                let found = place(changed(&mut watcher).await);
                assert_eq!(found, (kind, path.to_owned()), "below {top}");
            }
        }
        assert_silent(&client, &mut watcher).await;
        drop(children);
    }
}

pub async fn a_recursive_watch_that_nobody_reads_asks_to_look_again(realm: Realm) {
    let client = realm.client().await;
    client.ensure("/node").await.unwrap();
    let mut tree = client.watch_tree("/").await.unwrap();
    let mut other = client.watch("/other").await.unwrap();
    let node = Path::new("/node").unwrap();
    let set = docent::core::wire::SetData {
        path: node,
        data: b"",
        version: None,
    };
    let replies: Vec<_> = (0..3000).map(|_| client.submit(&set).unwrap()).collect();
    for reply in replies {
        within(reply).await.unwrap();
    }
    client.ensure("/other").await.unwrap();
    assert_eq!(changed(&mut tree).await, Some(Change::Resync));
    let mut told = 1;
    while place(changed(&mut tree).await) != (Created, "/other".into()) {
        told += 1;
    }
    assert!(told <= 1024, "{told}");
    assert_eq!(
        changed(&mut other).await,
        Some(Change::Node(Created.into()))
    );
}

/// Whether this server keeps watches of several kinds on one path apart.
async fn keeps_kinds_apart(realm: &Realm) -> bool {
    let servers = realm.servers();
    let answer = super::four_letter_word(servers.split(',').next().unwrap(), b"srvr").await;
    !answer.contains("version: 3.6")
        && !answer.contains("version: 3.7")
        && !answer.contains("version: 3.8")
}

pub async fn watches_of_all_kinds_share_a_path(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    client.ensure("/node").await.unwrap();
    let mut recursive = None;
    if keeps_kinds_apart(&realm).await {
        recursive = Some(client.watch_tree("/node").await.unwrap());
    }
    let (_, mut early) = client.get_and_watch("/node").await.unwrap();
    let mut persistent = client.watch("/node").await.unwrap();
    if let Some(recursive) = &mut recursive {
        // A server that does not keep kinds apart would have been without it for a moment.
        assert_eq!(changed(recursive).await, Some(Change::Resync));
    }
    for turn in 0..3 {
        let (_, mut data) = client.get_and_watch("/node").await.unwrap();
        let (_, mut exists) = client.exists_and_watch("/node").await.unwrap();
        let (_, mut children) = client.children_and_watch("/node").await.unwrap();
        for _ in 0..2 {
            other.set("/node", b"", None).await.unwrap();
            assert_eq!(changed(&mut persistent).await, node(&[DataChanged]));
            if let Some(recursive) = &mut recursive {
                assert_eq!(
                    place(changed(recursive).await),
                    (DataChanged, "/node".into())
                );
            }
        }
        if turn == 0 {
            assert_eq!(changed(&mut early).await, node(&[DataChanged]));
        }
        assert_eq!(changed(&mut data).await, node(&[DataChanged]));
        assert_eq!(changed(&mut exists).await, node(&[DataChanged]));
        assert_silent(&client, &mut children).await;
        for _ in 0..2 {
            let child = other.create("/node/c-", b"", CreateMode::EphemeralSequential);
            let child = child.await.unwrap().path;
            assert_eq!(changed(&mut persistent).await, node(&[ChildrenChanged]));
            if let Some(recursive) = &mut recursive {
                assert_eq!(place(changed(recursive).await), (Created, child));
            }
        }
        assert_eq!(changed(&mut children).await, node(&[ChildrenChanged]));
        for over in [data, exists, children] {
            assert_over(over).await;
        }
    }
}

pub async fn watches_set_at_the_same_time_share_a_path(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    client.ensure("/node").await.unwrap();
    let (persistent, once) = tokio::join!(client.watch("/node"), client.get_and_watch("/node"));
    let (mut persistent, (_, mut once)) = (persistent.unwrap(), once.unwrap());
    for _ in 0..3 {
        other.set("/node", b"", None).await.unwrap();
        assert_eq!(changed(&mut persistent).await, node(&[DataChanged]));
    }
    assert_eq!(changed(&mut once).await, node(&[DataChanged]));
    let (once, persistent) = tokio::join!(client.get_and_watch("/two"), client.watch("/two"));
    assert_eq!(code(once), Code::NoNode);
    let mut persistent = persistent.unwrap();
    other.create("/two", b"", PERSISTENT).await.unwrap();
    assert_eq!(changed(&mut persistent).await, node(&[Created]));
    other.set("/two", b"", None).await.unwrap();
    assert_eq!(changed(&mut persistent).await, node(&[DataChanged]));
}

pub async fn every_watcher_of_a_path_hears(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    client.ensure("/node").await.unwrap();
    let mut watchers = vec![];
    for _ in 0..5 {
        watchers.push(client.get_and_watch("/node").await.unwrap().1);
        watchers.push(client.watch("/node").await.unwrap());
    }
    let waiting: Vec<_> = watchers
        .into_iter()
        .map(|mut watcher| tokio::spawn(async move { watcher.changed().await }))
        .collect();
    other.set("/node", b"", None).await.unwrap();
    for task in waiting {
        assert_eq!(within(task).await.unwrap(), node(&[DataChanged]));
    }
}

pub async fn an_event_comes_before_the_reply_that_shows_its_cause(realm: Realm) {
    let client = realm.client().await;
    client.ensure("/node").await.unwrap();
    for _ in 0..50 {
        let (_, mut watcher) = client.get_and_watch("/node").await.unwrap();
        client.set("/node", b"", None).await.unwrap();
        assert_eq!(at_once(watcher.changed()), Some(node(&[DataChanged])));
    }
}

pub async fn a_dropped_watch_is_removed_from_the_server(realm: Realm) {
    let client = realm.client().await;
    client.ensure("/node").await.unwrap();
    for kind in 0..5 {
        let set = async || match kind {
            0 => client.get_and_watch("/node").await.unwrap().1,
            1 => client.exists_and_watch("/absent").await.unwrap().1,
            2 => client.children_and_watch("/node").await.unwrap().1,
            3 => client.watch("/node").await.unwrap(),
            _ => client.watch_tree("/node").await.unwrap(),
        };
        let path = if kind == 1 { "/absent" } else { "/node" };
        let (one, two) = (set().await, set().await);
        drop(one);
        assert!(has_watch(&client, path).await, "kind {kind}");
        // Servers only list watches on data.
        assert!(kind == 2 || realm.is_watched(path).await, "kind {kind}");
        drop(two);
        assert!(!has_watch(&client, path).await, "kind {kind}");
        assert!(!realm.is_watched(path).await, "kind {kind}");
    }
    assert_eq!(client.status().connections, 1);
}

pub async fn a_dropped_persistent_watch_is_removed_though_another_stays(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    for (path, once_first) in [("/one", true), ("/two", false)] {
        client.ensure(path).await.unwrap();
        let once = async || client.get_and_watch(path).await.unwrap().1;
        let lasting = async || client.watch(path).await.unwrap();
        let (mut once, lasting) = if once_first {
            (once().await, lasting().await)
        } else {
            let lasting = lasting().await;
            (once().await, lasting)
        };
        drop(lasting);
        other.set(path, b"", None).await.unwrap();
        assert_eq!(changed(&mut once).await, node(&[DataChanged]));
        drop(once);
        other.set(path, b"", None).await.unwrap();
        client.sync(path).await.unwrap();
        assert!(!has_watch(&client, path).await, "{path}");
    }
}

pub async fn a_cancelled_watch_is_removed_from_the_server(realm: Realm) {
    let client = realm.client().await;
    client.ensure("/node").await.unwrap();
    assert!(at_once(client.get_and_watch("/node")).is_none());
    assert!(at_once(client.exists_and_watch("/absent")).is_none());
    assert!(at_once(client.watch("/persistent")).is_none());
    client.sync("/").await.unwrap();
    for path in ["/node", "/absent", "/persistent"] {
        assert!(!has_watch(&client, path).await, "{path}");
    }
    // A watch that takes the place of a cancelled one does not take its reply.
    for _ in 0..20 {
        assert!(at_once(client.watch("/node")).is_none());
        assert_eq!(code(client.get_and_watch("/absent").await), Code::NoNode);
        let (_, mut watcher) = client.get_and_watch("/node").await.unwrap();
        assert_silent(&client, &mut watcher).await;
    }
}

pub async fn a_read_that_fails_leaves_no_watch(realm: Realm) {
    let client = realm.client().await;
    assert_eq!(code(client.get_and_watch("/absent").await), Code::NoNode);
    assert_eq!(
        code(client.children_and_watch("/absent").await),
        Code::NoNode
    );
    assert!(!has_watch(&client, "/absent").await);
    client.ensure("/absent").await.unwrap();
    client.delete("/absent", None).await.unwrap();
}

pub async fn watches_are_streams(realm: Realm) {
    let client = realm.client().await;
    client.ensure("/node").await.unwrap();
    let mut stream = client.watch("/node").await.unwrap();
    let (_, mut once) = client.get_and_watch("/node").await.unwrap();
    client.set("/node", b"", None).await.unwrap();
    assert_eq!(next(&mut stream).await, node(&[DataChanged]));
    assert_eq!(next(&mut once).await, node(&[DataChanged]));
    assert_eq!(next(&mut once).await, None);
    client.clone().close().await;
    assert_eq!(next(&mut stream).await, Some(Change::Lost));
    assert_eq!(next(&mut stream).await, None);
    assert_eq!(next(&mut once).await, None);

    let client = realm.client().await;
    let mut stream = client.watch("/node").await.unwrap();
    let mut tree = client.watch_tree("/other").await.unwrap();
    let before = client.status();
    realm.expire(&client).await;
    assert_eq!(next_change(&mut stream).await, Some(Change::Lost));
    assert_eq!(next(&mut stream).await, None);
    assert_eq!(next_change(&mut tree).await, Some(Change::Lost));
    assert_eq!(next(&mut tree).await, None);
    until(&client, |now| now.connections > before.connections).await;
    assert!(!has_watch(&client, "/node").await);
}

pub async fn events_outside_the_chroot_are_not_heard(realm: Realm) {
    let outside = realm.outside().await;
    for path in ["/app", "/apple"] {
        outside.ensure(&realm.absolute(path)).await.unwrap();
    }
    let app = format!("{}{}", realm.servers(), realm.absolute("/app"));
    let app = super::builder(&app).connect().await.unwrap();
    let mut tree = app.watch_tree("/").await.unwrap();
    let apple = realm.absolute("/apple/a");
    outside.create(&apple, b"", PERSISTENT).await.unwrap();
    let inside = realm.absolute("/app/a");
    outside.create(&inside, b"", PERSISTENT).await.unwrap();
    let root = realm.absolute("/app");
    outside.set(&root, b"", None).await.unwrap();
    assert_eq!(place(changed(&mut tree).await), (Created, "/a".into()));
    assert_eq!(place(changed(&mut tree).await), (DataChanged, "/".into()));
}
