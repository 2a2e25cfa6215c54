//! What the board goes through: a life among servers that restart, cables that are pulled, and
//! sessions that end. Every step says what the board must print, and waits for it.
//!
//! `examples/board/run` runs this. The servers are real ones, or a model of one in this process.

mod board;
mod contender;
mod servers;
#[path = "../../tour/timeline.rs"]
mod timeline;

use std::env;
use std::error::Error;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use docent::wire::Exists;
use docent::{Client, CreateMode, ErrorKind, Path};
use tokio::time::{sleep, timeout};

use board::{Board, Cable};
use contender::Contender;
use servers::Servers;
use timeline::Timeline;

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// All of it takes half a minute where nothing else runs.
const LIMIT: Duration = Duration::from_secs(180);

const CONFIG: &str = "/board/config";
/// A line of the client's own log.
const CONNECTED: &str = "session state: Connected";
const MEMBER: &str = "/board/members/board";

struct Stage {
    timeline: Timeline,
    servers: Servers,
    client: Client,
    contender: Contender,
    board: Board,
}

impl Stage {
    async fn set_up(firmware: PathBuf, toolchain: PathBuf, servers: &str) -> Result<Self> {
        let coloured = io::stdout().is_terminal();
        let timeline = Timeline::new(io::stdout(), coloured);
        let servers = Servers::start(servers).await?;
        let address = servers.address();
        timeline.line(&format!("The server is {servers}, at {address}."));
        let client = docent::connect(&address.to_string()).await?;
        client.ensure("/board").await?;
        let contender = Contender::start(address, timeline.clone()).await?;
        let board = Board::start(firmware, toolchain, address.port(), timeline.clone()).await?;
        Ok(Self {
            timeline,
            servers,
            client,
            contender,
            board,
        })
    }

    async fn play(mut self) -> Result {
        self.appears().await?;
        self.is_configured().await?;
        self.takes_turns().await?;
        self.outlives_a_restart().await?;
        self.outlives_a_short_cut().await?;
        self.stops_in_time().await?;
        self.begins_a_new_session().await?;
        self.says_goodbye().await
    }

    async fn appears(&self) -> Result {
        self.chapter("A start", "The board joins the cluster.");
        self.board.says(0, "the address is 10.0.2.15").await?;
        self.board.says(0, CONNECTED).await?;
        self.board.says(0, "a member, in session").await?;
        self.session().await.map(drop)
    }

    async fn is_configured(&self) -> Result {
        self.chapter(
            "A configuration",
            "There is none at first. Then it says how often to blink.",
        );
        let start = self.board.mark();
        self.board.says(0, "there is no configuration yet").await?;
        let mode = CreateMode::Persistent;
        self.client.create(CONFIG, b"3", mode).await?;
        self.board.says(start, "the configuration says 3").await?;
        self.board.says_times(start, "the LED is off", 3).await?;
        self.takes("5").await?;
        let blinks = self.board.count(start, "the LED is on");
        ensure(
            blinks == 8,
            format!("it has blinked {blinks} times, not 3 and 5"),
        )
    }

    async fn takes_turns(&self) -> Result {
        self.chapter(
            "A leadership",
            "The board and a process on tokio take turns.",
        );
        for _ in 0..2 {
            let start = self.board.mark();
            self.contender.leads().await?;
            self.board
                .says(start, "leads, with the fencing token")
                .await?;
            self.board.says(start, "leads no longer").await?;
        }
        Ok(())
    }

    async fn outlives_a_restart(&self) -> Result {
        self.chapter(
            "A restart",
            "The server is restarted. The session outlives it.",
        );
        let (start, session) = (self.board.mark(), self.session().await?);
        self.servers.restart();
        self.tell("is restarted");
        self.board.says(start, "session state: Suspended").await?;
        self.board.says(start, CONNECTED).await?;
        self.is_same(session).await?;
        // By the watch from before.
        self.takes("1").await?;
        self.takes_turns().await
    }

