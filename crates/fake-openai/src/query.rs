//! A query string with repeated names, and arrays as the official clients write them (`include[]=a&include[]=b`).

use actix_web::web;

use crate::api_error::ApiError;

/// Names and values in the order of the query string.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Lenient, as web servers are: a malformed query string counts as empty.
    pub(crate) fn parse(text: &str) -> Self {
        web::Query::<Vec<(String, String)>>::from_query(text)
            .map_or_else(|_| Self::default(), |pairs| Self(pairs.into_inner()))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All values of `name` and of `name[]`.
    pub(crate) fn all<'q>(&'q self, name: &'q str) -> impl Iterator<Item = &'q str> {
        let named = move |key: &str| key.strip_suffix("[]").unwrap_or(key) == name;
        self.0.iter().filter(move |(key, _)| named(key)).map(|(_, value)| value.as_str())
    }

    /// `metadata[k]=v` as pairs of `k` and `v`.
    pub(crate) fn nested<'q>(&'q self, name: &'q str) -> impl Iterator<Item = (&'q str, &'q str)> {
        self.0.iter().filter_map(move |(key, value)| {
            let key = key.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
            (!key.is_empty()).then_some((key, value.as_str()))
        })
    }

    /// One of the supported values, or `None` if the name is absent.
    pub(crate) fn one_of<'q>(&'q self, name: &str, supported: &[&str]) -> Result<Option<&'q str>, ApiError> {
        match self.get(name) {
            Some(given) if !supported.contains(&given) => Err(ApiError::not_one_of(name, given, supported)),
            given => Ok(given),
        }
    }
}
