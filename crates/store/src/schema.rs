//! Every table with its columns, in the order of export and import: referenced rows come before the rows that reference
//! them. `console_keys` is not among them: every database has a key of its own, which no export contains.

use crate::agent_session::{AgentSessionRecord, AgentTurnRecord};
use crate::api_token::ApiToken;
use crate::batch::{BatchRecord, ResultRow};
use crate::batch_input::BatchInput;
use crate::columns::{Column, Kind, Record as _};
use crate::eval_run::EvalRunRecord;
use crate::event::EventRecord;
use crate::event_attempt::AttemptRecord;
use crate::files::FileRecord;
use crate::fine_tuning::{JobRecord, MetricRecord, ModelRecord};
use crate::fine_tuning_parts::{CheckpointRecord, JobEventRecord};
use crate::notification::{NewNotification, NotificationAttempt};
use crate::response::ResponseRecord;
use crate::response_file::ResponseFile;
use crate::safety_alert::SafetyAlertRecord;
use crate::target_health::TargetHealth;

/// A table.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// The unique columns that rows are ordered by.
    pub(crate) key: &'static str,
    /// The columns of its record, and others.
    columns: &'static [&'static [Column]],
}

impl Table {
    pub(crate) fn columns(&self) -> Vec<Column> {
        self.columns.concat()
    }
}

/// The names of all tables.
pub(crate) fn table_names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|table| table.name)
}

pub(crate) const TABLES: &[Table] = &[
    EVENTS,
    EVENT_ATTEMPTS,
    RESPONSES,
    RESPONSE_FILES,
    BATCHES,
    BATCH_RESULTS,
    BATCH_INPUTS,
    FINE_TUNING_JOBS,
    FINE_TUNED_MODELS,
    FINE_TUNING_METRICS,
    FINE_TUNING_CHECKPOINTS,
    FINE_TUNING_EVENTS,
    EVAL_RUNS,
    SAFETY_ALERTS,
    AGENT_SESSIONS,
    AGENT_TURNS,
    FILES,
    NOTIFICATIONS,
    NOTIFICATION_ATTEMPTS,
    NOTIFICATION_TARGETS,
    API_TOKENS,
];

pub(crate) const EVENTS: Table =
    Table { name: "events", key: "place", columns: &[EventRecord::COLUMNS, &[("place", Kind::Integer)]] };

pub(crate) const EVENT_ATTEMPTS: Table = Table {
    name: "event_attempts",
    key: "project, webhook_id, attempt",
    columns: &[&[("project", Kind::Text), ("webhook_id", Kind::Key)], AttemptRecord::COLUMNS],
};

pub(crate) const RESPONSES: Table =
    Table { name: "responses", key: "project, response_id", columns: &[ResponseRecord::COLUMNS] };

pub(crate) const RESPONSE_FILES: Table = Table {
    name: "response_files",
    key: "project, response_id, container_id, file_id",
    columns: &[ResponseFile::COLUMNS],
};

pub(crate) const BATCHES: Table = Table {
    name: "batches",
    key: "project, batch_id",
    columns: &[
        BatchRecord::COLUMNS,
        &[
            ("rows_stored", Kind::Integer),
            ("rows_quarantined", Kind::Integer),
            ("results_complete", Kind::Flag),
            ("output_next_line", Kind::Integer),
            ("error_next_line", Kind::Integer),
            ("import_began_at", Kind::Time),
            ("import_began_rows", Kind::Integer),
            ("results_confirmed_at", Kind::Time),
            ("input_state", Kind::Text),
        ],
    ],
};

pub(crate) const BATCH_RESULTS: Table =
    Table { name: "batch_results", key: "project, batch_id, source, line", columns: &[ResultRow::COLUMNS] };

pub(crate) const BATCH_INPUTS: Table = Table {
    name: "batch_inputs",
    key: "project, batch_id, line",
    columns: &[&[("project", Kind::Text), ("batch_id", Kind::Key)], BatchInput::COLUMNS],
};

pub(crate) const FINE_TUNING_JOBS: Table = Table {
    name: "fine_tuning_jobs",
    key: "project, job_id",
    columns: &[JobRecord::COLUMNS, &[("checkpoints_state", Kind::Text), ("events_state", Kind::Text)]],
};

pub(crate) const FINE_TUNED_MODELS: Table =
    Table { name: "fine_tuned_models", key: "project, model_id", columns: &[ModelRecord::COLUMNS] };

pub(crate) const FINE_TUNING_METRICS: Table = Table {
    name: "fine_tuning_metrics",
    key: "project, job_id, step",
    columns: &[&[("project", Kind::Text), ("job_id", Kind::Key)], MetricRecord::COLUMNS],
};

pub(crate) const FINE_TUNING_CHECKPOINTS: Table = Table {
    name: "fine_tuning_checkpoints",
    key: "project, job_id, checkpoint_id",
    columns: &[&[("project", Kind::Text), ("job_id", Kind::Key)], CheckpointRecord::COLUMNS],
};

pub(crate) const FINE_TUNING_EVENTS: Table = Table {
    name: "fine_tuning_events",
    key: "project, job_id, event_id",
    columns: &[&[("project", Kind::Text), ("job_id", Kind::Key)], JobEventRecord::COLUMNS],
};

pub(crate) const EVAL_RUNS: Table =
    Table { name: "eval_runs", key: "project, run_id", columns: &[EvalRunRecord::COLUMNS] };

pub(crate) const SAFETY_ALERTS: Table =
    Table { name: "safety_alerts", key: "project, alert_id", columns: &[SafetyAlertRecord::COLUMNS] };

pub(crate) const AGENT_SESSIONS: Table =
    Table { name: "agent_sessions", key: "project, session_id", columns: &[AgentSessionRecord::COLUMNS] };

pub(crate) const AGENT_TURNS: Table =
    Table { name: "agent_turns", key: "project, session_id, turn_id", columns: &[AgentTurnRecord::COLUMNS] };

pub(crate) const FILES: Table =
    Table { name: "files", key: "project, file_id", columns: &[FileRecord::COLUMNS] };

pub(crate) const NOTIFICATIONS: Table = Table {
    name: "notifications",
    key: "project, id",
    columns: &[
        NewNotification::COLUMNS,
        &[
            ("state", Kind::Text),
            ("attempts", Kind::Integer),
            ("attempts_before", Kind::Integer),
            ("next_attempt_at", Kind::Time),
            ("lease_owner", Kind::Text),
            ("lease_until", Kind::Time),
            ("delivered_at", Kind::Time),
            ("last_status", Kind::Integer),
            ("last_error", Kind::Text),
            ("reason", Kind::Text),
        ],
    ],
};

pub(crate) const NOTIFICATION_ATTEMPTS: Table = Table {
    name: "notification_attempts",
    key: "project, notification_id, attempt",
    columns: &[&[("project", Kind::Text), ("notification_id", Kind::Text)], NotificationAttempt::COLUMNS],
};

pub(crate) const NOTIFICATION_TARGETS: Table =
    Table { name: "notification_targets", key: "target", columns: &[TargetHealth::COLUMNS] };

pub(crate) const API_TOKENS: Table = Table { name: "api_tokens", key: "name", columns: &[ApiToken::COLUMNS] };
