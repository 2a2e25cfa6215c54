//! The runner: starts the null servers, then each client in turn, round after round.
//!
//! A single-threaded subject and its null server share one core, unless told otherwise. Waking the
//! other core costs several times as much as the work that is measured, it is needed only now and
//! then, and on a virtual machine it depends on what the neighbours do: the CPU time of the raw
//! floor varies threefold with it. On one core it stays within some per cent, and the floor is the
//! lowest, hence the ratios the strictest. Multi-threaded subjects have all the cores.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, bail, ensure};

use crate::metric::Metrics;
use crate::plan::{Client, Plan, Runtime, Scenario, Subject};
use crate::process;
use crate::report::Report;
use crate::server::Terms;
use crate::table;

/// Sessions of the idle scenario, and how often they have to ping: at least each second.
const IDLE_SESSIONS: usize = 1000;
const IDLE_TIMEOUT_MS: i32 = 3_000;
/// Contenders for a lock that goes from hand to hand, and for one that nobody else wants.
const CONTENDERS: [usize; 2] = [8, 1];
/// Long enough for pings not to disturb the reads.
const READ_TIMEOUT_MS: i32 = 40_000;

/// What the runner was asked for.
#[derive(Default)]
pub(crate) struct Options {
    quick: bool,
    /// Let the scheduler place all processes.
    spread: bool,
    json: PathBuf,
    /// `host:port` of a real server, for what needs one.
    server: String,
    /// The class path with which Java finds the Curator subject.
    classes: String,
    /// Where criterion keeps its estimates, when it has run.
    criterion: Option<PathBuf>,
}

impl Options {
    /// Reads the command line.
    pub(crate) fn parse(words: &[&str]) -> anyhow::Result<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .with_context(|| format!("{word} needs a value"))
            };
            match *word {
                "--quick" => options.quick = true,
                "--spread" => options.spread = true,
                "--json" => options.json = value()?.into(),
                "--server" => options.server = value()?.to_string(),
                "--classes" => options.classes = value()?.to_string(),
                "--criterion" => options.criterion = Some(value()?.into()),
                other => bail!("unknown option {other}"),
            }
        }
        Ok(options)
    }
}

/// Measures everything, prints the tables and writes the JSON.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let schedule = Schedule::new(options.quick);
    let core = if options.spread {
        None
    } else {
        process::last_core()
    };
    let mut report = Report::new(options.quick, core);
    report.add_codec(options.criterion.as_deref())?;
    schedule.measure_reads(&mut report)?;
    schedule.measure_idle(&mut report)?;
    publish(&report, &options.json)
}

/// Measures how fast a lock goes from hand to hand on a real server.
pub(crate) fn run_hand_offs(options: &Options) -> anyhow::Result<()> {
    let mut report = Report::new(options.quick, None);
    Schedule::new(options.quick).measure_hand_offs(&mut report, options)?;
    publish(&report, &options.json)
}

fn publish(report: &Report, json: &Path) -> anyhow::Result<()> {
    print!("{}", table::markdown(report));
    fs::write(json, serde_json::to_string_pretty(&report.to_json())?)
        .with_context(|| format!("cannot write {}", json.display()))
}

/// How often and how long everything runs.
struct Schedule {
    rounds: usize,
    warm_up: Duration,
    measure: Duration,
    idle_rounds: usize,
    hold: Duration,
    hand_off_rounds: usize,
    /// The JVM compiles what it has seen often.
    hand_off_warm_up: Duration,
}

impl Schedule {
    const QUICK: Self = Self {
        rounds: 5,
        warm_up: Duration::from_millis(100),
        measure: Duration::from_millis(300),
        idle_rounds: 1,
        hold: Duration::from_secs(3),
        hand_off_rounds: 3,
        hand_off_warm_up: Duration::from_secs(2),
    };
    const FULL: Self = Self {
        rounds: 9,
        warm_up: Duration::from_millis(400),
        measure: Duration::from_millis(1500),
        idle_rounds: 3,
        hold: Duration::from_secs(6),
        hand_off_rounds: 7,
        hand_off_warm_up: Duration::from_secs(4),
    };

    fn new(quick: bool) -> Self {
        if quick { Self::QUICK } else { Self::FULL }
    }

    fn measure_reads(&self, report: &mut Report) -> anyhow::Result<()> {
        let servers = Servers::start(report.core)?;
        for round in 0..self.rounds {
            for scenario in [self.reads(256, 128), self.reads(1, 1)] {
                measure_all(report, &servers, scenario, &rotated(read_subjects(), round))?;
            }
        }
        Ok(())
    }

    fn reads(&self, window: usize, sample_every: u64) -> Scenario {
        let Self {
            warm_up, measure, ..
        } = *self;
        Scenario::Reads {
            window,
            sample_every,
            warm_up,
            measure,
        }
    }

    fn measure_idle(&self, report: &mut Report) -> anyhow::Result<()> {
        let terms = Terms {
            timeout_ms: IDLE_TIMEOUT_MS,
            core: None,
        };
        let servers = Servers {
            any_core: Server::start(terms)?,
            one_core: None,
        };
        let scenario = Scenario::Idle {
            sessions: IDLE_SESSIONS,
            hold: self.hold,
        };
        for round in 0..self.idle_rounds {
            measure_all(report, &servers, scenario, &rotated(idle_subjects(), round))?;
        }
        Ok(())
    }

