//! Checks that the OpenAI API can be reached and accepts the key, and what the key may read.

use std::time::Duration;

use chrono::Utc;
use error_text::{chain, root_cause};
use openai_client::{ApiError, BodyMemory, Client, ClientConfig, ClientError, ErrorKind};
use service::settings::{Fetch, OpenAiSettings};

use super::findings::{self, Check, Finding};
use super::permissions;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(15);

const BASE_URL_HINT: &str =
    "set OPENAI_BASE_URL to the URL that OpenAI's SDKs use: https://api.openai.com/v1";

pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    /// How far OpenAI's clock is ahead of ours, if it responded.
    pub(super) clock_ahead_secs: Option<i64>,
}

impl From<Finding> for Checked {
    fn from(finding: Finding) -> Self {
        Self { findings: vec![finding], clock_ahead_secs: None }
    }
}

pub(super) async fn check(settings: &OpenAiSettings) -> Checked {
    if settings.fetch == Fetch::Off {
        let hint = "to fetch objects, set FETCH=on and OPENAI_API_KEY";
        return Check::Api.warning("FETCH is off: no objects are fetched", hint).into();
    }
    let api_key = match settings.api_key() {
        Ok(api_key) => api_key,
        Err(error) => return findings::setting(Check::Api, &error).into(),
    };
    let client = Client::new(ClientConfig {
        base_url: settings.openai_base_url.clone(),
        api_key,
        organization: settings.openai_org_id.clone(),
        project: settings.openai_project_id.clone(),
        connect_timeout: CONNECT_TIMEOUT,
        idle_timeout: RESPONSE_TIMEOUT,
        web_search_results: false,
        observer: None,
        body_memory: BodyMemory::default(),
    });
    let client = match client {
        Ok(client) => client,
        Err(error) => return unusable(&error).into(),
    };
    let access = client.check_access().await;
    let ahead = |time: chrono::DateTime<Utc>| (time - Utc::now()).num_seconds();
    let (findings, is_openai) = judge(&client, access.outcome).await;
    // Some other server's clock is not OpenAI's.
    let clock_ahead_secs = access.server_time.filter(|_| is_openai).map(ahead);
    Checked { findings, clock_ahead_secs }
}

/// Takes the result of the access check. Returns the findings, and whether the server is OpenAI.
async fn judge(client: &Client, access: Result<(), ApiError>) -> (Vec<Finding>, bool) {
    let accepted = || vec![Check::Api.ok("the OpenAI API accepts OPENAI_API_KEY")];
    let error = match access {
        Ok(()) => {
            let permissions = permissions::probe(client).await;
            return ([accepted(), permissions.findings()].concat(), true);
        }
        Err(error) => error,
    };
    match error.kind() {
        // OpenAI sends these also to a valid key that may not read batches.
        ErrorKind::Unauthorized | ErrorKind::Forbidden => {
            let permissions = permissions::probe(client).await;
            if permissions.has_any() {
                return ([accepted(), permissions.findings()].concat(), true);
            }
            (vec![refused(&error)], true)
        }
        ErrorKind::BadAnswer | ErrorKind::NotFound | ErrorKind::Rejected => (vec![refused(&error)], false),
        ErrorKind::RateLimited
        | ErrorKind::Unavailable
        | ErrorKind::PolicyViolation
        | ErrorKind::IncompleteDownload => (vec![refused(&error)], true),
    }
}

fn unusable(error: &ClientError) -> Finding {
    let hint = match error {
        ClientError::BaseUrl(_) => BASE_URL_HINT,
        ClientError::ApiKey => "copy OPENAI_API_KEY again: sk- followed by letters, digits and dashes",
        ClientError::Header(_) => "copy OPENAI_ORG_ID and OPENAI_PROJECT_ID again",
        ClientError::Tls(_) => "install the ca-certificates package",
    };
    Check::Api.wrong(chain(error), hint)
}

fn refused(error: &ApiError) -> Finding {
    match error.kind() {
        ErrorKind::Unauthorized => Check::Api.wrong(
            "OpenAI rejects OPENAI_API_KEY (401)",
            "create a key in the webhook's project: https://platform.openai.com/api-keys; then run landfall retry, \
             which retries waiting events now",
        ),
        ErrorKind::Forbidden | ErrorKind::PolicyViolation => Check::Api.wrong(
            format!("OPENAI_API_KEY has no permission to read batches: {}", chain(error)),
            "allow the key to read responses, batches, files, fine-tuning jobs and models; then run landfall retry",
        ),
        ErrorKind::NotFound => {
            Check::Api.wrong("the server at OPENAI_BASE_URL is not the OpenAI API (404)", BASE_URL_HINT)
        }
        ErrorKind::BadAnswer | ErrorKind::IncompleteDownload => {
            Check::Api.wrong("the server at OPENAI_BASE_URL is not the OpenAI API", BASE_URL_HINT)
        }
        // A redirect, which is not followed.
        ErrorKind::Rejected if error.status().is_some_and(|status| status < 400) => {
            let to = error.redirect_host().map_or_else(String::new, |host| format!(": {host}"));
            Check::Api.wrong(format!("OPENAI_BASE_URL redirects to another host{to}"), BASE_URL_HINT)
        }
        ErrorKind::Rejected => Check::Api.wrong(chain(error), BASE_URL_HINT),
        ErrorKind::RateLimited => Check::Api.warning(chain(error),
            "check the project's limits and billing: https://platform.openai.com/settings",
        ),
        ErrorKind::Unavailable if error.status().is_some() => Check::Api.warning(chain(error),
            "check https://status.openai.com; workers retry automatically",
        ),
        ErrorKind::Unavailable => Check::Api.wrong(
            format!("OPENAI_BASE_URL cannot be reached: {}", root_cause(error)),
            "check the URL, and that this machine has access to it (HTTPS_PROXY)",
        ),
    }
}
