//! Health: what is wrong and what to do about it, the programs, and the settings of this console. It runs the checks of
//! `landfall doctor` that only read, and is shown whatever is down.

use std::time::Duration;

use actix_web::{HttpResponse, get, web};
use askama::Template;
use chrono::{DateTime, Utc};
use operations::checks::redis::Checked;
use operations::checks::{Check, Depth, Finding, State as FindingState, clock, database, outcomes};
use operations::checks::{programs, redis, targets};
use queue::Instance;
use service::settings::ShownSetting;
use store::Store;
use tokio::time::timeout;

use super::frame::{Frame, Nav};
use super::moment::Moment;
use super::page;
use super::page_error::PageError;
use super::quantity::counted;
use super::state_word::StateWord;
use crate::state::State;

/// A check that takes longer is a finding.
const ANSWER_MAX: Duration = Duration::from_secs(4);

#[derive(Template)]
#[template(path = "health.html")]
struct HealthPage {
    frame: Frame,
    /// `3 checks passed, 1 did not`.
    summary: String,
    findings: Vec<FindingRow>,
    instances: Option<Vec<InstanceRow>>,
    version: &'static str,
    schema: String,
    settings: Vec<ShownSetting>,
}

struct FindingRow {
    check: Check,
    state: StateWord,
    what: String,
    hint: String,
}

struct InstanceRow {
    program: String,
    state: StateWord,
    version: String,
    host: String,
    up: Moment,
    seen: Moment,
    id: String,
}

/// What is wrong, and what to do about it.
#[get("/health")]
pub(crate) async fn health_page(state: web::Data<State>) -> Result<HttpResponse, PageError> {
    let facts = state.facts.fresh().await;
    let (queue, stored) = tokio::join!(redis_checks(&state), store_checks(&state));
    let mut findings = queue.findings;
    findings.extend(queue.instances.as_deref().map(programs::check).into_iter().flatten());
    findings.extend(stored.findings);
    findings.extend(clock::check(queue.clock_ahead_secs, None));
    findings.extend(queue.instances.as_deref().and_then(targets::of_workers));
    // The worst first; the order of the checks within.
    findings.sort_by_key(|finding| match finding.state {
        FindingState::Wrong => 0,
        FindingState::Warning => 1,
        FindingState::Ok => 2,
    });
    let passed = findings.iter().filter(|finding| finding.is_ok()).count();
    let now = Utc::now();
    page(&HealthPage {
        frame: Frame::new(state.head(), Nav::Health, "Health", "landfall doctor")
            .with_finding(facts.as_deref(), now),
        summary: summary(passed, findings.len() - passed),
        findings: findings.into_iter().map(FindingRow::from).collect(),
        instances: queue
            .instances
            .map(|instances| instances.into_iter().map(|one| InstanceRow::of(one, now)).collect()),
        version: env!("CARGO_PKG_VERSION"),
        schema: stored.schema.map_or_else(|| "not known".to_owned(), |version| version.to_string()),
        settings: state.settings.clone(),
    })
}

fn summary(passed: usize, failed: usize) -> String {
    let checks = counted(i128::try_from(passed).unwrap_or(i128::MAX), "check");
    match failed {
        0 => format!("{checks} passed"),
        failed => format!("{checks} passed, {failed} did not"),
    }
}

async fn redis_checks(state: &State) -> Checked {
    let check = redis::check(&state.queue_config, Depth::Read, state.allows_volatile_redis);
    timeout(ANSWER_MAX, check).await.unwrap_or_else(|_| Checked {
        findings: vec![Check::Redis.wrong(
            format!("Redis did not answer within {} s", ANSWER_MAX.as_secs()),
            queue::Cause::Silent.hint(),
        )],
        clock_ahead_secs: None,
        instances: None,
    })
}

struct StoreChecks {
    findings: Vec<Finding>,
    /// The version of the schema.
    schema: Option<i64>,
}

async fn store_checks(state: &State) -> StoreChecks {
    let checks = async {
        match state.database.reader().await {
            Ok(store) => check_store(store).await,
            Err(down) => StoreChecks { findings: vec![database::unreadable(&down.0)], schema: None },
        }
    };
    timeout(ANSWER_MAX, checks).await.unwrap_or_else(|_| StoreChecks {
        findings: vec![Check::Database.wrong(
            format!("the database did not answer within {} s", ANSWER_MAX.as_secs()),
            "check the host in DATABASE_URL, and that no firewall blocks the connection",
        )],
        schema: None,
    })
}

async fn check_store(store: &Store) -> StoreChecks {
    let mut findings = match database::check(store, Depth::Read).await {
        Ok(findings) => findings,
        Err(error) => return StoreChecks { findings: vec![database::unreadable(&error)], schema: None },
    };
    findings.extend(outcomes::check(store).await);
    match targets::of_database(store).await {
        Ok(queues) => findings.extend(queues.findings),
        Err(error) => findings.push(database::unreadable(&error)),
    }
    StoreChecks { findings, schema: store.schema_version().await.ok() }
}

impl From<Finding> for FindingRow {
    fn from(finding: Finding) -> Self {
        let state = match finding.state {
            FindingState::Ok => StateWord::new("ok", "ok"),
            FindingState::Warning => StateWord::new("wait", "warning"),
            FindingState::Wrong => StateWord::new("bad", "wrong"),
        };
        Self { check: finding.check, state, what: finding.what, hint: finding.hint.unwrap_or_default() }
    }
}

impl InstanceRow {
    fn of(instance: Instance, now: DateTime<Utc>) -> Self {
        let ago = |length: Duration| now - length;
        Self {
            state: if instance.is_alive() {
                StateWord::new("ok", "alive")
            } else {
                StateWord::new("bad", "silent")
            },
            up: Moment::length(ago(instance.up), now),
            seen: Moment::ago(ago(instance.silent), now),
            program: instance.info.program,
            version: instance.info.version,
            host: instance.info.host,
            id: instance.id,
        }
    }
}
