//! Configuration: a node says how often to blink. Whenever it changes the board does so.

use docent_embassy::Client;
use docent_embassy::core::error::Error;
use docent_embassy::core::path::Path;
use docent_embassy::core::recipes::cache::{Cache, Event, FixedStore, Held as _};
use embassy_time::Timer;

use crate::mps2::led;

/// What the node says to have the board switched off.
const OFF: &[u8] = b"off";

/// Where the node is.
const NODE: &str = "/board/config";

/// Room for one node with a short path and short data.
type Store = FixedStore<1, { NODE.len() }, 16>;

/// Follows the node until it says "off" or the client is over.
pub(crate) async fn follow(client: Client<'static>) {
    match Path::new(NODE).map(|path| Cache::node(client, path, Store::new())) {
        Ok(Ok(mut cache)) => while step(&mut cache).await {},
        _ => log::error!("there is no room to follow the configuration"),
    }
}

/// Does as the node says. Whether to go on.
async fn step(cache: &mut Cache<Client<'static>, Store>) -> bool {
    let count = match cache.next().await {
        Ok(Event::Put { new, .. }) if new.data() == Some(OFF) => return false,
        Ok(Event::Put { new, .. }) => Some(number(new.data().unwrap_or_default())),
        Ok(_) => None,
        Err(Error::NotSent(_)) => return false,
        Err(error) => {
            log::warn!("cannot read the configuration: {error}");
            Timer::after_secs(1).await;
            return true;
        }
    };
    match count {
        Some(count) => blink(count).await,
        None if cache.is_fresh() && cache.store().iter().next().is_none() => {
            log::info!("there is no configuration yet");
        }
        None => {}
    }
    true
}

fn number(text: &[u8]) -> u32 {
    let text = str::from_utf8(text.trim_ascii()).unwrap_or_default();
    text.parse().unwrap_or_default()
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
