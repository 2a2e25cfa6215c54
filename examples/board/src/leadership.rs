//! Leadership: of all who stand one leads at a time, and only who leads does the work.

use docent_embassy::Client;
use docent_embassy::core::client::Client as _;
use docent_embassy::core::error::Error;
use docent_embassy::core::path::Path;
use docent_embassy::core::recipes::{Election, Guard, create_parents};
use docent_embassy::core::session::End;
use docent_embassy::core::wire::{Acl, CreateMode, Multi, Op, SetData};
use embassy_futures::select::{Either, select};
use embassy_time::Timer;

/// Where the election is, and the node that only who leads may write.
const ELECTION: &str = "/board/leader";
const WORK: &str = "/board/work";

/// Steps of work before it is somebody else's turn.
const STEPS: u32 = 5;

/// Leads whenever it can, until the client is over.
#[embassy_executor::task]
pub(crate) async fn compete(client: Client<'static>) {
    loop {
        match lead(&client).await {
            // There will be another session.
            Ok(()) | Err(Error::NotSent(End::Expired)) => {}
            Err(Error::NotSent(_)) => return,
            Err(error) => {
                log::warn!("cannot lead: {error}");
                Timer::after_secs(1).await;
            }
        }
    }
}

/// Waits for a turn, and leads once.
async fn lead(client: &Client<'static>) -> Result<(), Error> {
    create_parents(client, Path::new(WORK)?, CreateMode::Persistent, Acl::OPEN).await?;
    let guard = turn(client).await?;
    work(client, guard).await
}

/// Waits for a turn. The election itself is not needed any more once there is a guard.
async fn turn(client: &Client<'static>) -> Result<Guard<Client<'static>>, Error> {
    let election = Election::new(*client, Path::new(ELECTION)?)?.with_id(b"board");
    election.campaign().await
}

/// Works as long as it is the own turn.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would have room for two guards"
)]
fn work(
    client: &Client<'static>,
    guard: Guard<Client<'static>>,
) -> impl Future<Output = Result<(), Error>> {
    async move {
        log::info!("leads, with the fencing token {:#x}", guard.fencing_token());
        match select(guard.lost(), steps(client, &guard)).await {
            Either::First(()) => log::info!("stops: somebody else may lead by now"),
            Either::Second(Ok(())) => {
                guard.release().await?;
                log::info!("leads no longer");
            }
            Either::Second(Err(error)) => log::info!("stops: {error}"),
        }
        // Where the guard was not released it is dropped, and released in the background.
        Ok(())
    }
}

async fn steps(client: &Client<'static>, guard: &Guard<Client<'static>>) -> Result<(), Error> {
    for _ in 0..STEPS {
        loop {
            match step(client, guard).await {
                // It may have been written or not. Written twice it does no harm.
                Err(Error::ConnectionLost) => {}
                done => break done?,
            }
        }
        Timer::after_millis(200).await;
    }
    Ok(())
}

/// Writes, in one transaction with a check that it leads: even a board that was stopped for
/// an hour right here could not write when it is another's turn.
async fn step(client: &Client<'static>, guard: &Guard<Client<'static>>) -> Result<(), Error> {
    let write = Op::SetData(SetData {
        path: Path::new(WORK)?,
        data: b"board",
        version: None,
    });
    let ops = &[guard.check(), write];
    let reply = client.call(Multi { ops }).await?;
    match reply.outcome() {
        Ok(_) => Ok(()),
        Err(failure) => Err(Error::Server(failure.code)),
    }
}
