//! Batches are imported in chunks: fenced, resumable, counted.

use store::{
    Appended, BatchEnd, BatchRecord, BatchResult, Found, ResultFilter, ResultSource, ResultsState, Store,
    StoreError, StoredBatch,
};
use webhook::{FetchState, Reason};

use crate::fixture::{Fixture, meaning};
use crate::samples::{at, batch, chunk, completion, event, result};

pub(crate) async fn the_batch(fixture: &Fixture) -> StoredBatch {
    match fixture.store.find("batch_1").await.unwrap().as_slice() {
        [Found::Batch(batch)] => batch.clone(),
        found => panic!("one batch was expected: {found:?}"),
    }
}

/// Imports a file like a worker: chunk by chunk, skipping lines that another worker has stored.
async fn import(store: &Store, first_line: i64, lines: i64, chunk_rows: usize) -> Result<(), StoreError> {
    let mut next_line = first_line;
    let rows: Vec<BatchResult> = (first_line..=lines).map(result).collect();
    for rows in rows.chunks(chunk_rows) {
        let mut rows = rows.to_vec();
        while let Some(last) = rows.last().map(|row| row.line) {
            rows.retain(|row| row.line >= next_line);
            match store.append_batch_results(&chunk(ResultSource::Output, next_line, rows.clone())).await? {
                Appended::Added => {
                    next_line = next_line.max(last + 1);
                    break;
                }
                Appended::Overtaken { next_line: ahead } => next_line = ahead,
            }
        }
    }
    Ok(())
}

