//! Searches within a batch, and counts of its errors, examine a bounded number of lines.

use store::{BatchResult, ErrorCount, ResultKind, ResultSearch, ResultSource};

use crate::batches::the_batch;
use crate::fixture::Fixture;
use crate::samples::{batch, chunk, result};

const OUTPUT_LINES: i64 = 10_100;
const CHUNK_ROWS: i64 = 2_020;

/// Line 7 failed; line 10,050 contains the text; the error file has three lines, of which one is quarantined.
async fn fill(fixture: &Fixture) {
    fixture.store.begin_batch(&batch()).await.unwrap();
    let row = |line| match line {
        7 => BatchResult { status_code: Some(429), ..result(line) },
        10_050 => BatchResult { body: Some(r#"{"text":"It says \"50% OFF\""}"#.into()), ..result(line) },
        line => result(line),
    };
    for first in (1..=OUTPUT_LINES).step_by(CHUNK_ROWS as usize) {
        let rows = (first..first + CHUNK_ROWS).map(row).collect();
        fixture.store.append_batch_results(&chunk(ResultSource::Output, first, rows)).await.unwrap();
    }
    let error = |line, code: &str| BatchResult {
        status_code: None,
        body: None,
        error: Some(format!(r#"{{"code":"{code}","message":"<b>50% off</b>"}}"#)),
        ..result(line)
    };
    let odd =
        BatchResult { quarantined: true, body: Some(b"not JSON".to_vec()), status_code: None, ..result(3) };
    let rows = vec![error(1, "batch_expired"), error(2, "batch_expired"), odd];
    fixture.store.append_batch_results(&chunk(ResultSource::Error, 1, rows)).await.unwrap();
}

pub(crate) async fn a_search_goes_on_where_the_last_one_ended(fixture: Fixture) {
    fill(&fixture).await;
    let batch = the_batch(&fixture).await;
    let found = async |search: ResultSearch| {
        let page = fixture.store.search_batch(&batch, &search).await.unwrap();
        let rows: Vec<_> = page.rows.iter().map(|row| (row.source, row.line)).collect();
        (rows, page.next)
    };
    let by_text = ResultSearch { text: Some("50% off".to_owned()), limit: 5, ..ResultSearch::default() };
    let first = found(by_text.clone()).await;
    assert_eq!(first, (vec![], Some((ResultSource::Output, 10_000))), "10,000 lines were examined");
    let second = found(ResultSearch { after: first.1, ..by_text.clone() }).await;
    let lines = [(ResultSource::Output, 10_050), (ResultSource::Error, 1), (ResultSource::Error, 2)];
    assert_eq!(second, (lines.to_vec(), None));
    let quoted = ResultSearch { text: Some("says \"50%".to_owned()), after: first.1, ..by_text.clone() };
    assert_eq!(found(quoted).await.0, [(ResultSource::Output, 10_050)]);
    let none = ResultSearch { text: Some("5__ off".to_owned()), after: first.1, ..by_text };
    assert_eq!(found(none).await.0, [], "no character stands for others");

    let all = ResultSearch { limit: 3, ..ResultSearch::default() };
    let (rows, next) = found(all.clone()).await;
    assert_eq!((rows.len(), next), (3, Some((ResultSource::Output, 3))));
    let last = found(ResultSearch { after: Some((ResultSource::Output, OUTPUT_LINES)), ..all.clone() }).await;
    assert_eq!((last.0.len(), last.1), (3, None));
    let failed = ResultSearch { kind: ResultKind::Failed, ..all.clone() };
    assert_eq!(found(failed).await.0, [(ResultSource::Output, 7)]);
    let of_status = ResultSearch { status: Some(429), ..all.clone() };
    assert_eq!(found(of_status).await.0, [(ResultSource::Output, 7)]);
    let quarantined = ResultSearch { kind: ResultKind::Quarantined, after: next, ..all };
    let odd = found(ResultSearch { after: Some((ResultSource::Output, 10_000)), ..quarantined }).await;
    assert_eq!(odd, (vec![(ResultSource::Error, 3)], None));
}

pub(crate) async fn errors_of_a_batch_are_counted_by_cause(fixture: Fixture) {
    fill(&fixture).await;
    let counts = fixture.store.batch_error_counts(&the_batch(&fixture).await).await.unwrap();
    let count = |code: Option<&str>, status_code, quarantined, lines| ErrorCount {
        code: code.map(str::to_owned),
        status_code,
        quarantined,
        lines,
    };
    assert_eq!(counts[0], count(Some("batch_expired"), None, false, 2));
    assert_eq!(counts.len(), 3, "{counts:?}");
    assert!(counts.contains(&count(None, Some(429), false, 1)), "{counts:?}");
    assert!(counts.contains(&count(None, None, true, 1)), "{counts:?}");
}

pub(crate) async fn a_body_too_long_to_show_is_left_out(fixture: Fixture) {
    fixture.store.begin_batch(&batch()).await.unwrap();
    let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(ResultSearch::BODY_CHARS_MAX));
    let rows = vec![BatchResult { body: Some(long.into()), ..result(1) }, result(2)];
    fixture.store.append_batch_results(&chunk(ResultSource::Output, 1, rows)).await.unwrap();
    let search = ResultSearch { limit: 5, ..ResultSearch::default() };
    let page = fixture.store.search_batch(&the_batch(&fixture).await, &search).await.unwrap();
    assert_eq!(page.rows.iter().map(|row| row.body.is_some()).collect::<Vec<_>>(), [false, true]);
}
