//! New content for a batch file: complete, or not at all.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use store::{
    Appended, BatchEnd, BatchResult, FileRecord, Files, Found, NewContent, Replaced, ResultFilter,
    ResultSource, ResultsState, Store, StoredBatch,
};
use test_support::wait;
use webhook::FetchState;

use crate::fixture::Fixture;
use crate::samples::{at, batch, chunk, completion, event, file, result};

async fn the_batch(store: &Store) -> StoredBatch {
    match store.find("batch_1").await.unwrap().as_slice() {
        [Found::Batch(batch)] => batch.clone(),
        found => panic!("one batch was expected: {found:?}"),
    }
}

async fn lines(store: &Store) -> Vec<(ResultSource, i64)> {
    let rows = store.batch_results(&ResultFilter::of("default", "batch_1", 10_000)).await.unwrap();
    rows.iter().map(|row| (row.source, row.line)).collect()
}

fn unreadable(line: i64) -> BatchResult {
    BatchResult { custom_id: None, status_code: None, quarantined: true, ..result(line) }
}

fn content(readable_lines: i64) -> NewContent {
    NewContent {
        project: "default".to_owned(),
        batch_id: "batch_1".to_owned(),
        source: ResultSource::Output,
        file_id: "file_out".to_owned(),
        readable_lines,
    }
}

/// A complete batch: two readable lines and one unreadable line of output, and one line of errors.
async fn partly_readable_batch(fixture: &Fixture) {
    let store = &fixture.store;
    store.record_delivery(&event("wh_1", "batch_1"), 1).await.unwrap();
    store.begin_batch(&batch()).await.unwrap();
    let rows = vec![result(1), result(2), unreadable(3)];
    store.append_batch_results(&chunk(ResultSource::Output, 1, rows)).await.unwrap();
    store.append_batch_results(&chunk(ResultSource::Error, 1, vec![result(1)])).await.unwrap();
    store.save_file(&file_of(store, b"half").await).await.unwrap();
    store.finish_batch("batch_1", BatchEnd::Complete, &completion("wh_1")).await.unwrap();
}

/// The output file with this content, at its regular location.
async fn file_of(store: &Store, bytes: &'static [u8]) -> FileRecord {
    written(store, bytes, &Files::location("default", "batch_1", "file_out")).await
}

async fn written(store: &Store, bytes: &'static [u8], location: &str) -> FileRecord {
    let mut writer = store.files().create_at(location).await.unwrap();
    writer.write(Bytes::from_static(bytes)).await.unwrap();
    let stored = writer.finish().await.unwrap();
    FileRecord { bytes: stored.bytes, sha256: stored.sha256, location: stored.location, ..file() }
}

async fn kept(store: &Store, location: &str) -> Vec<u8> {
    let pieces: Vec<Bytes> = store.files().open(location).await.unwrap().try_collect().await.unwrap();
    pieces.concat()
}

pub(crate) async fn new_content_replaces_the_old_one_in_one_transaction(fixture: Fixture) {
    let store = &fixture.store;
    partly_readable_batch(&fixture).await;
    let old = store.file_of("default", "batch_1", "file_out").await.unwrap().unwrap();
    let new =
        written(store, b"the whole", &Files::replacement_location("default", "batch_1", "file_out")).await;
    let new = FileRecord { purpose: None, filename: None, expires_at: None, ..new };
    let mut replacement = store.replace_file(content(5));
    assert!(replacement.add(vec![result(1), result(2), result(3)]).await);
    // Lines 4 and 5 are blank.
    assert!(replacement.add(vec![result(6), unreadable(7)]).await);
    assert!(replacement.add(vec![result(8)]).await);
    assert_eq!(lines(store).await.len(), 4, "a partial replacement is not visible");
    assert_eq!(replacement.commit(new.clone()).await.unwrap(), Replaced::Done);

    let output = [1, 2, 3, 6, 7, 8].map(|line| (ResultSource::Output, line));
    assert_eq!(lines(store).await, [&output[..], &[(ResultSource::Error, 1)]].concat());
    let row = the_batch(store).await;
    assert_eq!((row.rows_stored, row.rows_quarantined), (7, 1));
    assert_eq!((row.output_next_line, row.error_next_line, row.results_complete), (9, 2, true));
    let kept_row = store.file_of("default", "batch_1", "file_out").await.unwrap().unwrap();
    assert_eq!((&kept_row.sha256, &kept_row.location), (&new.sha256, &new.location));
    assert_eq!(kept_row.purpose, old.purpose, "fields that OpenAI did not send this time are kept");
    assert_eq!(kept(store, &new.location).await, b"the whole");

    store.move_to_final_location(&new, Some(&old.location)).await.unwrap();
    let home = store.file_of("default", "batch_1", "file_out").await.unwrap().unwrap();
    assert_eq!(home.location, old.location);
    assert_eq!(kept(store, &home.location).await, b"the whole");
    assert!(store.files().open(&new.location).await.is_err(), "the file exists only once");
}

