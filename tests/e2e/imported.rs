//! Checks the final state of a generated batch, whatever faults occurred: each line once, and the file byte for byte.

use sha2::{Digest as _, Sha256};

use crate::harness::Landfall;

/// Asserts that a batch added by `add_generated_batch` is completely stored.
pub(crate) async fn assert_whole(landfall: &Landfall, batch_id: &str, lines: usize) {
    let batch = landfall.show(batch_id);
    assert_eq!(
        (&batch["rows_stored"], &batch["results_complete"]),
        (&lines.into(), &true.into()),
        "{batch_id}"
    );
    let file_id = batch["output_file_id"].as_str().unwrap();
    let sent = landfall.fake.file_bytes(file_id).unwrap();
    let mut ids: Vec<String> =
        sent.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(custom_id).collect();
    ids.sort_unstable();
    assert_eq!(ids.len(), lines);
    assert!(landfall.custom_ids(batch_id).await == ids, "{batch_id}: other rows");
    assert!(landfall.stored_file(batch_id, file_id) == sent, "{batch_id}: other bytes");
    let sha256: String = Sha256::digest(&sent).iter().map(|byte| format!("{byte:02x}")).collect();
    let file = landfall.show(file_id);
    assert_eq!((&file["sha256"], &file["bytes"]), (&sha256.into(), &sent.len().into()), "{batch_id}");
}

fn custom_id(line: &[u8]) -> String {
    let line: serde_json::Value = serde_json::from_slice(line).unwrap();
    line["custom_id"].as_str().unwrap().to_owned()
}
