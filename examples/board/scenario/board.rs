//! The board: an emulator, what it prints, and its cable.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{self, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use super::Result;
use super::timeline::Timeline;

/// Within this time the board says what it has to say, even on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// What an emulated cable can be.
#[derive(Clone, Copy)]
pub(crate) enum Cable {
    Plugged,
    Pulled,
}

pub(crate) struct Board {
    emulator: Child,
    monitor: PathBuf,
    lines: watch::Receiver<Vec<Line>>,
    timeline: Timeline,
}

struct Line {
    at: Instant,
    text: String,
}

impl Board {
    pub(crate) async fn start(
        firmware: PathBuf,
        toolchain: PathBuf,
        port: u16,
        timeline: Timeline,
    ) -> Result<Self> {
        let monitor = env::temp_dir().join(format!("docent-board-{}", process::id()));
        let mut command = Command::new(toolchain);
        command.arg("qemu-system-arm");
        command.args(["-machine", "mps2-an386", "-nodefaults", "-display", "none"]);
        command.args(["-serial", "null", "-nic", "user,model=lan9118,id=cable"]);
        let mut socket = OsString::from("unix:");
        socket.push(&monitor);
        socket.push(",server=on,wait=off");
        command.arg("-qmp").arg(socket);
        // The host's loopback is 10.0.2.2 in there.
        let argument = format!("arg=firmware,arg=10.0.2.2:{port}");
        command.arg("-semihosting-config");
        command.arg(format!("enable=on,target=native,{argument}"));
        command.arg("-kernel").arg(firmware);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut emulator = command.kill_on_drop(true).spawn()?;
        let output = emulator.stdout.take().ok_or("the emulator has no output")?;
        let (heard, lines) = watch::channel(Vec::new());
        tokio::spawn(listen(output, heard, timeline.clone()));
        Ok(Self {
            emulator,
            monitor,
            lines,
            timeline,
        })
    }

    /// The number of lines until now, to look only at those that come later.
    pub(crate) fn mark(&self) -> usize {
        self.lines.borrow().len()
    }

    /// Waits for the first line after `mark` that has this text; tells when it came.
    pub(crate) async fn says(&self, mark: usize, text: &str) -> Result<Instant> {
        self.says_times(mark, text, 1).await
    }

    /// Waits until as many lines after `mark` have this text; tells when the last of them came.
    pub(crate) async fn says_times(
        &self,
        mark: usize,
        text: &str,
        times: usize,
    ) -> Result<Instant> {
        let mut lines = self.lines.clone();
        let find = |lines: &Vec<Line>| {
            let later = lines.iter().skip(mark);
            let mut with_it = later.filter(|line| line.text.contains(text));
            with_it.nth(times - 1).map(|line| line.at)
        };
        let heard = lines.wait_for(|lines| find(lines).is_some());
        match timeout(PATIENCE, heard).await {
            Ok(Ok(lines)) => find(&lines).ok_or_else(|| "it said so".into()),
            Ok(Err(_)) => Err(format!("the board has ended, and never said {text:?}").into()),
            Err(_) => Err(format!("the board does not say {text:?}").into()),
        }
    }

    /// How many lines after `mark` have this text.
    pub(crate) fn count(&self, mark: usize, text: &str) -> usize {
        let lines = self.lines.borrow();
        let later = lines.iter().skip(mark);
        later.filter(|line| line.text.contains(text)).count()
    }

    /// Pulls or plugs the cable.
    pub(crate) async fn cable(&self, cable: Cable) -> Result {
        let (up, what) = match cable {
            Cable::Plugged => (true, "is plugged in"),
            Cable::Pulled => (false, "is pulled"),
        };
        let mut monitor = BufReader::new(UnixStream::connect(&self.monitor).await?);
        let order = format!(
            r#"{{"execute":"qmp_capabilities"}}
            {{"execute":"set_link","arguments":{{"name":"cable","up":{up}}}}}"#
        );
        monitor.write_all(order.as_bytes()).await?;
        // A greeting, and an answer to each.
        for _ in 0..3 {
            monitor.read_line(&mut String::new()).await?;
        }
        self.timeline.tell("cable", what);
        Ok(())
    }

    /// Waits until the program on the board has ended well.
    pub(crate) async fn ends(&mut self) -> Result {
        let status = timeout(PATIENCE, self.emulator.wait()).await??;
        match status.success() {
            true => Ok(()),
            false => Err(format!("the board has failed: {status}").into()),
        }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.monitor);
    }
}

/// Keeps what the board prints, and prints it as well.
async fn listen(output: ChildStdout, heard: watch::Sender<Vec<Line>>, timeline: Timeline) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(text)) = lines.next_line().await {
        timeline.tell("board", &text);
        let at = Instant::now();
        heard.send_modify(|lines| lines.push(Line { at, text }));
    }
}
