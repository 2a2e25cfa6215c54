//! A connection that is cut: the session goes on, and with it ephemeral nodes, watches, and requests
//! that wait to be sent.

use docent::CreateMode;

use super::Result;
use super::stage::{Actor, Stage};

pub(crate) async fn play(stage: &Stage) -> Result {
    stage.timeline.chapter(
        "A cut",
        "bob loses his connection, and nothing else. alice changes something meanwhile.",
    );
    let (alice, bob) = (stage.actor("alice").await?, stage.actor("bob").await?);
    bob.client.ensure("/members").await?;
    let mode = CreateMode::Ephemeral;
    bob.client.create("/members/bob", b"", mode).await?;
    bob.tell("creates /members/bob, an ephemeral node: it lives as long as his session");
    let (_, mut watcher) = bob.client.get_and_watch("/config").await?;
    bob.tell("reads /config, and leaves a watch");

    let status = bob.client.status();
    stage.timeline.tell(
        "network",
        "resets bob's connection, and lets no other through",
    );
    bob.cut_off();
    bob.client.changed(status).await;
    bob.tell("has no connection any more. He asks for /config all the same: his request waits");
    let (answer, ()) = tokio::join!(bob.client.get("/config"), meanwhile(stage, &alice, &bob));
    let kept = bob.client.status().epoch == status.epoch;
    bob.tell(format_args!(
        "is connected again, in {} session",
        if kept { "the same" } else { "another" }
    ));
    let answer = answer?;
    let text = String::from_utf8_lossy(answer.data());
    bob.tell(format_args!("gets his answer: {text:?}"));
    watcher.changed().await;
    bob.tell("is told by his watch that /config has changed: the cut has cost him nothing");
    if bob.client.exists("/members/bob").await?.is_some() {
        bob.tell("still has /members/bob");
    }

    alice.client.close().await;
    bob.client.close().await;
    Ok(())
}

async fn meanwhile(stage: &Stage, alice: &Actor, bob: &Actor) {
    match alice.client.set("/config", b"red", None).await {
        Ok(_) => alice.tell("sets /config to \"red\""),
        Err(error) => alice.tell(error),
    }
    stage.timeline.tell("network", "lets bob through again");
    bob.heal();
}
