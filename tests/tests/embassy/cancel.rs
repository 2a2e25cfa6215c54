//! Futures of boards that are dropped at any await.

use docent_core::client::Client as _;
use docent_core::recipes::Lock;
use docent_core::wire::GetChildNames;

use super::world::{World, polls};
use super::{create, get, path};

/// How many polls a sweep goes through. Each subject takes fewer.
const MOST: usize = 60;

#[test]
fn a_runner_that_was_cancelled_runs_again() {
    for count in 0..MOST {
        let world = World::new().in_pieces_of(9);
        let (client, mut runner) = world.board::<1>();
        let works = async {
            // Cancelling the runner may lose a connection, but nothing else.
            while create(client, "/a", b"one")
                .await
                .is_err_and(|error| error.may_have_run())
            {}
            client
                .retry(docent_core::wire::GetData { path: path("/a") })
                .await
                .unwrap();
            client.close().await;
        };
        world.run([], async {
            let runs = async {
                if polls(runner.run(), count).await.is_none() {
                    runner.run().await;
                }
            };
            embassy_futures::join::join(runs, works).await;
        });
    }
}

#[test]
fn a_cancelled_call_gives_its_room_back() {
    for count in 0..MOST {
        let world = World::new().in_pieces_of(9);
        let (client, runner) = world.board::<1>();
        world.run([runner], async {
            let _ = polls(create(client, "/a", b"one"), count).await;
            let _ = create(client, "/a", b"one").await;
            assert_eq!(get(client, "/a").await.unwrap(), b"one");
        });
    }
}

#[test]
fn a_cancelled_acquire_leaves_no_node() {
    for count in 0..MOST {
        let world = World::new();
        let (client, runner) = world.board::<1>();
        world.run([runner], async {
            let lock = Lock::new(client, path("/lock")).unwrap();
            drop(polls(lock.acquire(), count).await);
            // The reaper works beside this.
            let guard = lock.acquire().await.unwrap();
            guard.release().await.unwrap();
            while client.pending_cleanups() > 0 {
                super::world::sleep(std::time::Duration::from_secs(1)).await;
            }
            let names = client
                .call(GetChildNames {
                    path: path("/lock"),
                })
                .await;
            assert_eq!(names.unwrap().iter().count(), 0);
        });
    }
}
