//! Parameters that several calls have: how they are read, and how the OpenAPI document describes them.

use chrono::{DateTime, Utc};
use serde::de::{Deserialize as _, Deserializer, Error as _};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use webhook::{ClosedSet, EventState, Family, NotificationState, Reason};

use super::API;
use crate::problem::ApiError;

/// A member of a closed set by its name.
pub(crate) fn named<T: ClosedSet>(parameter: &str, name: Option<&str>) -> Result<Option<T>, ApiError> {
    let Some(name) = name else { return Ok(None) };
    let unknown =
        |_| ApiError::BadRequest(format!("{parameter} has no value {name:?}: see {API}/openapi.json"));
    name.parse().map(Some).map_err(unknown)
}

/// The parameter `since`. chrono's own errors do not say which parameter is wrong.
pub(crate) fn since<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = |_| D::Error::custom("since must be a time such as 2026-11-30T08:00:00Z");
    text.parse().map(Some).map_err(wrong)
}

pub(super) fn families() -> Object {
    names("Only this family.", Family::ALL)
}

pub(super) fn event_states() -> Object {
    names("Only events in this state.", EventState::ALL)
}

pub(super) fn reasons() -> Object {
    names("Only this reason.", Reason::ALL)
}

pub(super) fn notification_states() -> Object {
    names("Only notifications in this state.", NotificationState::ALL)
}

/// With a description, because the document takes none from the field of a schema that is given by a function.
fn names<T: ClosedSet>(description: &str, all: &[T]) -> Object {
    let names = all.iter().map(|member| member.as_str());
    let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names));
    schema.description(Some(description)).build()
}