    async fn outlives_a_short_cut(&self) -> Result {
        self.chapter(
            "A short cut",
            "The cable is pulled for a second, and the board misses nothing.",
        );
        let (start, session) = (self.board.mark(), self.session().await?);
        self.board.cable(Cable::Pulled).await?;
        self.configure("2").await?;
        sleep(Duration::from_secs(1)).await;
        self.board.cable(Cable::Plugged).await?;
        self.board.says(start, "the configuration says 2").await?;
        self.is_same(session).await
    }

    async fn stops_in_time(&self) -> Result {
        self.chapter(
            "A long cut",
            "The cable is pulled while the board leads. It stops before another leads.",
        );
        let (start, session) = (self.board.mark(), self.session().await?);
        let turns = self.board.says(start, "leads, with the fencing token");
        turns.await?;
        self.board.cable(Cable::Pulled).await?;
        let (stopped, led) = tokio::try_join!(
            self.board
                .says(start, "stops: somebody else may lead by now"),
            self.contender.leads(),
        )?;
        ensure(stopped < led, "the board has led too long".to_owned())?;
        self.board.cable(Cable::Plugged).await?;
        self.is_another(start, session).await
    }

    async fn begins_a_new_session(&self) -> Result {
        self.chapter(
            "An expiry",
            "The servers end the session. The board begins anew.",
        );
        let (start, session) = (self.board.mark(), self.session().await?);
        self.servers.expire(session);
        self.tell("ends the session of the board");
        self.is_another(start, session).await?;
        self.takes("4").await?;
        self.takes_turns().await
    }

    async fn says_goodbye(&mut self) -> Result {
        self.chapter(
            "An end",
            "The configuration says so. The board closes its session.",
        );
        let start = self.board.mark();
        self.configure("off").await?;
        self.board.says(start, "bytes of stack were used").await?;
        self.board.ends().await?;
        let there = self.client.exists(MEMBER).await?.is_some();
        ensure(!there, format!("{MEMBER} is still there"))
    }

    /// Configures the board anew, and waits until it has heard.
    async fn takes(&self, config: &str) -> Result {
        let start = self.board.mark();
        self.configure(config).await?;
        let says = format!("the configuration says {config}");
        self.board.says(start, &says).await?;
        let blinks = self
            .board
            .says_times(start, "the LED is off", config.parse()?);
        blinks.await.map(drop)
    }

    async fn configure(&self, config: &str) -> Result {
        loop {
            match self.client.set(CONFIG, config.as_bytes(), None).await {
                // Whether it has run or not, it may run again.
                Err(error) if error.kind() == ErrorKind::ConnectionLost => {}
                set => return Ok(set.map(drop)?),
            }
        }
    }

    async fn is_same(&self, session: i64) -> Result {
        let same = self.session().await? == session;
        ensure(same, "the board has another session".to_owned())
    }

    /// Waits until the board is a member in another session than `old`.
    async fn is_another(&self, start: usize, old: i64) -> Result {
        self.board.says(start, "a member, in session").await?;
        let new = self.session().await?;
        ensure(
            new != old,
            "it is still a member in its old session".to_owned(),
        )
    }

    /// The session of the board, by its node.
    async fn session(&self) -> Result<i64> {
        let path = Path::new(MEMBER)?;
        let member = self.client.retry(Exists { path }).await?;
        Ok(member.ephemeral_owner)
    }

    fn chapter(&self, title: &str, why: &str) {
        self.timeline.chapter(title, why);
    }

    fn tell(&self, what: &str) {
        self.timeline.tell("server", what);
    }
}

fn ensure(condition: bool, complaint: String) -> Result {
    condition.then_some(()).ok_or_else(|| complaint.into())
}

async fn run() -> Result {
    let mut args = env::args_os().skip(1);
    let (Some(firmware), Some(toolchain), Some(servers)) = (args.next(), args.next(), args.next())
    else {
        return Err("needs a firmware, a toolchain, and model, 3.8 or 3.9".into());
    };
    let servers = servers.to_string_lossy().into_owned();
    let play = async {
        let stage = Stage::set_up(firmware.into(), toolchain.into(), &servers).await?;
        stage.play().await
    };
    timeout(LIMIT, play).await?
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => {
            println!("\nPASS: the board has done all that.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("\nFAIL: {error}");
            ExitCode::FAILURE
        }
    }
}
