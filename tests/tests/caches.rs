//! Caches in simulations of a user's kind, against servers of all releases: whatever goes wrong, the
//! view comes to what there is.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use docent_core::client::Client;
use docent_core::error::Error;
use docent_core::path::Path;
use docent_core::recipes::cache::{Bounds, Cache, Event, FixedStore, HeapStore, Held, Store};
use docent_core::session::End;
use docent_core::wire::{Acl, Create, CreateMode, Delete, SetData};
use docent_testing::server::Release;
use docent_testing::sim::{Fault, Sim, Simulation};

const SEEDS: u64 = 40;
const SECOND: Duration = Duration::from_secs(1);
const NODES: [&str; 6] = ["/t", "/t/a", "/t/b", "/t/a/c", "/t/a/d", "/t/b/e"];

fn path(text: &str) -> Path<'_> {
    Path::new(text).expect("a valid path")
}

/// Creates, changes and deletes nodes; what becomes of it does not matter.
async fn change<C: Client>(sim: &Simulation, client: &C) {
    for turn in 0..60 {
        let at = path(NODES[sim.random(NODES.len() as u64) as usize]);
        let data = turn.to_string();
        let data = data.as_bytes();
        let done = match sim.random(3) {
            0 => {
                client
                    .call(Delete {
                        path: at,
                        version: None,
                    })
                    .await
            }
            1 => {
                let set = client.call(SetData {
                    path: at,
                    data,
                    version: None,
                });
                set.await.map(drop)
            }
            _ => {
                let (mode, acl) = (CreateMode::Persistent, Acl::OPEN);
                let create = Create {
                    path: at,
                    data,
                    mode,
                    acl,
                };
                client.call(create).await.map(drop)
            }
        };
        assert_ne!(done, Err(Error::NotSent(End::Closed)));
        sim.sleep(Duration::from_millis(sim.random(400))).await;
    }
}

type View = BTreeMap<String, (i64, i64, Vec<u8>)>;

fn there(sim: &Simulation) -> View {
    sim.ensemble(|ensemble| {
        let nodes = ensemble.nodes().filter(|(path, _)| path.starts_with("/t"));
        let seen = nodes.map(|(path, node)| {
            let (stat, data) = (node.stat(), node.data.as_deref().unwrap_or_default());
            (path.to_owned(), (stat.czxid, stat.mzxid, data.to_vec()))
        });
        seen.collect()
    })
}

/// Follows a cache until the faults have ended, and then until it has all that there is.
async fn follow<C: Client, S: Store>(sim: &Simulation, client: C, store: S, depth: usize) {
    let cache = Cache::tree(client, path("/t"), store).expect("room for the path");
    let mut cache = cache.depth(depth);
    let (mut view, mut fresh) = (View::new(), false);
    let deep = |path: &str| path.matches('/').count() - 1 <= depth;
    loop {
        let mut expected = there(sim);
        expected.retain(|path, _| deep(path));
        if fresh && view == expected && sim.now().as_micros() > 40_000_000 {
            return;
        }
        // Now and then it is dropped, wherever it is.
        let patience = Duration::from_millis(1 + sim.random(20_000));
        let Some(event) = sim.timeout(patience, cache.next()).await else {
            continue;
        };
        let seen = |node: &S::Node| {
            let data = node.data().expect("room for data").to_vec();
            (node.stat().czxid, node.stat().mzxid, data)
        };
        match event.expect("nothing to fail for") {
            Event::Put { old, new } => {
                let was = view.insert(new.path().as_str().to_owned(), seen(new));
                assert_eq!(was, old.map(seen));
            }
            Event::Removed { old } => {
                assert_eq!(view.remove(old.path().as_str()), Some(seen(old)));
            }
            Event::Ready { .. } | Event::Fresh => fresh = true,
            Event::Stale => fresh = false,
            _ => panic!("there is room enough"),
        }
    }
}

async fn scene(sim: Simulation, depth: usize) {
    let changer = sim.client();
    let (heap, board) = (sim.client(), sim.client_on_board());
    let shared = Rc::new(sim.clone());
    let changes = {
        let sim = Rc::clone(&shared);
        sim.clone()
            .spawn(async move { change(&sim, &changer).await })
    };
    let on_board = {
        // Boards have room for the watch of a tree, but not for one of each node.
        let sim = Rc::clone(&shared);
        sim.clone().spawn(async move {
            follow(&sim, board, FixedStore::<6, 16, 4>::new(), depth).await;
        })
    };
    follow(&shared, heap, HeapStore::new(Bounds::DEFAULT), depth).await;
    on_board.await.expect("nobody crashes");
    changes.await.expect("nobody crashes");
}

fn faulty(release: Release) -> Sim {
    const FAULTS: &[Fault] = &[
        Fault::Cut,
        Fault::CutToServer,
        Fault::CutToClient,
        Fault::ServerCut,
        Fault::Mute,
        Fault::Stall,
        Fault::Partition,
        Fault::Lag,
        Fault::Hold,
        Fault::PauseMember,
        Fault::Kill,
        Fault::Expire,
        Fault::StarveTasks,
        Fault::StarveDriver,
        Fault::Fragments,
    ];
    let sim = Sim::new(0).release(release).faults(FAULTS);
    sim.heal_after(30 * SECOND)
}

#[test]
fn a_cache_of_a_tree_comes_to_what_there_is() {
    for release in [Release::V3_8, Release::V3_9] {
        faulty(release).sweep(0..SEEDS, |sim| scene(sim, 9));
    }
}

#[test]
fn a_cache_of_children_comes_to_what_there_is() {
    faulty(Release::V3_9).sweep(0..SEEDS, |sim| scene(sim, 1));
}

#[test]
fn a_cache_of_a_node_comes_to_what_there_is() {
    for release in [Release::V3_5, Release::V3_9] {
        faulty(release).sweep(0..SEEDS, |sim| scene(sim, 0));
    }
}

/// Servers before 3.6 have no watch of a whole tree: each node is watched by itself.
#[test]
fn a_cache_comes_to_what_there_is_without_lasting_watches() {
    for depth in [1, 9] {
        faulty(Release::V3_5).sweep(0..SEEDS, move |sim| async move {
            let (changer, client) = (sim.client(), sim.client());
            let changes = {
                let other = sim.clone();
                sim.spawn(async move { change(&other, &changer).await })
            };
            follow(&sim, client, HeapStore::new(Bounds::DEFAULT), depth).await;
            changes.await.expect("nobody crashes");
        });
    }
}
