//! A watch: the servers tell of a change, so that nobody has to ask again and again.

use super::Result;
use super::stage::{Actor, Stage};
use docent::{CreateMode, Watcher};

pub(crate) async fn play(stage: &Stage) -> Result {
    stage.timeline.chapter(
        "A watch",
        "bob reads a configuration, and wants to know when alice changes it.",
    );
    let (alice, bob) = (stage.actor("alice").await?, stage.actor("bob").await?);

    let mode = CreateMode::Persistent;
    alice.client.create("/config", b"blue", mode).await?;
    alice.tell("creates /config, with the data \"blue\"");

    let mut watcher = read(&bob).await?;
    alice.client.set("/config", b"green", None).await?;
    alice.tell("sets it to \"green\"");
    watcher.changed().await;
    bob.tell("is told that /config has changed, and looks again");
    read(&bob).await?;

    alice.client.close().await;
    bob.client.close().await;
    Ok(())
}

/// Reads what there is, and asks to be told of the next change.
async fn read(bob: &Actor) -> Result<Watcher> {
    let (config, watcher) = bob.client.get_and_watch("/config").await?;
    let text = String::from_utf8_lossy(config.data());
    bob.tell(format_args!("reads {text:?}, and leaves a watch"));
    Ok(watcher)
}
