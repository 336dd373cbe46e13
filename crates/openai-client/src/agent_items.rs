//! The final message of an agent's turn: turns name only their status, the text is among their items.

use serde_json::value::RawValue;

use crate::agent_sessions::AGENTS_BETA;
use crate::client::{Client, Get, segment};
use crate::endpoint::Endpoint;
use crate::error::ApiError;
use crate::lenient::{any_text, each_element, fields, inner, text};
use crate::page::Page;

/// Number of items per page, newest first: the final message is usually the newest item.
const ITEMS_PER_PAGE: usize = 20;
/// Number of pages searched.
const PAGES_MAX: usize = 5;
/// Items may contain screenshots.
const ITEMS_BYTES_MAX: usize = 64 << 20;

/// A message of the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Message {
    output_text: String,
    /// A comment made while the agent works.
    is_commentary: bool,
}

impl Client {
    /// The text of the newest message of the agent in a turn that is not a commentary; without one, the newest
    /// commentary. `None` if the last 100 items contain neither.
    pub async fn agent_final_message(
        &self,
        session_id: &str,
        turn_id: &str,
    ) -> Result<Option<String>, ApiError> {
        let path = format!("/agents/sessions/{}/turns/{}/items", segment(session_id)?, segment(turn_id)?);
        let mut path_of_page = format!("{path}?order=desc&limit={ITEMS_PER_PAGE}");
        let mut commentary = None;
        for _ in 0..PAGES_MAX {
            let get = Get::new(Endpoint::AgentItems, path_of_page, ITEMS_BYTES_MAX).beta(AGENTS_BETA);
            let page = self.get(get, |raw| Page::parse(raw, ITEMS_PER_PAGE, message)).await?.object;
            for message in page.elements {
                if !message.is_commentary {
                    return Ok(Some(message.output_text));
                }
                commentary.get_or_insert(message.output_text);
            }
            let Some(last_id) = page.last_id.filter(|_| page.has_more) else { break };
            path_of_page = format!("{path}?order=desc&limit={ITEMS_PER_PAGE}&after={}", segment(&last_id)?);
        }
        Ok(commentary)
    }
}

/// The agent's message, if the item is one and has text.
fn message(item: &str) -> Option<Message> {
    let [kind, role, phase, content] = fields(item, ["type", "role", "phase", "content"]).ok()?;
    if text(kind)? != "message" || text(role)? != "assistant" {
        return None;
    }
    let mut output_text = String::new();
    each_element(content, |part: &RawValue| {
        let [kind, part_text] = inner(Some(part), ["type", "text"]);
        if text(kind).as_deref() == Some("output_text") {
            output_text.extend(any_text(part_text));
        }
    });
    let is_commentary = text(phase).as_deref() == Some("commentary");
    (!output_text.is_empty()).then_some(Message { output_text, is_commentary })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_messages_of_the_agent_with_text_count() {
        let json = r#"{"id":"item_1","type":"message","role":"assistant","phase":"final_answer","content":[
            {"type":"output_text","text":"Forty-"},{"type":"input_image","text":"no"},{"type":"output_text","text":"two."}]}"#;
        let expected = Message { output_text: "Forty-two.".to_owned(), is_commentary: false };
        assert_eq!(message(json), Some(expected.clone()));
        assert_eq!(message(&json.replace("final_answer", "of_2027")), Some(expected.clone()));
        assert_eq!(
            message(&json.replace("final_answer", "commentary")),
            Some(Message { is_commentary: true, ..expected })
        );
        for other in [json.replace("assistant", "user"), json.replace("\"message\"", "\"reasoning\"")] {
            assert_eq!(message(&other), None);
        }
        for odd in ["{}", "7", r#"{"type":"message","role":"assistant","content":[]}"#] {
            assert_eq!(message(odd), None, "{odd}");
        }
    }
}
