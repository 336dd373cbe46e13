//! Health reporting: each problem is visible in readiness, metrics, log, `status` and `doctor`, and disappears once it is
//! fixed. Tests the rows of docs/health.md with the real programs.

use serde_json::Value;
use test_support::postgres::PostgresServer;
use test_support::signed_webhook::SignedWebhook;
use test_support::wait;

use crate::disk_full::SmallDisk;
use crate::harness::{API_KEY, Database, FOREIGN_API_KEY, Landfall};

const READY: u16 = 200;
const NOT_READY: u16 = 503;

/// Waits until the first worker's `/readyz` responds with this status and these words.
async fn worker_is(landfall: &Landfall, status: u16, words: &str) {
    let found = async || {
        let (found, body) = landfall.readyz(&landfall.workers[0]).await?;
        (found == status && body.contains(words)).then_some(())
    };
    wait::until(&format!("/readyz to answer {status} with {words:?}"), found).await;
}

/// Runs `landfall doctor`. Returns its exit code and findings.
pub(crate) fn doctor(landfall: &Landfall, settings: &[(&str, &str)]) -> (i32, Vec<Value>) {
    let base_url = landfall.fake.base_url();
    let mut all = vec![("OPENAI_API_KEY", API_KEY), ("OPENAI_BASE_URL", base_url.as_str())];
    all.extend(settings);
    let output = landfall.landfall_with(&all, &["doctor", "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Asserts that the doctor reports exactly one problem, from this check, with these words.
pub(crate) fn one_is_wrong(found: &(i32, Vec<Value>), check: &str, words: &[&str]) {
    let wrong: Vec<&Value> = found.1.iter().filter(|finding| finding["state"] == "wrong").collect();
    assert!(found.0 == 1 && wrong.len() == 1 && wrong[0]["check"] == check, "{found:#?}");
    let text = format!("{}; {}", wrong[0]["what"].as_str().unwrap(), wrong[0]["cure"].as_str().unwrap());
    for words in words {
        assert!(text.contains(words), "{words:?} is not in: {text}");
    }
}

/// Waits until the doctor reports no problem.
pub(crate) async fn doctor_reports_no_problem(landfall: &Landfall, settings: &[(&str, &str)]) {
    let content = async || (doctor(landfall, settings).0 == 0).then_some(());
    wait::until("the doctor to report no problem", content).await;
}

fn running(landfall: &Landfall) -> Vec<(String, bool)> {
    let status = landfall.status();
    let instances = status["instances"].as_array().unwrap().iter();
    let mut running: Vec<_> = instances
        .map(|instance| {
            (instance["program"].as_str().unwrap().to_owned(), instance["alive"].as_bool().unwrap())
        })
        .collect();
    running.sort();
    running
}

pub(crate) async fn all_are_listed(landfall: &Landfall, programs: usize) {
    let listed = async || (running(landfall).len() == programs).then_some(());
    wait::until("the programs to report themselves", listed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_does_not_run_is_missed_by_the_doctor() {
    let mut landfall = Landfall::start().await;
    all_are_listed(&landfall, 2).await;
    assert_eq!(running(&landfall), [("ingest".to_owned(), true), ("worker".to_owned(), true)]);
    doctor_reports_no_problem(&landfall, &[]).await;
    landfall.metric_of(&landfall.ingest, r#"landfall_instances{program="worker","#, " 1.0").await;

    landfall.workers[0].stop();
    assert_eq!(
        running(&landfall),
        [("ingest".to_owned(), true)],
        "a cleanly stopped program is still listed"
    );
    one_is_wrong(
        &doctor(&landfall, &[]),
        "programs",
        &["no worker is running", "docker compose up -d worker"],
    );
    landfall.metric_of(&landfall.ingest, r#"landfall_instances{program="worker","#, " 0.0").await;
    landfall.add_worker();
    doctor_reports_no_problem(&landfall, &[]).await;

    landfall.ingest.stop();
    one_is_wrong(&doctor(&landfall, &[]), "programs", &["ingest is not running", "no webhooks are received"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_not_run_scripts_is_found_by_running_them() {
    let landfall = Landfall::start().await;
    all_are_listed(&landfall, 2).await;
    let redis = |user: &str| format!("redis://{user}:pw@127.0.0.1:{}", landfall.redis.port());
    for (user, rights) in
        [("no-evalsha", "~* +@all -evalsha"), ("no-xadd", "~* +@all -xadd"), ("other", "~x* +@all")]
    {
        landfall.redis_command(&format!("ACL SETUSER {user} on >pw {rights}")).await;
        let found = doctor(&landfall, &[("REDIS_URL", redis(user).as_str())]);
        let wrong: Vec<&Value> = found.1.iter().filter(|finding| finding["state"] == "wrong").collect();
        assert!(
            found.0 == 1 && wrong.iter().all(|finding| finding["check"] == "redis"),
            "{user}: {found:#?}"
        );
        assert!(wrong[0]["cure"].as_str().unwrap().contains("ACL SETUSER"), "{user}: {found:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_the_wrong_type_stops_readiness_and_is_found_by_the_doctor() {
    let landfall = Landfall::start().await;
    worker_is(&landfall, READY, "").await;
    landfall.redis_command("DEL {landfall}:events:batch").await;
    landfall.redis_command("SET {landfall}:events:batch x").await;
    worker_is(&landfall, NOT_READY, "events of family batch cannot be claimed").await;
    one_is_wrong(&doctor(&landfall, &[]), "redis", &["WRONGTYPE", "another REDIS_KEY_PREFIX"]);
    landfall.redis_command("DEL {landfall}:events:batch").await;
    worker_is(&landfall, READY, "").await;
    doctor_reports_no_problem(&landfall, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_project_is_found_by_what_it_did_not_find() {
    let landfall = Landfall::start_with(1, &[("OPENAI_API_KEY", FOREIGN_API_KEY)]).await;
    for object in ["research", "failed", "cancelled", "incomplete"] {
        landfall.send("response.completed", &format!("resp_demo_{object}")).await;
    }
    landfall.settled().await;
    assert_eq!(doctor(&landfall, &[("OPENAI_API_KEY", FOREIGN_API_KEY)]).0, 0, "four may be samples");
    landfall.send("batch.completed", "batch_demo_completed").await;
    landfall.settled().await;
    let found = doctor(&landfall, &[("OPENAI_API_KEY", FOREIGN_API_KEY)]);
    one_is_wrong(&found, "fetches", &["belongs to another project", "landfall fetch --missing"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_that_is_mended_leaves_events_that_wait() {
    let landfall = Landfall::start_with(1, &[("RETRY_MAX_SECS", "600")]).await;
    landfall.fake.set_api_key(Some("sk-the-next-key"));
    landfall.send("response.completed", "resp_demo_research").await;
    let waits =
        async || (doctor(&landfall, &[]).1.iter().any(|found| found["check"] == "fetches")).then_some(());
    wait::until("the event to wait", waits).await;
    let found = doctor(&landfall, &[("OPENAI_API_KEY", "sk-the-next-key")]);
    one_is_wrong(&found, "fetches", &["1 event is waiting", "landfall retry"]);
    let found = doctor(&landfall, &[]);
    assert!(
        found.1.iter().any(|found| found["what"].as_str().unwrap().contains("rejects OPENAI_API_KEY (401)")),
        "{found:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_postgresql_stops_readiness_until_it_is_mended() {
    let server = PostgresServer::start();
    let landfall = Landfall::start_on(Database::At(server.database())).await;
    worker_is(&landfall, READY, "").await;
    landfall.metric("landfall_database_up 1.0").await;
    server.sql("postgres", "ALTER SYSTEM SET default_transaction_read_only = on");
    server.sql("postgres", "SELECT pg_reload_conf()");
    worker_is(&landfall, NOT_READY, "read-only").await;
    landfall.metric("landfall_database_up 0.0").await;
    one_is_wrong(&doctor(&landfall, &[]), "database", &["read-only", "the primary server"]);
    let log = landfall.workers[0].log_when(|log| log.iter().any(|line| line.contains("is not ready"))).await;
    let line = log.iter().find(|line| line.contains("is not ready")).unwrap();
    assert!(line.contains("read-only") && line.contains("\"hint\":"), "{line}");
    server.sql("postgres", "ALTER SYSTEM RESET default_transaction_read_only");
    server.sql("postgres", "SELECT pg_reload_conf()");
    worker_is(&landfall, READY, "").await;
    landfall.metric("landfall_database_up 1.0").await;
    doctor_reports_no_problem(&landfall, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_readiness_until_there_is_room() {
    let Some(disk) = SmallDisk::mount() else { return };
    let url = format!("sqlite://{}/landfall.db", disk.path().display());
    let landfall = Landfall::start_on(Database::At(url)).await;
    worker_is(&landfall, READY, "").await;
    let ballast = disk.fill();
    worker_is(&landfall, NOT_READY, "the database cannot be written").await;
    landfall.metric("landfall_database_up 0.0").await;
    one_is_wrong(&doctor(&landfall, &[]), "database", &["free space on the disk"]);
    std::fs::remove_file(ballast).unwrap();
    worker_is(&landfall, READY, "").await;
    landfall.metric("landfall_database_up 1.0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_the_alarm_can_fire_and_no_old_value_is_shown() {
    let mut landfall = Landfall::start().await;
    let shown = async |landfall: &Landfall| {
        let metrics = landfall.metrics(&landfall.workers[0]).await;
        let is_up = metrics.contains("\nlandfall_redis_up 1.0")
            && metrics.contains("landfall_queue_overdue_seconds{");
        is_up.then_some(())
    };
    wait::until("the queue's metrics", async || shown(&landfall).await).await;
    landfall.redis.kill();
    let gone = async || {
        let metrics = landfall.metrics(&landfall.workers[0]).await;
        let queue =
            ["backlog{", "oldest_seconds{", "overdue_seconds{"].map(|name| format!("landfall_queue_{name}"));
        let is_old = queue.iter().any(|name| metrics.contains(name.as_str()))
            || metrics.contains("landfall_dead_letters{")
            || metrics.contains("landfall_instances{");
        (metrics.contains("\nlandfall_redis_up 0.0") && !is_old).then_some(())
    };
    wait::until("the queue's metrics to disappear", gone).await;
    worker_is(&landfall, NOT_READY, "").await;
    landfall.metric_of(&landfall.ingest, "landfall_redis_up ", "0.0").await;
    let log = landfall.workers[0]
        .log_when(|log| log.iter().any(|line| line.contains("cannot read the queue")))
        .await;
    let line = log.iter().find(|line| line.contains("cannot read the queue")).unwrap();
    assert!(line.contains("\"hint\":\""), "{line}");
    let (code, found) = doctor(&landfall, &[]);
    let redis = found.iter().find(|finding| finding["check"] == "redis").unwrap();
    let address = format!("redis://127.0.0.1:{}/0", landfall.redis.port());
    assert!(code == 1 && redis["what"].as_str().unwrap().contains(&address), "{redis}");
    assert!(redis["cure"].as_str().unwrap().contains("start Redis"), "{redis}");
    landfall.redis.resume();
    wait::until("the queue's metrics to reappear", async || shown(&landfall).await).await;
    worker_is(&landfall, READY, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_becomes_volatile_is_noticed_and_ingest_goes_on() {
    let landfall = Landfall::start().await;
    all_are_listed(&landfall, 2).await;
    let volatile = r#"landfall_redis_fault{fault="volatile"}"#;
    landfall.metric_of(&landfall.ingest, volatile, " 0.0").await;
    landfall.metric(&format!("{volatile} 0.0")).await;
    landfall.redis_command("CONFIG SET appendonly no").await;
    landfall.metric_of(&landfall.ingest, volatile, " 1.0").await;
    landfall.metric(&format!("{volatile} 1.0")).await;
    for program in [&landfall.ingest, &landfall.workers[0]] {
        let is_told =
            |line: &String| line.contains("has changed while") && line.contains("\"level\":\"WARN\"");
        let log = program.log_when(|log| log.iter().any(is_told)).await;
        let line = log.iter().find(|line| is_told(line)).unwrap();
        assert!(line.contains("\"fault\":\"volatile\"") && line.contains("appendonly yes"), "{line}");
    }
    one_is_wrong(
        &doctor(&landfall, &[]),
        "redis",
        &["a restart loses acknowledged events", "appendonly yes"],
    );
    assert_eq!(landfall.post(&SignedWebhook::new("response.completed", "resp_demo_research")).await.0, 200);
    landfall.redis_command("CONFIG SET appendonly yes").await;
    landfall.metric_of(&landfall.ingest, volatile, " 0.0").await;
    doctor_reports_no_problem(&landfall, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_restarted_without_its_durability_is_noticed() {
    let mut landfall = Landfall::start().await;
    all_are_listed(&landfall, 2).await;
    landfall.redis.kill();
    landfall.redis.set_arguments(&["--maxmemory-policy", "allkeys-lru", "--maxmemory", "100mb"]);
    landfall.redis.resume();
    landfall.metric_of(&landfall.ingest, r#"landfall_redis_fault{fault="evicts_events"}"#, " 1.0").await;
    landfall.metric(r#"landfall_redis_fault{fault="volatile"} 1.0"#).await;
    let accepted = async || {
        let webhook = SignedWebhook::new("response.completed", "resp_demo_research");
        (landfall.post(&webhook).await.0 == 200).then_some(())
    };
    wait::until("ingest to accept webhooks", accepted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stopped_without_redis_says_how_many_deliveries_it_leaves_behind() {
    let mut landfall = Landfall::start_with(1, &[("LEASE_SECS", "60")]).await;
    landfall.fake.inject(fake_openai::Fault::always(fake_openai::FaultKind::StallInBody, "/responses/"));
    for object in ["research", "failed", "cancelled"] {
        landfall.send("response.completed", &format!("resp_demo_{object}")).await;
    }
    let running = async || (landfall.status()["total"]["pending"] == 3).then_some(());
    wait::until("the deliveries to be running", running).await;
    landfall.redis.kill();
    assert!(landfall.workers[0].stop().success());
    let log = landfall.workers[0].log();
    let last = log.iter().rfind(|line| line.contains("worker stopped")).unwrap();
    assert!(
        last.contains("\"deliveries\":3") && !last.contains("all deliveries are settled or released"),
        "{last}"
    );
}
