//! Agent sessions: the session, its turns with their final messages, and their files. What cannot be read costs nothing
//! else.

use fake_openai::{Fault, FaultKind};
use serde_json::{Value, json};
use test_support::wait;
use webhook::{EventState, Reason};

use crate::harness::{Database, Landfall};

const SESSIONS: &str = "/agents/sessions/";

fn session(id: &str) -> Value {
    json!({"id": id, "object": "agent.session", "status": "idle", "environment": {"type": "openai_hosted"},
        "agent": {"id": "agent_1"}, "created_at": 1_795_305_600, "required_actions": []})
}

fn turn(session_id: &str, id: &str, created_at: i64) -> Value {
    json!({"id": id, "object": "agent.session.turn", "session_id": session_id, "status": "completed",
        "created_at": created_at, "completed_at": created_at + 1})
}

fn message(turn_id: &str, text: &str) -> Value {
    json!({"id": format!("item_of_{turn_id}"), "type": "message", "role": "assistant", "turn_id": turn_id,
        "content": [{"type": "output_text", "text": text}]})
}

async fn turns(landfall: &Landfall, session_id: &str) -> Vec<store::AgentTurnRecord> {
    landfall.store().await.agent_turns("default", session_id, 200).await.unwrap()
}

async fn an_idle_session_is_stored_with_its_turns_messages_and_files(database: Database) {
    let landfall = Landfall::start_on(database).await;
    landfall.send("agent.session.created", "asess_demo").await;
    landfall.settled().await;
    assert!(turns(&landfall, "asess_demo").await.is_empty());
    landfall.send("agent.session.idle", "asess_demo").await;
    landfall.send("agent.session.failed", "asess_demo_failed").await;
    landfall.settled().await;
    let session = landfall.show("asess_demo");
    assert_eq!((&session["status"], &session["last_turn_status"]), (&json!("idle"), &json!("completed")));
    assert_eq!(session["metadata"]["team"], "support");
    let turns = turns(&landfall, "asess_demo").await;
    assert_eq!(turns.len(), 2);
    let message = turns[0].output_text.as_deref().unwrap();
    assert!(message.starts_with("All twelve tickets"), "{message}");
    assert_eq!((turns[1].status.as_deref(), &turns[1].output_text), (Some("failed"), &None));
    assert!(turns[1].error.as_deref().unwrap().contains("server_overloaded"));
    for artifact in session["artifacts"].as_array().unwrap() {
        assert_eq!(artifact["state"], "fetched");
        let id = artifact["id"].as_str().unwrap();
        let stored = std::fs::read(landfall.file("asess_demo", id)).unwrap();
        assert_eq!(stored, landfall.fake.file_bytes(id).unwrap());
        assert_eq!(landfall.show(id)["filename"], artifact["path"]);
    }
    assert_eq!(session["artifacts"].as_array().unwrap().len(), 2);
    let failed = landfall.show("asess_demo_failed");
    assert_eq!((&failed["status"], &failed["last_turn_status"]), (&json!("failed"), &json!("failed")));
    let betas = landfall.fake.requests();
    assert!(betas.iter().all(|request| request.header("openai-beta") == Some("agents=v1")));
}

async fn only_turns_that_are_not_stored_are_read_again(database: Database) {
    let landfall = Landfall::start_on(database).await;
    landfall.send("agent.session.action_required", "asess_demo_waiting").await;
    landfall.settled().await;
    let waiting = landfall.show("asess_demo_waiting");
    assert_eq!(waiting["required_actions"][0]["call_id"], "call_demo");
    assert_eq!(turns(&landfall, "asess_demo_waiting").await[0].status.as_deref(), Some("waiting"));

    let ended = turn("asess_demo_waiting", "turn_demo_3", 1_795_306_000);
    landfall.fake.add_object(&ended).unwrap();
    landfall.fake.add_object(&message("turn_demo_3", "Closed.")).unwrap();
    for _ in 0..2 {
        landfall.send("agent.session.idle", "asess_demo_waiting").await;
        landfall.settled().await;
    }
    let turns = turns(&landfall, "asess_demo_waiting").await;
    assert_eq!(turns[0].output_text.as_deref(), Some("Closed."));
    let requests = landfall.fake.requests();
    let of_items = requests.iter().filter(|request| request.path.ends_with("/items"));
    assert_eq!(of_items.count(), 1, "the second event finds the turn stored");
}

