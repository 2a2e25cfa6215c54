//! A lock whose holder falls silent: it stops in time, the next one goes on, and what the old holder
//! still tries is refused.

use std::time::Instant;

use docent::core::wire::SetData;
use docent::{CreateMode, Guard, Op, Path};

use super::Result;
use super::stage::{Actor, Stage};

pub(crate) async fn play(stage: &Stage) -> Result {
    stage.timeline.chapter(
        "A lock",
        "alice and bob write the same report, one at a time. alice falls silent while it is her turn.",
    );
    let (alice, bob) = (stage.actor("alice").await?, stage.actor("bob").await?);
    let mode = CreateMode::Persistent;
    alice.client.create("/report", b"", mode).await?;

    let epoch = alice.client.status().epoch;
    let hers = acquire(&alice).await?;
    let token = hers.fencing_token();
    alice.tell(format_args!(
        "has the lock, and the fencing token {token:#x}"
    ));
    write(&alice, &hers).await?;
    let (his, ()) = tokio::try_join!(acquire(&bob), fall_silent(stage, &alice, &hers))?;
    stage.timeline.tell(
        "servers",
        "have waited long enough: they end alice's session, and delete what was hers",
    );
    let token = his.fencing_token();
    bob.tell(format_args!(
        "has the lock, and the fencing token {token:#x}, which is greater than hers"
    ));
    write(&bob, &his).await?;

    stage
        .timeline
        .tell("network", "lets alice's packets pass again");
    alice.heal();
    alice.renewed(epoch).await;
    alice.tell(format_args!("is back: {}", alice.session()));
    alice.tell("goes on like a process that was frozen and does not know what time it is");
    write(&alice, &hers).await?;
    his.release().await?;
    bob.tell("gives the lock back");

    drop(hers);
    alice.client.close().await;
    bob.client.close().await;
    Ok(())
}

async fn acquire(actor: &Actor) -> Result<Guard> {
    actor.tell("asks for the lock");
    Ok(actor.client.lock("/lock")?.acquire().await?)
}

/// Writes the report in one transaction with a check that the lock is still held.
async fn write(actor: &Actor, guard: &Guard) -> Result {
    let write = SetData {
        path: Path::new("/report")?,
        data: actor.name.as_bytes(),
        version: None,
    };
    let ops = [guard.check(), Op::SetData(write)];
    let outcome = match actor.client.multi(&ops).await?.outcome() {
        Ok(_) => "done",
        Err(failure) if failure.index == 0 => "refused",
        Err(failure) => return Err(failure.into()),
    };
    actor.tell(format_args!(
        "writes the report, on condition that the lock is still held: {outcome}"
    ));
    Ok(())
}

/// Cuts alice off once bob waits behind her, and waits until she has noticed.
async fn fall_silent(stage: &Stage, alice: &Actor, guard: &Guard) -> Result {
    loop {
        let (contenders, mut watcher) = alice.client.children_and_watch("/lock").await?;
        if contenders.iter().count() == 2 {
            break;
        }
        watcher.changed().await;
    }
    let until = guard.valid_until().unwrap_or_else(Instant::now);
    let left = until.saturating_duration_since(Instant::now());
    alice.go_silent();
    stage.timeline.tell(
        "network",
        "loses all of alice's packets, so that the servers hear nothing of her",
    );
    alice.tell(format_args!(
        "knows that nobody else can have the lock for another {left:.1?}"
    ));
    guard.lost().await;
    alice.tell("stops her work: the lock may be lost. No server had to tell her");
    Ok(())
}
