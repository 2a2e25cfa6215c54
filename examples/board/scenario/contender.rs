//! A process on tokio that competes with the board for the leadership, and sees to it that nobody
//! else works while it leads.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use docent::wire::SetData;
use docent::{Client, Guard, Op, Path};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::Result;
use super::timeline::Timeline;

const ELECTION: &str = "/board/leader";
const WORK: &str = "/board/work";
/// Steps of work before it is the board's turn.
const STEPS: u32 = 5;
/// Longer than the pauses of whoever steals the lead.
const STEP: Duration = Duration::from_millis(100);

pub(crate) struct Contender {
    /// When it began to lead the last time, or why it has given up.
    led: watch::Receiver<std::result::Result<Option<Instant>, String>>,
    task: JoinHandle<()>,
}

impl Contender {
    pub(crate) async fn start(server: SocketAddr, timeline: Timeline) -> Result<Self> {
        let client = docent::connect(&server.to_string()).await?;
        client.ensure(WORK).await?;
        let (turns, led) = watch::channel(Ok(None));
        let task = tokio::spawn(async move {
            let lead = || _ = turns.send_replace(Ok(Some(Instant::now())));
            let error = compete(&client, &timeline, lead).await;
            _ = turns.send_replace(Err(error));
        });
        Ok(Self { led, task })
    }

    /// Waits until it leads the next time, and tells when that was.
    pub(crate) async fn leads(&self) -> Result<Instant> {
        let mut led = self.led.clone();
        led.mark_unchanged();
        led.changed().await?;
        let led = led.borrow().clone()?;
        led.ok_or_else(|| "the contender has never led".into())
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes turns for as long as nobody disturbs it. Returns who did.
async fn compete(client: &Client, timeline: &Timeline, lead: impl Fn()) -> String {
    loop {
        let guard = match acquire(client).await {
            Ok(guard) => guard,
            Err(error) => return format!("the contender cannot lead: {error}"),
        };
        lead();
        timeline.tell("tokio", "leads");
        match work(client, &guard).await {
            Ok(()) => timeline.tell("tokio", "leads no longer"),
            // As when the server is restarted.
            Err(Trouble::Lost(error)) => timeline.tell("tokio", format_args!("stops: {error}")),
            Err(Trouble::Disturbed) => return "somebody worked while the contender led".to_owned(),
        }
        drop(guard);
        // So that the board need not be quick to have its turn.
        sleep(STEP).await;
    }
}

async fn acquire(client: &Client) -> Result<Guard> {
    Ok(client.election(ELECTION, "tokio")?.campaign().await?)
}

enum Trouble {
    Lost(String),
    Disturbed,
}

/// Counts how often the work was written: by nobody else, as long as this one leads.
async fn work(client: &Client, guard: &Guard) -> std::result::Result<(), Trouble> {
    let mut version = None;
    for _ in 0..STEPS {
        let new = step(client, guard).await;
        let new = new.map_err(|error| Trouble::Lost(error.to_string()))?;
        if version.is_some_and(|old| new != old + 1) {
            return Err(Trouble::Disturbed);
        }
        version = Some(new);
        sleep(STEP).await;
    }
    Ok(())
}

async fn step(client: &Client, guard: &Guard) -> Result<i32> {
    let write = SetData {
        path: Path::new(WORK)?,
        data: b"tokio",
        version: None,
    };
    let ops = [guard.check(), Op::SetData(write)];
    client.multi(&ops).await?.outcome()?;
    let work = client.exists(WORK).await?;
    Ok(work.ok_or("the work is gone")?.version)
}
