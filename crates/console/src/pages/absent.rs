//! The page for an id under which nothing is stored: where the console looked, and what to do.

use std::time::Duration;

use actix_web::{HttpResponse, http};
use askama::Template;
use operations::ObjectId;

use super::frame::{Frame, Nav};
use super::page_error::PageError;
use super::shell_word::shell_word;
use super::state_word::StateWord;
use crate::state::State;

/// The whole queue of a family is read. A page does not wait longer for it.
const QUEUE_SEARCH_MAX: Duration = Duration::from_secs(3);

#[derive(Template)]
#[template(path = "absent.html")]
struct AbsentPage {
    frame: Frame,
    id: String,
    looked: Vec<Looked>,
    is_queued: bool,
    /// The command that fetches it, if it is the id of an object.
    fetch: Option<String>,
}

/// A place that was searched, and what was found there.
struct Looked {
    place: &'static str,
    state: StateWord,
    detail: String,
}

/// What the queue says about an id.
enum InQueue {
    Waiting,
    Absent,
    NotSearched(&'static str),
}

/// Answers for an id that the database does not have.
pub(super) async fn absent(state: &State, nav: Nav, id: &str) -> Result<HttpResponse, PageError> {
    let object = id.parse::<ObjectId>().ok();
    let in_queue = match &object {
        Some(object) => search_queue(state, object).await,
        None => InQueue::NotSearched(
            "searched only for ids that begin with resp_, batch_, ftjob-, evalrun_, sess_ or asess_",
        ),
    };
    let word = shell_word(id);
    let fetch = object.map(|_| format!("landfall fetch {word}"));
    let shell = fetch.clone().unwrap_or_else(|| format!("landfall show {word}"));
    let template = AbsentPage {
        frame: Frame::new(state.head(), nav, format!("{id} is not stored"), shell),
        id: id.to_owned(),
        is_queued: matches!(in_queue, InQueue::Waiting),
        looked: vec![
            Looked {
                place: "Database",
                state: StateWord::new("", "not stored"),
                detail: "objects, files and events, by id, event id and webhook id".to_owned(),
            },
            queue_row(in_queue),
        ],
        fetch,
    };
    let html = template.render().map_err(PageError::Template)?;
    let mut response = HttpResponse::build(http::StatusCode::NOT_FOUND);
    Ok(response.content_type("text/html; charset=utf-8").body(html))
}

async fn search_queue(state: &State, object: &ObjectId) -> InQueue {
    let ids = [object.to_string()];
    let search = state.queue.queued_objects(object.kind().family(), &ids);
    match tokio::time::timeout(QUEUE_SEARCH_MAX, search).await {
        Ok(Ok(queued)) if queued.is_empty() => InQueue::Absent,
        Ok(Ok(_)) => InQueue::Waiting,
        Ok(Err(_)) => InQueue::NotSearched("Redis cannot be read"),
        Err(_) => InQueue::NotSearched("not searched to its end: the backlog is long"),
    }
}

fn queue_row(in_queue: InQueue) -> Looked {
    let (state, detail) = match in_queue {
        InQueue::Waiting => {
            (StateWord::new("wait", "waiting"), "a worker will store it; this page then leads to it")
        }
        InQueue::Absent => (StateWord::new("", "not queued"), "no entry is about it"),
        InQueue::NotSearched(why) => (StateWord::new("", "not known"), why),
    };
    Looked { place: "Queue", state, detail: detail.to_owned() }
}
