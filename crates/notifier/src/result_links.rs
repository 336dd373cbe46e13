//! Signed links to results that are too large for a notification: `/results/<project>/<id>?expires=…&signature=…`. A
//! link grants access to that result until it expires; making one requires the secret. Workers make links, the console
//! verifies them.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use url::Url;
use webhook::{SecretError, SigningSecret, split_secrets};

use crate::notification::ResultLink;

/// The path prefix of results.
pub const RESULTS_PATH: &str = "results";

/// Verifies links.
#[derive(Debug)]
pub struct LinkSecrets {
    /// The first one signs.
    secrets: Vec<SigningSecret>,
}

impl LinkSecrets {
    /// One or several secrets, separated by spaces or commas.
    ///
    /// # Errors
    /// [`SecretError`] if one is malformed, or there is none.
    pub fn parse(secrets: &str) -> Result<Self, SecretError> {
        let secrets = split_secrets(secrets).map(SigningSecret::parse).collect::<Result<Vec<_>, _>>()?;
        if secrets.is_empty() { Err(SecretError::Empty) } else { Ok(Self { secrets }) }
    }

    /// Whether the link was signed with one of the secrets, and has not expired.
    pub fn allow(&self, project: &str, id: &str, query: &LinkQuery, now: DateTime<Utc>) -> bool {
        let is_over = query.expires.parse::<i64>().map_or(true, |expires| expires < now.timestamp());
        // The signature does not cover the base, which a proxy may change.
        let Some((_, path)) =
            Url::parse("http://localhost").ok().and_then(|base| signed_url(&base, project, id))
        else {
            return false;
        };
        let is_signature =
            |secret: &SigningSecret| secret.is_signature(&path, &query.expires, b"", &query.signature);
        // Compares all secrets, so that the timing does not reveal which one matched.
        let is_genuine = self.secrets.iter().fold(false, |any, secret| any | is_signature(secret));
        is_genuine && !is_over
    }
}

/// Makes links.
#[derive(Debug)]
pub struct ResultLinks {
    base_url: Url,
    secrets: LinkSecrets,
}

impl ResultLinks {
    /// A link is valid twice as long as the whole schedule of a notification, which takes up to 84 hours.
    pub const VALID_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

    /// Links begin with `base_url`.
    pub fn new(base_url: Url, secrets: LinkSecrets) -> Self {
        Self { base_url, secrets }
    }

    /// A link to a stored object, or to an event by its `webhook-id`.
    pub fn to(&self, project: &str, id: &str, now: DateTime<Utc>) -> Option<ResultLink> {
        let expires_at = now + TimeDelta::from_std(Self::VALID_FOR).ok()?;
        let expires = expires_at.timestamp().to_string();
        let (mut url, path) = signed_url(&self.base_url, project, id)?;
        let signature = self.secrets.secrets.first()?.sign(&path, &expires, b"");
        url.query_pairs_mut().append_pair("expires", &expires).append_pair("signature", &signature);
        Some(ResultLink { url: url.into(), expires_at: DateTime::from_timestamp(expires_at.timestamp(), 0)? })
    }
}

/// The query of a link.
#[derive(Debug, serde::Deserialize)]
pub struct LinkQuery {
    expires: String,
    signature: String,
}

/// The URL without its query, and its encoded path below the base, which is signed. Because it is encoded, a `/` in an
/// id differs from a separator.
fn signed_url(base_url: &Url, project: &str, id: &str) -> Option<(Url, String)> {
    let mut url = base_url.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend([RESULTS_PATH, project, id]);
    let below = url.path().strip_prefix(base_url.path().trim_end_matches('/'))?.to_owned();
    Some((url, below))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_b3RoZXI6IDI0IGJ5dGVzIG9mIGtleSEhISE=";
    const NEW_SECRET: &str = "whsec_bmV3OiBhbHNvIDI0IGJ5dGVzIG9mIGtleSE=";

    fn secrets(secrets: &str) -> LinkSecrets {
        LinkSecrets::parse(secrets).unwrap()
    }

    fn now() -> DateTime<Utc> {
        "2026-11-23T20:31:07.5Z".parse().unwrap()
    }

    /// The parts of a link, and its query.
    fn parts(link: &ResultLink) -> (Url, LinkQuery) {
        let url: Url = link.url.parse().unwrap();
        let mut pairs = url.query_pairs().map(|(_, value)| value.into_owned());
        let query = LinkQuery { expires: pairs.next().unwrap(), signature: pairs.next().unwrap() };
        (url, query)
    }

    #[test]
    fn a_link_opens_one_result_until_it_expires() {
        let base_url = "https://landfall.example.com/below/".parse().unwrap();
        let link = ResultLinks::new(base_url, secrets(SECRET)).to("default", "batch/ä 1", now()).unwrap();
        let (url, query) = parts(&link);
        assert_eq!(url.path(), "/below/results/default/batch%2F%C3%A4%201");
        let old = secrets(SECRET);
        let rotated = secrets(&format!("{NEW_SECRET} {SECRET}"));
        for secrets in [&old, &rotated] {
            assert!(secrets.allow("default", "batch/ä 1", &query, now()));
            assert!(secrets.allow("default", "batch/ä 1", &query, link.expires_at));
            assert!(!secrets.allow("default", "batch/ä 1", &query, link.expires_at + TimeDelta::seconds(1)));
            assert!(!secrets.allow("default", "batch_2", &query, now()));
            assert!(!secrets.allow("other", "batch/ä 1", &query, now()));
        }
        assert!(!secrets(NEW_SECRET).allow("default", "batch/ä 1", &query, now()));
        let later = LinkQuery { expires: format!("{}0", query.expires), ..query };
        assert!(!old.allow("default", "batch/ä 1", &later, now()));
        let unreadable = LinkQuery { expires: "soon".to_owned(), ..later };
        assert!(!old.allow("default", "batch/ä 1", &unreadable, now()));
    }

    #[test]
    fn the_signature_is_the_hmac_of_path_and_expiry() {
        // Computed with Python's hmac. Links outlive an upgrade, so that it must not change.
        let query = LinkQuery {
            expires: "4000000000".to_owned(),
            signature: "v1,Y8uXFvv28LrAJX+daZA9iQfJEnn8sgc8s8u7k6QjIGM=".to_owned(),
        };
        assert!(secrets(SECRET).allow("default", "batch/ä 1", &query, now()));
    }
}
