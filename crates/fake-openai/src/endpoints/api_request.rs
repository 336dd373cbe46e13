//! The parts of an API request that the endpoints use.

use bytes::Bytes;

use crate::query::Query;

/// A parsed API request.
pub(crate) struct ApiRequest<'r> {
    pub(crate) method: &'r str,
    /// The whole path as sent, for error messages.
    pub(crate) path: &'r str,
    /// The decoded path after `/v1/`.
    pub(crate) tail: &'r str,
    pub(crate) query: Query,
    pub(crate) range: Option<&'r str>,
    pub(crate) if_range: Option<&'r str>,
    /// The header `OpenAI-Beta`.
    pub(crate) beta: Option<&'r str>,
    pub(crate) content_type: Option<&'r str>,
    pub(crate) body: &'r Bytes,
}
