//! The description of the API, generated from its calls.

use std::sync::LazyLock;

use actix_web::{HttpResponse, get};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::{acts, dead_letters, event_stream, events, files, json, lists, objects, ok, results};
use crate::problem::ApiError;

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

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Landfall",
        description = "What OpenAI jobs produced: stored results, the events that announced them, and the notifications that \
                       were sent. Errors are problem details (RFC 9457)."
    ),
    servers((url = "/api/v1")),
    security(("token" = [])),
    modifiers(&Tokens),
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
        files::content
    )
)]
struct Document;

static DOCUMENT: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(Document::openapi);

/// This document.
#[get("/openapi.json")]
pub(crate) async fn get_document() -> Result<HttpResponse, ApiError> {
    json(ok(), &*DOCUMENT)
}
