//! Runs the SQL of the README verbatim on both databases.

use store::{BatchResult, ResultSource};

use crate::fixture::Fixture;
use crate::samples::{batch, chunk, completion, event, response, result};

const README: &str = include_str!("../../../../README.md");

/// All statements of the SQL blocks, applied to the test's batch.
fn statements() -> Vec<String> {
    let blocks = README.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let text: String = blocks.collect::<Vec<_>>().concat().replace("batch_…", "batch_1");
    let uncommented: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    let statements = uncommented.join("\n");
    statements.split(';').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect()
}

pub(crate) async fn the_sql_returns_what_the_readme_says(fixture: Fixture) {
    let store = &fixture.store;
    store.record_delivery(&event("wh_1", "resp_1"), 1).await.unwrap();
    store.save_response(&response("{}"), &completion("wh_1")).await.unwrap();
    store.begin_batch(&batch()).await.unwrap();
    let answered = |line: i64, model: &str| {
        let body =
            format!(r#"{{"model":"{model}","choices":[{{"message":{{"content":"answer {line}"}}}}]}}"#);
        BatchResult { body: Some(body.into_bytes()), ..result(line) }
    };
    let refused = BatchResult {
        status_code: Some(429),
        body: Some(br#"{"error":{"code":"slow_down"}}"#.to_vec()),
        error: Some(r#"{"code":"slow_down","message":"Too fast."}"#.to_owned()),
        input_tokens: None,
        output_tokens: None,
        ..result(4)
    };
    let garbled =
        BatchResult { body: Some(b"no JSON".to_vec()), quarantined: true, input_tokens: None, ..result(5) };
    let rows =
        vec![answered(1, "gpt-a"), answered(2, "gpt-b"), answered(3, "gpt-a"), refused.clone(), garbled];
    store.append_batch_results(&chunk(ResultSource::Output, 1, rows)).await.unwrap();
    let late = BatchResult { status_code: None, body: None, ..refused };
    store
        .append_batch_results(&chunk(ResultSource::Error, 1, vec![BatchResult { line: 1, ..late }]))
        .await
        .unwrap();

    let mut answers = Vec::new();
    for statement in statements() {
        answers.push(fixture.select_text(&statement).await);
    }
    let answers: Vec<Vec<Vec<&str>>> = answers
        .iter()
        .map(|rows| {
            rows.iter().map(|row| row.iter().map(|cell| cell.as_deref().unwrap_or("-")).collect()).collect()
        })
        .collect();
    assert_eq!(answers.len(), 6, "{answers:?}");
    assert_eq!(answers[0][0][..2], ["resp_1", "Forty-two."]);
    assert_eq!(answers[1].len(), 2);
    assert_eq!(
        answers[2],
        [
            ["request-00004", "429", "slow_down", "Too fast."],
            ["request-00004", "-", "slow_down", "Too fast."],
            ["request-00005", "200", "-", "-"]
        ]
    );
    assert_eq!(answers[3], [["slow_down", "2"], ["-", "1"]]);
    assert_eq!(answers[4], [["gpt-a", "2", "6", "4"], ["gpt-b", "1", "3", "2"]]);
    assert_eq!(answers[5][..2], [["request-00001", "answer 1"], ["request-00002", "answer 2"]]);
}
