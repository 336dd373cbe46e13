//! Checks the outcomes of recent events. The API accepts a key of another project, but finds no objects with it.

use error_text::chain;
use store::{Store, StoreError};
use webhook::Reason;

use super::finding::{Check, Finding};

/// This many objects make a pattern. OpenAI's test webhooks refer to one that does not exist.
const OBJECTS: usize = 5;

/// Reads how fetches of late ended.
pub async fn check(store: &Store) -> Vec<Finding> {
    let queried = async {
        Ok::<_, StoreError>((
            store.recent_objects(OBJECTS).await?,
            store.count_refused_events().await?,
            [
                store.forbidden_response_files().await?,
                store.forbidden_fine_tuning_parts().await?,
                store.forbidden_batch_inputs().await?,
            ],
        ))
    };
    match queried.await {
        Ok((objects, refused, forbidden)) => {
            let mut findings = judge(&objects, refused);
            let parts = [RESPONSE_FILES, JOB_LISTS, BATCH_INPUTS].into_iter().zip(forbidden);
            findings.extend(parts.filter_map(|(part, (count, id))| part.forbidden(count, id.as_deref())));
            findings
        }
        Err(error) => {
            vec![Check::Fetches.wrong(chain(&error), "see the database finding")]
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

/// What belongs to an object and is fetched beside it.
struct Part {
    name: &'static str,
    objects: &'static str,
    /// Which the API key needs.
    right: &'static str,
    more: &'static str,
}

const RESPONSE_FILES: Part = Part {
    name: "files that code interpreters made",
    objects: "responses",
    right: "read containers",
    more: "the table response_files has the others. Containers expire 20 minutes after their last use",
};
const JOB_LISTS: Part = Part {
    name: "lists of checkpoints or events",
    objects: "fine-tuning jobs",
    right: "read fine-tuning jobs",
    more: "the columns checkpoints_state and events_state of fine_tuning_jobs have the others",
};
const BATCH_INPUTS: Part = Part {
    name: "input files of batches",
    objects: "batches",
    right: "read files",
    more: "the column input_state of batches has the others",
};

impl Part {
    /// Takes the number of parts that OpenAI refused, and the id of an object with such a part.
    fn forbidden(&self, count: i64, example: Option<&str>) -> Option<Finding> {
        let Self { name, objects, right, more } = self;
        let id = example?;
        Some(Check::Fetches.warning(
            format!("OpenAI refused {count} {name} (401, 403); their {objects} are stored"),
            format!(
                "grant OPENAI_API_KEY of the workers the right to {right}, then run landfall fetch {id}; {more}"
            ),
        ))
    }
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
    fn forbidden_parts_name_the_right_to_grant() {
        for (part, right) in
            [(RESPONSE_FILES, "containers"), (JOB_LISTS, "fine-tuning"), (BATCH_INPUTS, "files")]
        {
            assert!(part.forbidden(0, None).is_none());
            let finding = serde_json::to_string(&part.forbidden(2, Some("id_1"))).unwrap();
            assert!(
                finding.contains(&format!("read {right}")) && finding.contains("landfall fetch id_1"),
                "{finding}"
            );
        }
    }
}
