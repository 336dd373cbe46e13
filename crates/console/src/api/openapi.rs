//! The description of the API, generated from its calls.

use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi, ToSchema as _};

use super::{acts, dead_letters, event_stream, events, files, json, lists, objects, ok, results};
use crate::problem::{ApiError, Problem};

/// Bearer tokens, for every call.
struct Tokens;

impl Modify for Tokens {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token from `landfall token new`. On a loopback address reading needs none. Calls that change something need one made with --operator."))
            .build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// Problems that every call can have, so that no call has to list them.
struct Problems;

impl Problems {
    const OF_EVERY_CALL: [(&str, &str); 4] = [
        ("400", "A parameter is wrong or unknown"),
        ("401", "A token is needed, or this one is unknown or revoked"),
        ("403", "Requests for this host are refused"),
        ("503", "The database or Redis cannot be read: try again"),
    ];
}

impl Modify for Problems {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for operation in document.paths.paths.values_mut().flat_map(operations_mut) {
            describe(operation);
            for (status, description) in Self::OF_EVERY_CALL {
                let problem =
                    ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
                let response = ResponseBuilder::new()
                    .description(description)
                    .content("application/problem+json", problem)
                    .build();
                operation.responses.responses.entry(status.to_owned()).or_insert_with(|| response.into());
            }
        }
    }
}

/// Gives each answer the description that OpenAPI 3.1 requires: the name of its status.
fn describe(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        let name = status.parse().ok().and_then(|status: StatusCode| status.canonical_reason());
        if let (RefOr::T(response), Some(name)) = (response, name)
            && response.description.is_empty()
        {
            name.clone_into(&mut response.description);
        }
    }
}

fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

/// The methods that a path has, in the form of the header `Allow`; `None` if there is no such path.
pub(crate) fn methods(path: &str) -> Option<String> {
    let (_, item) = DOCUMENT.paths.paths.iter().find(|(template, _)| has_form(path, template))?;
    let PathItem { get, put, post, delete, patch, .. } = item;
    let all = [("GET", get), ("PUT", put), ("POST", post), ("DELETE", delete), ("PATCH", patch)];
    let known: Vec<&str> =
        all.iter().filter(|(_, operation)| operation.is_some()).map(|(name, _)| *name).collect();
    Some(known.join(", "))
}

/// Whether the path has the segments of the template, of which `{id}` is any.
fn has_form(path: &str, template: &str) -> bool {
    let same = |(segment, wanted): (&str, &str)| {
        segment == wanted || (wanted.starts_with('{') && !segment.is_empty())
    };
    path.split('/').count() == template.split('/').count()
        && path.split('/').zip(template.split('/')).all(same)
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Landfall",
        description = "What OpenAI jobs produced: stored results, the events that announced them, and the notifications that \
                       were sent. Errors are problem details (RFC 9457)."
    ),
    servers((url = "/api/v1")),
    security(("token" = [])),
    modifiers(&Tokens, &Problems),
    paths(
        objects::get_object,
        lists::responses,
        lists::batches,
        lists::fine_tuning_jobs,
        lists::eval_runs,
        lists::notifications,
        dead_letters::dead_letters,
        acts::dead_letters::preview_letters,
        acts::dead_letters::redrive_letters,
        acts::dead_letters::discard_letters,
        acts::events::preview_events,
        acts::events::replay_events,
        acts::objects::fetch_object,
        events::events,
        event_stream::event_stream,
        results::batch_results,
        files::content,
        get_document
    )
)]
struct Document;

static DOCUMENT: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(Document::openapi);

/// This document
#[utoipa::path(responses((status = 200, content_type = "application/json", description = "OpenAPI 3.1", body = Object)))]
#[get("/openapi.json")]
pub(crate) async fn get_document() -> Result<HttpResponse, ApiError> {
    json(ok(), &*DOCUMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_methods_of_the_document() {
        for path in ["/events", "/objects/resp_1", "/files/file-1/content", "/openapi.json"] {
            assert_eq!(methods(path).as_deref(), Some("GET"), "{path}");
        }
        for path in ["", "/", "/objects", "/objects/", "/objects/a/b", "/event"] {
            assert_eq!(methods(path), None, "{path}");
        }
    }
}
