//! Simulations as users write them: what is wrong in their code is found, and what is right passes.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use docent_core::client::Client;
use docent_core::error::{Code, Error};
use docent_core::path::Path;
use docent_core::recipes::Lock;
use docent_core::session::End;
use docent_core::wire::{Acl, Create, CreateMode, GetData, Multi, Op, SetData};
use docent_testing::sim::{self, Failure, Fault, Process, Sim, Simulation};

/// The bug has to be found by so many seeds.
const SEEDS: u64 = 100;

const SECOND: Duration = Duration::from_secs(1);

fn path(text: &str) -> Path<'_> {
    Path::new(text).expect("a valid path")
}

fn create<'a>(at: &'a str, data: &'a [u8]) -> Create<'a> {
    Create {
        path: path(at),
        data,
        mode: CreateMode::Persistent,
        acl: Acl::OPEN,
    }
}

// ---- a counter that several processes add to ----

async fn count<C: Client>(client: &C) -> Result<(u64, i32), Error> {
    let get = GetData {
        path: path("/count"),
    };
    let counter = loop {
        match client.retry(get).await {
            Err(Error::NotSent(End::Expired)) => {}
            counter => break counter?,
        }
    };
    let text = std::str::from_utf8(counter.data()).expect("digits");
    Ok((text.parse().expect("digits"), counter.stat().version))
}

fn may_try_again(error: Error) -> bool {
    matches!(
        error,
        Error::ConnectionLost | Error::Server(Code::BadVersion) | Error::NotSent(End::Expired)
    )
}

