use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use docent::cache::{Bounds, Builder, Cache, Event, Events, Node, Select};
use docent::core::recipes::cache::{Cache as CoreCache, FixedStore};
use docent::{Acl, Client, CreateMode, Op, Path, Perms};

use super::{Realm, at_once, until_exists, within};

const PERSISTENT: CreateMode = CreateMode::Persistent;

async fn create(client: &Client, path: &str, data: &str) -> i64 {
    let created = client.create(path, data.as_bytes(), PERSISTENT).await;
    created.unwrap().stat.czxid
}

async fn set(client: &Client, path: &str, data: &str) -> i64 {
    let stat = client.set(path, data.as_bytes(), None).await.unwrap();
    stat.mzxid
}

/// Starts a cache that does not pause, and waits until it has all that there is.
async fn start(builder: Builder) -> Cache {
    let cache = builder.smear(Duration::ZERO).start().unwrap();
    within(cache.ready()).await.unwrap();
    cache
}

/// Waits until the cache has all that the client has done by now.
async fn caught_up(client: &Client, cache: &Cache) {
    let zxid = set(client, "/mark", "").await;
    within(cache.reached(zxid)).await.unwrap();
}

fn texts<'n>(nodes: impl IntoIterator<Item = &'n Arc<Node>>) -> Vec<String> {
    let text = |node: &Arc<Node>| {
        let data = String::from_utf8_lossy(node.data().unwrap()).into_owned();
        format!("{} {data}", node.path())
    };
    nodes.into_iter().map(text).collect()
}

/// The view as its events tell it.
#[derive(Default)]
struct Script(BTreeMap<String, Arc<Node>>);

impl Script {
    /// Takes steps until something becomes of the view, which it returns.
    async fn play(&mut self, events: &mut Events) -> Event {
        loop {
            match within(events.next()).await.unwrap() {
                Event::Put { old, new } => {
                    let was = self.0.insert(new.path().to_owned(), new);
                    assert_eq!(was, old);
                }
                Event::Removed { old } => assert_eq!(self.0.remove(old.path()), Some(old)),
                event => return event,
            }
        }
    }

    /// Takes steps until the view is that of the cache.
    async fn catch_up(&mut self, events: &mut Events, cache: &Cache) {
        while self.0.values().cloned().collect::<Vec<_>>() != cache.snapshot() {
            match within(events.next()).await.unwrap() {
                Event::Put { old, new } => {
                    assert_eq!(self.0.insert(new.path().to_owned(), new), old);
                }
                Event::Removed { old } => assert_eq!(self.0.remove(old.path()), Some(old)),
                event => panic!("{event:?}"),
            }
        }
    }
}

pub async fn a_cache_follows_a_tree(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    create(&client, "/mark", "").await;
    create(&client, "/app", "1").await;
    create(&client, "/app/b", "2").await;
    create(&client, "/app/b/c", "3").await;
    let cache = start(client.cache("/app")).await;
    assert_eq!(
        texts(&cache.snapshot()),
        ["/app 1", "/app/b 2", "/app/b/c 3"]
    );
    let mut events = cache.events();
    let mut script = Script::default();
    let ready = script.play(&mut events).await;
    assert!(matches!(ready, Event::Ready { .. }), "{ready:?}");

    create(&other, "/app/a", "4").await;
    set(&other, "/app/b", "5").await;
    other.delete("/app/b/c", None).await.unwrap();
    let last = create(&other, "/app/b-x", "6").await;
    within(cache.reached(last)).await.unwrap();
    let expected = ["/app 1", "/app/a 4", "/app/b 5", "/app/b-x 6"];
    assert_eq!(texts(&cache.snapshot()), expected);
    assert_eq!(texts(&cache.children("/app")), expected[1..]);
    assert_eq!(texts(&cache.get("/app/a")), ["/app/a 4"]);
    assert!(cache.get("/app/b/c").is_none());
    script.catch_up(&mut events, &cache).await;

    assert!(cache.is_fresh() && cache.is_complete());
    assert!(cache.as_of_zxid() >= last);
    assert!(cache.age().is_some() && cache.failure().is_none());
    assert_eq!(cache.tally().nodes, 4);
}

