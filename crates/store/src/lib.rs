//! The SQL database and the raw files: all results are stored here.
//!
//! [`Store`] is the interface; no other crate sees a connection or a path. Users write SQL against the tables, columns
//! and views, so these are an interface too: see `migrations/sqlite` and `migrations/postgres`, which have the same
//! columns.
//!
//! # Guarantees
//! * An event's effect and its row in `events` are written in one transaction, and are on disk when the call returns
//!   (SQLite: WAL with `synchronous=FULL`; PostgreSQL: `synchronous_commit`). Files and their folder are synced before
//!   their row is written.
//! * Processing the same event again, or the same object under another `webhook-id`, leaves every object's row
//!   unchanged (test:`the_same_object_again_leaves_every_table_as_it_was`).
//! * An object's row never regresses: terminal beats non-terminal, fetched beats embedded in an event, then the later
//!   fetch wins (test:`an_older_fetch_arriving_later_changes_nothing`).
//! * Two workers that import the same batch, or a worker that crashes halfway, still store each line exactly once
//!   (test:`two_workers_racing_on_a_batch_store_each_line_once`).
//! * A file that is fetched again replaces the old one completely, rows and bytes, or not at all
//!   (test:`new_content_replaces_the_old_one_in_one_transaction`).
//! * A notification is written once, in the transaction that stores the result it announces
//!   (test:`a_result_and_its_notification_are_written_in_one_transaction`).
//!
//! # Not promised
//! * Removal of files without a row: a worker that crashes between writing a file and its row leaves the file, which
//!   the next attempt replaces. A worker killed during a write leaves a temporary file (`name#1`) next to it, or in a
//!   bucket an unfinished multipart upload, which only a lifecycle rule of the bucket removes.

mod agent_session;
mod api_token;
mod batch;
mod batch_appender;
mod batch_input;
mod batch_search;
mod bucket_http;
mod columns;
mod database;
mod error;
mod eval_run;
mod event;
mod event_attempt;
mod event_times;
mod file_replacement;
mod file_storage;
mod files;
mod fine_tuning;
mod fine_tuning_parts;
mod folder;
mod folder_check;
mod found;
mod import;
mod json_text;
mod jsonb;
mod migrations;
mod notification;
mod object_progress;
mod object_summary;
mod obstacle;
mod page_position;
mod part_state;
mod postgres;
mod prune;
mod read_limits;
mod response;
mod response_file;
mod result_payload;
mod row;
mod safety_alert;
mod schema;
mod server;
mod sqlite;
mod store;
mod tables;
mod target_health;
mod transfer;
mod unfetched;
mod value;
mod write_fault;

pub use agent_session::{AgentRecord, AgentSessionRecord, AgentTurnRecord};
pub use api_token::{ApiToken, TokenRole};
pub use batch::{
    Appended, BatchChunk, BatchEnd, BatchProgress, BatchRecord, BatchResult, NewContent, ResultFilter,
    ResultRow, ResultSource, ResultsState, StoredBatch,
};
pub use batch_appender::BatchAppender;
pub use batch_input::BatchInput;
pub use batch_search::{ErrorCount, ResultKind, ResultSearch, SearchPage};
pub use error::{BucketFault, StoreError};
pub use eval_run::EvalRunRecord;
pub use event::{Completion, EventFilter, EventRecord, EventSeq, Failure, FinishedEvent, NewEvent};
pub use event_attempt::{Attempt, AttemptOutcome, AttemptRecord};
pub use event_times::{EVENTS_PER_SLOT_MAX, EventSpan, EventsInSlot, StoredLag};
pub use file_replacement::{FileReplacement, Replaced};
pub use file_storage::S3Config;
pub use files::{FileRecord, FileStream, FileWriter, Files, FilesCheck, StoredFile};
pub use fine_tuning::{FineTuningRecord, JobRecord, MetricRecord, ModelRecord};
pub use fine_tuning_parts::{CheckpointRecord, JobEventRecord, JobParts};
pub use folder_check::FolderCheck;
pub use found::Found;
pub use import::Import;
pub use notification::{
    AttemptEnd, BreakerPolicy, LeaseRequest, Leased, NewNotification, NextStep, NotificationAttempt,
    NotificationFilter, NotificationRecord,
};
pub use object_progress::{ObjectProgress, ObjectRow};
pub use object_summary::{ObjectFilter, ObjectList, ObjectSummary};
pub use obstacle::Obstacle;
pub use page_position::PagePosition;
pub use part_state::PartState;
pub use prune::{Pruned, Retention};
pub use read_limits::ReadLimits;
pub use response::ResponseRecord;
pub use response_file::{ResponseFile, ResponseFileState};
pub use result_payload::ResultPayload;
pub use safety_alert::SafetyAlertRecord;
pub use server::DatabaseServer;
pub use store::{Migrated, Store, StoreConfig};
pub use target_health::{TargetCondition, TargetHealth, TargetState};
pub use transfer::TransferError;
pub use unfetched::{FetchProgress, UnfetchedObject};
pub use write_fault::WriteFault;
