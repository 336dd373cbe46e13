//! Agent sessions: the beta header, and parts that belong to their session.

use serde_json::Value;

use crate::client::Client;

async fn get(client: &Client, path: &str) -> reqwest::Response {
    let url = format!("{}/agents/sessions{path}", client.fake.base_url());
    client.http.get(url).header("openai-beta", "agents=v1").send().await.unwrap()
}

#[tokio::test]
async fn sessions_need_the_beta_header() {
    let client = Client::new().await;
    assert_eq!(client.status("/agents/sessions/asess_demo").await, 400);
    assert_eq!(get(&client, "/asess_demo").await.status(), 200);
    assert_eq!(get(&client, "/asess_none").await.status(), 404);
    assert_eq!(get(&client, "/asess_demo/turns/turn_demo_3").await.status(), 404, "of another session");
}

#[tokio::test]
async fn turns_items_and_artifacts_are_listed_newest_first() {
    let client = Client::new().await;
    let ids = async |path: &str| -> Vec<String> {
        let list: Value = get(&client, path).await.json().await.unwrap();
        list["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("").await.len(), 3);
    assert_eq!(ids("/asess_demo/turns").await, ["turn_demo_2", "turn_demo_1"]);
    assert_eq!(ids("/asess_demo/turns?order=asc&limit=1").await, ["turn_demo_1"]);
    assert_eq!(
        ids("/asess_demo/turns/turn_demo_2/items").await,
        ["item_demo_3", "item_demo_2", "item_demo_1"]
    );
    for id in ids("/asess_demo/artifacts").await {
        let artifact: Value =
            get(&client, &format!("/asess_demo/artifacts/{id}")).await.json().await.unwrap();
        let content =
            get(&client, &format!("/asess_demo/artifacts/{id}/content")).await.bytes().await.unwrap();
        assert_eq!(artifact["size_bytes"], content.len());
        assert_eq!(content, client.fake.file_bytes(&id).unwrap());
    }
}
