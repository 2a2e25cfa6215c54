//! What a cache on tokio makes of trouble: slow links, runtimes that are gone, selections that panic, and
//! nodes that it may not read.

#[path = "scripts/mod.rs"]
mod scripts;

use std::sync::Arc;
use std::task::{Context, Wake};
use std::time::Duration;

use docent::cache::{Cache, Event, Select};
use docent::core::recipes::cache::{self as core_cache, FixedStore, Store as _};
use docent::{Acl, Client, CreateMode, ErrorKind, Path, Perms};
use docent_testing::dev::DevServer;
use docent_testing::peer::Proxy;
use docent_testing::server::{Ensemble, Release};
use scripts::{builder, within};
use tokio::runtime::{self, Runtime};
use tokio::time;

async fn create(client: &Client, paths: &[&str]) {
    for path in paths {
        let created = client.create(path, b"", CreateMode::Persistent).await;
        created.unwrap();
    }
}

/// Starts a cache that does not pause, and waits until it has all that there is.
async fn start(builder: docent::cache::Builder) -> Cache {
    let cache = builder.smear(Duration::ZERO).start().unwrap();
    within(cache.ready()).await.unwrap();
    cache
}

/// It looks around each second, and must not give up then what takes longer.
#[tokio::test]
async fn a_session_is_replaced_over_a_slow_link() {
    let server = DevServer::start().await.unwrap();
    let proxy = Proxy::start(server.addresses()[0]).await;
    let client = builder(proxy.addr()).connect().await.unwrap();
    create(&client, &["/app"]).await;
    let cache = start(client.cache("/app")).await;
    let mut events = cache.events();
    while !matches!(within(events.next()).await, Some(Event::Ready { .. })) {}
    proxy.delay(Duration::from_millis(600));
    assert!(server.expire(client.credentials().unwrap().id));
    while !matches!(within(events.next()).await, Some(Event::Ready { .. })) {}
    let set = within(client.set("/app", b"new", None)).await.unwrap();
    within(cache.reached(set.mzxid)).await.unwrap();
    assert_eq!(cache.get("/app").unwrap().data(), Some(&b"new"[..]));
}

