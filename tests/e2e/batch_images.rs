//! `FETCH_BATCH_IMAGES`: images in the results of a batch are files, and the rows have references instead of base64.

use fake_openai::{Fault, FaultKind};
use serde_json::{Value, json};
use test_support::wait;
use webhook::{EventState, Family};

use crate::harness::{Database, Landfall};

const IMAGES: (&str, &str) = ("FETCH_BATCH_IMAGES", "true");
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and some pixels";
const PNG_BASE64: &str = "iVBORw0KGgogYW5kIHNvbWUgcGl4ZWxz";
const WEBP: &[u8] = b"RIFF\x01\x02\x03\x04WEBPVP8 and so on";
const WEBP_BASE64: &str = "UklGRgECAwRXRUJQVlA4IGFuZCBzbyBvbg==";

fn line(custom_id: &str, body: &Value) -> String {
    json!({"custom_id": custom_id, "response": {"status_code": 200, "body": body}}).to_string()
}

fn with_item(result: &str) -> Value {
    json!({"id": "resp_1", "output": [{"type": "image_generation_call", "id": "ig_1", "result": result}],
           "usage": {"input_tokens": 1, "output_tokens": 2}})
}

fn add_batch(landfall: &Landfall, lines: &[String]) -> String {
    let output = lines.join("\n");
    landfall.fake.add_file("file-output", &json!({}), output.clone());
    let total = lines.len();
    landfall
        .fake
        .add_batch(json!({"id": "batch_images", "status": "completed", "output_file_id": "file-output",
        "error_file_id": null, "request_counts": {"total": total, "completed": total, "failed": 0}}));
    output
}

fn body(row: &store::ResultRow) -> Value {
    serde_json::from_slice(row.body.as_deref().unwrap()).unwrap()
}

