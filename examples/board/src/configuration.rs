//! Configuration: a node says how often to blink. Whenever it changes the board does so.

use docent_embassy::core::client::{Client as _, Watcher as _};
use docent_embassy::core::error::Error;
use docent_embassy::core::handle;
use docent_embassy::core::path::Path;
use docent_embassy::core::session::End;
use docent_embassy::core::wire::{Exists, GetData};
use docent_embassy::{Client, Link};
use embassy_time::Timer;

use crate::mps2::led;

/// What the node says to have the board switched off.
const OFF: &[u8] = b"off";

type Watcher = handle::Watcher<Link<'static>>;

/// Where the node is.
const NODE: &str = "/board/config";

/// Follows the node until it says "off" or the client is over.
pub(crate) async fn follow(client: Client<'static>) {
    loop {
        match look(&client).await {
            Ok(Some(mut watcher)) => drop(watcher.next().await),
            Ok(None) => return,
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

/// Does as the node says, and returns what tells of its next change; nothing if it says "off".
async fn look(client: &Client<'static>) -> Result<Option<Watcher>, Error> {
    let path = Path::new(NODE)?;
    loop {
        // The watch is set with the read, so that no change between them is missed.
        let (data, watcher) = match client.watch(GetData { path }).await {
            Ok(found) => found,
            Err(error) if !error.is_no_node() => return Err(error),
            Err(_) => match client.watch_absent(Exists { path }).await? {
                (None, watcher) => {
                    log::info!("there is no configuration yet");
                    return Ok(Some(watcher));
                }
                // It was made in between.
                (Some(_), _) => continue,
            },
        };
        if data.data() == OFF {
            return Ok(None);
        }
        let count = number(data.data());
        // As long as a reply is there it takes the room of one.
        drop(data);
        blink(count).await;
        return Ok(Some(watcher));
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
