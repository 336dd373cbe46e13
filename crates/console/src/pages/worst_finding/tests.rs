//! Each fact has its sentence, and a worse one comes first.

use operations::status::{QueueStatus, Running, Total};
use queue::FamilyStats;
use store::{EventSpan, TargetState};
use webhook::{EventState, Family};

use super::*;

fn now() -> DateTime<Utc> {
    "2026-11-30T21:07:08Z".parse().unwrap()
}

fn running(program: &str) -> Running {
    Running {
        id: program.to_owned(),
        program: program.to_owned(),
        version: "1".to_owned(),
        host: "box".to_owned(),
        alive: true,
        up_secs: 60,
        silent_secs: 1,
        targets: None,
    }
}

fn well() -> Facts {
    let total =
        Total { backlog: 0, undelivered: 0, pending: 0, delayed: 0, dead: 0, oldest_ms: None, overdue_ms: 0 };
    let instances = ["ingest", "worker"].map(running).to_vec();
    let status = QueueStatus { total, families: Vec::new(), pauses: Vec::new(), instances };
    let events = vec![EventSpan {
        family: Family::Response.into(),
        state: EventState::Stored.into(),
        first_received_at: now() - TimeDelta::days(3),
        last_received_at: now() - TimeDelta::seconds(12),
    }];
    let store = StoreFacts { events, targets: Vec::new(), pending: Vec::new(), imports: Vec::new() };
    Facts { read_at: now(), queue: Ok(QueueFacts { status, memory_used: None }), store: Ok(store) }
}

fn queue(facts: &mut Facts) -> &mut QueueFacts {
    facts.queue.as_mut().unwrap()
}

fn family(family: Family, undelivered: u64, overdue_ms: u64) -> FamilyStats {
    FamilyStats { family, undelivered, pending: 0, delayed: 0, dead: 0, oldest_ms: Some(1), overdue_ms }
}

/// The colour and the whole text.
fn said(facts: &Facts) -> (Severity, String) {
    let found = worst(Some(facts), now());
    (found.severity, format!("{} {}", found.what, found.more))
}

