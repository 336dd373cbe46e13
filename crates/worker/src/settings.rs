//! The worker's settings, and the checks that need more than one of them.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;
use service::settings::{
    ConfigFileSettings, LogSettings, OpenAiSettings, RedisSettings, ResultsSettings, SettingError,
    StoreSettings, seconds, size_bytes, yes_or_no,
};
use webhook::Family;

use crate::memory_limit;
use crate::notifications::Schedule;

/// Processes verified webhooks: reads them from Redis, fetches the results from OpenAI, and stores them. Run as many
/// workers as you like.
///
/// Every setting is an environment variable and a flag; the flag wins. An empty variable counts as unset.
#[derive(Debug, Clone, Parser)]
#[command(name = "worker", version, max_term_width = 100)]
pub struct Settings {
    #[command(flatten)]
    pub redis: RedisSettings,
    #[command(flatten)]
    pub store: StoreSettings,
    #[command(flatten)]
    pub openai: OpenAiSettings,
    #[command(flatten)]
    pub config_file: ConfigFileSettings,
    #[command(flatten)]
    pub results: ResultsSettings,
    /// Seconds between the attempts to deliver a notification, separated by commas; it is given up after the last one
    #[arg(long, env = "NOTIFICATION_SCHEDULE", value_name = "LIST", default_value_t)]
    pub notification_schedule: Schedule,
    /// Address of /healthz, /readyz and /metrics; keep it private. Port 0 selects a free port and logs it
    #[arg(long, env = "ADMIN_ADDR", default_value = "127.0.0.1:9101", value_name = "ADDR")]
    pub admin_addr: std::net::SocketAddr,
    /// Check whether the worker at ADMIN_ADDR is alive, and exit with 0 or 1
    #[arg(long)]
    pub healthcheck: bool,
    /// Families this worker processes: response, batch, fine_tuning, eval, realtime, agent, safety, other
    #[arg(long, env = "WORKER_FAMILIES", default_value = "all", value_name = "LIST")]
    pub worker_families: Families,
    /// Maximum concurrent deliveries: one number for every family, or pairs such as response=32,batch=4
    #[arg(long, env = "WORKER_CONCURRENCY", default_value = "default", value_name = "PAIRS")]
    pub worker_concurrency: Concurrency,
    /// Seconds without a heartbeat after which other workers take over a delivery
    #[arg(long, env = "LEASE_SECS", default_value = "60", value_name = "SECONDS", value_parser = seconds)]
    pub lease_secs: Duration,
    /// Seconds before the first retry; the delay doubles with each retry, with jitter
    #[arg(long, env = "RETRY_MIN_SECS", default_value = "2", value_name = "SECONDS", value_parser = seconds)]
    pub retry_min_secs: Duration,
    /// Maximum seconds between retries; also the delay after OpenAI rejects the API key
    #[arg(long, env = "RETRY_MAX_SECS", default_value = "1800", value_name = "SECONDS", value_parser = seconds)]
    pub retry_max_secs: Duration,
    /// Seconds after an event's first attempt until it is given up and moved to the dead letters
    #[arg(long, env = "RETRY_FOR_SECS", default_value = "259200", value_name = "SECONDS", value_parser = seconds)]
    pub retry_for_secs: Duration,
    /// Seconds to keep retrying an object that OpenAI cannot find (404), because it may still appear
    #[arg(long, env = "NOT_FOUND_FOR_SECS", default_value = "120", value_name = "SECONDS", value_parser = seconds)]
    pub not_found_for_secs: Duration,
    /// Bytes to keep free on the disk of FILES_URL; downloads wait while less is free
    #[arg(long, env = "MIN_FREE_BYTES", default_value = "1GiB", value_name = "BYTES", value_parser = size_bytes)]
    pub min_free_bytes: u64,
    /// Bytes of memory for response bodies from OpenAI and the data parsed from them; large ones wait for free memory.
    /// [default: a third of the container's memory limit; 256MiB without one]
    #[arg(long, env = "BODY_MEMORY_BYTES", value_name = "BYTES", value_parser = size_bytes)]
    pub body_memory_bytes: Option<u64>,
    /// Fetch the results of a response's web searches too; they can be large: true or false
    #[arg(long, env = "INCLUDE_WEB_SEARCH_RESULTS", value_name = "BOOL", value_parser = yes_or_no)]
    #[arg(default_value = "false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub include_web_search_results: bool,
    /// Fetch the input file of a batch too, so that each result joins its request: true or false
    #[arg(long, env = "FETCH_BATCH_INPUTS", value_name = "BOOL", value_parser = yes_or_no)]
    #[arg(default_value = "false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub fetch_batch_inputs: bool,
    /// Store the images in results of batches as files, instead of base64 in the database: true or false
    #[arg(long, env = "FETCH_BATCH_IMAGES", value_name = "BOOL", value_parser = yes_or_no)]
    #[arg(default_value = "false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub fetch_batch_images: bool,
    #[command(flatten)]
    pub log: LogSettings,
}

/// The setting `WORKER_FAMILIES`: never empty, no duplicates.
#[derive(Debug, Clone)]
pub struct Families(pub Vec<Family>);

/// The setting `WORKER_CONCURRENCY`.
#[derive(Debug, Clone, Default)]
pub struct Concurrency {
    every: Option<usize>,
    by_family: BTreeMap<Family, usize>,
}

/// More concurrent deliveries in one process have no benefit; a larger number is probably a typo.
const CONCURRENCY_MAX: usize = 1024;
/// With a shorter lease, heartbeats every quarter of it would be most of the traffic.
const LEASE_MIN: Duration = Duration::from_secs(1);