    fn measure_hand_offs(&self, report: &mut Report, options: &Options) -> anyhow::Result<()> {
        for round in 0..self.hand_off_rounds {
            for contenders in CONTENDERS {
                for subject in rotated(hand_off_subjects(), round) {
                    self.measure_hand_off(report, options, subject, contenders)?;
                }
            }
        }
        Ok(())
    }

    fn measure_hand_off(
        &self,
        report: &mut Report,
        options: &Options,
        subject: Subject,
        contenders: usize,
    ) -> anyhow::Result<()> {
        let scenario = Scenario::HandOffs {
            contenders,
            warm_up: self.hand_off_warm_up,
            measure: self.measure,
        };
        let plan = Plan {
            subject,
            scenario,
            address: options.server.clone(),
            core: None,
        };
        let child = match subject.client {
            Client::Curator => curator(&options.classes, &plan),
            _ => client(&plan),
        }?;
        let metrics =
            measure_in_child(child).with_context(|| format!("{subject}, {scenario:?}"))?;
        report.add(scenario, subject, metrics);
        Ok(())
    }
}

fn measure_all(
    report: &mut Report,
    servers: &Servers,
    scenario: Scenario,
    subjects: &[Subject],
) -> anyhow::Result<()> {
    for &subject in subjects {
        let server = servers.of(subject.runtime);
        let address = server.address.clone();
        let plan = Plan {
            subject,
            scenario,
            address,
            core: server.core,
        };
        let metrics =
            measure_in_child(client(&plan)?).with_context(|| format!("{subject}, {scenario:?}"))?;
        report.add(scenario, subject, metrics);
    }
    Ok(())
}

/// The libraries that were built in.
fn libraries() -> impl Iterator<Item = Client> {
    let docent = cfg!(feature = "docent").then_some(Client::Docent);
    docent.into_iter().chain([Client::Peer])
}

fn read_subjects() -> Vec<Subject> {
    let runtimes = [Runtime::Current, Runtime::Multi];
    let clients = || [Client::Raw].into_iter().chain(libraries());
    let row = |runtime| clients().map(move |client| Subject { client, runtime });
    runtimes.into_iter().flat_map(row).collect()
}

fn idle_subjects() -> Vec<Subject> {
    libraries()
        .map(|client| Subject {
            client,
            runtime: Runtime::Current,
        })
        .collect()
}

fn hand_off_subjects() -> Vec<Subject> {
    let runtimes = [Runtime::Current, Runtime::Multi];
    let row = |runtime| libraries().map(move |client| Subject { client, runtime });
    let curator = Subject {
        client: Client::Curator,
        runtime: Runtime::Multi,
    };
    runtimes
        .into_iter()
        .flat_map(row)
        .chain([curator])
        .collect()
}

/// Each round begins with another subject, so that none always follows the same one.
fn rotated(mut subjects: Vec<Subject>, round: usize) -> Vec<Subject> {
    let middle = round % subjects.len();
    subjects.rotate_left(middle);
    subjects
}

fn measure_in_child(mut child: Command) -> anyhow::Result<Metrics> {
    let output = child.stderr(Stdio::inherit()).output()?;
    ensure!(
        output.status.success(),
        "the client process failed: {}",
        output.status
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn client(plan: &Plan) -> anyhow::Result<Command> {
    own(&["client", &serde_json::to_string(plan)?])
}

/// The subject in Java takes the plan of its one scenario as words.
fn curator(classes: &str, plan: &Plan) -> anyhow::Result<Command> {
    let Scenario::HandOffs {
        contenders,
        warm_up,
        measure,
    } = plan.scenario
    else {
        bail!("Curator is only measured by its lock");
    };
    let mut command = Command::new("java");
    command
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
        .args(["-cp", classes, "HandOffs", &plan.address])
        .arg(contenders.to_string())
        .arg(warm_up.as_millis().to_string())
        .arg(measure.as_millis().to_string());
    Ok(command)
}

fn own(arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.args(arguments);
    Ok(command)
}

/// The null servers of the subjects.
struct Servers {
    any_core: Server,
    /// Of the single-threaded subjects, which share the core with it.
    one_core: Option<Server>,
}

impl Servers {
    fn start(core: Option<usize>) -> anyhow::Result<Self> {
        let start = |core| {
            Server::start(Terms {
                timeout_ms: READ_TIMEOUT_MS,
                core,
            })
        };
        let one_core = core.map(|core| start(Some(core))).transpose()?;
        Ok(Self {
            any_core: start(None)?,
            one_core,
        })
    }

    fn of(&self, runtime: Runtime) -> &Server {
        let one_core = self
            .one_core
            .as_ref()
            .filter(|_| runtime == Runtime::Current);
        one_core.unwrap_or(&self.any_core)
    }
}

/// A null server process, which ends with this value (or with the runner).
struct Server {
    process: Child,
    address: String,
    core: Option<usize>,
}

impl Server {
    fn start(terms: Terms) -> anyhow::Result<Self> {
        let mut command = own(&["serve", &serde_json::to_string(&terms)?])?;
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let port = first_line(&mut process)?;
        ensure!(
            !port.is_empty(),
            "the null server did not start: {}",
            process.wait()?
        );
        Ok(Self {
            process,
            address: format!("127.0.0.1:{port}"),
            core: terms.core,
        })
    }
}

fn first_line(process: &mut Child) -> anyhow::Result<String> {
    let stdout = process
        .stdout
        .take()
        .context("the null server has no output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already; there is nobody to tell either way.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
