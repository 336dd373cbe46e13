//! Checks the outcomes of recent events. The API accepts a key of another project, but finds no objects with it.

use store::Store;
use webhook::Reason;

use super::findings::{Check, Finding};
use crate::exit::CliError;
use crate::printable;

/// This many objects make a pattern. OpenAI's test webhooks refer to one that does not exist.
const OBJECTS: usize = 5;

pub(super) async fn check(store: &Store) -> Vec<Finding> {
    let queried = async {
        Ok::<_, CliError>((
            store.recent_objects(OBJECTS).await?,
            store.count_refused_events().await?,
            store.forbidden_response_files().await?,
        ))
    };
    match queried.await {
        Ok((objects, refused, (files, example))) => {
            let mut findings = judge(&objects, refused);
            findings.extend(forbidden_files(files, example.as_deref()));
            findings
        }
        Err(error) => {
            vec![Check::Fetches.wrong(error.to_string(), "see the database finding")]
        }
    }
}

/// Takes the newest objects, each with the reason why it is missing, or `None` when it is stored.
fn judge(objects: &[(String, Option<String>)], refused: i64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_unknown =
        |(_, reason): &(String, Option<String>)| reason.as_deref() == Some(Reason::NotFound.as_str());
    if objects.len() >= OBJECTS && objects.iter().all(is_unknown) {
        findings.push(Check::Fetches.wrong(format!("OpenAI does not know any of the last {OBJECTS} objects (404): the API key belongs to another project"),
            "set OPENAI_API_KEY of the workers to a key of the webhooks' project, then run landfall fetch --missing",
        ));
    }
    if refused > 0 {
        let wait = if refused == 1 {
            "1 event is waiting".to_owned()
        } else {
            format!("{refused} events are waiting")
        };
        findings.push(Check::Fetches.wrong(
            format!("{wait} because OpenAI rejected the workers' API key (401, 403)"),
            "correct OPENAI_API_KEY of the workers, then run landfall retry",
        ));
    }
    findings
}

/// Takes the number of files that OpenAI refused, and the id of a response with such a file.
fn forbidden_files(files: i64, example: Option<&str>) -> Option<Finding> {
    let id = printable::one_line(example?);
    Some(Check::Fetches.warning(
        format!("OpenAI refused {files} files that code interpreters made (401, 403); their responses are stored"),
        format!(
            "grant OPENAI_API_KEY of the workers the right to read containers, then run landfall fetch {id}; the \
             table response_files has the others. Containers expire 20 minutes after their last use"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_unknown_objects_are_a_pattern_that_one_found_object_breaks() {
        let unknown = |n: usize| (format!("resp_{n}"), Some("not_found".to_owned()));
        let mut objects: Vec<_> = (0..4).map(unknown).collect();
        assert!(judge(&objects, 0).is_empty());
        objects.push(unknown(4));
        assert!(judge(&objects, 0)[0].is_wrong());
        objects[2].1 = None;
        assert!(judge(&objects, 0).is_empty());
        assert!(judge(&objects, 3)[0].is_wrong());
    }

    #[test]
    fn forbidden_files_name_the_right_to_grant() {
        assert!(forbidden_files(0, None).is_none());
        let finding = serde_json::to_string(&forbidden_files(2, Some("resp_1"))).unwrap();
        assert!(
            finding.contains("read containers") && finding.contains("landfall fetch resp_1"),
            "{finding}"
        );
    }
}
