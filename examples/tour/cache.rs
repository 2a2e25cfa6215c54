//! A cache: a copy of some nodes, which is read without asking anybody, and knows how old it is.

use docent::CreateMode;
use docent::cache::{Event, Events};

use super::Result;
use super::stage::Stage;

pub(crate) async fn play(stage: &Stage) -> Result {
    stage.timeline.chapter(
        "A cache",
        "bob has a copy of /limits, which he reads without asking the servers. alice changes them.",
    );
    let (alice, bob) = (stage.actor("alice").await?, stage.actor("bob").await?);
    let mode = CreateMode::Persistent;
    alice.client.create("/limits", b"", mode).await?;
    alice.client.create("/limits/cpu", b"4", mode).await?;
    alice.tell("creates /limits/cpu, with the data \"4\"");

    let limits = bob.client.cache("/limits").start()?;
    limits.ready().await?;
    let mut events = limits.events();
    let step = next_step(&mut events, "/limits/cpu").await;
    bob.tell(format_args!("has a copy of all there is: {step}"));
    alice.client.set("/limits/cpu", b"2", None).await?;
    alice.tell("sets /limits/cpu to \"2\"");
    let step = next_step(&mut events, "/limits/cpu").await;
    bob.tell(format_args!("has it in his copy: {step}"));

    stage.timeline.tell(
        "network",
        "resets bob's connection, and lets no other through",
    );
    bob.cut_off();
    until(&mut events, |event| matches!(event, Event::Stale)).await;
    alice.client.delete("/limits/cpu", None).await?;
    alice.client.create("/limits/cpu", b"8", mode).await?;
    alice.tell("deletes /limits/cpu and creates it again, with the data \"8\"");
    let old = limits.get("/limits/cpu");
    let old = old.as_deref().and_then(|node| node.data());
    bob.tell(format_args!(
        "reads {:?} without waiting, and knows that his copy may be old",
        String::from_utf8_lossy(old.unwrap_or_default())
    ));
    stage.timeline.tell("network", "lets bob through again");
    bob.heal();
    let step = next_step(&mut events, "/limits/cpu").await;
    bob.tell(format_args!(
        "has it in his copy, as a node of its own: {step}"
    ));
    until(&mut events, |event| {
        matches!(event, Event::Fresh | Event::Ready { .. })
    })
    .await;
    bob.tell("knows that his copy is fresh again");

    drop((limits, events));
    alice.client.close().await;
    bob.client.close().await;
    Ok(())
}

/// Waits for a change of a node, and says what it is.
async fn next_step(events: &mut Events, path: &str) -> String {
    let step = until(
        events,
        |event| matches!(event, Event::Put { new, .. } if new.path() == path),
    );
    match step.await {
        Some(Event::Put { new, .. }) => format!(
            "{path} is {:?}, created by transaction {:#x}",
            String::from_utf8_lossy(new.data().unwrap_or_default()),
            new.stat().czxid
        ),
        _ => "nothing".to_owned(),
    }
}

async fn until(events: &mut Events, wanted: impl Fn(&Event) -> bool) -> Option<Event> {
    loop {
        let event = events.next().await?;
        if wanted(&event) {
            return Some(event);
        }
    }
}
