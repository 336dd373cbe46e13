//! Chaos: a whole Landfall under load, of which some process is killed about every second; in the end every event that
//! was acknowledged must be stored once, and receipts, and nothing else. For tests only: `scripts/chaos`, and `.ci/run`.
#![expect(clippy::print_stdout, reason = "a program for people: it prints what happened")]

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
use queue::QueueReader;
use sqlx::sqlite::SqlitePool;

use crate::checker::{Findings, Observed};
use crate::cluster::Cluster;
use crate::fault_schedule::{FaultSchedule, Kills};
use crate::load::Load;
use crate::target::Target;

/// From the last kill on; after it, whatever is still queued is stranded.
const DRAIN_MAX: Duration = Duration::from_secs(180);
const TICK: Duration = Duration::from_millis(100);
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// Kills and stops the processes of a Landfall under load, and checks that nothing was lost.
#[derive(Debug, Parser)]
#[command(name = "chaos")]
struct Flags {
    /// How long there is load and havoc; draining and checking come after it
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,
    /// Decides what is sent, and what is killed when
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// New events a second at most; fewer while the backlog is long
    #[arg(long, default_value_t = 300)]
    events_per_sec: u32,
    /// Keep the folder with the database and the logs, also after a good end
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

/// Whether all is as it must be.
async fn run(flags: &Flags) -> anyhow::Result<bool> {
    // reqwest asks for a TLS provider even where nothing is encrypted.
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
    let reader = QueueReader::new(&cluster.queue_config()).context("the queue cannot be read")?;

    let load =
        Load::start(flags.seed, flags.events_per_sec, cluster.webhook_urls(), &openai, reader.clone())?;
    let kills = inject_faults(flags, &mut cluster, &load).await?;
    println!("calm: every process runs; waiting until all is worked off");
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
    let good = drained.is_some() && findings.is_clean();
    if flags.keep || !good {
        cluster.folder.disable_cleanup(true);
        println!("database and logs: {}", cluster.folder.path().display());
    }
    Ok(good)
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

/// Waits until nothing is undelivered, pending or delayed, and nobody is still to be receipts; how long that took.
async fn drain(
    cluster: &mut Cluster,
    reader: &QueueReader,
    database: &SqlitePool,
) -> anyhow::Result<Option<Duration>> {
    let started = Instant::now();
    while started.elapsed() < DRAIN_MAX {
        let stats = reader.stats().await?;
        let missing = "SELECT count(*) FROM notifications WHERE state = 'pending'";
        let missing: i64 = sqlx::query_scalar(missing).fetch_one(database).await?;
        if missing == 0 && stats.iter().all(|family| family.backlog() == 0) {
            return Ok(Some(started.elapsed()));
        }
        cluster.supervise()?;
        tokio::time::sleep(TICK).await;
    }
    Ok(None)
}
