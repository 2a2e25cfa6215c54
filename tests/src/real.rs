//! Real ZooKeeper servers, started for one test and ended with it.
//!
//! A test asks for the [`lanes`] that its caller enabled and starts an [`Ensemble`] in each. Where
//! none is enabled, as under a plain `cargo test`, it says so and passes:
//!
//! ```no_run
//! use docent_testing::real;
//!
//! for version in real::lanes() {
//!     let servers = real::Ensemble::of_three(version);
//!     println!("connect to {}", servers.connect_string());
//!     servers.kill(servers.leader());
//! }
//! ```
//!
//! The environment variable `DOCENT_REAL` names the versions, for example `3.8,3.9`; `tests/run`
//! sets it. The servers need Linux, bash, Java, openssl and, once for each version, Debian's
//! package archive.
//!
//! Everything here blocks its thread and panics when a server does not do as told, because a test
//! has no use for the error. An async test calls it from `spawn_blocking`, or directly on a runtime
//! of several threads.

use std::env;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const ENABLED: &str = "DOCENT_REAL";
const HOMES: &str = "DOCENT_REAL_DIR";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/zk.sh");
const ELECTION: Duration = Duration::from_secs(30);

/// A release line of ZooKeeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    /// 3.8, as in Debian 12.
    V3_8,
    /// 3.9, as in Debian 13.
    V3_9,
}

impl Version {
    /// All that can be started, the oldest first.
    pub const ALL: &[Self] = &[Self::V3_8, Self::V3_9];

    /// The number as `DOCENT_REAL` has it, for example `3.8`.
    pub const fn number(self) -> &'static str {
        match self {
            Self::V3_8 => "3.8",
            Self::V3_9 => "3.9",
        }
    }

    fn parse(number: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().copied().find(|v| v.number() == number);
        known.ok_or_else(|| format!("{ENABLED} names {number:?}, which is neither 3.8 nor 3.9"))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.number())
    }
}

/// Whether real servers are enabled, and can be started.
///
/// # Errors
/// The reason why not, in words for whoever runs the test: `DOCENT_REAL` is unset, names an unknown
/// version, or there is no Java.
pub fn available() -> Result<(), String> {
    if enabled()?.is_empty() {
        return Err(format!(
            "no real servers: {ENABLED} is not set; it is set by tests/run"
        ));
    }
    java()
}

/// The versions to test against, one after the other.
///
/// If there are none, the reason goes to the standard error output, past the test runner's capture.
///
/// # Panics
/// If `DOCENT_REAL` asks for servers which cannot be started: a lane that was asked for does not
/// pass by being skipped.
#[track_caller]
pub fn lanes() -> Vec<Version> {
    let versions = enabled().unwrap_or_else(|reason| panic!("{reason}"));
    if versions.is_empty() {
        skip(&available().unwrap_err());
    } else if let Err(reason) = available() {
        panic!("{ENABLED} is set, but {reason}");
    }
    versions
}

fn enabled() -> Result<Vec<Version>, String> {
    let value = env::var(ENABLED).unwrap_or_default();
    value
        .split(',')
        .map(str::trim)
        .filter(|v| !v.is_empty())
        .map(Version::parse)
        .collect()
}

fn java() -> Result<(), String> {
    let home = env::var_os("JAVA_HOME").filter(|home| !home.is_empty());
    let java = home.map_or_else(
        || PathBuf::from("java"),
        |home| Path::new(&home).join("bin/java"),
    );
    match Command::new(&java)
        .arg("-version")
        .stdin(Stdio::null())
        .output()
    {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!(
            "{} does not run: {}",
            java.display(),
            text(&output.stderr)
        )),
        Err(error) => Err(format!("there is no Java ({}: {error})", java.display())),
    }
}

fn skip(reason: &str) {
    let test = thread::current()
        .name()
        .filter(|name| *name != "main")
        .unwrap_or("test")
        .to_owned();
    // Unlike eprintln!, this is shown for a test that passes, too. Nobody may be listening.
    let _ = writeln!(io::stderr(), "skipped: {test}: {reason}");
}

/// Running servers with data of their own, on loopback ports which nobody else uses.
///
/// Members are numbered from 1. The tick is 200 ms, so sessions last from 0.4 to 60 s. Dropping
/// the ensemble kills the servers and deletes their data; so does the end of the process, whatever
/// ends it. Any number may run side by side.
#[derive(Debug)]
pub struct Ensemble {
    home: PathBuf,
    connect_string: String,
    members: Vec<SocketAddr>,
    janitor: Janitor,
}

