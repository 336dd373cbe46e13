//! The pages for people: HTML written by the server. They work without the script, which only keeps them up to date.

mod absent;
pub(crate) mod acts;
mod address;
mod assets;
pub(crate) mod batch;
mod batch_import;
mod batch_results;
mod body_text;
mod chart;
pub(crate) mod dead_letter;
pub(crate) mod dead_letter_acts;
pub(crate) mod dead_letters;
pub(crate) mod eval_run;
pub(crate) mod event;
pub(crate) mod events;
mod facts;
pub(crate) mod find;
mod frame;
mod guard;
pub(crate) mod health;
pub(crate) mod job;
pub(crate) mod login;
mod loss_curve;
mod moment;
mod notice;
pub(crate) mod notification;
pub(crate) mod notifications;
pub(crate) mod object;
mod object_events;
pub(crate) mod object_list;
mod object_path;
pub(crate) mod overview;
mod overview_charts;
mod overview_parts;
mod page_error;
mod quantity;
mod reason_class;
pub(crate) mod response;
mod shell_word;
mod state_word;
mod steps;
pub(crate) mod targets;
mod timeline;
mod visit;
mod worst_finding;

pub(crate) use assets::get_asset;
pub(crate) use guard::guard;
pub(crate) use page_error::{PageError, no_page, unreadable_form, unreadable_query};

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder};
use askama::Template;

/// Answers with a page.
fn page(template: &impl Template) -> Result<HttpResponse, PageError> {
    html(StatusCode::OK, template)
}

fn html(status: StatusCode, template: &impl Template) -> Result<HttpResponse, PageError> {
    let html = template.render().map_err(PageError::Template)?;
    Ok(HttpResponse::build(status).content_type("text/html; charset=utf-8").body(html))
}

/// Leads to another page: after an act, so that a reload does not repeat it.
fn see_other(address: &str) -> HttpResponseBuilder {
    let mut response = HttpResponse::SeeOther();
    response.insert_header((header::LOCATION, address));
    response
}
