//! Runners that share jobs. A job whose runner fails is run by another, and each is done once.
//!
//! Start it several times at once, and stop one of them in the middle of a job. The jobs of a day are
//! done once: name another for more.
//!
//! ```sh
//! ZK_CONNECT=127.0.0.1:2181 cargo run --package docent --example jobs -- monday
//! ```

use std::env;
use std::error::Error;
use std::time::Duration;

use docent::core::wire::Create;
use docent::{Acl, Client, CreateMode, Guard, Op, Path};
use tokio::time::sleep;

const JOBS: [&str; 4] = ["invoices", "letters", "parcels", "reminders"];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let servers = env::var("ZK_CONNECT").unwrap_or_else(|_| "127.0.0.1:2181".to_owned());
    let client = docent::connect(&servers).await?;
    let day = env::args().nth(1).unwrap_or_else(|| "someday".to_owned());
    client.ensure(&format!("/example/jobs/{day}")).await?;
    for job in JOBS {
        run_once(&client, &day, job).await?;
    }
    println!("all jobs of {day} are done");
    client.close().await;
    Ok(())
}

/// Runs a job, or waits for the runner who does.
async fn run_once(client: &Client, day: &str, job: &str) -> Result<(), Box<dyn Error>> {
    let done = format!("/example/jobs/{day}/{job}");
    let lock = client.lock(&format!("/example/jobs/locks/{job}"))?;
    while client.exists(&done).await?.is_none() {
        let guard = lock.acquire().await?;
        // Another may have done it while this one waited.
        if client.exists(&done).await?.is_none() {
            match guard.run(work(job)).await {
                Some(()) => finish(client, &guard, &done).await?,
                None => println!("{job}: stopped, as the lock may be lost"),
            }
        }
        guard.release().await?;
    }
    Ok(())
}

/// Says that a job is done, if this runner still has the lock.
async fn finish(client: &Client, guard: &Guard, done: &str) -> Result<(), Box<dyn Error>> {
    let done = Create {
        path: Path::new(done)?,
        data: b"",
        mode: CreateMode::Persistent,
        acl: Acl::OPEN,
    };
    let reply = client.multi(&[guard.check(), Op::Create(done)]).await?;
    match reply.outcome() {
        Ok(_) => println!("{}: done", done.path),
        Err(failure) => println!("{}: not by this runner: {failure}", done.path),
    }
    Ok(())
}

async fn work(job: &str) {
    println!("{job}: runs");
    sleep(Duration::from_millis(500)).await;
}
