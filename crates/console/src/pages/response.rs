//! One response: what the model wrote, its sources and files, and the tools it called.

use actix_web::{HttpRequest, HttpResponse, get, web};
use askama::Template;
use chrono::{DateTime, Utc};
use operations::{Source, SourceLocation};
use serde_json::Value;
use store::{Found, ResponseFile, ResponseFileState, ResponseRecord};
use webhook::{Family, FetchState, MaybeKnown};

use super::absent::absent;
use super::address;
use super::facts::{self, Fact, Facts, find_href, line, web_address};
use super::frame::{Frame, Nav};
use super::object_events::{ObjectEvent, object_events};
use super::page;
use super::page_error::PageError;
use super::quantity;
use super::state_word::StateWord;
use crate::bodies::BodyAccess;
use crate::state::State;

/// Longer texts are cut; the JSON has them whole.
const TEXT_CHARS_MAX: usize = 400_000;
const CALLS_MAX: usize = 100;

#[derive(Template)]
#[template(path = "response.html")]
struct ResponsePage {
    frame: Frame,
    id: String,
    state: StateWord,
    summary: String,
    error: Option<String>,
    facts: Vec<Fact>,
    output: Output,
    files: Vec<FileRow>,
    events: Vec<ObjectEvent>,
    json_href: String,
}

/// What the model wrote and did. It is all empty if the caller may not read it.
#[derive(Default)]
struct Output {
    withheld: Option<String>,
    text: Option<Text>,
    sources: Vec<SourceRow>,
    calls: Vec<ToolCall>,
    json: Option<String>,
    /// The address of the whole object, if it is too large for its row.
    large_json: Option<String>,
}

struct Text {
    text: String,
    chars: String,
    is_cut: bool,
}

struct SourceRow {
    title: String,
    href: Option<String>,
    is_external: bool,
    /// The host, or the id of the file.
    place: String,
}

struct FileRow {
    name: String,
    href: Option<String>,
    state: StateWord,
}

struct ToolCall {
    kind: String,
    state: StateWord,
    what: String,
}

/// A response by its id.
#[get("/responses/{id}")]
pub(crate) async fn response_page(
    state: web::Data<State>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let store = state.database.reader().await?;
    let found = store.find_object(Family::Response, &id).await?;
    let Some(Found::Response(response)) = found.into_iter().next() else {
        return absent(&state, Nav::Responses, &id).await;
    };
    let now = Utc::now();
    let files = store.response_files(&response.project, &response.response_id).await?;
    let json_href = address::object_json(&id);
    page(&ResponsePage {
        frame: Frame::of_object(state.head(), Nav::Responses, &id),
        state: StateWord::of_object(response.status.as_deref(), &response.fetch_state),
        summary: response.model.clone().unwrap_or_default(),
        error: error(&response),
        facts: facts_of(&response, now),
        files: files.iter().map(FileRow::of).collect(),
        events: object_events(store, &id, now).await?,
        output: Output::of(&response, state.bodies_for(&request)),
        json_href,
        id: id.into_inner(),
    })
}

fn error(response: &ResponseRecord) -> Option<String> {
    let incomplete = response.incomplete_reason.as_ref().map(|reason| format!("incomplete: {reason}"));
    facts::error(response.error.as_deref()).or(incomplete)
}

fn facts_of(response: &ResponseRecord, now: DateTime<Utc>) -> Vec<Fact> {
    let detail = |name, number: Option<i64>| {
        number.filter(|number| *number > 0).map(|number| format!("{} {name}", quantity::count(number)))
    };
    let details = [
        detail("cached", response.cached_tokens),
        detail("of reasoning", response.reasoning_tokens),
        detail("written to the cache", response.cache_write_tokens),
    ];
    let details: Vec<String> = details.into_iter().flatten().collect();
    let tokens = facts::tokens(response.usage.as_deref())
        .map(|tokens| if details.is_empty() { tokens } else { format!("{tokens} ({})", details.join(", ")) });
    Facts::new(now)
        .text("Model", response.model.clone())
        .text("Service tier", response.service_tier.clone())
        .time("Created", response.created_at)
        .time("Completed", response.completed_at)
        .stored(&response.fetch_state, response.fetched_at, response.completed_at)
        .text("Tokens", tokens)
        .code("Tools used", facts::metadata(response.tool_usage.as_deref()).as_deref().map(line))
        .code("Conversation", response.conversation_id.clone())
        .id("Previous response", response.previous_response_id.as_deref(), "")
        .code("Metadata", facts::metadata(response.metadata.as_deref()))
        .text("Project", Some(response.project.clone()))
        .done()
}