pub async fn a_cache_sees_a_node_that_was_created_again(realm: Realm) {
    let client = realm.client().await;
    create(&client, "/mark", "").await;
    create(&client, "/app", "").await;
    let first = create(&client, "/app/a", "same").await;
    create(&client, "/app/a/b", "").await;
    let cache = start(client.cache("/app")).await;
    let path = |path| Path::new(path).unwrap();
    let delete = |at| {
        Op::Delete(docent::wire::Delete {
            path: path(at),
            version: None,
        })
    };
    let again = |at, data| {
        Op::Create(docent::wire::Create {
            path: path(at),
            data,
            mode: PERSISTENT,
            acl: Acl::OPEN,
        })
    };
    // At once, so that nobody sees it gone, and with the same version and data.
    let ops = [
        delete("/app/a/b"),
        delete("/app/a"),
        again("/app/a", b"same"),
        again("/app/a/c", b""),
    ];
    client.multi(&ops).await.unwrap().outcome().unwrap();
    caught_up(&client, &cache).await;
    assert!(cache.get("/app/a").unwrap().stat().czxid > first);
    assert!(cache.get("/app/a/b").is_none() && cache.get("/app/a/c").is_some());
}

pub async fn a_cache_waits_for_its_root(realm: Realm) {
    let client = realm.client().await;
    create(&client, "/mark", "").await;
    for depth in [0, 9] {
        let cache = start(client.cache("/app").depth(depth)).await;
        assert!(cache.snapshot().is_empty());
        create(&client, "/app", "1").await;
        let last = create(&client, "/app/a", "2").await;
        within(cache.reached(last)).await.unwrap();
        let all = ["/app 1", "/app/a 2"];
        assert_eq!(texts(&cache.snapshot()), all[..1 + depth.min(1)]);
        client.delete("/app/a", None).await.unwrap();
        client.delete("/app", None).await.unwrap();
        caught_up(&client, &cache).await;
        assert!(cache.snapshot().is_empty() && cache.is_fresh());
    }
}

