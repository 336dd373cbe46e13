//! The state of what belongs to an object and is fetched beside it.

use webhook::closed_set;

closed_set! {
    /// What became of a part of an object that is fetched beside it: the columns `checkpoints_state` and `events_state`
    /// of `fine_tuning_jobs`, and `input_state` of `batches`. Null if it was not asked for.
    pub enum PartState {
        Fetched => "fetched",
        /// There are more than are read; the newest are stored.
        Truncated => "truncated",
        TooLarge => "too_large",
        /// Deleted, or expired.
        NotFound => "not_found",
        /// The API key may not read it.
        Forbidden => "forbidden",
        /// It could not be read in several attempts.
        Failed => "failed",
    }
}

impl PartState {
    /// The condition under which a column with a state may be overwritten: what is stored stays stored.
    pub(crate) fn is_open(column: &str) -> String {
        format!("({column} IS NULL OR {column} NOT IN ('{}', '{}'))", Self::Fetched, Self::Truncated)
    }

    /// Whether it is stored, so that it need not be fetched again.
    pub const fn is_stored(self) -> bool {
        match self {
            Self::Fetched | Self::Truncated => true,
            Self::TooLarge | Self::NotFound | Self::Forbidden | Self::Failed => false,
        }
    }
}
