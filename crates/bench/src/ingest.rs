//! `bench ingest`: all peers run at once and take short turns under the same load, so that drift affects all of them.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum as _;
use test_support::redis::RedisServer;
use webhook::SigningSecret;

use crate::load::{self, LoadOptions};
use crate::peer::{PATH, Peer, Server};
use crate::plan::{Mix, Plan};
use crate::table::{self, Figures};
use crate::{idle_connections, process};

/// A turn is repeated once if other processes used more CPU than this.
const OTHER_CORES_MAX: f64 = 0.2;
const WARM_UP: usize = 6000;

#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// Servers to compare
    #[arg(long, value_enum, value_delimiter = ',', default_value = "bare,ingest,ingest-info")]
    peers: Vec<Peer>,
    /// Turns per server
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// Target duration of a turn
    #[arg(long, default_value_t = 2.5)]
    seconds: f64,
    /// Connections that send requests
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Open loop: send this many requests per second; latency is measured from the scheduled send time
    #[arg(long)]
    rate: Option<f64>,
    /// Size of a request body
    #[arg(long, default_value_t = 250)]
    body_bytes: usize,
    /// Percentage of requests that repeat an earlier webhook byte for byte
    #[arg(long, default_value_t = 0.0)]
    duplicates: f64,
    /// Percentage of requests with a wrong signature
    #[arg(long, default_value_t = 0.0)]
    forgeries: f64,
    /// Number of secrets that ingest has to try; the last one matches
    #[arg(long, default_value_t = 1)]
    secrets: usize,
    /// Additional connections that send nothing
    #[arg(long, default_value_t = 0)]
    idle: usize,
    /// Append-only file of Redis: no, everysec or always
    #[arg(long, default_value = "no")]
    aof: String,
}

struct TestBed<'f> {
    flags: &'f Flags,
    redis: RedisServer,
    secrets: Vec<String>,
}

struct Contender {
    peer: Peer,
    server: Server,
    idle_mib: f64,
    requests: usize,
}

pub(crate) fn run(flags: &Flags) -> Result<()> {
    let redis = match flags.aof.as_str() {
        "no" => RedisServer::start_with(&["--appendonly", "no"]),
        policy => RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", policy]),
    };
    let key = |number: usize| [u8::try_from(number % 251).unwrap_or(0); 32];
    let secrets = (0..flags.secrets.max(1)).map(|number| SigningSecret::encode(&key(number))).collect();
    let bed = TestBed { flags, redis, secrets };
    let mut contenders = Vec::new();
    for &peer in &flags.peers {
        contenders.push(bed.prepare(peer)?);
    }
    let mut all = Vec::new();
    for turn in 0..flags.turns {
        for contender in &contenders {
            let mut figures = bed.turn(contender, turn)?;
            if figures.other_cores > OTHER_CORES_MAX {
                figures = bed.turn(contender, turn)?;
            }
            eprintln!(
                "turn {}: {}: {:.0} requests/s, {:.1} µs CPU, other processes {:.2} cores",
                turn + 1,
                contender.peer.name(),
                figures.rate,
                figures.cpu_us,
                figures.other_cores
            );
            if flags.idle > 0 {
                eprintln!(
                    "        {} idle connections opened within {:.1} s, {} still open at the end",
                    flags.idle, figures.idle_open_secs, figures.idle_open
                );
            }
            all.push(figures);
        }
    }
    table::print(&all, Peer::value_variants());
    Ok(())
}

