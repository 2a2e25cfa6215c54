//! Servers that break the protocol, against boards of all sizes.

use std::time::Duration;

use docent_core::client::Client as _;
use docent_core::error::Error;
use docent_core::session::Backoff;
use docent_core::wire::{AddWatchMode, GetChildNames, GetData, Sync};
use docent_embassy::Client;
use embassy_futures::select::select;

use super::path;
use super::world::{Sizes, World, sleep};

/// Asks for all kinds of things, again and again, whatever comes of it.
async fn ask(client: Client<'static>) {
    loop {
        let root = path("/");
        drop(client.call(GetData { path: root }).await);
        if let Ok((names, watcher)) = client.watch(GetChildNames { path: root }).await {
            drop((names, watcher));
        }
        drop(client.subscribe(root, AddWatchMode::Recursive).await);
        let _ = client.call(Sync { path: root }).await;
        sleep(Duration::from_millis(50)).await;
    }
}

fn survives<const CALLS: usize>(seed: u64, sizes: Sizes, piece: usize) {
    let world = World::new().in_pieces_of(piece);
    let (client, runner) = world.board_with::<CALLS>(sizes, |settings| {
        settings.config.backoff = Backoff {
            base: Duration::from_millis(10),
            cap: Duration::from_millis(100),
            stable: Duration::from_secs(10),
        };
    });
    let servers = world.clone();
    world.run([runner], async {
        servers.garble(Some(seed));
        select(ask(client), sleep(Duration::from_secs(30))).await;
        servers.garble(None);
        // A reply may have been taken for another, or for the end of the session: what comes after
        // this connection is sound.
        servers.cut(client.session_id());
        let list = GetChildNames { path: path("/") };
        let names = match client.retry(list).await {
            Err(Error::NotSent(_)) => client.retry(list).await,
            names => names,
        };
        assert!(names.unwrap().iter().eq(["zookeeper"]), "seed {seed}");
    });
}

#[test]
fn boards_survive_servers_that_get_bytes_wrong() {
    for seed in 0..25 {
        survives::<1>(seed, Sizes::SMALLEST, usize::MAX);
        survives::<1>(seed, Sizes::SMALLEST, 5);
        survives::<4>(seed, Sizes::COMMON, 70);
    }
}
