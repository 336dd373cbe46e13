//! Chaos test: runs a complete Landfall under load and kills a process about once per second. In the end every acknowledged
//! event must be stored exactly once and notified, and nothing else. Used by `scripts/chaos` and `.ci/run`.
#![expect(clippy::print_stdout, reason = "a program that prints its results")]

mod checker;
mod cluster;
mod effects;
mod event_plan;
mod fault_schedule;
mod load;
mod notification_check;
mod openai;
mod service;
mod target;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use fastrand::Rng;
use queue::QueueAdmin;
use sqlx::sqlite::SqlitePool;

use crate::checker::{Findings, Observed};
use crate::cluster::Cluster;
use crate::fault_schedule::{FaultSchedule, Kills};
use crate::load::Load;
use crate::target::Target;

/// Time to drain after the last kill. Entries that are queued longer are stuck.
const DRAIN_MAX: Duration = Duration::from_secs(180);
const TICK: Duration = Duration::from_millis(100);
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// Kills and freezes the processes of a Landfall under load, and checks that nothing is lost
#[derive(Debug, Parser)]
#[command(name = "chaos")]
struct Flags {
    /// Duration of load and faults, in minutes; draining and checking follow
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,
    /// Seed of the load and of the fault schedule
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Maximum new events per second; fewer while the backlog is long
    #[arg(long, default_value_t = 300)]
    events_per_sec: u32,
    /// Keep the folder with the database and the logs even if all checks pass
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Flags::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("chaos could not run: {error:#}");
            ExitCode::from(3)
        }
    }
}

/// Runs the test. Returns whether all checks passed.
async fn run(flags: &Flags) -> anyhow::Result<bool> {
    // reqwest needs a TLS provider even for plain HTTP.
    rustls::crypto::ring::default_provider().install_default().ok();
    let openai = Arc::new(openai::start().await?);
    let target = Target::start(flags.seed);
    let mut cluster = Cluster::start(&openai.base_url(), &target)?;
    println!(
        "seed {}: redis-server, 2 ingest and 3 worker in {}",
        flags.seed,
        cluster.folder.path().display()
    );
    let database = effects::watch(&cluster.database()).await?;
    let reader = QueueAdmin::new(&cluster.queue_config()).context("cannot connect to the queue")?;

    let load =
        Load::start(flags.seed, flags.events_per_sec, cluster.webhook_urls(), &openai, reader.clone())?;
    let kills = inject_faults(flags, &mut cluster, &load).await?;
    println!("all processes run again; waiting until the queue is drained");
    cluster.heal()?;
    target.make_reliable();
    let sent = load.end().await;
    let drained = drain(&mut cluster, &reader, &database).await?;

    let receipts = target.receipts();
    let findings = Findings::collect(
        &Observed { seed: flags.seed, sent: &sent, receipts: &receipts },
        &cluster,
        &reader,
        &database,
    )
    .await?;
    database.close().await;
    findings.print(&sent, &kills, &cluster.unexpected_exits(), drained);
    let passed = drained.is_some() && findings.is_clean();
    if flags.keep || !passed {
        cluster.folder.disable_cleanup(true);
        println!("database and logs: {}", cluster.folder.path().display());
    }
    Ok(passed)
}

async fn inject_faults(flags: &Flags, cluster: &mut Cluster, load: &Load) -> anyhow::Result<Kills> {
    let mut schedule = FaultSchedule::new(Rng::with_seed(flags.seed));
    let until = Instant::now() + Duration::from_secs_f64(flags.minutes * 60.0);
    let mut next_report = Instant::now() + PROGRESS_EVERY;
    while Instant::now() < until {
        tokio::time::sleep(TICK).await;
        cluster.supervise()?;
        schedule.inject_when_due(cluster)?;
        if Instant::now() > next_report {
            next_report += PROGRESS_EVERY;
            println!("  {}, {} processes killed", load.progress(), schedule.kills.all());
        }
    }
    Ok(schedule.kills)
}

/// Waits until no entry is undelivered, pending or delayed and no notification is pending. Returns how long that took, or
/// `None` after a timeout.
async fn drain(
    cluster: &mut Cluster,
    reader: &QueueAdmin,
    database: &SqlitePool,
) -> anyhow::Result<Option<Duration>> {
    let started = Instant::now();
    while started.elapsed() < DRAIN_MAX {
        let stats = reader.stats().await?;
        let pending = "SELECT count(*) FROM notifications WHERE state = 'pending'";
        let pending: i64 = sqlx::query_scalar(pending).fetch_one(database).await?;
        if pending == 0 && stats.iter().all(|family| family.backlog() == 0) {
            return Ok(Some(started.elapsed()));
        }
        cluster.supervise()?;
        tokio::time::sleep(TICK).await;
    }
    Ok(None)
}