async fn a_missing_permission_for_agents_costs_no_event(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let missing = |path: &str| Fault::always(FaultKind::MissingScopes("api.agents.read".to_owned()), path);
    landfall.fake.inject(missing(SESSIONS));
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(landfall.send("agent.session.idle", &format!("asess_{number}")).await);
    }
    ids.push(landfall.send("agent.session.idle", "asess_demo").await);
    landfall.settled().await;
    for id in ids {
        let event = landfall.event(&id).await.unwrap();
        assert_eq!((event.state, event.reason), (EventState::Stored, Some(Reason::Forbidden)));
    }
    let session = landfall.show("asess_demo");
    assert_eq!((&session["fetch_state"], &session["environment_type"]), (&json!("forbidden"), &json!(null)));
    landfall.metric("landfall_openai_key_suspect{} 0.0").await;
    assert!(landfall.workers[0].log().iter().any(|line| line.contains("api.agents.read")));
    assert_eq!(landfall.status()["total"]["dead"], 0);

    // The session may be read, but neither its turns nor its files.
    landfall.fake.clear_faults();
    landfall.fake.inject(missing("/turns"));
    landfall.fake.inject(missing("/artifacts"));
    let output = landfall.landfall(&["fetch", "asess_demo"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(landfall.show("asess_demo")["fetch_state"], "fetched");
    assert!(turns(&landfall, "asess_demo").await.is_empty());
    landfall.fake.clear_faults();
    landfall.landfall(&["fetch", "asess_demo"]);
    assert_eq!(turns(&landfall, "asess_demo").await.len(), 2);
}

async fn a_crash_between_session_and_turns_is_made_good(database: Database) {
    let mut landfall = Landfall::start_on_with(database, 1, &[("LEASE_SECS", "1")]).await;
    // Session, turns, messages and one file were read; nothing but the file is stored.
    landfall.fake.delay_ms("artifact_demo_report/content", 60_000);
    let id = landfall.send("agent.session.idle", "asess_demo").await;
    let second = async || {
        let requests = landfall.fake.requests();
        requests.iter().any(|request| request.path.contains("artifact_demo_report/content")).then_some(())
    };
    wait::until("the request for the second file", second).await;
    landfall.workers.pop().unwrap().kill();
    assert!(turns(&landfall, "asess_demo").await.is_empty());
    landfall.fake.clear_faults();
    landfall.add_worker();
    landfall.settled().await;
    assert_eq!(landfall.event(&id).await.unwrap().state, EventState::Stored);
    assert_eq!(turns(&landfall, "asess_demo").await.len(), 2);
    let session = landfall.show("asess_demo");
    assert!(session["artifacts"].as_array().unwrap().iter().all(|artifact| artifact["state"] == "fetched"));
}

on_both_databases!(
    an_idle_session_is_stored_with_its_turns_messages_and_files,
    only_turns_that_are_not_stored_are_read_again,
    a_missing_permission_for_agents_costs_no_event,
    a_crash_between_session_and_turns_is_made_good
);

#[tokio::test(flavor = "multi_thread")]
async fn unknown_values_of_a_session_and_its_turns_are_kept() {
    let landfall = Landfall::start().await;
    let mut odd = session("asess_odd");
    (odd["status"], odd["environment"], odd["agent"]) = (json!("dreaming"), json!("a cloud"), json!([]));
    odd["required_actions"] = json!([{"type": "of_2027"}, 7]);
    landfall.fake.add_object(&odd).unwrap();
    let mut steered = turn("asess_odd", "turn_steered", 2);
    (steered["status"], steered["error"], steered["usage"]) = (json!("steered"), json!("boom"), json!(7));
    landfall.fake.add_object(&steered).unwrap();
    let mut nameless = turn("asess_odd", "turn_open", 1);
    (nameless["status"], nameless["completed_at"]) = (json!(null), json!(null));
    landfall.fake.add_object(&nameless).unwrap();
    let id = landfall.send("agent.session.idle", "asess_odd").await;
    landfall.settled().await;
    let event = landfall.event(&id).await.unwrap();
    assert_eq!((event.state, event.attempts), (EventState::Stored, 1));
    let session = landfall.show("asess_odd");
    assert_eq!((&session["status"], &session["agent_id"]), (&json!("dreaming"), &json!(null)));
    assert_eq!(session["required_actions"], json!([{"type": "of_2027"}, 7]));
    assert_eq!(session["last_turn_status"], "steered");
    let turns = turns(&landfall, "asess_odd").await;
    let states: Vec<_> = turns.iter().map(|turn| (turn.status.as_deref(), turn.terminal)).collect();
    assert_eq!(states, [(Some("steered"), true), (None, false)]);
    assert_eq!(turns[0].error.as_deref(), Some("\"boom\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_turns_the_newest_hundred_are_stored() {
    let landfall = Landfall::start().await;
    landfall.fake.add_object(&session("asess_long")).unwrap();
    for number in 1..=130 {
        landfall.fake.add_object(&turn("asess_long", &format!("turn_{number}"), number)).unwrap();
    }
    landfall.send("agent.session.idle", "asess_long").await;
    landfall.settled().await;
    let stored = turns(&landfall, "asess_long").await;
    assert_eq!((stored.len(), stored[0].turn_id.as_str()), (100, "turn_130"));
    assert!(landfall.workers[0].log().iter().any(|line| line.contains("more turns than are read at once")));
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_that_cannot_be_had_are_listed_with_their_state() {
    let landfall = Landfall::start().await;
    landfall.fake.add_object(&session("asess_files")).unwrap();
    let artifact = |id: &str, size_bytes: u64| {
        json!({"id": id, "object": "agent.session.artifact", "session_id": "asess_files", "turn_id": "turn_1",
            "path": format!("/workspace/outputs/{id}"), "size_bytes": size_bytes, "created_at": 1})
    };
    for (id, size_bytes) in [("art_good", 4), ("art_huge", 300 << 20), ("art_gone", 4), ("art_bad", 4)] {
        landfall.fake.add_artifact(&artifact(id, size_bytes), "good");
    }
    landfall.fake.add_artifact(&artifact("art_secret", 4), "good");
    landfall.fake.inject(Fault::always(FaultKind::Status(404), "art_gone/content"));
    landfall.fake.inject(Fault::always(FaultKind::Status(403), "art_secret/content"));
    landfall.fake.inject(Fault::always(FaultKind::Status(500), "art_bad/content"));
    let id = landfall.send("agent.session.idle", "asess_files").await;
    landfall.settled().await;
    let event = landfall.event(&id).await.unwrap();
    assert_eq!((event.state, event.attempts), (EventState::Stored, 8));
    let session = landfall.show("asess_files");
    let mut states: Vec<_> = session["artifacts"].as_array().unwrap().iter().collect();
    states.sort_by_key(|artifact| artifact["id"].as_str().unwrap());
    let states: Vec<_> = states.iter().map(|artifact| artifact["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["failed", "not_found", "fetched", "too_large", "forbidden"]);
    assert_eq!(std::fs::read(landfall.file("asess_files", "art_good")).unwrap(), b"good");
    let requests = landfall.fake.requests();
    let downloads = requests.iter().filter(|request| request.path.contains("art_good/content")).count();
    assert_eq!(downloads, 1, "a file that is stored is not downloaded again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_session_is_stored_as_missing() {
    let landfall = Landfall::start().await;
    let id = landfall.send("agent.session.idle", "asess_deleted").await;
    landfall.settled().await;
    let event = landfall.event(&id).await.unwrap();
    assert_eq!((event.state, event.reason), (EventState::Stored, Some(Reason::NotFound)));
    assert_eq!(landfall.show("asess_deleted")["fetch_state"], "not_found");
}
