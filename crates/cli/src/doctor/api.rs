//! OpenAI's API: whether it is there, and whether it accepts our key.

use std::time::Duration;

use chrono::Utc;
use error_text::{chain, root_cause};
use openai_client::{ApiError, BodyMemory, Client, ClientConfig, ClientError, ErrorKind};
use service::settings::{Fetch, OpenAiSettings};

use super::findings::{self, Check, Finding};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

const CURE_BASE_URL: &str = "write OPENAI_BASE_URL as for OpenAI's libraries: https://api.openai.com/v1";

pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    /// By how much OpenAI's clock is ahead of ours, where it answered.
    pub(super) clock_ahead_secs: Option<i64>,
}

impl From<Finding> for Checked {
    fn from(finding: Finding) -> Self {
        Self { findings: vec![finding], clock_ahead_secs: None }
    }
}

pub(super) async fn check(settings: &OpenAiSettings) -> Checked {
    if settings.fetch == Fetch::Off {
        let cure = "set FETCH=on and OPENAI_API_KEY, unless it is meant so";
        return Check::Api.warning("FETCH is off: no object is fetched", cure).into();
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
        connect_timeout: CONNECT_WITHIN,
        idle_timeout: ANSWER_WITHIN,
        observer: None,
        body_memory: BodyMemory::default(),
    });
    let client = match client {
        Ok(client) => client,
        Err(error) => return unusable(&error).into(),
    };
    let access = client.check_access().await;
    let ahead = |time: chrono::DateTime<Utc>| (time - Utc::now()).num_seconds();
    let (finding, is_openai) = match &access.outcome {
        Ok(()) => (Check::Api.ok("it accepts OPENAI_API_KEY"), true),
        Err(error) => {
            let elsewhere = [ErrorKind::BadAnswer, ErrorKind::NotFound, ErrorKind::Rejected];
            (refused(error), !elsewhere.contains(&error.kind()))
        }
    };
    // Another server's clock says nothing about OpenAI's.
    let clock_ahead_secs = access.server_time.filter(|_| is_openai).map(ahead);
    Checked { findings: vec![finding], clock_ahead_secs }
}

fn unusable(error: &ClientError) -> Finding {
    let cure = match error {
        ClientError::BaseUrl(_) => CURE_BASE_URL,
        ClientError::ApiKey => "copy OPENAI_API_KEY again: sk- and letters, digits, dashes",
        ClientError::Header(_) => "copy OPENAI_ORG_ID and OPENAI_PROJECT_ID again",
        ClientError::Tls(_) => "install the package ca-certificates",
    };
    Check::Api.wrong(chain(error), cure)
}

fn refused(error: &ApiError) -> Finding {
    match error.kind() {
        ErrorKind::Unauthorized => Check::Api.wrong(
            "OPENAI_API_KEY is refused (401)",
            "make a key in the project of the webhook: https://platform.openai.com/api-keys; then run landfall \
             retry, so that what waits is tried at once",
        ),
        ErrorKind::Forbidden | ErrorKind::PolicyViolation => Check::Api.wrong(
            format!("OPENAI_API_KEY may not read batches: {}", chain(error)),
            "let the key read responses, batches, files, fine-tuning jobs, models and evals; then run landfall retry",
        ),
        ErrorKind::NotFound => {
            Check::Api.wrong("at OPENAI_BASE_URL there is a server, but not OpenAI's API (404)", CURE_BASE_URL)
        }
        ErrorKind::BadAnswer | ErrorKind::IncompleteDownload => {
            Check::Api.wrong("what answers at OPENAI_BASE_URL is not OpenAI's API", CURE_BASE_URL)
        }
        // A redirect that is not followed.
        ErrorKind::Rejected if error.status().is_some_and(|status| status < 400) => {
            let to = error.redirect_host().map_or_else(String::new, |host| format!(", {host}"));
            Check::Api.wrong(format!("OPENAI_BASE_URL leads to another address{to}"), CURE_BASE_URL)
        }
        ErrorKind::Rejected => Check::Api.wrong(chain(error), CURE_BASE_URL),
        ErrorKind::RateLimited => Check::Api.warning(chain(error),
            "see the project's limits and billing: https://platform.openai.com/settings",
        ),
        ErrorKind::Unavailable if error.status().is_some() => Check::Api.warning(chain(error),
            "see https://status.openai.com; workers try again by themselves",
        ),
        ErrorKind::Unavailable => Check::Api.wrong(
            format!("OPENAI_BASE_URL cannot be reached: {}", root_cause(error)),
            "see that the address is right, and that this machine may reach it (HTTPS_PROXY)",
        ),
    }
}
