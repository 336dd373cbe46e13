//! Probes of what a key may read.

use openai_client::{Permission, Scope};

use crate::server::{Server, Step, response};
use crate::{chain, client};

const ERROR: &str = r#"{"error":{"message":"Missing scopes: api.x.read","type":"invalid_request_error"}}"#;

async fn probe(status: &str, body: &str) -> Vec<Permission> {
    let server = Server::responding(response(status, "", body)).await;
    let mut found = Vec::new();
    for scope in Scope::ALL {
        found.push(client(&server).probe(*scope).await);
    }
    found
}

#[tokio::test]
async fn a_404_means_that_the_permission_is_granted() {
    for permission in probe("404 Not Found", ERROR).await {
        assert!(matches!(permission, Permission::Granted), "{permission:?}");
    }
}

#[tokio::test]
async fn a_401_or_403_means_that_the_permission_is_missing() {
    for status in ["401 Unauthorized", "403 Forbidden"] {
        for permission in probe(status, ERROR).await {
            let Permission::Missing(error) = permission else { panic!("{status}: {permission:?}") };
            chain(&error);
        }
    }
}

#[tokio::test]
async fn another_answer_says_nothing_about_the_permission() {
    let statuses = ["400 Bad Request", "410 Gone", "429 Too Many Requests", "500 Oh", "302 Found"];
    for status in statuses {
        for permission in probe(status, ERROR).await {
            let Permission::NotKnown(error) = permission else { panic!("{status}: {permission:?}") };
            chain(&error);
        }
    }
    for permission in probe("200 OK", "{}").await {
        assert!(matches!(permission, Permission::NotOpenAi), "{permission:?}");
    }
}

#[tokio::test]
async fn no_answer_says_nothing_about_the_permission() {
    let server = Server::start(|_| Vec::<Step>::new()).await;
    let permission = client(&server).probe(Scope::Responses).await;
    let Permission::NotKnown(error) = permission else { panic!("{permission:?}") };
    assert_eq!(error.status(), None);
}

#[tokio::test]
async fn each_kind_of_object_is_asked_for_by_an_id_of_its_form() {
    let server = Server::responding(response("404 Not Found", "", ERROR)).await;
    for scope in Scope::ALL {
        client(&server).probe(*scope).await;
    }
    let starts = [
        "/responses/resp_000",
        "/batches/batch_000",
        "/files/file-000",
        "/fine_tuning/jobs/ftjob-000",
        "/models/no-such-model",
        "/containers/cntr_000",
        "/safety/alerts/alert_000",
        "/agents/sessions/asess_000",
    ];
    let heads = server.heads();
    assert_eq!(heads.len(), starts.len());
    for (head, start) in heads.iter().zip(starts) {
        assert!(head.starts_with(&format!("GET /v1{start}")), "{head}");
        assert_eq!(head.contains("openai-beta: agents=v1"), start.contains("agents"), "{head}");
    }
}