async fn images_of_a_batch_become_files_and_rows_refer_to_them(database: Database) {
    let landfall = Landfall::start_on_with(database, 1, &[IMAGES]).await;
    let generated = json!({"created": 1, "data": [{"b64_json": WEBP_BASE64}, {"b64_json": PNG_BASE64}]});
    let lines = [
        line("a", &with_item(PNG_BASE64)),
        line("b", &json!({"output": [{"type": "message", "result": PNG_BASE64}]})),
        line("a", &generated),
        line("c", &with_item("iVBORw0KGgoAAAANSUhEUg*")),
        "garbage with image_generation_call".to_owned(),
    ];
    let output = add_batch(&landfall, &lines);
    let id = landfall.send("batch.completed", "batch_images").await;
    landfall.settled().await;
    let event = landfall.event(&id).await.unwrap();
    assert_eq!((event.state, event.attempts), (EventState::Stored, 1), "{:?}", event.last_error);
    let rows = landfall.rows("batch_images").await;
    let cases = [
        ("output-1", "ig_1", PNG, "ig_1.png", &body(&rows[0])["output"][0]["result"]),
        ("output-3", "image_0", WEBP, "image_0.webp", &body(&rows[2])["data"][0]["b64_json"]),
        ("output-3", "image_1", PNG, "image_1.png", &body(&rows[2])["data"][1]["b64_json"]),
    ];
    for (line, item, bytes, filename, reference) in cases {
        let file = landfall.show(&format!("batch_images/{line}/{item}"));
        assert_eq!((&file["purpose"], &file["filename"]), (&json!("generated_image"), &json!(filename)));
        assert_eq!(file["object_id"], "batch_images");
        assert!(landfall.stored_file("batch_images", &format!("{line}-{item}")) == bytes, "{line}/{item}");
        assert_eq!(*reference, json!(format!("landfall-file:{}", file["sha256"].as_str().unwrap())));
    }
    assert_eq!(body(&rows[1])["output"][0]["result"], PNG_BASE64, "a message is no image");
    assert_eq!(body(&rows[3])["output"][0]["result"], "iVBORw0KGgoAAAANSUhEUg*", "it stays where it was");
    assert!(rows[4].quarantined && rows[0].output_tokens == Some(2));
    // The raw file has the bytes that OpenAI sent.
    assert!(landfall.stored_file("batch_images", "file-output") == output.as_bytes());

    // All of it goes with its batch.
    landfall.send("response.completed", "resp_of_later").await;
    landfall.settled().await;
    let pruned = landfall.landfall(&["prune", "--older-than", "0s", "--family", "batch", "--yes", "--json"]);
    assert!(pruned.status.success(), "{pruned:?}");
    assert_eq!(serde_json::from_slice::<Value>(&pruned.stdout).unwrap()["files"], 4);
    assert!(!landfall.file("batch_images", "output-1-ig_1").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_images_of_a_batch_stay_in_the_rows() {
    let landfall = Landfall::start().await;
    add_batch(&landfall, &[line("a", &with_item(PNG_BASE64))]);
    landfall.send("batch.completed", "batch_images").await;
    landfall.settled().await;
    assert_eq!(body(&landfall.rows("batch_images").await[0])["output"][0]["result"], PNG_BASE64);
}

async fn a_worker_killed_among_images_neither_loses_nor_doubles_them(database: Database) {
    const LINES: usize = 3000;
    let mut landfall = Landfall::start_on_with(database, 1, &[IMAGES, ("LEASE_SECS", "1")]).await;
    let filler = "x".repeat(2000);
    let lines: Vec<String> = (1..=LINES)
        .map(|number| {
            // An image in every tenth line.
            let mut body = if number % 10 == 0 { with_item(PNG_BASE64) } else { json!({"output": []}) };
            body["filler"] = json!(filler);
            line(&format!("request-{number}"), &body)
        })
        .collect();
    add_batch(&landfall, &lines);
    landfall.fake.inject(Fault::always(FaultKind::StallInBody, "file-output/content"));
    landfall.send("batch.completed", "batch_images").await;
    let store = landfall.store().await;
    let half = async || {
        let progress = store.fetch_progress("default", Family::Batch, "batch_images").await.unwrap()?;
        let (rows, _) = progress.rows?;
        // Images of the rows after the last chunk are stored before their rows.
        let next = format!("batch_images/output-{}/ig_1", (rows / 10 + 1) * 10);
        (rows >= 1000 && !store.find(&next).await.unwrap().is_empty()).then_some(rows)
    };
    let rows = wait::until("rows, and images without rows", half).await;
    landfall.workers.pop().unwrap().kill();
    assert!(usize::try_from(rows).unwrap() < LINES);
    landfall.fake.clear_faults();
    landfall.add_worker();
    landfall.settled().await;
    let rows = landfall.rows("batch_images").await;
    assert_eq!(rows.len(), LINES);
    let mut images = 0;
    for row in rows.iter().filter(|row| row.line % 10 == 0) {
        let found = store.find(&format!("batch_images/output-{}/ig_1", row.line)).await.unwrap();
        let [store::Found::File(file)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(body(row)["output"][0]["result"], json!(format!("landfall-file:{}", file.sha256)));
        images += 1;
        assert!(landfall.stored_file("batch_images", &format!("output-{}-ig_1", row.line)) == PNG);
    }
    // Only the download that the worker was killed in leaves a partial file, whose name has a `#`.
    let folder = std::fs::read_dir(landfall.file("batch_images", "")).unwrap();
    let names = folder.map(|file| file.unwrap().file_name().into_string().unwrap());
    let complete = names.filter(|name| !name.contains('#')).count();
    assert_eq!(complete, images + 1, "the images and the output file");
}

async fn images_of_a_file_that_is_read_again_replace_the_old_ones(database: Database) {
    let landfall = Landfall::start_on_with(database, 1, &[IMAGES]).await;
    // Half a file: one of two requests is missing.
    let lines = [line("a", &with_item(PNG_BASE64)), line("b", &with_item(WEBP_BASE64))];
    add_batch(&landfall, &lines);
    landfall.fake.add_file("file-output", &json!({}), format!("{}\n", lines[0]));
    landfall.send("batch.completed", "batch_images").await;
    landfall.settled().await;
    assert_eq!(landfall.show("batch_images")["results_state"], "mismatch");
    landfall.fake.add_file("file-output", &json!({}), format!("{}\n{}\n", lines[1], lines[0]));
    let fetched = landfall.landfall(&["fetch", "batch_images"]);
    assert!(fetched.status.success(), "{fetched:?}");
    let rows = landfall.rows("batch_images").await;
    assert_eq!(rows.len(), 2);
    for (row, bytes) in rows.iter().zip([WEBP, PNG]) {
        let file = landfall.show(&format!("batch_images/output-{}/ig_1", row.line));
        let reference = format!("landfall-file:{}", file["sha256"].as_str().unwrap());
        assert_eq!(body(row)["output"][0]["result"], json!(reference));
        assert!(landfall.stored_file("batch_images", &format!("output-{}-ig_1", row.line)) == bytes);
    }
}

on_both_databases!(
    images_of_a_batch_become_files_and_rows_refer_to_them,
    a_worker_killed_among_images_neither_loses_nor_doubles_them,
    images_of_a_file_that_is_read_again_replace_the_old_ones
);
