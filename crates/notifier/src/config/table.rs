//! The raw structure of `landfall.toml`: every table and key, strictly. `check.rs` validates the values.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileTable {
    #[serde(default)]
    pub(super) notifications: NotificationsTable,
    #[serde(default)]
    pub(super) targets: Vec<Spanned<TargetTable>>,
}

/// Settings shared by all targets.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NotificationsTable {
    pub(super) allow: Option<Spanned<Vec<String>>>,
    pub(super) full_max_bytes: Option<Spanned<u64>>,
}

/// One target.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetTable {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    pub(super) kind: KindName,
    pub(super) url: Option<Spanned<String>>,
    pub(super) url_env: Option<Spanned<String>>,
    pub(super) url_file: Option<Spanned<String>>,
    pub(super) secret_env: Option<Spanned<StringOrList>>,
    pub(super) secret_file: Option<Spanned<StringOrList>>,
    pub(super) token_header: Option<Spanned<String>>,
    pub(super) token_env: Option<Spanned<String>>,
    pub(super) token_file: Option<Spanned<String>>,
    pub(super) events: Option<Spanned<StringOrList>>,
    pub(super) projects: Option<Spanned<StringOrList>>,
    pub(super) model: Option<Spanned<StringOrList>>,
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, Spanned<StringOrList>>,
    pub(super) payload: Option<Spanned<PayloadName>>,
    pub(super) timeout_secs: Option<Spanned<f64>>,
    pub(super) rate_per_sec: Option<Spanned<f64>>,
    pub(super) call_ttl_secs: Option<Spanned<f64>>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Spanned<String>>,
    pub(super) stream_max_len: Option<Spanned<u64>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum KindName {
    #[default]
    Webhook,
    Slack,
    Discord,
    RedisStream,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PayloadName {
    Thin,
    Full,
}

/// A string, or a list of strings.
#[derive(Debug)]
pub(super) struct StringOrList(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for StringOrList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = StringOrList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E>(self, text: &str) -> Result<StringOrList, E> {
                Ok(StringOrList(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<StringOrList, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Ok(StringOrList(texts))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}