pub(crate) async fn five_thousand_rows_are_stored_in_chunks_and_read_in_pages(fixture: Fixture) {
    let progress = fixture.store.begin_batch(&batch()).await.unwrap();
    assert_eq!(
        (progress.output_next_line, progress.error_next_line, progress.results_complete),
        (1, 1, false)
    );
    import(&fixture.store, 1, 5000, 1000).await.unwrap();
    let mut refused = result(3);
    (refused.status_code, refused.body) = (Some(400), None);
    refused.error = Some(r#"{"code":"bad","message":"no"}"#.to_owned());
    // Lines 1 and 2 of the file are empty.
    fixture.store.append_batch_results(&chunk(ResultSource::Error, 1, vec![refused])).await.unwrap();
    fixture.store.finish_batch("batch_1", BatchEnd::Complete, &completion("wh_1")).await.unwrap();
    let row = the_batch(&fixture).await;
    assert_eq!((row.rows_stored, row.rows_quarantined, row.results_complete), (5001, 0, true));
    assert_eq!((row.output_next_line, row.error_next_line), (5001, 4));

    let mut filter = ResultFilter::of("default", "batch_1", 1500);
    let mut pages = Vec::new();
    loop {
        let page = fixture.store.batch_results(&filter).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.after = Some((last.source, last.line));
        pages.push(page);
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [1500, 1500, 1500, 501]);
    let seen: Vec<(ResultSource, i64)> = pages.iter().flatten().map(|row| (row.source, row.line)).collect();
    let output = (1..=5000).map(|line| (ResultSource::Output, line));
    assert_eq!(seen, output.chain([(ResultSource::Error, 3)]).collect::<Vec<_>>());
    assert_eq!(meaning(pages[0][6].body.as_deref()), meaning(result(7).body.as_deref()));

    let errors = ResultFilter { errors_only: true, ..ResultFilter::of("default", "batch_1", 10) };
    let errors = fixture.store.batch_results(&errors).await.unwrap();
    assert_eq!(errors.iter().map(|row| row.status_code).collect::<Vec<_>>(), [Some(400)]);
}

pub(crate) async fn results_are_found_by_status_and_custom_id(fixture: Fixture) {
    fixture.store.begin_batch(&batch()).await.unwrap();
    let statuses = [Some(200), Some(429), Some(400), None, Some(500), Some(429), Some(599)];
    let rows =
        statuses.iter().zip(1..).map(|(&status_code, line)| BatchResult { status_code, ..result(line) });
    fixture.store.append_batch_results(&chunk(ResultSource::Output, 1, rows.collect())).await.unwrap();
    let again = BatchResult { custom_id: result(6).custom_id, status_code: None, ..result(3) };
    fixture.store.append_batch_results(&chunk(ResultSource::Error, 1, vec![again])).await.unwrap();

    let all = ResultFilter::of("default", "batch_1", 10);
    let lines = async |filter: ResultFilter| {
        let rows = fixture.store.batch_results(&filter).await.unwrap();
        rows.iter().map(|row| (row.source.as_str(), row.line)).collect::<Vec<_>>()
    };
    let of_status = |status| ResultFilter { status: Some(status), ..all.clone() };
    assert_eq!(lines(of_status(429..=429)).await, [("output", 2), ("output", 6)]);
    assert_eq!(lines(of_status(400..=499)).await, [("output", 2), ("output", 3), ("output", 6)]);
    assert_eq!(lines(of_status(500..=599)).await, [("output", 5), ("output", 7)]);
    let of_id = ResultFilter { custom_id: result(6).custom_id, ..all.clone() };
    assert_eq!(lines(of_id.clone()).await, [("output", 6), ("error", 3)]);
    let after = ResultFilter { after: Some((ResultSource::Output, 6)), ..of_id.clone() };
    assert_eq!(lines(after).await, [("error", 3)]);
    assert_eq!(lines(ResultFilter { batch_id: "batch_2".to_owned(), ..of_id.clone() }).await, []);
    assert_eq!(lines(ResultFilter { status: Some(429..=429), ..of_id }).await, [("output", 6)]);
}

pub(crate) async fn two_workers_racing_on_a_batch_store_each_line_once(fixture: Fixture) {
    let workers = [(fixture.another_handle().await, 70), (fixture.another_handle().await, 110)];
    let races = workers.map(|(store, chunk_rows)| {
        tokio::spawn(async move {
            let progress = store.begin_batch(&batch()).await.unwrap();
            import(&store, progress.output_next_line, 3000, chunk_rows).await.unwrap();
            store.finish_batch("batch_1", BatchEnd::Complete, &completion("wh_1")).await.unwrap();
        })
    });
    for race in races {
        race.await.unwrap();
    }
    let row = the_batch(&fixture).await;
    assert_eq!((row.rows_stored, row.output_next_line, row.results_complete), (3000, 3001, true));
    let stored = fixture.store.batch_results(&ResultFilter::of("default", "batch_1", 10_000)).await.unwrap();
    assert!(stored.iter().map(|row| row.line).eq(1..=3000));
    assert!(stored.iter().all(|row| row.custom_id == result(row.line).custom_id));
}

pub(crate) async fn an_import_of_a_crashed_worker_is_resumed(fixture: Fixture) {
    let dying = fixture.another_handle().await;
    dying.begin_batch(&batch()).await.unwrap();
    // Dropped at every await point, including those inside a transaction.
    let mut budget_polls = 1;
    while the_batch(&fixture).await.output_next_line < 400 {
        let next_line = the_batch(&fixture).await.output_next_line;
        let attempt = import(&dying, next_line, 500, 20);
        drop_after(budget_polls, attempt).await;
        budget_polls += 1;
    }
    drop(dying);
    let between = the_batch(&fixture).await;
    let progress = fixture.store.begin_batch(&batch()).await.unwrap();
    // A chunk dropped during its commit may be stored by now.
    assert!(progress.output_next_line >= between.output_next_line);
    import(&fixture.store, progress.output_next_line, 500, 20).await.unwrap();
    fixture.store.finish_batch("batch_1", BatchEnd::Complete, &completion("wh_1")).await.unwrap();
    let row = the_batch(&fixture).await;
    assert_eq!((row.rows_stored, row.results_complete), (500, true));
    let stored = fixture.store.batch_results(&ResultFilter::of("default", "batch_1", 1000)).await.unwrap();
    assert!(stored.iter().map(|row| row.line).eq(1..=500));
}

/// Polls a future the given number of times, then drops it.
async fn drop_after<T>(polls: usize, future: impl Future<Output = T>) {
    let mut future = std::pin::pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        left -= 1;
        let ready = future.as_mut().poll(context).is_ready();
        if ready || left == 0 { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

pub(crate) async fn a_chunk_at_the_wrong_line_is_rejected(fixture: Fixture) {
    let rows: Vec<BatchResult> = (1..=3).map(result).collect();
    let append = async |first_line: i64| {
        let rows = rows.iter().filter(|row| row.line >= first_line).cloned().collect();
        fixture.store.append_batch_results(&chunk(ResultSource::Output, first_line, rows)).await
    };
    let never_begun = append(1).await.unwrap_err();
    assert!(matches!(never_begun, StoreError::OutOfStep { next_line: None, .. }), "{never_begun}");
    fixture.store.begin_batch(&batch()).await.unwrap();
    let ahead = append(2).await.unwrap_err();
    assert!(matches!(ahead, StoreError::OutOfStep { next_line: Some(1), first_line: 2, .. }), "{ahead}");
    assert_eq!((ahead.is_retryable(), ahead.reason()), (true, Reason::DatabaseUnavailable));
    assert_eq!(append(1).await.unwrap(), Appended::Added);
    assert_eq!(append(1).await.unwrap(), Appended::Overtaken { next_line: 4 });
    assert_eq!(append(9).await.unwrap(), Appended::Added, "an empty chunk is a no-op");
    assert_eq!(the_batch(&fixture).await.rows_stored, 3);
}

pub(crate) async fn lines_no_json_column_holds_are_stored_as_bytes_and_counted(fixture: Fixture) {
    fixture.store.begin_batch(&batch()).await.unwrap();
    let bodies: [&[u8]; 4] =
        [b"{\"text\":\"\xff\"}", br#"{"text":"a\u0000"}"#, br#"[1e999999]"#, br#"{"text":"fine"}"#];
    let mut rows: Vec<BatchResult> = (1..=6).map(result).collect();
    for (row, body) in rows.iter_mut().zip(bodies) {
        row.body = Some(body.to_vec());
    }
    rows[0].custom_id = Some("a\0b".to_owned());
    // A line that is JSON, but not a result.
    (rows[4].body, rows[4].quarantined, rows[4].custom_id) = (Some(b"[]".to_vec()), true, None);
    // A line that is too long for a row.
    (rows[5].body, rows[5].quarantined, rows[5].custom_id) = (None, true, None);
    fixture.store.append_batch_results(&chunk(ResultSource::Output, 1, rows.clone())).await.unwrap();
    let batch = the_batch(&fixture).await;
    assert_eq!((batch.rows_stored, batch.rows_quarantined), (6, 5));
    let stored = fixture.store.batch_results(&ResultFilter::of("default", "batch_1", 10)).await.unwrap();
    let meanings = |body: &Option<Vec<u8>>| meaning(body.as_deref());
    assert!(stored.iter().map(|row| meanings(&row.body)).eq(rows.iter().map(|row| meanings(&row.body))));
    assert_eq!(stored[0].custom_id.as_deref(), Some("a\u{FFFD}b"));
    let json = fixture.select("SELECT line FROM batch_results WHERE body IS NOT NULL").await;
    assert_eq!(json, [[Some("4".to_owned())]]);
}

pub(crate) async fn a_repeated_custom_id_survives(fixture: Fixture) {
    fixture.store.begin_batch(&batch()).await.unwrap();
    let rows =
        (1..=3).map(|line| BatchResult { custom_id: Some("same".to_owned()), ..result(line) }).collect();
    fixture.store.append_batch_results(&chunk(ResultSource::Output, 1, rows)).await.unwrap();
    let error = BatchResult { custom_id: Some("same".to_owned()), ..result(1) };
    fixture.store.append_batch_results(&chunk(ResultSource::Error, 1, vec![error])).await.unwrap();
    let mut filter = ResultFilter::of("default", "batch_1", 10);
    filter.custom_id = Some("same".to_owned());
    assert_eq!(fixture.store.batch_results(&filter).await.unwrap().len(), 4);
    filter.custom_id = Some("other".to_owned());
    assert!(fixture.store.batch_results(&filter).await.unwrap().is_empty());
}

pub(crate) async fn a_batch_with_a_new_file_id_restarts_the_import_of_that_file(fixture: Fixture) {
    let early = BatchRecord { output_file_id: None, ..batch() };
    fixture.store.begin_batch(&early).await.unwrap();
    fixture.store.append_batch_results(&chunk(ResultSource::Error, 1, vec![result(1)])).await.unwrap();
    fixture.store.finish_batch("batch_1", BatchEnd::Complete, &completion("wh_1")).await.unwrap();
    let late = BatchRecord { fetched_at: Some(at(9)), raw: Some(b"{}".to_vec()), ..batch() };
    let progress = fixture.store.begin_batch(&late).await.unwrap();
    assert_eq!(
        (progress.output_next_line, progress.error_next_line, progress.results_complete),
        (1, 2, false)
    );
    import(&fixture.store, 1, 5, 5).await.unwrap();
    let other = BatchRecord {
        output_file_id: Some("file_out_2".to_owned()),
        fetched_at: Some(at(10)),
        raw: Some(b"[]".to_vec()),
        ..batch()
    };
    let progress = fixture.store.begin_batch(&other).await.unwrap();
    assert_eq!(
        (progress.output_next_line, progress.error_next_line, progress.results_complete),
        (1, 2, false)
    );
    assert_eq!(the_batch(&fixture).await.rows_stored, 1);
    let older = fixture.store.begin_batch(&late).await.unwrap();
    assert_eq!(older, progress, "a late, older state gets the files of the newer one");
    assert_eq!(older.output_file_id.as_deref(), Some("file_out_2"));
    let from_the_old_file =
        fixture.store.append_batch_results(&chunk(ResultSource::Output, 6, vec![result(6)])).await;
    assert!(matches!(from_the_old_file, Err(StoreError::OutOfStep { .. })));
}

pub(crate) async fn complete_stays_complete(fixture: Fixture) {
    fixture.store.begin_batch(&batch()).await.unwrap();
    import(&fixture.store, 1, 5, 5).await.unwrap();
    fixture.store.finish_batch("batch_1", BatchEnd::Complete, &completion("wh_1")).await.unwrap();
    let before = fixture.dump_objects().await;
    for end in [BatchEnd::Expired, BatchEnd::NotFetched, BatchEnd::Complete] {
        fixture.store.finish_batch("batch_1", end, &completion("wh_2")).await.unwrap();
    }
    let embedded = BatchRecord {
        fetch_state: FetchState::NotFound.into(),
        fetched_at: None,
        output_file_id: None,
        raw: None,
        ..batch()
    };
    assert!(fixture.store.begin_batch(&embedded).await.unwrap().results_complete);
    assert_eq!(fixture.dump_objects().await, before);
}

pub(crate) async fn an_expired_file_marks_the_batch_and_a_second_run_changes_nothing(fixture: Fixture) {
    let run = async |fetched_at| {
        fixture.store.begin_batch(&BatchRecord { fetched_at: Some(fetched_at), ..batch() }).await.unwrap();
        fixture.store.finish_batch("batch_1", BatchEnd::Expired, &completion("wh_1")).await.unwrap();
    };
    run(at(1)).await;
    let row = the_batch(&fixture).await;
    assert_eq!((row.batch.fetch_state, row.results_complete), (FetchState::Expired.into(), false));
    let before = fixture.dump_objects().await;
    run(at(2)).await;
    assert_eq!(fixture.dump_objects().await, before);
}

pub(crate) async fn an_import_in_progress_is_listed_until_it_ends(fixture: Fixture) {
    let store = &fixture.store;
    let imports = async || store.imports(10).await.unwrap();
    store.begin_batch(&batch()).await.unwrap();
    assert!(imports().await.is_empty(), "no event waits for it");
    store.record_delivery(&event("wh_1", "batch_1"), 1).await.unwrap();
    import(store, 1, 5, 5).await.unwrap();
    let one = &imports().await[0];
    assert_eq!((one.batch_id.as_str(), one.rows_stored, one.requests_total), ("batch_1", 5, Some(5000)));
    assert_eq!((one.began_at, one.began_rows), (at(1), 0));
    // The next attempt measures its own speed.
    store.begin_batch(&BatchRecord { fetched_at: Some(at(9)), ..batch() }).await.unwrap();
    let one = &imports().await[0];
    assert_eq!((one.began_at, one.began_rows, one.rows_stored), (at(9), 5, 5));
    store.finish_batch("batch_1", BatchEnd::Complete, &completion("wh_1")).await.unwrap();
    assert!(imports().await.is_empty());
    store.begin_batch(&BatchRecord { fetched_at: Some(at(10)), ..batch() }).await.unwrap();
    let marked = fixture.select("SELECT import_began_at FROM batches").await;
    assert_eq!(marked, [[None]], "a complete batch is not imported again");
}

pub(crate) async fn rows_are_compared_with_the_request_count(fixture: Fixture) {
    let store = &fixture.store;
    let state = async || {
        let of_record = the_batch(&fixture).await.results_state;
        let of_view = fixture.select("SELECT results_state FROM batch_counts").await;
        assert_eq!(of_view, [[Some(of_record.to_string())]], "record and view agree");
        of_record
    };
    let off = BatchRecord { fetch_state: FetchState::Off.into(), fetched_at: None, raw: None, ..batch() };
    store.begin_batch(&off).await.unwrap();
    assert_eq!(state().await, ResultsState::Unfetched);
    let fetched = |total, secs: i64| BatchRecord {
        requests_total: total,
        fetched_at: Some(at(secs)),
        // OpenAI sent the same object, so the row does not change.
        raw: Some(secs.to_string().into_bytes()),
        ..batch()
    };
    store.begin_batch(&fetched(Some(5), 1)).await.unwrap();
    assert_eq!(state().await, ResultsState::Importing);
    import(store, 1, 5, 5).await.unwrap();
    store.finish_batch("batch_1", BatchEnd::Expired, &completion("wh_1")).await.unwrap();
    assert_eq!(state().await, ResultsState::Expired);
    store.finish_batch("batch_1", BatchEnd::Complete, &completion("wh_1")).await.unwrap();
    assert_eq!(state().await, ResultsState::Complete);
    store.begin_batch(&fetched(Some(7), 2)).await.unwrap();
    assert_eq!(state().await, ResultsState::Mismatch);
    let missing = fixture.select("SELECT rows_missing FROM batch_counts").await;
    assert_eq!(missing, [[Some("2".to_owned())]]);
    store.begin_batch(&fetched(None, 3)).await.unwrap();
    assert_eq!(state().await, ResultsState::Complete);
    let refused = BatchRecord { errors: Some("{}".to_owned()), ..fetched(Some(7), 4) };
    store.begin_batch(&refused).await.unwrap();
    assert_eq!(state().await, ResultsState::Complete);
}
