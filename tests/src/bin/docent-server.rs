//! A ZooKeeper server in memory, for clients in any language while they are being developed.

use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use docent_testing::dev::DevServer;
use docent_testing::server::{Ensemble, Release};
use tokio::time;

/// How often the trace is printed.
const PERIOD: Duration = Duration::from_millis(100);

/// A ZooKeeper server in memory, for tests and development. Nothing is ever written to disk: all
/// nodes and sessions are lost when it ends.
#[derive(Parser)]
#[command(name = "docent-server", version)]
struct Args {
    /// Port of the first member, which the others follow; 0 takes free ports
    #[arg(long, default_value_t = 2181)]
    port: u16,

    /// Address to listen at; whoever reaches another than a loopback address may connect
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,

    /// Number of servers; one is a standalone server, more are an ensemble
    #[arg(long, default_value_t = 1, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=9))]
    members: u8,

    /// Unit of the server's time; sessions last from 2 to 20 ticks
    #[arg(long, default_value_t = 2000, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    tick: u32,

    /// Release of ZooKeeper to behave like
    #[arg(long, default_value = "3.9", value_name = "RELEASE")]
    release: Line,

    /// Connections that a member takes from one address
    #[arg(long, default_value_t = 1000, value_name = "COUNT")]
    max_connections: usize,

    /// Print what clients ask and are answered; data and passwords are left out
    #[arg(long)]
    trace: bool,
}

/// A line of releases.
#[derive(Clone, Copy, ValueEnum)]
enum Line {
    #[value(name = "3.8")]
    V3_8,
    #[value(name = "3.9")]
    V3_9,
}

impl From<Line> for Release {
    fn from(line: Line) -> Self {
        match line {
            Line::V3_8 => Self::V3_8,
            Line::V3_9 => Self::V3_9,
        }
    }
}

impl Args {
    async fn start(&self) -> io::Result<DevServer> {
        DevServer::builder()
            .host(self.host)
            .port(self.port)
            .members(self.members.into())
            .tick(Duration::from_millis(self.tick.into()))
            .release(self.release.into())
            .max_connections(self.max_connections)
            .trace(if self.trace { 100_000 } else { 0 })
            .start()
            .await
    }
}

fn greet(args: &Args, server: &DevServer) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "connect to {}", server.connect_string())?;
    writeln!(
        out,
        "Everything is in memory only, and lost when this ends. Ctrl-C ends it."
    )?;
    if !args.host.is_loopback() {
        let warning = "Other machines may be able to connect; nothing is encrypted.";
        writeln!(out, "{warning}")?;
    }
    out.flush()
}

async fn print_trace(server: &DevServer) -> io::Result<()> {
    loop {
        let mut out = io::stdout().lock();
        for record in server.control(Ensemble::take_trace) {
            writeln!(out, "{record}")?;
        }
        out.flush()?;
        drop(out);
        time::sleep(PERIOD).await;
    }
}

/// What waits for whoever wants this to end, as of now.
#[cfg(unix)]
fn end() -> io::Result<impl Future> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn end() -> io::Result<impl Future> {
    Ok(tokio::signal::ctrl_c())
}

#[tokio::main(flavor = "current_thread")]
async fn run(args: Args) -> io::Result<()> {
    let end = end()?;
    let server = args.start().await?;
    greet(&args, &server)?;
    tokio::select! {
        _ = end => Ok(()),
        done = print_trace(&server), if args.trace => done,
    }
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads any more what is printed, as under `head`.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("docent-server: {error}");
            ExitCode::FAILURE
        }
    }
}
