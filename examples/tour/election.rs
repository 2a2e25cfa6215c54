//! An election: a leader that loses its connection goes on, one that loses its session is followed.

use docent::{CloseMode, LeaderLatch};

use super::Result;
use super::stage::{Actor, Stage};

pub(crate) async fn play(stage: &Stage) -> Result {
    stage.timeline.chapter(
        "An election",
        "alice and bob both stand, and bob follows who leads. alice loses her connection, then falls silent.",
    );
    let (alice, bob) = (stage.actor("alice").await?, stage.actor("bob").await?);
    let hers = stand(&alice)?;
    let token = lead(&alice, &hers).await?;
    let his = stand(&bob)?;
    let mut leaders = his.election().observe();
    if let Some(leader) = leaders.next().await? {
        let name = String::from_utf8_lossy(leader.id()).into_owned();
        bob.tell(format_args!("sees that {name} leads"));
    }

    stage.timeline.tell("network", "resets alice's connection");
    let status = alice.client.status();
    alice.cut_off();
    alice.heal();
    let mut now = status;
    while now.connections == status.connections {
        now = alice.client.changed(now).await;
    }
    let again = hers.acquired().await?;
    alice.tell(match again.fencing_token() == token {
        true => "is connected again, in the same session, and leads as before",
        false => "is connected again, in another session, and leads anew",
    });

    alice.go_silent();
    stage
        .timeline
        .tell("network", "loses all of alice's packets");
    again.lost().await;
    alice.tell("leads no more, as far as she knows");
    lead(&bob, &his).await?;
    alice.heal();
    stage
        .timeline
        .tell("network", "lets alice's packets pass again");

    his.close(CloseMode::NotifyLeader).await?;
    bob.tell("gives the leadership up");
    lead(&alice, &hers).await?;
    hers.close(CloseMode::NotifyLeader).await?;
    alice.client.close().await;
    bob.client.close().await;
    Ok(())
}

fn stand(actor: &Actor) -> Result<LeaderLatch> {
    actor.tell("stands");
    Ok(actor.client.leader_latch("/election", actor.name)?)
}

async fn lead(actor: &Actor, latch: &LeaderLatch) -> Result<i64> {
    let leadership = latch.acquired().await?;
    let token = leadership.fencing_token();
    actor.tell(format_args!("leads, with the fencing token {token:#x}"));
    Ok(token)
}
