//! A target that receives no notifications is not a silent success: the doctor reports which one, why, and what to do.

use tempfile::TempDir;
use test_support::receiver::{Receiver, Reply};
use test_support::signed_webhook::SECRET;

use crate::harness::Landfall;
use crate::health::{all_are_listed, doctor, doctor_reports_no_problem, one_is_wrong};

/// `landfall.toml` with one target at this URL, and the addresses it allows.
fn file(url: &str, allow: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("landfall.toml");
    let text = format!(
        "[notifications]\nallow = [{allow}]\n[[targets]]\nname = \"app\"\nurl = \"{url}\"\nsecret_env = \"S\"\n"
    );
    std::fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

fn settings(path: &str) -> [(&str, &str); 3] {
    [("LANDFALL_CONFIG", path), ("S", SECRET), ("NOTIFICATION_SCHEDULE", "0.05,0.05,600,600")]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_answered_410_is_found_with_what_waits_for_it() {
    let app = Receiver::start(|_| Reply::status("410 Gone")).await;
    let (_folder, path) = file(&app.url(), "\"127.0.0.1/32\"");
    let landfall = Landfall::start_with(1, &settings(&path)).await;
    all_are_listed(&landfall, 2).await;
    doctor_reports_no_problem(&landfall, &settings(&path)).await;
    landfall.metric(r#"landfall_target_state{target="app",state="active"} 1.0"#).await;
    landfall.metric(r#"landfall_notifications_total{target="app",outcome="given_up"} 0"#).await;
    landfall.send("response.completed", "resp_demo_research").await;
    landfall.metric(r#"landfall_target_state{target="app",state="disabled"} 1.0"#).await;
    landfall.metric(r#"landfall_target_state{target="app",state="active"} 0.0"#).await;
    let words = [
        "target app is disabled because it returned 410 Gone",
        "1 notification is waiting",
        "landfall targets resume app",
    ];
    one_is_wrong(&doctor(&landfall, &settings(&path)), "targets", &words);
    // Also without the workers' file: the state is in the database.
    one_is_wrong(&doctor(&landfall, &[]), "targets", &words);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_fails_is_found_with_its_error() {
    let app = Receiver::start(|_| Reply::status("500 Internal Server Error")).await;
    let (_folder, path) = file(&app.url(), "\"127.0.0.1/32\"");
    let landfall = Landfall::start_with(1, &settings(&path)).await;
    all_are_listed(&landfall, 2).await;
    landfall.send("response.completed", "resp_demo_research").await;
    app.wait_for(3).await;
    landfall.metric(r#"landfall_target_state{target="app",state="failing"} 1.0"#).await;
    let words = ["target app failed", "1 notification is waiting", "status 500", "landfall targets test app"];
    one_is_wrong(&doctor(&landfall, &settings(&path)), "targets", &words);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_the_address_guard_never_lets_through_is_found_before_anything_is_sent() {
    let app = Receiver::start(|_| Reply::ok()).await;
    for url in [app.url(), app.url().replace("127.0.0.1", "localhost")] {
        let (_folder, path) = file(&url, "");
        let landfall = Landfall::start_with(1, &settings(&path)).await;
        all_are_listed(&landfall, 2).await;
        let words = ["target app", "nothing can be sent to", "loopback", "add allow = [\""];
        one_is_wrong(&doctor(&landfall, &settings(&path)), "targets", &words);
    }
    assert_eq!(app.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_the_workers_do_not_know_is_found() {
    let app = Receiver::start(|_| Reply::ok()).await;
    let (_folder, path) = file(&app.url(), "\"127.0.0.1/32\"");
    let mut landfall = Landfall::start().await;
    all_are_listed(&landfall, 2).await;
    let words = [
        "the workers do not have these targets and send them nothing: app",
        "start the workers with LANDFALL_CONFIG",
    ];
    one_is_wrong(&doctor(&landfall, &settings(&path)), "targets", &words);
    for (name, value) in settings(&path) {
        landfall.set(name, value);
    }
    landfall.add_worker();
    all_are_listed(&landfall, 3).await;
    let words = ["the workers have different targets", "has none", "has app", "the same landfall.toml"];
    one_is_wrong(&doctor(&landfall, &settings(&path)), "targets", &words);
    landfall.workers[0].stop();
    doctor_reports_no_problem(&landfall, &settings(&path)).await;
    let targets = landfall.status()["instances"][0]["targets"].to_string();
    assert!(targets.contains("app") || targets == "null", "{targets}");
}
