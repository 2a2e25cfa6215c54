//! Configuration: a node says how often to blink. Whenever it changes the board does so.

use docent_embassy::Client;
use docent_embassy::core::client::{Client as _, Watcher as _};
use docent_embassy::core::error::Error;
use docent_embassy::core::path::Path;
use docent_embassy::core::session::End;
use docent_embassy::core::wire::{Exists, GetData};
use embassy_time::Timer;

use crate::mps2::led;

/// What the node says to have the board switched off.
const OFF: &[u8] = b"off";

/// Follows the node at `path`, until it says "off" or the client is over.
///
/// # Panics
/// If `path` is no path.
pub(crate) async fn follow(client: Client<'static>, path: &str) {
    let path = Path::new(path).expect("a path");
    loop {
        // The watch is set with the read, so that no change between them is missed.
        match client.watch(GetData { path }).await {
            Ok((data, mut watcher)) => {
                if data.data() == OFF {
                    return;
                }
                let count = number(data.data());
                // As long as a reply is there it takes the room of one.
                drop(data);
                blink(count).await;
                watcher.next().await;
            }
            Err(error) if error.is_no_node() => wait_for(client, path).await,
            // Looks again, also in the next session.
            Err(Error::ConnectionLost | Error::NotSent(End::Expired)) => {}
            Err(Error::NotSent(_)) => return,
            Err(error) => {
                log::warn!("cannot read the configuration: {error}");
                Timer::after_secs(1).await;
            }
        }
    }
}

/// Waits until the node is made.
async fn wait_for(client: Client<'static>, path: Path<'_>) {
    if let Ok((None, mut watcher)) = client.watch_absent(Exists { path }).await {
        log::info!("there is no configuration yet");
        watcher.next().await;
    }
}

fn number(text: &[u8]) -> u32 {
    let text = str::from_utf8(text).unwrap_or_default();
    text.trim().parse().unwrap_or_default()
}

async fn blink(count: u32) {
    log::info!("the configuration says {count}");
    for _ in 0..count {
        led::switch(true);
        Timer::after_millis(20).await;
        led::switch(false);
        Timer::after_millis(20).await;
    }
}
