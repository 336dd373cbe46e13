//! Containers of the code interpreter: their files are served until they expire.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::client::Client;

const FILE: &str = "/containers/cntr_1/files/cfile_1";

#[tokio::test]
async fn the_files_of_a_container_are_listed_and_served() {
    let client = Client::new().await;
    for number in 1..=3 {
        client.fake.add_container_file("cntr_1", &format!("cfile_{number}"), "p.png", "bytes");
    }
    client.fake.add_container_file("cntr_2", "cfile_9", "q.png", "other");
    let file = client.json(FILE).await;
    assert_eq!((&file["object"], &file["container_id"]), (&json!("container.file"), &json!("cntr_1")));
    assert_eq!((&file["bytes"], &file["path"]), (&json!(5), &json!("/mnt/data/p.png")));
    let answer = client.get(&format!("{FILE}/content")).await;
    assert_eq!(answer.headers()["content-disposition"], "attachment; filename=\"p.png\"");
    assert_eq!(answer.text().await.unwrap(), "bytes");
    assert_eq!(client.pages("/containers/cntr_1/files", 2).await.concat().len(), 3);
    let containers = client.pages("/containers", 100).await.concat();
    assert!(containers.iter().any(|container| container["id"] == "cntr_2"));
    // A file is only in its own container.
    assert_eq!(client.status("/containers/cntr_2/files/cfile_1/content").await, 404);
    assert_eq!(client.status("/containers/cntr_9/files").await, 404);
    let url = format!("{}{FILE}", client.fake.base_url());
    assert_eq!(client.http.request(Method::PUT, url).send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn an_expired_container_has_no_files() {
    let client = Client::new().await;
    client.fake.add_container_file("cntr_1", "cfile_1", "p.png", "bytes");
    client.fake.expire_container("cntr_1", Duration::from_secs(3600));
    assert_eq!(client.status(FILE).await, 200);
    let url = format!("{}/containers", client.fake.control_url());
    let expire = json!({"id": "cntr_1", "expires_in_secs": 0});
    assert_eq!(client.http.put(url).json(&expire).send().await.unwrap().status(), 200);
    for path in [FILE, "/containers/cntr_1/files", "/containers/cntr_1/files/cfile_1/content"] {
        assert_eq!(client.status(path).await, 404, "{path}");
    }
    assert_eq!(client.json("/containers/cntr_1").await["status"], "expired");
}

#[tokio::test]
async fn files_are_put_into_a_container() {
    let client = Client::new().await;
    let url = format!("{}/containers", client.fake.control_url());
    let put = json!({"id": "cntr_1", "files": [{"id": "cfile_1", "filename": "t.csv", "content": "a,b"}]});
    assert_eq!(client.http.put(url).json(&put).send().await.unwrap().status(), 200);
    assert_eq!(client.get(&format!("{FILE}/content")).await.text().await.unwrap(), "a,b");
    assert_eq!(client.json("/containers/cntr_1").await["status"], "running");
}
