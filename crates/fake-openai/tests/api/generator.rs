//! Batches of any size, generated while they are sent.

use serde_json::Value;

use crate::client::Client;

#[tokio::test]
async fn a_generated_batch_has_the_announced_lines_and_size() {
    const LINES: usize = 5000;
    let client = Client::new().await;
    client.fake.add_generated_batch("batch_big", LINES);
    let batch = client.json("/batches/batch_big").await;
    assert_eq!(batch["request_counts"]["total"], LINES);
    let file_id = batch["output_file_id"].as_str().unwrap();
    let file = client.json(&format!("/files/{file_id}")).await;
    let answer = client.get(&format!("/files/{file_id}/content")).await;
    assert_eq!(answer.content_length(), file["bytes"].as_u64());
    let text = answer.text().await.unwrap();
    assert_eq!(file["bytes"], text.len());
    assert_eq!(text.len() % LINES, 0);
    assert!(text.ends_with('\n'));
    let (mut ids, mut tokens) = (std::collections::BTreeSet::new(), 0);
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        ids.insert(line["custom_id"].as_str().unwrap().to_owned());
        tokens += line["response"]["body"]["usage"]["total_tokens"].as_u64().unwrap();
    }
    assert_eq!(ids.len(), LINES);
    assert_eq!(batch["usage"]["total_tokens"], tokens);
}

#[tokio::test]
async fn a_file_of_many_gigabytes_starts_at_once_and_supports_ranges() {
    let client = Client::new().await;
    client.fake.add_generated_batch_of("batch_vast", 50_000_000, 4096);
    let url = format!("{}/files/file-batch_vast-output/content", client.fake.base_url());
    let mut answer = client.http.get(&url).send().await.unwrap();
    assert_eq!(answer.content_length(), Some(50_000_000 * 4096));
    assert!(answer.chunk().await.unwrap().unwrap().starts_with(b"{\"id\":"));
    drop(answer);
    // The last line, which is the first request.
    let last = client.http.get(&url).header("range", "bytes=-4096").send().await.unwrap();
    let line: Value = last.json().await.unwrap();
    assert_eq!(line["custom_id"], "request-0000000001");
}
