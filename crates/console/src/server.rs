//! Every route of the console, and the limits of its HTTP server.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpRequest, HttpServer, web};

use crate::api::{
    self, API, acts, dead_letters, event_stream, events, files, lists, objects, openapi, results,
};
use crate::authorize::authorize;
use crate::origin::refuse_other_sites;
use crate::pages;
use crate::problem::ApiError;
use crate::result_links;
use crate::state::State;

/// Until the whole head of a request has arrived.
const REQUEST_HEAD_MAX: Duration = Duration::from_secs(5);
const IDLE_CONNECTION_MAX: Duration = Duration::from_secs(30);
/// For all threads together. Each costs a few kilobytes; one that waits for an object costs little more.
const CONNECTIONS_MAX: usize = 16_384;
const THREADS: usize = 2;
/// How long open requests may take when the console stops, in seconds.
const STOP_MAX_SECS: u64 = 10;

/// File descriptors for everything except connections: ports, Redis, the database, files that are read.
const OTHER_DESCRIPTORS: usize = 1024;

/// Allows the process as many connections as it takes, or warns.
pub(crate) fn raise_nofile_limit() {
    let needed = (CONNECTIONS_MAX + OTHER_DESCRIPTORS) as u64;
    if let Some(allowed) = service::raise_nofile_limit(needed) {
        tracing::warn!(
            descriptors.allowed = allowed,
            descriptors.needed = needed,
            "the limit on open files is too low for thousands of requests that wait: raise it (ulimit -Hn, LimitNOFILE=)"
        );
    }
}

/// Begins to serve.
pub(crate) fn start(listener: TcpListener, state: State) -> std::io::Result<Server> {
    let state = web::Data::new(state);
    let server = HttpServer::new(move || {
        App::new()
            .wrap(from_fn(refuse_other_sites))
            .app_data(state.clone())
            .app_data(api::query_config())
            .app_data(api::path_config())
            .app_data(api::json_config())
            .service(
                web::scope(API).wrap(from_fn(authorize)).configure(routes).default_service(web::to(no_route)),
            )
            // The signature of a link is the proof: it needs no token, and any host name leads to it.
            .route(&result_links::path(), web::get().to(result_links::result))
            .service(pages::get_asset)
            .service(
                web::scope("")
                    .wrap(from_fn(pages::guard))
                    .app_data(pages::unreadable_query())
                    .app_data(pages::unreadable_form())
                    .configure(page_routes)
                    .default_service(web::to(pages::no_page)),
            )
    })
    .workers(THREADS)
    .max_connections(CONNECTIONS_MAX / THREADS)
    .client_request_timeout(REQUEST_HEAD_MAX)
    .keep_alive(IDLE_CONNECTION_MAX)
    .shutdown_timeout(STOP_MAX_SECS)
    .disable_signals();
    Ok(server.listen(listener)?.run())
}

fn routes(scope: &mut web::ServiceConfig) {
    scope
        .service(openapi::get_document)
        .service(objects::get_object)
        .service(lists::responses)
        .service(lists::batches)
        .service(lists::fine_tuning_jobs)
        .service(lists::eval_runs)
        .service(lists::notifications)
        .service(dead_letters::dead_letters)
        .service(events::events)
        .service(event_stream::event_stream)
        .service(results::batch_results)
        .service(files::content)
        .service(acts::dead_letters::preview_letters)
        .service(acts::dead_letters::redrive_letters)
        .service(acts::dead_letters::discard_letters)
        .service(acts::events::preview_events)
        .service(acts::events::replay_events)
        .service(acts::objects::fetch_object);
}

async fn no_route(request: HttpRequest) -> Result<&'static str, ApiError> {
    match request.path().strip_prefix(API).and_then(openapi::methods) {
        Some(allowed) => Err(ApiError::WrongMethod { allowed }),
        None => Err(ApiError::NotFound(format!("nothing is here: see {API}/openapi.json"))),
    }
}

fn page_routes(scope: &mut web::ServiceConfig) {
    scope
        .service(pages::events::events_page)
        .service(pages::event::event_page)
        .service(pages::find::find_page)
        .service(pages::object::object_page)
        .service(pages::object_list::responses_page)
        .service(pages::object_list::batches_page)
        .service(pages::object_list::jobs_page)
        .service(pages::object_list::evals_page)
        .service(pages::response::response_page)
        .service(pages::batch::batch_page)
        .service(pages::job::job_page)
        .service(pages::eval_run::eval_run_page)
        .service(pages::targets::targets_page)
        .service(pages::notifications::notifications_page)
        .service(pages::notification::notification_page)
        .service(pages::overview::overview_page)
        .service(pages::health::health_page)
        .service(pages::login::login_page)
        .service(pages::login::log_in)
        .service(pages::login::log_out)
        .service(pages::acts::replay_event)
        .service(pages::acts::fetch_again)
        .service(pages::dead_letters::dead_letters_page)
        .service(pages::dead_letter::dead_letter_page)
        .service(pages::dead_letter_acts::preview_page)
        .service(pages::dead_letter_acts::run_act)
        .service(pages::dead_letter_acts::act_on_one);
}
