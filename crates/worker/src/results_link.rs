//! Signed links to results that are too large for a notification: `/results/<project>/<id>?expires=…&signature=…`. A
//! link grants access to that result until it expires; making one requires the secret.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use notifier::ResultLink;
use url::Url;
use webhook::{SecretError, SigningSecret, split_secrets};

/// Twice as long as the whole schedule of a notification, which takes up to 84 hours.
const VALID_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The path prefix of results.
pub(crate) const PATH: &str = "results";

/// Creates and verifies links.
#[derive(Debug)]
pub(crate) struct ResultsLinks {
    base_url: Url,
    /// The first one signs.
    secrets: Vec<SigningSecret>,
}

impl ResultsLinks {
    /// `secrets`: one or several, separated by spaces or commas.
    pub(crate) fn new(base_url: Url, secrets: &str) -> Result<Self, SecretError> {
        let secrets = split_secrets(secrets).map(SigningSecret::parse).collect::<Result<Vec<_>, _>>()?;
        if secrets.is_empty() { Err(SecretError::Empty) } else { Ok(Self { base_url, secrets }) }
    }

    /// A link to a stored object, or to an event by its `webhook-id`.
    pub(crate) fn to(&self, project: &str, id: &str, now: DateTime<Utc>) -> Option<ResultLink> {
        let expires_at = now + TimeDelta::from_std(VALID_FOR).ok()?;
        let expires = expires_at.timestamp().to_string();
        let signature =
            self.secrets.first()?.sign(&signed_url(&self.base_url, project, id)?.1, &expires, b"");
        let mut url = signed_url(&self.base_url, project, id)?.0;
        url.query_pairs_mut().append_pair("expires", &expires).append_pair("signature", &signature);
        Some(ResultLink { url: url.into(), expires_at: DateTime::from_timestamp(expires_at.timestamp(), 0)? })
    }

    /// Whether the link was signed with one of the secrets, and has not expired.
    pub(crate) fn allows(&self, project: &str, id: &str, query: &Query, now: DateTime<Utc>) -> bool {
        let is_over = query.expires.parse::<i64>().map_or(true, |expires| expires < now.timestamp());
        let Some((_, path)) = signed_url(&self.base_url, project, id) else {
            return false;
        };
        let is_signature =
            |secret: &SigningSecret| secret.is_signature(&path, &query.expires, b"", &query.signature);
        // Compares all secrets, so that the timing does not reveal which one matched.
        let is_genuine = self.secrets.iter().fold(false, |any, secret| any | is_signature(secret));
        is_genuine && !is_over
    }
}

/// The query of a link.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Query {
    expires: String,
    signature: String,
}

/// The URL without its query, and its encoded path below the base, which is signed. Because it is encoded, a `/` in an
/// id differs from a separator.
fn signed_url(base_url: &Url, project: &str, id: &str) -> Option<(Url, String)> {
    let mut url = base_url.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend([PATH, project, id]);
    let below = url.path().strip_prefix(base_url.path().trim_end_matches('/'))?.to_owned();
    Some((url, below))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifications::Schedule;

    const SECRET: &str = "whsec_b3RoZXI6IDI0IGJ5dGVzIG9mIGtleSEhISE=";
    const NEW_SECRET: &str = "whsec_bmV3OiBhbHNvIDI0IGJ5dGVzIG9mIGtleSE=";

    fn links(secrets: &str) -> ResultsLinks {
        ResultsLinks::new("https://landfall.example.com/below/".parse().unwrap(), secrets).unwrap()
    }

    fn now() -> DateTime<Utc> {
        "2026-11-23T20:31:07.5Z".parse().unwrap()
    }

    /// Project and id as the server decodes them, and the query.
    fn parts(link: &ResultLink) -> (Url, Query) {
        let url: Url = link.url.parse().unwrap();
        let mut pairs = url.query_pairs().map(|(_, value)| value.into_owned());
        let query = Query { expires: pairs.next().unwrap(), signature: pairs.next().unwrap() };
        (url, query)
    }

    #[test]
    fn a_link_opens_one_result_until_it_expires() {
        let old = links(SECRET);
        let link = old.to("default", "batch/ä 1", now()).unwrap();
        let (url, query) = parts(&link);
        assert_eq!(url.path(), "/below/results/default/batch%2F%C3%A4%201");
        let rotated = links(&format!("{NEW_SECRET} {SECRET}"));
        for links in [&old, &rotated] {
            assert!(links.allows("default", "batch/ä 1", &query, now()));
            assert!(links.allows("default", "batch/ä 1", &query, link.expires_at));
            assert!(!links.allows("default", "batch/ä 1", &query, link.expires_at + TimeDelta::seconds(1)));
            assert!(!links.allows("default", "batch_2", &query, now()));
            assert!(!links.allows("other", "batch/ä 1", &query, now()));
        }
        assert!(!links(NEW_SECRET).allows("default", "batch/ä 1", &query, now()));
        let later = Query { expires: format!("{}0", query.expires), ..query };
        assert!(!old.allows("default", "batch/ä 1", &later, now()));
        let unreadable = Query { expires: "soon".to_owned(), ..later };
        assert!(!old.allows("default", "batch/ä 1", &unreadable, now()));
    }

    #[test]
    fn a_link_outlives_the_delivery_schedule() {
        let schedule = Schedule::default();
        let whole: Duration = (1..).map_while(|failed| schedule.wait(failed)).sum();
        assert!(VALID_FOR > whole.mul_f64(1.5), "{whole:?}");
    }
}
