//! File content: whole, in ranges, and with `If-Range`.

use fake_openai::FakeConfig;

use crate::client::Client;

const FILE: &str = "file-DemoTicketsOutput";

async fn get(client: &Client, file_id: &str, headers: &[(&str, &str)]) -> reqwest::Response {
    let url = format!("{}/files/{file_id}/content", client.fake.base_url());
    let request =
        headers.iter().fold(client.http.get(url), |request, (name, value)| request.header(*name, *value));
    request.send().await.unwrap()
}

fn header<'a>(answer: &'a reqwest::Response, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_file_is_served_with_its_length_and_a_strong_etag() {
    let client = Client::new().await;
    let expected = client.fake.file_bytes(FILE).unwrap();
    let answer = get(&client, FILE, &[]).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.content_length(), Some(expected.len() as u64));
    assert_eq!(header(&answer, "accept-ranges"), Some("bytes"));
    let etag = header(&answer, "etag").unwrap();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    assert!(header(&answer, "content-disposition").unwrap().contains(".jsonl"));
    assert_eq!(answer.bytes().await.unwrap(), expected);
}

#[tokio::test]
async fn ranges_add_up_to_the_whole_file() {
    let client = Client::new().await;
    client.fake.add_generated_batch_of("batch_ranged", 300, 1300);
    for file_id in [FILE, "file-batch_ranged-output"] {
        let expected = client.fake.file_bytes(file_id).unwrap();
        let half = expected.len() / 2 + 7;
        let etag = header(&get(&client, file_id, &[]).await, "etag").unwrap().to_owned();
        let first = get(&client, file_id, &[("range", &format!("bytes=0-{}", half - 1))]).await;
        assert_eq!(first.status(), 206);
        let total = expected.len();
        assert_eq!(header(&first, "content-range"), Some(format!("bytes 0-{}/{total}", half - 1).as_str()));
        let range = format!("bytes={half}-");
        let second = get(&client, file_id, &[("range", &range), ("if-range", &etag)]).await;
        assert_eq!((second.status().as_u16(), second.content_length()), (206, Some((total - half) as u64)));
        let joined = [first.bytes().await.unwrap(), second.bytes().await.unwrap()].concat();
        assert!(joined == expected, "{file_id}");
    }
}

#[tokio::test]
async fn a_file_that_changed_between_ranges_is_sent_whole() {
    let client = Client::new().await;
    let etag = header(&get(&client, FILE, &[]).await, "etag").unwrap().to_owned();
    client.fake.add_file(FILE, &serde_json::json!({}), "other content");
    let answer = get(&client, FILE, &[("range", "bytes=5-"), ("if-range", &etag)]).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text().await.unwrap(), "other content");
}

#[tokio::test]
async fn a_range_behind_the_end_is_a_416_that_tells_the_size() {
    let client = Client::new().await;
    let total = client.fake.file_bytes(FILE).unwrap().len();
    let answer = get(&client, FILE, &[("range", &format!("bytes={total}-"))]).await;
    assert_eq!(answer.status(), 416);
    assert_eq!(header(&answer, "content-range"), Some(format!("bytes */{total}").as_str()));
}

#[tokio::test]
async fn ranges_can_be_switched_off() {
    let config = FakeConfig { ranges: false, ..FakeConfig::default() };
    let client = Client::with(config).await;
    let answer = get(&client, FILE, &[("range", "bytes=5-9")]).await;
    assert_eq!(answer.status(), 200);
    assert_eq!((header(&answer, "etag"), header(&answer, "accept-ranges")), (None, None));
    assert_eq!(answer.bytes().await.unwrap(), client.fake.file_bytes(FILE).unwrap());
    client.fake.set_ranges(true);
    let answer = get(&client, FILE, &[("range", "bytes=5-9")]).await;
    assert_eq!((answer.status().as_u16(), answer.content_length()), (206, Some(5)));
}

#[tokio::test]
async fn with_a_weak_etag_the_file_is_sent_whole() {
    let client = Client::new().await;
    client.fake.set_weak_etags(true);
    let etag = header(&get(&client, FILE, &[]).await, "etag").unwrap().to_owned();
    assert!(etag.starts_with("W/\""), "{etag}");
    let answer = get(&client, FILE, &[("range", "bytes=5-"), ("if-range", &etag)]).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "accept-ranges")), (200, Some("bytes")));
}

#[tokio::test]
async fn an_empty_file_is_an_empty_body() {
    let client = Client::new().await;
    client.fake.add_file("file-empty", &serde_json::json!({}), "");
    let answer = get(&client, "file-empty", &[]).await;
    assert_eq!((answer.status().as_u16(), answer.content_length()), (200, Some(0)));
}
