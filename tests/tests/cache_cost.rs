//! What a cache costs its client.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Context;

use docent::core::client::Watcher;
use docent::core::error::Error;
use docent::core::path::{HeapPath, Path};
use docent::core::recipes::cache::{
    Ask, Bundles, Cache, Ears, Event, HeapEars, HeapStore, Mark, Node, Store, Tally,
};
use docent::core::wire::{Full, Stat};
use docent::{CreateMode, builder};
use docent_testing::dev::DevServer;
use docent_testing::server::{Ensemble, Release};

/// How often watches that fire once were looked at, all of them each time.
static LOOKS: AtomicUsize = AtomicUsize::new(0);

struct Counted<W>(HeapEars<W>);

impl<W> Default for Counted<W> {
    fn default() -> Self {
        Self(HeapEars::default())
    }
}

impl<W: Watcher> Ears<W> for Counted<W> {
    fn put(&mut self, path: Path<'_>, ask: Ask, watcher: W) -> Result<(), Error> {
        self.0.put(path, ask, watcher)
    }

    fn poll(&mut self, cx: &mut Context<'_>, hear: impl FnMut(Path<'_>, Ask)) {
        LOOKS.fetch_add(1, Ordering::Relaxed);
        self.0.poll(cx, hear);
    }
}

/// A store as usual, save that its watches are counted.
#[derive(Default)]
struct Counting(HeapStore);

impl Store for Counting {
    type Path = HeapPath;
    type Node = Arc<Node>;
    type Ears<W: Watcher> = Counted<W>;
    type Reader = Bundles;

    fn update<T>(
        &mut self,
        path: Path<'_>,
        act: impl FnOnce(&mut Mark, Option<&Arc<Node>>) -> T,
    ) -> Option<T> {
        self.0.update(path, act)
    }

    fn each(&mut self, act: impl FnMut(&mut Mark)) {
        self.0.each(act);
    }

    fn insert(&mut self, path: Path<'_>) -> Result<(), Full> {
        self.0.insert(path)
    }

    fn asked(&mut self, most: usize, show: impl FnMut(Path<'_>, Ask)) {
        self.0.asked(most, show);
    }

    fn put(&mut self, path: Path<'_>, stat: Stat, data: Option<&[u8]>) -> bool {
        self.0.put(path, stat, data)
    }

    fn hide(&mut self, path: Path<'_>) {
        self.0.hide(path);
    }

    fn remove(&mut self, path: Path<'_>) {
        self.0.remove(path);
    }

    fn retain<'n>(&mut self, path: Path<'_>, names: impl Iterator<Item = &'n str> + Clone) {
        self.0.retain(path, names);
    }

    fn tell(&mut self) -> bool {
        self.0.tell()
    }

    fn told(&self) -> Option<Event<&Arc<Node>>> {
        self.0.told()
    }

    fn tally(&self) -> Tally {
        self.0.tally()
    }

    fn take_freed(&mut self) -> bool {
        self.0.take_freed()
    }
}

/// Servers before 3.6 have a watch for each node: to look at all after each read would cost the square
/// of their number.
#[tokio::test]
async fn watches_that_fire_once_are_not_all_looked_at_after_each_read() {
    const NODES: usize = 100;
    let ensemble = Ensemble::builder().release(Release::V3_5);
    let server = DevServer::with(ensemble).await.unwrap();
    let client = builder(&server.connect_string()).connect().await.unwrap();
    for node in 0..NODES {
        let path = format!("/{node}");
        let created = client.create(&path, b"", CreateMode::Persistent).await;
        created.unwrap();
    }
    let store = Counting::default();
    let cache = Cache::tree(client.handle().clone(), Path::ROOT, store);
    let mut cache = cache.unwrap();
    while !matches!(cache.next().await.unwrap(), Event::Ready { .. }) {}
    assert!(cache.store().tally().nodes > NODES);
    let looks = LOOKS.load(Ordering::Relaxed);
    assert!(looks < NODES / 2, "{looks}");
}