/// A runtime whose tasks only go on while it is told to wait for something.
fn halting() -> Runtime {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

#[test]
fn a_view_of_an_earlier_connection_is_not_fresh() {
    let (runtime, keeper) = (Runtime::new().unwrap(), halting());
    let (server, client) = runtime.block_on(async {
        let server = DevServer::start().await.unwrap();
        let client = builder(server.connect_string()).connect().await.unwrap();
        create(&client, &["/app"]).await;
        (server, client)
    });
    let cache = keeper.block_on(start(client.cache("/app")));
    assert!(cache.is_fresh());
    runtime.block_on(async {
        let mut status = client.status();
        let before = status.connections;
        assert!(server.cut(client.credentials().unwrap().id));
        while status.connections == before || !status.state.is_connected() {
            status = within(client.changed(status)).await;
        }
    });
    assert!(!cache.is_fresh(), "nothing has been looked at since");
    keeper.block_on(async {
        let again = async {
            while !cache.is_fresh() {
                time::sleep(Duration::from_millis(5)).await;
            }
        };
        within(again).await;
    });
}

/// Nobody keeps the view up any more, and it says so to all who ask.
async fn has_stopped(cache: &Cache) {
    assert_eq!(cache.failure().unwrap().kind(), ErrorKind::Stopped);
    assert!(!cache.is_fresh());
    let reached = within(cache.reached(i64::MAX)).await;
    assert_eq!(reached.unwrap_err().kind(), ErrorKind::Stopped);
    let mut events = cache.events();
    while within(events.next()).await.is_some() {}
}

#[test]
fn a_view_whose_runtime_is_gone_is_over() {
    let (runtime, keeper, idle) = (Runtime::new().unwrap(), halting(), halting());
    let (_server, client) = runtime.block_on(async {
        let server = DevServer::start().await.unwrap();
        let client = builder(server.connect_string()).connect().await.unwrap();
        (server, client)
    });
    let cache = keeper.block_on(start(client.cache("/app")));
    let never_begun = {
        let _inside = idle.enter();
        client.cache("/app").start().unwrap()
    };
    drop((keeper, idle));
    runtime.block_on(has_stopped(&cache));
    runtime.block_on(has_stopped(&never_begun));
}

#[tokio::test]
async fn a_view_whose_selection_panics_is_over() {
    let server = DevServer::start().await.unwrap();
    let client = builder(server.connect_string()).connect().await.unwrap();
    create(&client, &["/app"]).await;
    let select = |path: &str| match path {
        "/app/odd" => panic!("the test wants it so"),
        _ => Select::Tree,
    };
    let cache = start(client.cache("/app").select(select)).await;
    let waits = cache.reached(i64::MAX);
    create(&client, &["/app/odd"]).await;
    assert_eq!(within(waits).await.unwrap_err().kind(), ErrorKind::Stopped);
    has_stopped(&cache).await;
}

/// A waker that does nothing, but can be counted.
struct Counted;

impl Wake for Counted {
    fn wake(self: Arc<Self>) {}
}

#[tokio::test]
async fn a_wait_that_is_cancelled_leaves_nothing() {
    let server = DevServer::start().await.unwrap();
    let client = builder(server.connect_string()).connect().await.unwrap();
    let cache = client.cache("/app").start().unwrap();
    let counted = Arc::new(Counted);
    let waker = counted.clone().into();
    let mut waits = Box::pin(cache.reached(i64::MAX));
    let polled = waits.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    drop(waker);
    assert_eq!(Arc::strong_count(&counted), 2);
    drop(waits);
    assert_eq!(Arc::strong_count(&counted), 1);
}

/// However it is read, alone or with others, on a board or not, and whatever the server says to those
/// who ask whether it exists.
#[tokio::test]
async fn a_node_that_may_not_be_read_is_left_out_without_data_too() {
    for release in [Release::V3_5, Release::V3_8, Release::V3_9] {
        let ensemble = Ensemble::builder().release(release);
        let server = DevServer::with(ensemble).await.unwrap();
        let client = builder(server.connect_string()).connect().await.unwrap();
        create(&client, &["/one", "/one/a", "/two", "/two/a", "/two/b"]).await;
        let acl = [Acl::world(Perms::WRITE | Perms::ADMIN)];
        for hidden in ["/one/a", "/two/a"] {
            client.set_acl(hidden, &acl, None).await.unwrap();
        }
        for (root, seen) in [("/one", 1), ("/two", 2)] {
            let cache = start(client.cache(root).without_data()).await;
            let tally = cache.tally();
            assert_eq!((tally.nodes, tally.denied), (seen, 1), "{root} {release:?}");
        }
        // Boards need lasting watches for more than one node.
        let (root, depth) = match release {
            Release::V3_5 => ("/one/a", 0),
            _ => ("/one", 1),
        };
        let store = FixedStore::<4, 16, 0>::new();
        let root = Path::new(root).unwrap();
        let board = core_cache::Cache::tree(client.handle().clone(), root, store).unwrap();
        let mut board = board.depth(depth).without_data();
        while !board.is_fresh() {
            within(board.next()).await.unwrap();
        }
        let tally = board.store().tally();
        assert_eq!((tally.nodes, tally.denied), (depth, 1), "{release:?}");
    }
}

/// As those do who know files by how their names end.
#[tokio::test]
async fn a_selection_is_not_asked_for_the_root() {
    let server = DevServer::start().await.unwrap();
    let client = builder(server.connect_string()).connect().await.unwrap();
    create(&client, &["/app", "/app/a.json", "/app/b.txt"]).await;
    let json = |path: &str| match path.ends_with(".json") {
        true => Select::Node,
        false => Select::Nothing,
    };
    let cache = start(client.cache("/app").select(json)).await;
    let nodes = cache.snapshot();
    let paths: Vec<_> = nodes.iter().map(|node| node.path()).collect();
    assert_eq!(paths, ["/app", "/app/a.json"]);
}