/// Adds one, and starts over if the connection is lost: it may add two.
async fn add_blindly<C: Client>(client: &C, _id: &str) -> Result<(), Error> {
    loop {
        let (count, version) = count(client).await?;
        let sum = (count + 1).to_string();
        let set = SetData {
            path: path("/count"),
            data: sum.as_bytes(),
            version: Some(version),
        };
        match client.call(set).await {
            Ok(_) => return Ok(()),
            Err(error) if may_try_again(error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Adds one, and leaves a mark by which it knows that it has.
async fn add_once<C: Client>(client: &C, id: &str) -> Result<(), Error> {
    let mark = format!("/added/{id}");
    loop {
        let (count, version) = count(client).await?;
        let sum = (count + 1).to_string();
        let set = SetData {
            path: path("/count"),
            data: sum.as_bytes(),
            version: Some(version),
        };
        let ops = [Op::Create(create(&mark, b"")), Op::SetData(set)];
        let added = match client.call(Multi { ops: &ops }).await {
            Ok(reply) => reply
                .outcome()
                .map(drop)
                .map_err(|failure| Error::Server(failure.code)),
            Err(error) => Err(error),
        };
        match added {
            Ok(()) | Err(Error::Server(Code::NodeExists)) => return Ok(()),
            Err(error) if may_try_again(error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Three processes add five each.
async fn fifteen<A>(sim: Simulation, add: A)
where
    A: AsyncFn(&sim::Client, &str) -> Result<(), Error> + Copy + 'static,
{
    let client = sim.client();
    client
        .call(create("/count", b"0"))
        .await
        .expect("nothing to go wrong yet");
    client
        .call(create("/added", b""))
        .await
        .expect("nothing to go wrong yet");
    let adders: Vec<_> = (0..3).map(|_| sim.process()).collect();
    let tasks = adders.iter().map(|process| {
        let (id, client, sim) = (process.id(), process.client(), sim.clone());
        process.spawn(async move {
            for turn in 0..5 {
                add(&client, &format!("{id}-{turn}")).await.expect("added");
                sim.sleep(SECOND).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("nobody crashes");
    }
    let (count, _) = count(&client).await.expect("a count");
    assert_eq!(count, 15);
}

fn faulty() -> Sim {
    Sim::new(0).faults(Fault::USUAL).heal_after(10 * SECOND)
}

#[test]
fn a_counter_that_adds_twice_is_found() {
    let found = faulty().find(0..SEEDS, |sim| fifteen(sim, add_blindly));
    let failure = found.expect("a seed that fails");
    assert!(failure.what.contains("assertion"), "{failure}");
    // Only those faults are left that it takes.
    assert!((1..=5).contains(&failure.faults.len()), "{failure}");
}

#[test]
fn a_counter_that_adds_once_passes() {
    faulty().sweep(0..SEEDS, |sim| fifteen(sim, add_once));
}

// ---- a leader that writes to something outside of ZooKeeper ----

/// What the leader keeps: it knows the token of the newest leader it has heard of.
#[derive(Clone, Default)]
struct Ledger(Rc<RefCell<(i64, u64)>>);

impl Ledger {
    fn read(&self, token: i64) -> Option<u64> {
        let mut ledger = self.0.borrow_mut();
        ledger.0 = ledger.0.max(token);
        (ledger.0 == token).then_some(ledger.1)
    }

    fn write(&self, token: i64, balance: u64) -> bool {
        let good = self.read(token).is_some();
        if good {
            self.0.borrow_mut().1 = balance;
        }
        good
    }

    fn balance(&self) -> u64 {
        self.0.borrow().1
    }
}

/// Books one while it leads. It looks once whether it does.
async fn book(process: &Process, ledger: &Ledger, fenced: bool) -> bool {
    let lock = Lock::new(process.client(), path("/leader")).expect("room for a path");
    let guard = lock.acquire().await.expect("a lock in the end");
    let token = if fenced { guard.fencing_token() } else { 0 };
    let Some(balance) = ledger.read(token) else {
        return false;
    };
    process.sleep(SECOND / 5).await;
    ledger.write(token, balance + 1)
}

/// Two processes book five each.
async fn ten(sim: Simulation, fenced: bool) {
    let ledger = Ledger::default();
    let bookers: Vec<_> = (0..2).map(|_| sim.process()).collect();
    let tasks = bookers.into_iter().map(|process| {
        let ledger = ledger.clone();
        process.clone().spawn(async move {
            for _ in 0..5 {
                while !book(&process, &ledger, fenced).await {}
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("nobody crashes");
    }
    assert_eq!(ledger.balance(), 10);
}

#[test]
fn a_leader_without_fencing_is_found() {
    let found = faulty()
        .every(SECOND / 5)
        .find(0..SEEDS, |sim| ten(sim, false));
    let failure = found.expect("a seed that fails");
    assert!(failure.what.contains("assertion"), "{failure}");
}

#[test]
fn a_leader_with_fencing_passes() {
    faulty()
        .every(SECOND / 5)
        .sweep(0..SEEDS, |sim| ten(sim, true));
}

// ---- the simulation itself ----

fn failure<F>(sim: Sim, scenario: impl FnOnce(Simulation) -> F + 'static) -> Failure
where
    F: Future<Output = ()>,
{
    *sim.try_run(scenario).expect_err("a failure")
}

#[test]
fn the_value_of_the_scenario_comes_back() {
    let id = Sim::new(1).run(async |sim: Simulation| {
        let (_, id, _) = sim.client().session().await.expect("a session");
        sim.ensemble(|ensemble| assert!(ensemble.sessions().any(|other| other == id)));
        id
    });
    assert_ne!(id, 0);
}

#[test]
fn a_panic_is_told_with_its_place() {
    let failure = failure(Sim::new(1), async |sim: Simulation| {
        let task = sim.spawn(async { panic!("this is wrong") });
        sim.note("a line");
        let _: Option<()> = task.await;
    });
    let told = failure.to_string();
    for part in ["seed 1", "this is wrong", "simulation.rs", "a line"] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn who_waits_for_nothing_is_told() {
    let failure = failure(Sim::new(1), async |sim: Simulation| {
        let process = sim.process();
        process.spawn(std::future::pending::<()>()).await;
    });
    assert!(failure.what.contains("nobody goes on"), "{failure}");
}

#[test]
fn who_never_ends_is_told() {
    let sim = Sim::new(1).time_limit(10 * SECOND);
    let failure = failure(sim, async |sim: Simulation| {
        loop {
            sim.sleep(SECOND).await;
        }
    });
    assert!(failure.what.contains("not over after 10 s"), "{failure}");
}

#[test]
fn what_does_not_depend_on_the_seed_is_told() {
    let turns = Rc::new(RefCell::new(0_u64));
    let found = Sim::new(0).find(0..1, move |sim| {
        let turns = Rc::clone(&turns);
        async move {
            *turns.borrow_mut() += 1;
            sim.note(turns.borrow());
            panic!("always");
        }
    });
    let failure = found.expect("a failure");
    assert!(failure.what.contains("went differently"), "{failure}");
}

#[test]
fn a_process_that_is_frozen_loses_its_session_to_time() {
    Sim::new(3).run(async |sim: Simulation| {
        let process = sim.process();
        let client = process.client();
        let (_, first, _) = client.session().await.expect("a session");
        process.pause_for(20 * SECOND);
        let task = process.spawn(async move { client.session().await.expect("a session").1 });
        sim.sleep(10 * SECOND).await;
        assert_eq!(sim.ensemble(|ensemble| ensemble.sessions().count()), 0);
        assert_ne!(task.await, Some(first));
    });
}

#[test]
fn a_process_that_crashes_starts_again() {
    let starts = Sim::new(4).run(async |sim: Simulation| {
        let starts = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&starts);
        let process = sim.start(move |process| {
            let seen = Rc::clone(&seen);
            async move {
                let session = process.client().session().await.expect("a session");
                seen.borrow_mut().push(session.1);
                std::future::pending().await
            }
        });
        sim.sleep(SECOND).await;
        process.crash();
        sim.sleep(SECOND).await;
        process.close();
        sim.sleep(SECOND).await;
        starts.take()
    });
    assert_eq!(starts.len(), 3);
    assert!(starts[0] != starts[1] && starts[1] != starts[2]);
}

#[test]
fn tasks_of_a_process_end_with_it() {
    Sim::new(5).run(async |sim: Simulation| {
        let process = sim.process();
        let task = process.spawn(std::future::pending::<()>());
        process.crash();
        assert_eq!(task.await, None);
    });
}

#[test]
fn boards_run_the_same_code() {
    Sim::new(6).run(async |sim: Simulation| {
        let client = sim.client_on_board();
        client
            .call(create("/board", b"small"))
            .await
            .expect("created");
        let data = sim
            .client()
            .retry(GetData {
                path: path("/board"),
            })
            .await;
        assert_eq!(data.expect("a node").data(), b"small");
    });
}

#[test]
fn whoever_is_cut_off_comes_back() {
    Sim::new(7).run(async |sim: Simulation| {
        let process = sim.process();
        let client = process.client();
        let (_, session, status) = client.session().await.expect("a session");
        assert!(process.cut());
        process.part_from_all(2 * SECOND);
        let later = sim
            .timeout(SECOND, client.changed(status))
            .await
            .expect("a loss");
        assert!(!later.state.is_connected());
        sim.heal();
        let (_, same, _) = client.session().await.expect("a session");
        assert_eq!(session, same);
        assert!(process.expire());
        sim.timeout(SECOND, client.changed(client.status()))
            .await
            .expect("a loss");
        assert_ne!(client.session().await.expect("a session").1, same);
    });
}
