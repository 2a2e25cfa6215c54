//! The task that keeps a cache up: when it comes back, and how much it takes in.

use std::time::Duration;

use docent::cache::Event;
use docent::{Client, CreateMode};
use docent_testing::dev::DevServer;
use docent_testing::server::Ensemble;
use tokio::time;

async fn within<F: Future>(future: F) -> F::Output {
    let done = time::timeout(Duration::from_secs(60), future).await;
    done.expect("this has not happened in 60 s")
}

async fn client(server: &DevServer) -> Client {
    let builder = docent::builder(&server.connect_string());
    builder.connect().await.unwrap()
}

/// After the connection was lost one who may take years stays with what it has, while another has
/// read all again on the same connection.
#[tokio::test]
async fn a_cache_comes_back_a_random_time_later() {
    let server = DevServer::start().await.unwrap();
    let client = client(&server).await;
    let other = self::client(&server).await;
    client
        .create("/app", b"old", CreateMode::Persistent)
        .await
        .unwrap();
    let eager = client.cache("/app").smear(Duration::ZERO).start().unwrap();
    let years = Duration::from_secs(u64::from(u32::MAX));
    let late = client.cache("/app").smear(years).start().unwrap();
    within(eager.ready()).await.unwrap();
    within(late.ready()).await.unwrap();
    let mut events = late.events();
    let session = client.session_id().unwrap();
    assert!(server.cut(session));
    while !matches!(within(events.next()).await, Some(Event::Stale)) {}

    let zxid = other.set("/app", b"new", None).await.unwrap().mzxid;
    within(eager.reached(zxid)).await.unwrap();
    assert!(eager.is_fresh());
    assert_eq!(eager.get("/app").unwrap().data(), Some(&b"new"[..]));
    // Its reads would have been answered before these.
    for _ in 0..50 {
        within(client.sync("/app")).await.unwrap();
    }
    assert!(!late.is_fresh() && late.as_of_zxid() < zxid);
    assert_eq!(late.get("/app").unwrap().data(), Some(&b"old"[..]));
    assert_eq!(client.session_id(), Some(session));
}

#[tokio::test]
async fn a_cache_takes_in_a_hundred_thousand_nodes() {
    const PARENTS: usize = 100;
    const CHILDREN: usize = 999;
    let parents = (0..PARENTS).map(|parent| format!("/app/{parent}"));
    let nodes = parents.flat_map(|parent| {
        let children = (0..CHILDREN).map({
            let parent = parent.clone();
            move |child| format!("{parent}/{child}")
        });
        std::iter::once(parent).chain(children)
    });
    let model = Ensemble::builder().history(0).node("/app");
    let model = nodes.fold(model, |model, path| model.node(path));
    let server = DevServer::with(model).await.unwrap();
    let client = client(&server).await;
    let cache = client.cache("/app").start().unwrap();
    within(cache.ready()).await.unwrap();
    assert_eq!(cache.tally().nodes, 1 + PARENTS * (1 + CHILDREN));
    assert_eq!(cache.children("/app/99").len(), CHILDREN);
    assert!(cache.is_complete() && cache.is_fresh());

    let zxid = client.set("/app/99/998", b"new", None).await.unwrap().mzxid;
    within(cache.reached(zxid)).await.unwrap();
    assert_eq!(cache.get("/app/99/998").unwrap().data(), Some(&b"new"[..]));
}
