//! A cache of a tree of many nodes: how fast it is built, how fast it takes in that all of them have
//! changed, and what it takes of memory.

use std::env;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use docent::cache::{Cache, Event};
use docent::wire::SetData;
use docent::{Acl, Client, CreateMode, Op, Path};
use serde::{Deserialize, Serialize};

use crate::{heap, process};

/// Nodes with data, a hundredth of which share a parent.
const NODES: usize = 10_000;
const ROUNDS: usize = 5;
/// So many operations are in one transaction.
const BATCH: usize = 500;

/// What a subject tells of one round.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct Round {
    nodes: usize,
    build_ms: f64,
    /// From the first change on, which the subject itself makes, until it has seen them all.
    refresh_ms: f64,
    /// Until the last change was acknowledged.
    written_ms: f64,
    bytes_per_node: f64,
}

fn name(path: &str, node: usize) -> String {
    format!("{path}/d{:02}/n{node:05}", node % 100)
}

/// Creates the tree, plays the subjects in turn, and prints what they tell.
pub(crate) async fn run(address: &str, classes: &str) -> anyhow::Result<()> {
    let path = "/bench-cache";
    let client = docent::connect(address).await?;
    fill(&client, path).await?;
    client.close().await;
    let (mut docent, mut curator) = (Vec::new(), Vec::new());
    // The first round of each is not counted.
    for round in 0..=ROUNDS {
        let mut own = Command::new(env::current_exe()?);
        own.args(["cache", address, path]);
        let mut java = Command::new("java");
        java.args([
            "-cp",
            classes,
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
        ]);
        java.args(["Caches", address, path, &NODES.to_string()]);
        for (command, rounds) in [(own, &mut docent), (java, &mut curator)] {
            let told = play(command)?;
            eprintln!("{told:?}");
            rounds.extend((round > 0).then_some(told));
        }
    }
    println!(
        "A cache of {NODES} nodes with data, 100 parents, on a real 3.8; medians of {ROUNDS} rounds:\n"
    );
    println!("| subject | build ms | refresh ms | of that writing ms | heap bytes/node |");
    println!("|---|---:|---:|---:|---:|");
    for (subject, rounds) in [("docent", &docent), ("Curator", &curator)] {
        let median = |of: fn(&Round) -> f64| {
            let mut values: Vec<_> = rounds.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        println!(
            "| {subject} | {:.0} | {:.0} | {:.0} | {:.0} |",
            median(|round| round.build_ms),
            median(|round| round.refresh_ms),
            median(|round| round.written_ms),
            median(|round| round.bytes_per_node)
        );
    }
    Ok(())
}

fn play(mut command: Command) -> anyhow::Result<Round> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line)
        .with_context(|| format!("{line:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Docent as a subject.
pub(crate) async fn measure(address: &str, path: &str) -> anyhow::Result<()> {
    process::die_after(60);
    let (client, writer) = (
        docent::connect(address).await?,
        docent::connect(address).await?,
    );
    // One that is not measured, as in the program in Java.
    client.cache(path).start()?.ready().await?;
    // Its task ends at its next turn.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let empty = heap::live_bytes();
    let start = Instant::now();
    let cache = client.cache(path).start()?;
    cache.ready().await?;
    let build_ms = start.elapsed().as_secs_f64() * 1e3;
    let nodes = cache.tally().nodes;
    let bytes = heap::live_bytes() - empty;

    let mut events = cache.events();
    until_ready(&mut events).await;
    let start = Instant::now();
    let change = tokio::spawn(change(writer, path.to_owned()));
    await_changes(&cache, &mut events).await;
    let refresh_ms = start.elapsed().as_secs_f64() * 1e3;
    let written_ms = (change.await?? - start).as_secs_f64() * 1e3;
    let round = Round {
        nodes,
        build_ms,
        refresh_ms,
        written_ms,
        bytes_per_node: bytes as f64 / nodes as f64,
    };
    println!("{}", serde_json::to_string(&round)?);
    Ok(())
}

async fn until_ready(events: &mut docent::cache::Events) {
    while let Some(event) = events.next().await {
        if matches!(event, Event::Ready { .. }) {
            return;
        }
    }
}

/// Waits until every node with data has changed once.
async fn await_changes(cache: &Cache, events: &mut docent::cache::Events) {
    let before = cache.as_of_zxid();
    let mut left = NODES;
    while left > 0 {
        if let Some(Event::Put {
            old: Some(old),
            new,
        }) = events.next().await
        {
            let is_first = old.stat().mzxid <= before && new.stat().mzxid > before;
            left -= usize::from(is_first);
        }
    }
}

/// Sets all nodes, and says when.
async fn change(client: Client, path: String) -> anyhow::Result<Instant> {
    let names: Vec<_> = (0..NODES).map(|node| name(&path, node)).collect();
    for names in names.chunks(BATCH) {
        let set = |name| {
            Ok(Op::SetData(SetData {
                path: Path::new(name)?,
                data: b"changed for the cache to see it all",
                version: None,
            }))
        };
        let ops: Vec<_> = names
            .iter()
            .map(|name| set(name))
            .collect::<anyhow::Result<_>>()?;
        ensure!(client.multi(&ops).await?.outcome().is_ok(), "cannot write");
    }
    Ok(Instant::now())
}

async fn fill(client: &Client, path: &str) -> anyhow::Result<()> {
    let parents = (0..100).map(|parent| format!("{path}/d{parent:02}"));
    let nodes = (0..NODES).map(|node| name(path, node));
    let all: Vec<_> = [path.to_owned()]
        .into_iter()
        .chain(parents)
        .chain(nodes)
        .collect();
    for names in all.chunks(BATCH) {
        let create = |name| {
            Ok(Op::Create(docent::wire::Create {
                path: Path::new(name)?,
                data: b"what a node of a configuration has",
                mode: CreateMode::Persistent,
                acl: Acl::OPEN,
            }))
        };
        let ops: Vec<_> = names
            .iter()
            .map(|name| create(name))
            .collect::<anyhow::Result<_>>()?;
        ensure!(client.multi(&ops).await?.outcome().is_ok(), "cannot create");
    }
    Ok(())
}
