//! What a cache on tokio makes of trouble: slow links, runtimes that are gone, selections that panic, and
//! nodes that it may not read.

#[path = "scripts/mod.rs"]
mod scripts;

use std::time::Duration;

use docent::cache::{Cache, Event};
use docent::{Client, CreateMode};
use docent_testing::dev::DevServer;
use docent_testing::peer::Proxy;
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
