//! Checks the notification targets: the file is valid, the workers use the same file, and each target can be reached and
//! accepts notifications.

use error_text::chain;
use notifier::{AddressError, Config, Target, system_resolver};
use operations::checks::targets::{self, TargetQueues};
use queue::Instance;
use service::settings::ConfigFileSettings;
use store::Store;

use super::findings::{Check, Finding};
use crate::config;
use crate::exit::CliError;

/// No findings without a file, without workers that have targets, and without notifications. `instances` and `store` are
/// `None` when Redis or the database cannot be read.
pub(super) async fn check(
    settings: &ConfigFileSettings,
    instances: Option<&[Instance]>,
    store: Option<&Store>,
) -> Vec<Finding> {
    let config = match settings.landfall_config.as_ref().map(|path| config::read(path)) {
        None => None,
        Some(Ok(config)) => Some(config),
        Some(Err(error)) => {
            let hint = "correct the file, then run landfall config check";
            return vec![Check::Targets.wrong(chain(&error), hint)];
        }
    };
    let mut findings = Vec::new();
    if let Some(config) = &config {
        findings.extend(of_file(config));
        findings.extend(unreachable(config).await);
    }
    if let Some(instances) = instances {
        findings.extend(of_workers(config.as_ref(), instances));
    }
    if let Some(store) = store {
        findings.extend(of_database(config.as_ref(), store).await);
    }
    if let Some(config) = config.filter(|config| !config.targets.is_empty() && findings.is_empty()) {
        findings.push(Check::Targets.ok(format!("all usable: {}", names(&config).join(", "))));
    }
    findings
}

fn names(config: &Config) -> Vec<&str> {
    config.targets.iter().map(|target| target.name.as_str()).collect()
}

fn of_file(config: &Config) -> Vec<Finding> {
    if config.targets.is_empty() {
        return vec![Check::Targets.warning(
            "the file at LANDFALL_CONFIG defines no targets: no notifications are sent",
            "add [[targets]] to it, or unset LANDFALL_CONFIG",
        )];
    }
    let finding = |text: &String| {
        let (what, hint) = text.rsplit_once(": ").unwrap_or((text, "run landfall config check"));
        Check::Targets.warning(what, hint)
    };
    config.warnings().iter().map(finding).collect()
}

/// Targets whose addresses the address guard forbids, as their names resolve on this machine.
async fn unreachable(config: &Config) -> Vec<Finding> {
    let lookups = config.targets.iter().map(|target| address(config, target));
    futures_util::future::join_all(lookups).await.into_iter().flatten().collect()
}

async fn address(config: &Config, target: &Target) -> Option<Finding> {
    let http = target.destination.http()?;
    let endpoint = match http.endpoint(&config.allow, system_resolver()) {
        Ok(endpoint) => endpoint,
        Err(error) => {
            return Some(Check::Targets.wrong(
                format!("target {}: {}", target.name, chain(&error)),
                "correct the target in landfall.toml",
            ));
        }
    };
    let error = endpoint.check_address().await.err()?;
    let what = format!("target {}: nothing can be sent to {}: {}", target.name, http.shown(), chain(&error));
    Some(match error {
        AddressError::Forbidden(_) => {
            let url = &http.url;
            let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(0));
            Check::Targets.wrong(
                what,
                format!("add allow = [\"{host}:{port}\"] under [notifications], or change the url"),
            )
        }
        AddressError::Unresolved { .. } => {
            let what = format!("target {}: {}", target.name, chain(&error));
            Check::Targets.warning(what, "correct the host in its url, unless the workers can resolve it")
        }
    })
}

fn of_workers(config: Option<&Config>, instances: &[Instance]) -> Vec<Finding> {
    if let Some(different) = targets::of_workers(instances) {
        return vec![different];
    }
    let known = targets::known_to_workers(instances);
    let (Some(config), Some((_, known))) = (config, known.first()) else { return Vec::new() };
    let unknown: Vec<&str> =
        names(config).into_iter().filter(|name| !known.names.iter().any(|known| known == name)).collect();
    if !unknown.is_empty() {
        let what =
            format!("the workers do not have these targets and send them nothing: {}", unknown.join(", "));
        return vec![Check::Targets.wrong(what, "start the workers with LANDFALL_CONFIG set to this file")];
    }
    if known.sha256 != config.digest() {
        let what = "the workers use a different version of landfall.toml";
        return vec![Check::Targets.warning(what, "copy this file to the workers")];
    }
    Vec::new()
}

async fn of_database(config: Option<&Config>, store: &Store) -> Vec<Finding> {
    let TargetQueues { mut findings, waiting } = match targets::of_database(store).await {
        Ok(queues) => queues,
        Err(error) => {
            return vec![Check::Targets.wrong(CliError::from(error).to_string(), "see the database finding")];
        }
    };
    if let Some(config) = config {
        for (target, waits) in waiting.iter().filter(|(target, _)| !names(config).contains(&target.as_str()))
        {
            let what = format!("{} for {target}, which is not in the file", targets::waiting(*waits));
            findings.push(Check::Targets.warning(what, "add the target to the file again to send them"));
        }
    }
    findings
}