impl Ensemble {
    /// One server that is no member of an ensemble.
    ///
    /// # Panics
    /// If it does not start within 30 s.
    #[track_caller]
    pub fn standalone(version: Version) -> Self {
        Self::start(version, &["standalone"])
    }

    /// Three servers and a leader among them.
    ///
    /// # Panics
    /// If they do not serve within 30 s.
    #[track_caller]
    pub fn of_three(version: Version) -> Self {
        Self::start(version, &["ensemble", "--servers", "3"])
    }

    /// Servers set up by further `options` of `zk.sh start`, such as `["standalone", "--tls"]`.
    ///
    /// What the options add, such as a certificate's file, is told by [`variable`](Self::variable).
    ///
    /// # Panics
    /// If they do not serve within 30 s, or an option is unknown.
    #[track_caller]
    pub fn start(version: Version, options: &[&str]) -> Self {
        let home = new_home();
        let janitor = Janitor::new(&home);
        let mut args = vec!["start"];
        args.extend(options);
        args.extend(["--port", "0", "--version", version.number()]);
        let connect_string = script(&home, &args);
        let members = connect_string.split(',').map(address).collect();
        Self {
            home,
            connect_string,
            members,
            janitor,
        }
    }

    /// What a client connects to: `host:port`, comma separated, in order of the members' numbers.
    pub fn connect_string(&self) -> &str {
        &self.connect_string
    }

    /// The client address of member `n`.
    ///
    /// # Panics
    /// If there is no such member.
    #[track_caller]
    pub fn member(&self, n: usize) -> SocketAddr {
        let address = n.checked_sub(1).and_then(|at| self.members.get(at));
        *address.unwrap_or_else(|| panic!("no member {n} of {}", self.members.len()))
    }

    /// The members' numbers.
    pub fn numbers(&self) -> RangeInclusive<usize> {
        1..=self.members.len()
    }

    /// Kills member `n` as a crash would, and waits until it is gone.
    ///
    /// # Panics
    /// If it cannot.
    #[track_caller]
    pub fn kill(&self, n: usize) {
        self.order("kill", n);
    }

    /// Freezes member `n`. Its connections stay open and silent.
    ///
    /// # Panics
    /// If it cannot.
    #[track_caller]
    pub fn pause(&self, n: usize) {
        self.order("pause", n);
    }

    /// Lets a frozen member go on. One that led may think for a moment that it still does.
    ///
    /// # Panics
    /// If it cannot.
    #[track_caller]
    pub fn resume(&self, n: usize) {
        self.order("resume", n);
    }

    /// Stops member `n` if it runs, starts it with the data it had, and waits until it serves.
    ///
    /// # Panics
    /// If it does not serve within 30 s, as when it is no majority alone.
    #[track_caller]
    pub fn restart(&self, n: usize) {
        self.order("restart", n);
    }

    /// Starts all members again, as after an outage of the whole ensemble, and waits for them.
    ///
    /// # Panics
    /// If they do not serve within 30 s.
    #[track_caller]
    pub fn restart_all(&self) {
        self.script(&["restart", "all"]);
    }

    /// The number of the leader; if there is none yet, waits up to 30 s for its election.
    ///
    /// # Panics
    /// If none is elected.
    #[track_caller]
    pub fn leader(&self) -> usize {
        let found = poll(ELECTION, || try_script(&self.home, &["leader"]));
        let number = found.unwrap_or_else(|error| panic!("{error}"));
        number
            .parse()
            .unwrap_or_else(|_| panic!("{number:?} is no member's number"))
    }

