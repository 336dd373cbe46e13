//! An eval run and the counts of its items.

use store::EvalRunRecord;

use super::layout::{Layout, error_text, or_empty};
use crate::output;

pub(super) fn text(run: &EvalRunRecord, layout: Layout) -> String {
    let fields = [
        ("status", or_empty(run.status.as_deref())),
        ("eval", or_empty(run.eval_id.as_deref())),
        ("name", or_empty(run.name.as_deref())),
        ("model", or_empty(run.model.as_deref())),
        ("items", items(run)),
        ("error", error_text(run.error.as_deref())),
        ("report", or_empty(run.report_url.as_deref())),
        ("created", layout.time(run.created_at)),
        ("received", layout.time(Some(run.received_at))),
        ("fetched", layout.origin(&run.fetch_state, run.fetched_at)),
    ];
    layout.section("eval run", &run.run_id, &fields)
}

fn items(run: &EvalRunRecord) -> String {
    let count = |number: Option<i64>| number.map_or_else(|| "?".to_owned(), output::count);
    if run.total.is_none() {
        return String::new();
    }
    format!(
        "{}: {} passed, {} failed, {} errored",
        count(run.total),
        count(run.passed),
        count(run.failed),
        count(run.errored)
    )
}