impl Output {
    /// The only place where this page reads what a model wrote.
    fn of(response: &ResponseRecord, bodies: BodyAccess) -> Self {
        if let Err(why) = bodies.require() {
            return Self { withheld: Some(why.to_string()), ..Self::default() };
        }
        let raw = response.raw.as_deref();
        let is_large = raw.is_none() && response.fetch_state == FetchState::Fetched;
        let file = format!("{}.json", response.response_id);
        Self {
            withheld: None,
            text: response.output_text.as_deref().filter(|text| !text.is_empty()).map(Text::of),
            sources: operations::sources(response.citations.as_deref())
                .into_iter()
                .map(SourceRow::of)
                .collect(),
            calls: raw.map(tool_calls).unwrap_or_default(),
            json: raw.and_then(facts::pretty),
            large_json: is_large.then(|| format!("{}/content", address::of("/api/v1/files", &file))),
        }
    }
}

impl Text {
    fn of(text: &str) -> Self {
        let chars = text.chars().count();
        let end = text.char_indices().nth(TEXT_CHARS_MAX).map(|(end, _)| end);
        Self {
            text: text[..end.unwrap_or(text.len())].to_owned(),
            chars: quantity::counted(chars as i128, "character"),
            is_cut: end.is_some(),
        }
    }
}

impl SourceRow {
    fn of(source: Source) -> Self {
        match source.location {
            SourceLocation::Url(address) => {
                let href = web_address(&address);
                let parsed = url::Url::parse(&address).ok();
                let host = parsed.as_ref().and_then(url::Url::host_str).map(str::to_owned);
                Self {
                    title: source.title.unwrap_or_else(|| address.clone()),
                    is_external: href.is_some(),
                    href,
                    place: host.unwrap_or(address),
                }
            }
            SourceLocation::FileId(id) => Self {
                title: source.title.unwrap_or_else(|| id.clone()),
                href: Some(find_href(&id)),
                is_external: false,
                place: id,
            },
        }
    }
}

impl FileRow {
    fn of(file: &ResponseFile) -> Self {
        let class = match file.state {
            MaybeKnown::Known(ResponseFileState::Fetched) => "ok",
            MaybeKnown::Known(ResponseFileState::Pending) => "wait",
            MaybeKnown::Known(ResponseFileState::Expired | ResponseFileState::Forbidden) => "bad",
            MaybeKnown::Unknown(_) => "",
        };
        let content = |id: &String| format!("{}/content", address::of("/api/v1/files", id));
        Self {
            name: file.filename.as_deref().unwrap_or(&file.file_id).to_owned(),
            href: file.stored_file_id.as_ref().map(content),
            state: StateWord::new(class, file.state.as_str().replace('_', " ")),
        }
    }
}

/// The tools that the model called, in order.
fn tool_calls(raw: &[u8]) -> Vec<ToolCall> {
    let object: Value = serde_json::from_slice(raw).unwrap_or_default();
    let items = object["output"].as_array().map(Vec::as_slice).unwrap_or_default();
    let call = |item: &Value| {
        let kind = item["type"].as_str().filter(|kind| kind.ends_with("_call"))?;
        Some(ToolCall {
            kind: kind.trim_end_matches("_call").replace('_', " "),
            state: StateWord::of_status(item["status"].as_str()),
            what: line(&call_text(item)),
        })
    };
    items.iter().filter_map(call).take(CALLS_MAX).collect()
}

/// What a call was for: the query, the page, the function, or the first line of the code.
fn call_text(item: &Value) -> String {
    let action = &item["action"];
    let kind = action["type"].as_str().unwrap_or_default().replace('_', " ");
    let texts = [&action["query"], &action["pattern"], &action["url"], &item["name"], &item["arguments"]];
    let code = item["code"].as_str().and_then(|code| code.lines().next());
    let words = [kind.as_str()].into_iter().chain(texts.into_iter().filter_map(Value::as_str)).chain(code);
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_say_what_they_were_for() {
        let raw = br#"{"output":[{"type":"reasoning"},
            {"type":"web_search_call","status":"completed","action":{"type":"open_page","url":"https://a.example"}},
            {"type":"function_call","name":"close","arguments":"{}"},
            {"type":"code_interpreter_call","status":"failed","code":"a = 1\nb"},7]}"#;
        let calls: Vec<[String; 3]> =
            tool_calls(raw).into_iter().map(|call| [call.kind, call.state.word, call.what]).collect();
        assert_eq!(
            calls,
            [
                ["web search", "completed", "open page · https://a.example"],
                ["function", "unknown", "close · {}"],
                ["code interpreter", "failed", "a = 1"],
            ]
        );
        assert!(tool_calls(b"no JSON").is_empty());
    }
}