    /// The lowest number of a member that follows; waits as [`leader`](Self::leader) does.
    ///
    /// # Panics
    /// If none does.
    #[track_caller]
    pub fn follower(&self) -> usize {
        let found = poll(ELECTION, || {
            self.find_mode("follower").ok_or("no member follows")
        });
        found.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits up to 30 s until all of these members serve clients.
    ///
    /// # Panics
    /// If one does not.
    #[track_caller]
    pub fn wait_for(&self, numbers: &[usize]) {
        let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
        let mut args = vec!["wait", "30"];
        args.extend(numbers.iter().map(String::as_str));
        self.script(&args);
    }

    /// Ends a session as if its time were over: its ephemeral nodes go, and its client finds out.
    ///
    /// # Panics
    /// If no member serves.
    #[track_caller]
    pub fn expire(&self, session_id: i64) {
        let id = format!("0x{session_id:016x}");
        let serving = self.numbers().find(|n| !self.mode(*n).is_empty());
        let serving = serving.expect("no member serves").to_string();
        self.script(&["expire", &id, &serving]);
    }

    /// Member `n`'s answer to a four-letter word; all of them are allowed.
    ///
    /// It is empty if the member does not answer within 2 s.
    pub fn four_letter_word(&self, n: usize, word: &str) -> String {
        try_script(&self.home, &["4lw", &n.to_string(), word]).unwrap_or_default()
    }

    /// A variable of `zk.sh env`, such as `ZK_TLS_CA`; `None` if the servers' options do not set it.
    pub fn variable(&self, name: &str) -> Option<String> {
        try_script(&self.home, &["exec", "printenv", name]).ok()
    }

    /// The folder with member `n`'s configuration, `data` and `server.log`.
    pub fn folder(&self, n: usize) -> PathBuf {
        self.home.join(n.to_string())
    }

    fn find_mode(&self, mode: &str) -> Option<usize> {
        self.numbers().find(|n| self.mode(*n) == mode)
    }

    fn mode(&self, n: usize) -> String {
        let answer = self.four_letter_word(n, "srvr");
        let mode = answer.lines().find_map(|line| line.strip_prefix("Mode: "));
        mode.unwrap_or_default().to_owned()
    }

    #[track_caller]
    fn order(&self, verb: &str, n: usize) {
        self.script(&[verb, &n.to_string()]);
    }

    #[track_caller]
    fn script(&self, args: &[&str]) -> String {
        script(&self.home, args)
    }
}

impl Drop for Ensemble {
    fn drop(&mut self) {
        if thread::panicking() {
            self.numbers()
                .for_each(|n| print_end_of_log(n, &self.folder(n)));
        }
        self.janitor.clean();
    }
}

/// A process that cleans up when its standard input ends, so even if this process is killed.
#[derive(Debug)]
struct Janitor(Child);

impl Janitor {
    fn new(home: &Path) -> Self {
        let work = r#"cat >/dev/null; bash "$0" clean 2>/dev/null; rm -rf "$ZK_HOME_DIR""#;
        let child = bash(home)
            .args(["-c", work, SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0) // so that Ctrl-C, which ends this process, does not end it as well
            .spawn();
        Self(child.unwrap_or_else(|error| panic!("cannot run bash: {error}")))
    }

    fn clean(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        self.clean();
    }
}

fn new_home() -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let home = homes().join(format!("docent-zk-{}-{n}", process::id()));
    fs::create_dir_all(&home).unwrap_or_else(|error| panic!("{}: {error}", home.display()));
    home
}

fn homes() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let fallback = || {
        if memory.is_dir() {
            memory.to_owned()
        } else {
            env::temp_dir()
        }
    };
    env::var_os(HOMES).map_or_else(fallback, PathBuf::from)
}

fn bash(home: &Path) -> Command {
    let mut command = Command::new("bash");
    command.env("ZK_HOME_DIR", home);
    command
}

#[track_caller]
fn script(home: &Path, args: &[&str]) -> String {
    try_script(home, args).unwrap_or_else(|error| panic!("{error}"))
}

fn try_script(home: &Path, args: &[&str]) -> Result<String, String> {
    let output = bash(home)
        .arg(SCRIPT)
        .args(args)
        .stdin(Stdio::null())
        .output();
    let output = output.map_err(|error| format!("cannot run bash: {error}"))?;
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!(
        "zk.sh {}: {} {}",
        args.join(" "),
        output.status,
        text(&output.stderr)
    ))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

#[track_caller]
fn address(text: &str) -> SocketAddr {
    text.parse()
        .unwrap_or_else(|_| panic!("zk.sh start printed {text:?} for an address"))
}

fn poll<T, E>(limit: Duration, mut probe: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let start = Instant::now();
    loop {
        match probe() {
            Err(_) if start.elapsed() < limit => thread::sleep(Duration::from_millis(50)),
            done => return done,
        }
    }
}

fn print_end_of_log(n: usize, folder: &Path) {
    let log = fs::read_to_string(folder.join("server.log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    let end = lines.len().saturating_sub(15);
    eprintln!(
        "--- the end of member {n}'s log\n{}",
        lines[end..].join("\n")
    );
}
