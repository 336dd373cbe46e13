//! Serves stored results at `GET /results/…`, on a separate address, to clients with a signed link. An invalid or
//! expired link is 403; everything else that does not exist is 404.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::header;
use actix_web::{App, HttpResponse, HttpServer, web};
use chrono::Utc;
use error_text::chain;
use service::excerpt;
use store::{Found, ResultPayload, Store, StoreError};

use crate::results_link::{PATH, Query, ResultsLinks};

const REQUEST_HEAD_MAX: Duration = Duration::from_secs(5);
/// Each connection may hold a page of rows; more are refused.
const CONNECTIONS_MAX: usize = 256;

/// The running server.
pub(crate) struct ResultsServer {
    handle: ServerHandle,
}

#[derive(Debug, thiserror::Error)]
#[error("RESULTS_ADDR: cannot listen on {addr}{}", service::admin::hint(source))]
pub(crate) struct CannotListen {
    addr: SocketAddr,
    #[source]
    source: std::io::Error,
}

struct State {
    store: Store,
    links: Arc<ResultsLinks>,
}

impl ResultsServer {
    /// Opens the port and logs its address as `results.addr`.
    pub(crate) fn start(
        addr: SocketAddr,
        store: Store,
        links: Arc<ResultsLinks>,
    ) -> Result<Self, CannotListen> {
        let failed = |source| CannotListen { addr, source };
        let listener = TcpListener::bind(addr).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let state = web::Data::new(State { store, links });
        let server = HttpServer::new(move || {
            App::new()
                .app_data(state.clone())
                .route(&format!("/{PATH}/{{project}}/{{id}}"), web::get().to(result))
                .default_service(web::to(|| async { error_response(HttpResponse::NotFound(), "Not found") }))
        })
        .workers(1)
        .max_connections(CONNECTIONS_MAX)
        .disable_signals()
        .client_request_timeout(REQUEST_HEAD_MAX)
        .listen(listener)
        .map_err(failed)?
        .run();
        let handle = server.handle();
        tokio::spawn(server);
        tracing::info!(results.addr = %bound, "serving results through signed links");
        Ok(Self { handle })
    }

    /// Closes the port.
    pub(crate) async fn stop(self) {
        self.handle.stop(false).await;
    }
}

async fn result(
    state: web::Data<State>,
    path: web::Path<(String, String)>,
    query: Option<web::Query<Query>>,
) -> HttpResponse {
    let (project, id) = path.into_inner();
    let is_allowed = query.is_some_and(|query| state.links.allows(&project, &id, &query, Utc::now()));
    if !is_allowed {
        tracing::warn!(
            object.id = excerpt(&id).as_ref(),
            outcome = "refused",
            "a link to a result is invalid or expired"
        );
        return error_response(HttpResponse::Forbidden(), "The link is invalid or has expired");
    }
    match find_result(&state.store, &project, &id).await {
        Ok(Some(response)) => {
            tracing::info!(object.id = id, project, outcome = "served", "result served");
            response
        }
        Ok(None) => error_response(HttpResponse::NotFound(), "Not found"),
        Err(error) => {
            tracing::error!(object.id = id, project, error = chain(&error), "could not read the result");
            error_response(HttpResponse::ServiceUnavailable(), "The database cannot be read")
        }
    }
}

/// What a notification would contain as its `result`, of any size.
async fn find_result(store: &Store, project: &str, id: &str) -> Result<Option<HttpResponse>, StoreError> {
    for found in store.find(id).await? {
        if let Found::Batch(batch) = found {
            if batch.batch.project == project {
                return Ok(Some(ok().streaming(ResultPayload::stream_batch(store.clone(), &batch.batch))));
            }
            continue;
        }
        if let Some(result) = ResultPayload::of_found(store, project, &found, u64::MAX).await? {
            let value = result.1.value.unwrap_or_default();
            return Ok(Some(ok().body(value.to_string())));
        }
    }
    Ok(None)
}

fn ok() -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    response
}

fn error_response(mut response: actix_web::HttpResponseBuilder, message: &str) -> HttpResponse {
    response.insert_header((header::CACHE_CONTROL, "no-store")).json(serde_json::json!({ "error": message }))
}