/// Without a memory limit of the container.
const BODY_MEMORY_DEFAULT: u64 = 256 << 20;
const BODY_MEMORY_MIN: u64 = 1 << 20;

/// Why a setting's value is rejected. Says what to write.
#[derive(Debug, thiserror::Error)]
pub enum WrongSetting {
    #[error("write families separated by commas, such as response,batch")]
    Families(#[source] webhook::states::UnknownName),
    #[error("write 1 to {CONCURRENCY_MAX}, or pairs such as response=32,batch=4; {0:?} is neither")]
    Concurrency(String),
    #[error("write pairs such as response=32,batch=4")]
    ConcurrencyFamily(#[source] webhook::states::UnknownName),
    #[error("write at least 1 second; 60 is a good lease")]
    LeaseTooShort,
    #[error("write at least 1MiB; one response may have 64 MiB, and uses all of it")]
    BodyMemoryTooSmall,
    #[error("write no more than RETRY_MAX_SECS, which is {max:?}")]
    RetryMinAboveMax { max: Duration },
}

impl FromStr for Families {
    type Err = WrongSetting;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == "all" {
            return Ok(Self(Family::ALL.to_vec()));
        }
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let mut families =
            names.map(str::parse).collect::<Result<Vec<Family>, _>>().map_err(WrongSetting::Families)?;
        families.sort_unstable();
        families.dedup();
        Ok(if families.is_empty() { Self(Family::ALL.to_vec()) } else { Self(families) })
    }
}

impl FromStr for Concurrency {
    type Err = WrongSetting;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut concurrency = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty() && *part != "default") {
            let (family, number) = match part.split_once('=') {
                Some((family, number)) => (Some(family.trim()), number.trim()),
                None => (None, part),
            };
            let number: usize = number.parse().map_err(|_| WrongSetting::Concurrency(part.to_owned()))?;
            if !(1..=CONCURRENCY_MAX).contains(&number) {
                return Err(WrongSetting::Concurrency(part.to_owned()));
            }
            match family {
                Some(name) => {
                    let family = name.parse().map_err(WrongSetting::ConcurrencyFamily)?;
                    concurrency.by_family.insert(family, number);
                }
                None => concurrency.every = Some(number),
            }
        }
        Ok(concurrency)
    }
}

impl Concurrency {
    /// How many deliveries of a family one worker runs at once. A response is one request; a batch is a download that
    /// uses the network and the disk.
    pub fn of(&self, family: Family) -> usize {
        let default = match family {
            Family::Response => 32,
            Family::Batch | Family::FineTuning => 4,
            Family::Eval => 2,
            Family::Realtime | Family::Agent | Family::Safety | Family::Other => 8,
        };
        self.by_family.get(&family).copied().or(self.every).unwrap_or(default)
    }
}

impl Settings {
    /// Checks settings that depend on each other.
    ///
    /// # Errors
    /// [`SettingError`] names the setting and what to write.
    pub fn check(&self) -> Result<(), SettingError> {
        if self.lease_secs < LEASE_MIN {
            return Err(SettingError::wrong("LEASE_SECS", WrongSetting::LeaseTooShort));
        }
        if self.retry_min_secs > self.retry_max_secs {
            let error = WrongSetting::RetryMinAboveMax { max: self.retry_max_secs };
            return Err(SettingError::wrong("RETRY_MIN_SECS", error));
        }
        if self.body_memory_bytes.is_some_and(|bytes| bytes < BODY_MEMORY_MIN) {
            return Err(SettingError::wrong("BODY_MEMORY_BYTES", WrongSetting::BodyMemoryTooSmall));
        }
        Ok(())
    }

    /// Given, or by what the container may have.
    pub(crate) fn body_memory(&self) -> u64 {
        let default = || memory_limit::of_this_process().map_or(BODY_MEMORY_DEFAULT, |limit| limit / 3);
        self.body_memory_bytes.unwrap_or_else(default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_read_from_a_list() {
        assert_eq!("batch, response,batch".parse::<Families>().unwrap().0, [Family::Response, Family::Batch]);
        assert_eq!("all".parse::<Families>().unwrap().0, Family::ALL);
        assert!("batch,respones".parse::<Families>().is_err());
    }

    #[test]
    fn concurrency_is_a_number_or_pairs() {
        let pairs: Concurrency = "response=64, batch=1".parse().unwrap();
        assert_eq!((pairs.of(Family::Response), pairs.of(Family::Batch), pairs.of(Family::Eval)), (64, 1, 2));
        let every: Concurrency = "3,batch=2".parse().unwrap();
        assert_eq!((every.of(Family::Response), every.of(Family::Batch)), (3, 2));
        for wrong in ["0", "batch=0", "batch=x", "btach=2", "9999", "-1"] {
            assert!(wrong.parse::<Concurrency>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let parse = |more: &[&str]| Settings::parse_from([&["worker"], more].concat());
        assert!(parse(&[]).check().is_ok());
        let error = parse(&["--retry-min-secs", "10", "--retry-max-secs", "5"]).check().unwrap_err();
        assert!(error.to_string().contains("RETRY_MIN_SECS"), "{error}");
        let error = parse(&["--lease-secs", "0.5"]).check().unwrap_err();
        assert!(error.to_string().contains("LEASE_SECS"), "{error}");
        let error = parse(&["--body-memory-bytes", "100KiB"]).check().unwrap_err();
        assert!(error.to_string().contains("BODY_MEMORY_BYTES"), "{error}");
    }
}
