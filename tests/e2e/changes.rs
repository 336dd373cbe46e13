//! Workers announce in Redis what became of each event, also when it was stored before.

use fake_openai::{Fault, FaultKind};
use webhook::EventState;

use crate::harness::{Database, Landfall};

/// Kind, id and state of all changes, oldest first.
async fn announced(landfall: &Landfall) -> Vec<[String; 3]> {
    let client = redis::Client::open(landfall.redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut range = redis::cmd("XRANGE");
    range.arg("{landfall}:changes").arg("-").arg("+");
    let entries: Vec<(String, Vec<String>)> = range.query_async(&mut connection).await.unwrap();
    let values = |fields: Vec<String>| {
        let [kind_name, kind, id_name, id, state_name, state] = fields.try_into().unwrap();
        assert_eq!([kind_name, id_name, state_name], ["kind", "id", "state"]);
        [kind, id, state]
    };
    entries.into_iter().map(|(_, fields)| values(fields)).collect()
}

async fn every_event_is_announced_with_what_became_of_it(database: Database) {
    let landfall = Landfall::start_on(database).await;
    landfall.fake.inject(Fault::always(FaultKind::Status(400), "resp_demo_failed"));
    landfall.send("response.completed", "resp_demo_research").await;
    landfall.send("response.completed", "resp_unknown").await;
    landfall.send("batch.completed", "batch_demo_completed").await;
    landfall.send("fine_tuning.job.succeeded", "ftjob_demo_succeeded").await;
    landfall.send("response.failed", "resp_demo_failed").await;
    landfall.send("eval.run.succeeded", "evalrun_demo_succeeded").await;
    landfall.send("agent.session.idle", "asess_demo").await;
    landfall.send("video.completed", "video_1").await;
    landfall.settled().await;
    let mut changes = announced(&landfall).await;
    changes.sort();
    assert_eq!(
        changes,
        [
            ["agent", "asess_demo", "stored"],
            ["batch", "batch_demo_completed", "stored"],
            ["eval", "evalrun_demo_succeeded", "stored"],
            ["fine_tuning", "ftjob_demo_succeeded", "stored"],
            ["other", "video_1", "stored"],
            ["response", "resp_demo_failed", "dead"],
            ["response", "resp_demo_research", "stored"],
            ["response", "resp_unknown", "not_found"],
        ]
    );
}

/// An entry that was committed, and whose ack was lost with its worker, is delivered once more. That fetches nothing.
async fn a_redelivery_of_a_stored_event_announces_what_was_stored(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let webhook_id = landfall.send("batch.completed", "batch_unknown").await;
    landfall.settled().await;
    assert_eq!(announced(&landfall).await, [["batch", "batch_unknown", "not_found"]]);

    let requests = landfall.fake.requests().len();
    landfall.redis_command("DEL {landfall}:changes").await;
    let event = landfall.event_when(&webhook_id, |event| event.state == EventState::Stored).await;
    let body = String::from_utf8(event.body).unwrap();
    let entry = format!(
        "XADD {{landfall}}:events:batch * v 1 id {webhook_id} project default type batch.completed \
         timestamp 1750287078 received_ms 1750287078123 body {body}"
    );
    landfall.redis_command(&entry).await;
    landfall.settled().await;
    assert_eq!(announced(&landfall).await, [["batch", "batch_unknown", "not_found"]]);
    assert_eq!(landfall.fake.requests().len(), requests);
}

on_both_databases!(
    every_event_is_announced_with_what_became_of_it,
    a_redelivery_of_a_stored_event_announces_what_was_stored,
);
