//! Every API response has a size limit, and large content goes to files: memory use is bounded, and nothing is lost
//! silently.

use fake_openai::{Fault, FaultKind};
use serde_json::json;
use webhook::{EventState, Reason};

use crate::harness::Landfall;

/// The peak memory of a process, in MiB.
fn peak_memory_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_of_20_megabytes_of_images_is_kept_whole_as_a_file() {
    let landfall = Landfall::start().await;
    let before = peak_memory_mib(landfall.workers[0].pid());
    let image = json!({"type": "image_generation_call", "id": "ig_1", "result": "A".repeat(5 << 20)});
    let message = json!({"type": "message", "content": [{"type": "output_text", "text": "Four images."}]});
    let response =
        json!({"id": "resp_images", "status": "completed", "output": [image, image, image, image, message]});
    landfall.fake.add_response(response.clone());
    let id = landfall.send("response.completed", "resp_images").await;
    landfall.settled().await;
    assert_eq!(landfall.event(&id).await.unwrap().attempts, 1);

    let stored = landfall.show("resp_images");
    assert_eq!((&stored["output_text"], &stored["status"]), (&"Four images.".into(), &"completed".into()));
    assert_eq!(stored["raw"]["output"][4], message, "the other items can still be queried");
    let note = stored["raw"]["output"][3]["result"].as_str().unwrap();
    let expected = format!("[{} bytes left out; see file resp_images.json]", (5 << 20) + 2);
    assert!(note == expected, "an image is in the column: {} bytes", note.len());
    let file = landfall.show("resp_images.json");
    assert_eq!(
        (&file["object_id"], &file["location"]),
        (&"resp_images".into(), &"default/resp_images/resp_images.json".into())
    );
    // The file is stored byte for byte, and `--raw` prints it.
    let stored_bytes = std::fs::read(landfall.file("resp_images", "resp_images.json")).unwrap();
    assert!(stored_bytes.len() > 20 << 20);
    let mut whole: serde_json::Value = serde_json::from_slice(&stored_bytes).unwrap();
    whole.as_object_mut().unwrap().remove("object");
    assert!(whole == response);
    assert!(landfall.landfall(&["show", "resp_images", "--raw"]).stdout == stored_bytes);
    let grown = peak_memory_mib(landfall.workers[0].pid()) - before;
    assert!(grown < 120, "20 MiB of response took {grown} MiB of memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_beyond_its_cap_is_given_up_and_visible() {
    let landfall = Landfall::start().await;
    let before = peak_memory_mib(landfall.workers[0].pid());
    for (event_type, object_id, bytes) in [
        ("response.completed", "resp_demo_research", 65_u64 << 20),
        ("batch.completed", "batch_demo_completed", 9 << 20),
        ("fine_tuning.job.succeeded", "ftjob_demo_succeeded", 2 << 20),
    ] {
        landfall.fake.inject(Fault::times(FaultKind::HugeJson { bytes }, object_id, 1));
        let id = landfall.send(event_type, object_id).await;
        let event = landfall.event_when(&id, |event| event.state == EventState::Dead).await;
        assert_eq!((event.reason, event.attempts), (Some(Reason::BadAnswer), 1));
        assert!(event.last_error.unwrap().contains("larger than"));
    }
    landfall.settled().await;
    assert_eq!(landfall.status()["total"]["dead"], 3);
    let grown = peak_memory_mib(landfall.workers[0].pid()) - before;
    assert!(grown < 60, "rejected responses took {grown} MiB of memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_file_too_large_for_a_table_is_kept_as_a_file() {
    let mut landfall = Landfall::start().await;
    let mut file = b"step,train_loss\n1,0.5\n".to_vec();
    file.resize(65 << 20, b'x');
    landfall.fake.add_file("file-huge", &json!({}), file);
    landfall
        .fake
        .add_object(&json!({"id": "ftjob-huge", "object": "fine_tuning.job", "status": "failed", "result_files": ["file-huge"]}))
        .unwrap();
    let id = landfall.send("fine_tuning.job.failed", "ftjob-huge").await;
    landfall.settled().await;
    let event = landfall.event(&id).await.unwrap();
    assert_eq!((event.state, event.attempts), (EventState::Stored, 1));
    assert_eq!(landfall.show("file-huge")["bytes"], 65 << 20);
    landfall.workers[0].wait_for_log("too large for a metrics table");
}