fn says(facts: &Facts, severity: Severity, parts: &[&str]) {
    let (found, text) = said(facts);
    assert_eq!(found, severity, "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[test]
fn all_is_well_only_if_everything_was_read() {
    let mut facts = well();
    assert_eq!(said(&facts), (Severity::Ok, "All well. Last webhook 12 s ago, nothing overdue.".to_owned()));
    assert_eq!(worst(None, now()).severity, Severity::Wait);
    let later = worst(Some(&facts), now() + TimeDelta::seconds(31));
    assert_eq!((later.severity, &*later.what), (Severity::Wait, "Not known."));
    facts.store = Err(NoStore::NotCreated);
    assert_eq!(said(&facts), (Severity::Ok, "All well. No webhook yet.".to_owned()));
}

#[test]
fn what_cannot_be_read_is_named() {
    let down = QueueDown { hint: "start Redis" };
    let mut facts = well();
    facts.store = Err(NoStore::OldSchema);
    says(&facts, Severity::Bad, &["older schema", "Start a worker"]);
    facts.store = Err(NoStore::Down);
    says(&facts, Severity::Bad, &["The database cannot be read.", "wait in Redis"]);
    facts.queue = Err(down);
    says(&facts, Severity::Bad, &["Neither Redis nor the database can be read. Start Redis."]);
    let facts = Facts { queue: Err(down), ..well() };
    says(&facts, Severity::Bad, &["Redis cannot be read.", "refuses webhooks", "Start Redis."]);
}

#[test]
fn a_program_that_does_not_run_is_missed() {
    let mut facts = well();
    queue(&mut facts).status.instances[1].alive = false;
    says(&facts, Severity::Bad, &["No worker is running. Webhooks are received"]);
    queue(&mut facts).status.total.backlog = 1;
    says(&facts, Severity::Bad, &["1 event waits for one."]);
    queue(&mut facts).status.total.backlog = 2000;
    says(&facts, Severity::Bad, &["2,000 events wait for one."]);
    queue(&mut facts).status.instances[0].alive = false;
    says(&facts, Severity::Bad, &["Neither ingest nor a worker"]);
    queue(&mut facts).status.instances[1].alive = true;
    says(&facts, Severity::Bad, &["Ingest is not running. No webhooks"]);
}

#[test]
fn memory_is_named_before_it_is_full() {
    let mut facts = well();
    queue(&mut facts).memory_used = Some(0.69);
    says(&facts, Severity::Ok, &[]);
    queue(&mut facts).memory_used = Some(0.75);
    says(&facts, Severity::Wait, &["75 %"]);
    queue(&mut facts).memory_used = Some(0.91);
    says(&facts, Severity::Bad, &["91 %", "refuses webhooks"]);
}

#[test]
fn late_work_is_named_with_its_family() {
    let mut facts = well();
    queue(&mut facts).status.families =
        vec![family(Family::Response, 1, 10), family(Family::Batch, 3, 29_999)];
    says(&facts, Severity::Ok, &[]);
    queue(&mut facts).status.families[1].overdue_ms = 40_000;
    says(&facts, Severity::Wait, &["The next batch event has been due for 40 s. 3 events wait."]);
    queue(&mut facts).status.families[1].overdue_ms = 600_000;
    says(&facts, Severity::Bad, &["due for 10 min"]);
}

#[test]
fn a_pause_is_named_with_its_next_attempt() {
    let mut facts = well();
    let status = &mut queue(&mut facts).status;
    let pause = |left_ms| Paused {
        project: "default".to_owned(),
        family: Family::Batch,
        reason: "rate_limited".to_owned(),
        left_ms,
    };
    status.pauses = vec![pause(1_000), pause(60_000)];
    status.families = vec![family(Family::Batch, 3, 0)];
    says(
        &facts,
        Severity::Wait,
        &["3 batch events wait in a pause. OpenAI answered 429; next attempt at 21:08:08 UTC."],
    );
    let status = &mut queue(&mut facts).status;
    status.families.clear();
    status.pauses[1].reason = "by hand".to_owned();
    says(&facts, Severity::Wait, &["The family batch is paused. by hand;"]);
}

#[test]
fn dead_letters_are_named() {
    let mut facts = well();
    queue(&mut facts).status.total.dead = 1;
    says(&facts, Severity::Wait, &["1 dead letter."]);
    queue(&mut facts).status.total.dead = 1200;
    says(&facts, Severity::Wait, &["1,200 dead letters."]);
}

#[test]
fn targets_that_receive_nothing_are_named() {
    let mut facts = well();
    let store = facts.store.as_mut().unwrap();
    store.targets = vec![TargetHealth { failures_in_row: 3, ..TargetHealth::new("crm") }];
    says(&facts, Severity::Ok, &[]);
    let store = facts.store.as_mut().unwrap();
    store.pending = vec![("crm".to_owned(), 8)];
    says(&facts, Severity::Wait, &["The target crm fails. 8 notifications wait."]);
    let store = facts.store.as_mut().unwrap();
    store.targets[0].open_until = Some(now() + TimeDelta::seconds(60));
    says(&facts, Severity::Wait, &["Next attempt at 21:08:08 UTC."]);
    let store = facts.store.as_mut().unwrap();
    store.targets[0].state = TargetState::Paused.into();
    says(&facts, Severity::Wait, &["The target crm is paused."]);
    let store = facts.store.as_mut().unwrap();
    store.targets[0].state = TargetState::Disabled.into();
    says(&facts, Severity::Bad, &["The target crm is disabled", "8 notifications wait."]);
}

#[test]
fn the_worst_comes_first() {
    let mut facts = well();
    let status = &mut queue(&mut facts).status;
    status.total.dead = 1;
    status.families = vec![family(Family::Batch, 3, 600_000)];
    says(&facts, Severity::Bad, &["has been due"]);
    queue(&mut facts).memory_used = Some(0.9);
    says(&facts, Severity::Bad, &["90 %"]);
    queue(&mut facts).status.instances.clear();
    says(&facts, Severity::Bad, &["Neither ingest"]);
}