pub async fn a_cache_has_what_it_is_asked_for(realm: Realm) {
    let client = realm.client().await;
    create(&client, "/mark", "").await;
    for path in ["/app", "/app/a", "/app/a/b", "/app/x", "/app/x/y"] {
        create(&client, path, "z").await;
    }
    let node = start(client.cache("/app").depth(0)).await;
    let children = start(client.cache("/app").depth(1)).await;
    let names = start(client.cache("/app").without_data()).await;
    let some = start(client.cache("/app").select(|path| match path {
        "/app/a" => Select::Node,
        path if path.starts_with("/app/x") => Select::Nothing,
        _ => Select::Tree,
    }));
    let some = some.await;
    create(&client, "/app/a/c", "z").await;
    create(&client, "/app/x/z", "z").await;
    create(&client, "/app/d", "z").await;
    set(&client, "/app", "new").await;
    for cache in [&node, &children, &names, &some] {
        caught_up(&client, cache).await;
    }
    let paths = |cache: &Cache| {
        let nodes = cache.snapshot();
        let paths = nodes.iter().map(|node| node.path().to_owned());
        paths.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(paths(&node), "/app");
    assert_eq!(texts(&node.get("/app")), ["/app new"]);
    assert_eq!(paths(&children), "/app /app/a /app/d /app/x");
    assert_eq!(paths(&some), "/app /app/a /app/d");
    let all = "/app /app/a /app/a/b /app/a/c /app/d /app/x /app/x/y /app/x/z";
    assert_eq!(paths(&names), all);
    assert!(names.snapshot().iter().all(|node| node.data().is_none()));
    assert!(names.is_complete());
}

pub async fn a_cache_outlives_its_session(realm: Realm) {
    let (client, other) = (realm.client().await, realm.client().await);
    create(&client, "/app", "1").await;
    create(&client, "/app/a", "2").await;
    create(&client, "/app/b", "3").await;
    for depth in [0, 9] {
        let cache = start(client.cache("/app").depth(depth)).await;
        let mut events = cache.events();
        let mut script = Script::default();
        let Event::Ready { epoch, .. } = script.play(&mut events).await else {
            panic!("not ready");
        };
        realm.expire(&client).await;
        set(&other, "/app", "4").await;
        other.delete("/app/a", None).await.unwrap();
        let last = create(&other, "/app/a", "2").await;
        let stale = script.play(&mut events).await;
        // Who looks late only sees the end of it.
        let ready = match stale {
            Event::Stale => script.play(&mut events).await,
            ready => ready,
        };
        assert!(
            matches!(ready, Event::Ready { epoch: next, .. } if next > epoch),
            "{ready:?}"
        );
        within(cache.reached(last)).await.unwrap();
        script.catch_up(&mut events, &cache).await;
        let all = ["/app 4", "/app/a 2", "/app/b 3"];
        assert_eq!(texts(&cache.snapshot()), all[..(1 + depth).min(3)]);
        set(&other, "/app", "1").await;
    }
}

pub async fn a_cache_leaves_out_what_may_not_be_read(realm: Realm) {
    let client = realm.client().await;
    let stranger = realm.client().await;
    client.add_auth("digest", b"ann:secret").await.unwrap();
    create(&client, "/mark", "").await;
    create(&client, "/app", "").await;
    client
        .create_with("/app/hidden", b"", PERSISTENT, Acl::CREATOR_ALL)
        .await
        .unwrap();
    client
        .create_with("/app/hidden/more", b"", PERSISTENT, Acl::CREATOR_ALL)
        .await
        .unwrap();
    let (all, some) = (client.cache("/app"), stranger.cache("/app"));
    let (all, some) = (start(all).await, start(some).await);
    assert_eq!((all.tally().nodes, all.tally().denied), (3, 0));
    assert_eq!((some.tally().nodes, some.tally().denied), (1, 1));
    assert!(some.is_complete() && some.failure().is_none());
    // It is seen once something has happened to it that the servers tell of.
    client
        .set_acl("/app/hidden", &[Acl::world(Perms::ALL)], None)
        .await
        .unwrap();
    set(&client, "/app/hidden", "1").await;
    caught_up(&client, &some).await;
    assert_eq!((some.tally().nodes, some.tally().denied), (2, 1));
    let hidden = start(stranger.cache("/app/hidden/more").depth(0)).await;
    assert_eq!((hidden.tally().nodes, hidden.tally().denied), (0, 1));
}

pub async fn a_cache_keeps_to_its_bounds_and_says_so(realm: Realm) {
    let client = realm.client().await;
    create(&client, "/mark", "").await;
    create(&client, "/app", "").await;
    for name in 0..6 {
        create(&client, &format!("/app/{name}"), "12345678").await;
    }
    let bounds = Bounds {
        nodes: 5,
        bytes: 1000,
    };
    let cache = start(client.cache("/app").bounds(bounds)).await;
    let mut events = cache.events();
    let mut script = Script::default();
    let overflow = script.play(&mut events).await;
    assert!(matches!(overflow, Event::Overflow), "{overflow:?}");
    assert!(matches!(
        script.play(&mut events).await,
        Event::Ready { .. }
    ));
    assert_eq!((cache.tally().nodes, cache.is_complete()), (5, false));
    assert!(cache.is_fresh());
    for name in 0..3 {
        let path = format!("/app/{name}");
        client.delete(&path, None).await.unwrap();
    }
    let complete = script.play(&mut events).await;
    assert!(matches!(complete, Event::Complete), "{complete:?}");
    caught_up(&client, &cache).await;
    let all = [
        "/app ",
        "/app/3 12345678",
        "/app/4 12345678",
        "/app/5 12345678",
    ];
    assert_eq!(texts(&cache.snapshot()), all);

    let large = "x".repeat(2000);
    set(&client, "/app/4", &large).await;
    caught_up(&client, &cache).await;
    let node = cache.get("/app/4").unwrap();
    assert_eq!((node.stat().data_length, node.data()), (2000, None));
    assert!(!cache.is_complete());
    set(&client, "/app/4", "small").await;
    caught_up(&client, &cache).await;
    assert_eq!(texts(&cache.get("/app/4")), ["/app/4 small"]);
    assert!(cache.is_complete());
}

/// More than one request, or one reply of a careful client, has room for.
pub async fn a_cache_takes_in_many_children(realm: Realm) {
    const MANY: usize = 5_000;
    let client = realm.builder().max_reply(64 << 10).connect().await.unwrap();
    let roomy = realm.client().await;
    create(&client, "/mark", "").await;
    create(&client, "/app", "").await;
    let names: Vec<_> = (0..MANY).map(|n| format!("/app/node-{n:08}")).collect();
    for names in names.chunks(500) {
        let create = |name| {
            Op::Create(docent::wire::Create {
                path: Path::new(name).unwrap(),
                data: b"some data",
                mode: PERSISTENT,
                acl: Acl::OPEN,
            })
        };
        let ops: Vec<_> = names.iter().map(|name| create(name)).collect();
        roomy.multi(&ops).await.unwrap().outcome().unwrap();
    }
    let cache = start(roomy.cache("/app")).await;
    assert_eq!(cache.tally().nodes, MANY + 1);
    assert_eq!(cache.children("/app").len(), MANY);
    assert!(cache.is_complete());
    // A list too long to be read is known to be missing.
    let careful = start(client.cache("/app")).await;
    assert_eq!((careful.tally().nodes, careful.is_complete()), (1, false));
}

pub async fn a_dropped_cache_leaves_no_watch(realm: Realm) {
    let client = realm.client().await;
    create(&client, "/app", "").await;
    for depth in [0, 9] {
        let cache = start(client.cache("/app").depth(depth)).await;
        let events = cache.events();
        assert!(realm.is_watched("/app").await);
        drop(cache);
        client.sync("/").await.unwrap();
        assert!(realm.is_watched("/app").await);
        drop(events);
        let unwatched = async {
            while realm.is_watched("/app").await {
                client.sync("/").await.unwrap();
            }
        };
        within(unwatched).await;
    }
}

pub async fn a_cache_ends_with_its_client(realm: Realm) {
    let client = realm.client().await;
    let cache = start(client.cache("/app")).await;
    let mut events = cache.events();
    client.close().await;
    while let Some(event) = within(events.next()).await {
        assert!(matches!(event, Event::Ready { .. } | Event::Stale));
    }
    assert!(within(cache.reached(i64::MAX)).await.is_err());
    assert!(!cache.is_fresh() && cache.failure().is_some());
}

pub async fn what_nobody_looks_at_becomes_one_step(realm: Realm) {
    let client = realm.client().await;
    create(&client, "/mark", "").await;
    create(&client, "/app", "0").await;
    let cache = start(client.cache("/app")).await;
    let mut events = cache.events();
    let mut script = Script::default();
    script.play(&mut events).await;
    for n in 1..9 {
        set(&client, "/app", &n.to_string()).await;
        create(&client, "/app/brief", "").await;
        caught_up(&client, &cache).await;
        client.delete("/app/brief", None).await.unwrap();
        caught_up(&client, &cache).await;
    }
    let Some(Event::Put { old, new }) = within(events.next()).await else {
        panic!("no step");
    };
    assert_eq!(texts(&old), ["/app 0"]);
    assert_eq!(texts([&new]), ["/app 8"]);
    assert!(at_once(events.next()).is_none());
}

/// The same algorithm, driven by hand, in a store of a fixed size.
pub async fn a_cache_needs_no_task_and_no_heap(realm: Realm) {
    let client = realm.client().await;
    create(&client, "/app", "1").await;
    create(&client, "/app/a", "2").await;
    let store = FixedStore::<2, 16, 4>::new();
    let cache = CoreCache::children(client.handle().clone(), Path::new("/app").unwrap(), store);
    let mut cache = cache.unwrap();
    let mut told = Vec::new();
    loop {
        // What is dropped before its end loses nothing.
        let event = at_once(cache.next()).map(|event| step(event.unwrap()));
        let event = match event {
            Some(event) => event,
            None => step(within(cache.next()).await.unwrap()),
        };
        told.push(event);
        match told.last().map(String::as_str) {
            Some("ready") => set(&client, "/app", "12345").await,
            Some("overflow") => {
                until_exists(&client, "/app/a", true).await;
                client.delete("/app/a", None).await.unwrap();
                set(&client, "/app", "3").await
            }
            Some("complete") => break,
            _ => 0,
        };
    }
    let expected = ["/app 1", "/app/a 2", "ready", "/app None", "overflow"];
    assert_eq!(told[..5], expected);
    let mut rest = told[5..].to_vec();
    rest.sort();
    assert_eq!(rest, ["-/app/a", "/app 3", "complete"]);
}

fn step<N: docent::core::recipes::cache::Held>(
    event: docent::core::recipes::cache::Event<&N>,
) -> String {
    use docent::core::recipes::cache::Event;
    match event {
        Event::Put { new, .. } => {
            let data = new
                .data()
                .map(|data| String::from_utf8_lossy(data).into_owned());
            let data = data.unwrap_or_else(|| "None".to_owned());
            format!("{} {data}", new.path())
        }
        Event::Removed { old } => format!("-{}", old.path()),
        Event::Ready { .. } => "ready".to_owned(),
        Event::Overflow => "overflow".to_owned(),
        Event::Complete => "complete".to_owned(),
        _ => "other".to_owned(),
    }
}
