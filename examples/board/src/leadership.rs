//! Leadership: of all who hold the lock at most one leads, and only who leads does the work.

use docent_embassy::Client;
use docent_embassy::core::client::Client as _;
use docent_embassy::core::error::Error;
use docent_embassy::core::path::Path;
use docent_embassy::core::recipes::{Guard, Lock, create_parents};
use docent_embassy::core::session::End;
use docent_embassy::core::wire::{Acl, CreateMode, Multi, Op, SetData};
use embassy_futures::select::{Either, select};
use embassy_time::Timer;

/// Steps of work before it is somebody else's turn.
const STEPS: u32 = 5;

/// Leads whenever it can, until the client is over. The work is done on the node at `work`.
///
/// # Panics
/// If `lock` or `work` is no path.
#[embassy_executor::task]
pub(crate) async fn compete(client: Client<'static>, lock: &'static str, work: &'static str) {
    let work = Path::new(work).expect("a path");
    let lock = Lock::new(client, Path::new(lock).expect("a path")).expect("a short path");
    loop {
        match lead(client, &lock, work).await {
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
async fn lead(
    client: Client<'static>,
    lock: &Lock<Client<'static>>,
    work: Path<'_>,
) -> Result<(), Error> {
    create_parents(&client, work, CreateMode::Persistent, Acl::OPEN).await?;
    let guard = lock.acquire().await?;
    log::info!("leads, with the fencing token {:#x}", guard.fencing_token());
    match select(guard.lost(), steps(client, &guard, work)).await {
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

async fn steps(
    client: Client<'static>,
    guard: &Guard<Client<'static>>,
    work: Path<'_>,
) -> Result<(), Error> {
    for _ in 0..STEPS {
        loop {
            match step(client, guard, work).await {
                // It may have been written or not. Written twice it does no harm.
                Err(Error::ConnectionLost) => {}
                done => break done?,
            }
        }
        Timer::after_millis(200).await;
    }
    Ok(())
}

/// Writes, in one transaction with a check that the lock is held: even a board that was stopped for
/// an hour right here could not write when it is another's turn.
async fn step(
    client: Client<'static>,
    guard: &Guard<Client<'static>>,
    work: Path<'_>,
) -> Result<(), Error> {
    let write = Op::SetData(SetData {
        path: work,
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
