//! The table `safety_alerts`.

use std::sync::LazyLock;

use super::events;
use super::upsert::insert;
use crate::columns::Record as _;
use crate::database::WriteTransaction;
use crate::error::StoreError;
use crate::event::Completion;
use crate::safety_alert::SafetyAlertRecord;
use crate::schema::SAFETY_ALERTS;
use crate::store::Store;

/// An alert has no states: a fetched one beats one embedded in an event, then the later one wins if it differs. OpenAI
/// returns the explanation only for a while, so a later fetch never erases it.
static UPSERT: LazyLock<String> = LazyLock::new(|| {
    insert(&SAFETY_ALERTS, SafetyAlertRecord::COLUMNS)
        + " ON CONFLICT (project, alert_id) DO UPDATE SET
            response_id = excluded.response_id, request_id = excluded.request_id, model = excluded.model,
            error_type = excluded.error_type, reason = excluded.reason,
            detailed_explanation = coalesce(excluded.detailed_explanation, safety_alerts.detailed_explanation),
            request_paused = excluded.request_paused, created_at = excluded.created_at,
            received_at = excluded.received_at, fetch_state = excluded.fetch_state,
            fetched_at = excluded.fetched_at, raw = excluded.raw, raw_bytes = excluded.raw_bytes
        WHERE (excluded.fetched_at IS NOT NULL, coalesce(excluded.fetched_at, excluded.received_at))
                > (safety_alerts.fetched_at IS NOT NULL,
                    coalesce(safety_alerts.fetched_at, safety_alerts.received_at))
            AND (excluded.raw IS DISTINCT FROM safety_alerts.raw
                OR excluded.raw_bytes IS DISTINCT FROM safety_alerts.raw_bytes
                OR (excluded.fetched_at IS NULL) <> (safety_alerts.fetched_at IS NULL)
                OR (excluded.fetched_at IS NULL AND excluded.fetch_state <> safety_alerts.fetch_state))"
});

impl Store {
    /// Stores a safety alert, together with its event.
    pub async fn save_safety_alert(
        &self,
        alert: &SafetyAlertRecord,
        completion: &Completion,
    ) -> Result<(), StoreError> {
        let steps = async |transaction: &mut WriteTransaction| {
            transaction.execute(UPSERT.as_str(), &alert.values()).await?;
            events::complete_in(transaction, completion).await
        };
        self.database.write("store a safety alert", steps).await
    }
}
