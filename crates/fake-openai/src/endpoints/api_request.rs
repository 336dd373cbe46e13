//! An API request, as the endpoints see it.

use crate::query::Query;

/// What a request asks for.
pub(crate) struct ApiRequest<'r> {
    pub(crate) method: &'r str,
    /// The whole path as it was sent, for error messages.
    pub(crate) path: &'r str,
    /// What follows `/v1/`, decoded.
    pub(crate) tail: &'r str,
    pub(crate) query: Query,
    pub(crate) range: Option<&'r str>,
    pub(crate) if_range: Option<&'r str>,
}
