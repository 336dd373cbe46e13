//! Checks that ingest, workers and the console are alive, by their heartbeats in Redis.

use std::collections::BTreeSet;

use queue::Instance;

use super::finding::{Check, Finding};
use crate::quantity;

/// Takes the programs with a heartbeat within a day.
pub fn check(instances: &[Instance]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let missing = [
        (
            "ingest",
            "ingest is not running: no webhooks are received",
            "start it: docker compose up -d ingest",
        ),
        ("worker", "no worker is running: events wait in Redis", "start one: docker compose up -d worker"),
    ];
    for (program, what, hint) in missing {
        if count(instances, program) == 0 {
            findings.push(Check::Programs.wrong(format!("{what}{}", seen(instances, program)), hint));
        }
    }
    // An installation may do without a console: it is missed only if it was seen, and did not stop cleanly.
    let is_console = |instance: &Instance| instance.info.program == "console";
    if instances.iter().any(is_console) && count(instances, "console") == 0 {
        let what = format!("the console is not running{}", seen(instances, "console"));
        findings.push(Check::Programs.warning(what, "start it: docker compose up -d console"));
    }
    let alive = instances.iter().filter(|instance| instance.is_alive());
    let versions: BTreeSet<&str> = alive.map(|instance| instance.info.version.as_str()).collect();
    if versions.len() > 1 {
        let versions: Vec<&str> = versions.into_iter().collect();
        let what = format!("programs of several versions are running: {}", versions.join(", "));
        findings.push(Check::Programs.warning(what, "update all of them to the newest version"));
    }
    if findings.is_empty() {
        let counts = ["ingest", "worker", "console"].map(|program| (count(instances, program), program));
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts.map(|(count, program)| format!("{count} {program}")).collect();
        findings.push(Check::Programs.ok(format!("alive: {}", counts.join(", "))));
    }
    findings
}

fn count(instances: &[Instance], program: &str) -> usize {
    instances.iter().filter(|instance| instance.is_alive() && instance.info.program == program).count()
}

/// When the last one was seen, if that was within a day.
fn seen(instances: &[Instance], program: &str) -> String {
    let last = instances.iter().find(|instance| instance.info.program == program);
    last.map_or_else(String::new, |instance| {
        let ago = quantity::span(instance.silent.as_secs().cast_signed());
        format!(" (the last one, on {}, was seen {ago} ago)", instance.info.host)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use queue::InstanceInfo;

    use super::*;

    fn instance(program: &str, version: &str, silent_secs: u64) -> Instance {
        let info = InstanceInfo {
            program: program.to_owned(),
            version: version.to_owned(),
            host: "box".to_owned(),
            targets: None,
        };
        let (up, silent) = (Duration::from_secs(3600), Duration::from_secs(silent_secs));
        Instance { id: format!("box-{program}"), info, up, silent }
    }

    #[test]
    fn each_program_must_be_alive_and_all_should_be_of_one_version() {
        let states = |instances: &[Instance]| -> Vec<bool> {
            check(instances).iter().map(Finding::is_wrong).collect()
        };
        let (ingest, worker) = (instance("ingest", "1", 1), instance("worker", "1", 2));
        assert!(check(&[ingest.clone(), worker.clone()]).iter().all(Finding::is_ok));
        assert_eq!(states(&[]), [true, true]);
        assert_eq!(states(&[ingest.clone(), instance("worker", "1", 90)]), [true]);
        assert_eq!(states(&[ingest, worker, instance("worker", "2", 2)]), [false]);
    }

    #[test]
    fn a_console_is_missed_only_if_it_died() {
        let needed = [instance("ingest", "1", 1), instance("worker", "1", 2)];
        let with_console =
            |version: &str, silent| check(&[&needed[..], &[instance("console", version, silent)]].concat());
        let alive = &with_console("1", 1)[0];
        assert!(alive.is_ok(), "{alive:?}");
        let dead = with_console("1", 90);
        assert!(dead.len() == 1 && !dead[0].is_ok() && !dead[0].is_wrong(), "{dead:?}");
        assert!(!with_console("2", 1)[0].is_ok(), "another version");
    }
}