impl TestBed<'_> {
    fn prepare(&self, peer: Peer) -> Result<Contender> {
        let server = peer.start(&self.redis, &self.secrets)?;
        let idle_mib = process::rss_mib(server.pid())?;
        let flags = self.flags;
        let options = LoadOptions { connections: flags.connections, rate: None };
        let count = WARM_UP.min(64 * 1024 * 1024 / (flags.body_bytes + 400)).max(64);
        let mut rate = 0.0;
        for seed in [1, 2] {
            let mix = Mix { requests: count, body_bytes: flags.body_bytes, duplicates: 0.0, forgeries: 0.0 };
            let plan = self.plan(&mix, seed)?;
            rate = load::send(&plan, options, server.address)?.rate();
        }
        let memory_max = 1.5e9 / (flags.body_bytes + 420) as f64;
        let requests = (flags.rate.unwrap_or(rate) * flags.seconds).min(memory_max).max(200.0) as usize;
        Ok(Contender { peer, server, idle_mib, requests })
    }

    fn plan(&self, mix: &Mix, seed: u64) -> Result<Plan> {
        Plan::new(mix, self.secrets.last().context("there is no secret")?, PATH, seed)
    }

    fn turn(&self, contender: &Contender, turn: usize) -> Result<Figures> {
        let Contender { peer, server, idle_mib, requests } = contender;
        let flags = self.flags;
        self.redis_cli(&["FLUSHALL", "SYNC"])?;
        let mix = Mix {
            requests: *requests,
            body_bytes: flags.body_bytes,
            duplicates: flags.duplicates,
            forgeries: flags.forgeries,
        };
        let plan = self.plan(&mix, fastrand::u64(..))?;
        let connecting = Instant::now();
        let idle = idle_connections::open(server.address, flags.idle)?;
        let idle_open_secs = connecting.elapsed().as_secs_f64();
        let own = std::process::id();
        let cpu = || -> Result<[f64; 4]> {
            let (server, redis) =
                (process::cpu_seconds(server.pid())?, process::cpu_seconds(self.redis.pid())?);
            Ok([server, redis, process::cpu_seconds(own)?, process::machine_cpu_seconds()?])
        };
        let (before, start) = (cpu()?, Instant::now());
        let options = LoadOptions { connections: flags.connections, rate: flags.rate };
        let outcome = load::send(&plan, options, server.address)?;
        let (after, seconds) = (cpu()?, start.elapsed().as_secs_f64());
        let loaded_mib = process::rss_mib(server.pid())?;
        let idle_open = idle_connections::count_open(&idle)?;
        drop(idle);
        let used: Vec<f64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
        let answers = outcome.answers() as f64;
        ensure!(answers > 0.0, "{} sent no response", peer.name());
        let refused = outcome.statuses.iter().filter(|(status, _)| **status != 200).map(|(_, count)| count);
        Ok(Figures {
            peer: *peer,
            turn,
            rate: outcome.rate(),
            cpu_us: used[0] * 1e6 / answers,
            redis_cpu_us: used[1] * 1e6 / answers,
            latency_us: [0.5, 0.99, 0.999].map(|share| outcome.latency_us(share)),
            idle_mib: *idle_mib,
            loaded_mib,
            idle_open_secs,
            idle_open,
            refused: refused.sum::<u64>() + outcome.lost_connections,
            lost: self.lost(server, outcome.acknowledged)?,
            forgeries_accepted: outcome.forgeries_accepted,
            other_cores: (used[3] - used[0] - used[1] - used[2]) / seconds,
        })
    }

    /// Acknowledged webhooks that are not in the stream. Negative: stored, but not acknowledged.
    fn lost(&self, server: &Server, acknowledged: u64) -> Result<i64> {
        let Some(stream) = server.stream else { return Ok(0) };
        let stored: i64 = self.redis_cli(&["XLEN", stream])?.trim().parse()?;
        Ok(acknowledged.cast_signed() - stored)
    }

    fn redis_cli(&self, arguments: &[&str]) -> Result<String> {
        let port = self.redis.port().to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(arguments).output();
        let output = output.context("redis-cli is missing; install it with apt-get install redis-tools")?;
        ensure!(output.status.success(), "redis-cli {arguments:?} failed");
        Ok(String::from_utf8(output.stdout)?)
    }
}
