//! Images in responses: each is a file, and the database has references instead of base64.

use serde_json::json;
use webhook::EventState;

use crate::harness::{Database, Landfall};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and some pixels";
const PNG_BASE64: &str = "iVBORw0KGgogYW5kIHNvbWUgcGl4ZWxz";
const WEBP: &[u8] = b"RIFF\x01\x02\x03\x04WEBPVP8 and so on";
const WEBP_BASE64: &str = "UklGRgECAwRXRUJQVlA4IGFuZCBzbyBvbg==";

async fn images_become_files_and_the_object_refers_to_them(database: Database) {
    let landfall = Landfall::start_on(database).await;
    let image = |id: &str, base64: &str| json!({"type": "image_generation_call", "id": id, "status": "completed", "result": base64});
    let broken = json!({"type": "image_generation_call", "id": "ig_3", "result": "iVBORw0KGgoAAAANSUhEUg*"});
    let response = json!({
        "id": "resp_images", "status": "completed",
        "output": [image("ig_1", PNG_BASE64), image("ig_2", WEBP_BASE64), broken],
    });
    landfall.fake.add_response(response);
    let id = landfall.send("response.completed", "resp_images").await;
    landfall.settled().await;
    let event = landfall.event(&id).await.unwrap();
    assert_eq!((event.state, event.attempts), (EventState::Stored, 1));
    let stored = landfall.show("resp_images");
    for (index, (item, bytes, filename)) in
        [("ig_1", PNG, "ig_1.png"), ("ig_2", WEBP, "ig_2.webp")].into_iter().enumerate()
    {
        let file = landfall.show(&format!("resp_images/{item}"));
        assert_eq!((&file["purpose"], &file["filename"]), (&json!("generated_image"), &json!(filename)));
        assert!(landfall.stored_file("resp_images", item) == bytes, "{item}");
        let reference = format!("landfall-file:{}", file["sha256"].as_str().unwrap());
        assert_eq!(stored["raw"]["output"][index]["result"], json!(reference));
    }
    assert_eq!(stored["raw"]["output"][2]["result"], "iVBORw0KGgoAAAANSUhEUg*", "it stays where it was");
    // The raw file has the bytes that OpenAI sent.
    let raw = landfall.landfall(&["show", "resp_images", "--raw"]).stdout;
    let whole: serde_json::Value = serde_json::from_slice(&raw).unwrap();
    assert!(whole["output"][0]["result"] == PNG_BASE64);
}

on_both_databases!(images_become_files_and_the_object_refers_to_them);
