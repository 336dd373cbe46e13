//! How recent events ended: a key of another project is accepted by the API, and finds nothing.

use store::Store;
use webhook::Reason;

use super::findings::{Check, Finding};
use crate::exit::Failure;

/// So many objects make a pattern; OpenAI's test webhooks name one that does not exist.
const OBJECTS: usize = 5;

pub(super) async fn check(store: &Store) -> Vec<Finding> {
    let looked = async {
        Ok::<_, Failure>((store.recent_objects(OBJECTS).await?, store.count_refused_events().await?))
    };
    match looked.await {
        Ok((objects, refused)) => judge(&objects, refused),
        Err(error) => {
            vec![Check::Fetches.wrong(error.to_string(), "see the finding about the database")]
        }
    }
}

/// By the reasons for which the newest objects are not there; `None` for those that are.
fn judge(objects: &[(String, Option<String>)], refused: i64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_unknown =
        |(_, reason): &(String, Option<String>)| reason.as_deref() == Some(Reason::NotFound.as_str());
    if objects.len() >= OBJECTS && objects.iter().all(is_unknown) {
        findings.push(Check::Fetches.wrong(format!("OpenAI knows none of the last {OBJECTS} objects (404): the API key belongs to another project"),
            "give workers a key of the webhooks' project (OPENAI_API_KEY), then landfall fetch --missing",
        ));
    }
    if refused > 0 {
        let wait = if refused == 1 { "1 event waits".to_owned() } else { format!("{refused} events wait") };
        findings.push(Check::Fetches.wrong(
            format!("{wait} because OpenAI refused the key of the workers (401, 403)"),
            "correct OPENAI_API_KEY there; landfall retry then makes them due at once",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_unknown_objects_are_a_pattern_and_one_that_was_found_ends_it() {
        let unknown = |n: usize| (format!("resp_{n}"), Some("not_found".to_owned()));
        let mut objects: Vec<_> = (0..4).map(unknown).collect();
        assert!(judge(&objects, 0).is_empty());
        objects.push(unknown(4));
        assert!(judge(&objects, 0)[0].is_wrong());
        objects[2].1 = None;
        assert!(judge(&objects, 0).is_empty());
        assert!(judge(&objects, 3)[0].is_wrong());
    }
}