pub(crate) async fn an_uncommitted_or_worse_replacement_changes_nothing(fixture: Fixture) {
    let store = &fixture.store;
    partly_readable_batch(&fixture).await;
    let before = fixture.dump_objects().await;
    let new = written(store, b"worse", &Files::replacement_location("default", "batch_1", "file_out")).await;

    let mut dropped = store.replace_file(content(9));
    assert!(dropped.add((1..=9).map(result).collect()).await);
    drop(dropped);
    let mut worse = store.replace_file(content(1));
    worse.add(vec![result(1)]).await;
    assert_eq!(worse.commit(new.clone()).await.unwrap(), Replaced::Fewer { stored: 2 });
    let another_file = NewContent { file_id: "file_older".to_owned(), ..content(9) };
    let mut superseded = store.replace_file(another_file);
    superseded.add((1..=9).map(result).collect()).await;
    assert_eq!(superseded.commit(new.clone()).await.unwrap(), Replaced::Superseded);
    let mut twice = store.replace_file(content(9));
    twice.add(vec![result(1), result(1)]).await;
    assert!(twice.commit(new).await.is_err(), "a duplicate line is rejected");
    assert_eq!(fixture.dump_objects().await, before);
}

pub(crate) async fn a_replacement_waits_for_an_import_which_then_continues(fixture: Fixture) {
    let store = &fixture.store;
    store.begin_batch(&batch()).await.unwrap();
    let mut import = store.batch_appender("default", "batch_1", ResultSource::Output, 1);
    import.append((1..=3).map(result).collect()).await.unwrap();
    import.drain().await.unwrap();
    let mut replacement = store.replace_file(content(6));
    replacement.add((1..=6).map(result).collect()).await;
    assert_eq!(replacement.commit(file()).await.unwrap(), Replaced::Done);
    // The lines it adds from the old content come after the stored ones.
    import.append((4..=8).map(result).collect()).await.unwrap();
    import.finish().await.unwrap();
    assert_eq!(lines(store).await, (1..=8).map(|line| (ResultSource::Output, line)).collect::<Vec<_>>());

    let other = fixture.another_handle().await;
    let race = async |store: &Store| {
        let mut replacement = store.replace_file(content(100));
        let mut stays = true;
        for line in 1..=8 {
            stays &= replacement.add(vec![result(line)]).await;
        }
        assert!(stays);
        replacement.commit(file()).await.unwrap()
    };
    let chunk = chunk(ResultSource::Output, 9, (9..=12).map(result).collect());
    let (first, second, appended) =
        tokio::join!(race(store), race(&other), store.append_batch_results(&chunk));
    assert_eq!((first, second), (Replaced::Done, Replaced::Done));
    // Before or after the last statement, but never in between.
    let expected = match appended {
        Ok(Appended::Added) => &[8, 12][..],
        other => panic!("{other:?}"),
    };
    wait::until("the new rows", async || {
        let rows = i64::try_from(lines(store).await.len()).unwrap();
        let row = the_batch(store).await;
        assert_eq!((row.rows_stored, row.output_next_line), (rows, rows + 1));
        expected.contains(&rows).then_some(())
    })
    .await;
}

pub(crate) async fn mismatched_batches_are_unfetched_until_confirmed(fixture: Fixture) {
    let store = &fixture.store;
    partly_readable_batch(&fixture).await;
    let missing = async || {
        let found = store.unfetched_objects(None, 10).await.unwrap();
        found.into_iter().map(|object| (object.object_id, object.fetch_state)).collect::<Vec<_>>()
    };
    let row = the_batch(store).await;
    assert_eq!((row.results_state, row.results_confirmed_at), (ResultsState::Mismatch, None));
    assert_eq!(missing().await, [("batch_1".to_owned(), FetchState::Fetched.into())]);
    assert_eq!(store.unfetched_objects(Some(at(1)), 10).await.unwrap(), [], "received before");

    store.finish_batch("batch_1", BatchEnd::Confirmed, &completion("wh_1")).await.unwrap();
    assert_eq!(missing().await, []);
    let row = the_batch(store).await;
    assert_eq!((row.results_state, row.results_confirmed_at), (ResultsState::Mismatch, Some(at(10))));
    assert!(row.results_complete);

    let mut replacement = store.replace_file(content(3));
    replacement.add((1..=3).map(result).collect()).await;
    assert_eq!(replacement.commit(file()).await.unwrap(), Replaced::Done);
    assert_eq!(missing().await.len(), 1, "changed rows need a new confirmation");
}
