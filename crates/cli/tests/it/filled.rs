//! A database filled through the store with every kind of record.

use chrono::{DateTime, TimeDelta, Utc};
use store::{
    BatchChunk, BatchEnd, BatchRecord, BatchResult, CheckpointRecord, Completion, EvalRunRecord, Failure,
    FileRecord, FineTuningRecord, JobEventRecord, JobParts, JobRecord, MetricRecord, ModelRecord, NewEvent,
    PartState, ResponseRecord, ResultSource, S3Config, SafetyAlertRecord, Store, StoreConfig,
};
use tempfile::TempDir;
use test_support::postgres::PostgresServer;
use webhook::{EventKind, EventState, FetchState, Reason};

const PROJECT: &str = "default";
/// As long as OpenAI's newest ids.
pub(crate) const RESPONSE_ID: &str = "resp_0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f607182";
/// A response's raw object on several lines, as the API sends it.
pub(crate) const RESPONSE_RAW: &str = "{\n  \"id\": \"resp_1\",\n  \"status\": \"completed\"\n}";

/// A store in a temporary folder, and its settings.
pub(crate) struct Filled {
    pub(crate) store: Store,
    folder: TempDir,
    database_url: String,
    now: DateTime<Utc>,
}

impl Filled {
    /// An empty database.
    pub(crate) async fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database_url = format!("sqlite://{}/landfall.db", folder.path().display());
        Self::empty_at(database_url, folder).await
    }

    async fn empty_at(database_url: String, folder: TempDir) -> Self {
        let config = StoreConfig {
            database_url: database_url.clone().into(),
            files_url: folder.path().join("files").display().to_string(),
            s3: S3Config::default(),
        };
        let store = Store::open(&config).await.unwrap();
        Self { store, folder, database_url, now: Utc::now() }
    }

    /// One record of each kind, and their events.
    pub(crate) async fn with_everything() -> Self {
        Self::empty().await.and_everything().await
    }

    /// The same in PostgreSQL.
    pub(crate) async fn with_everything_in_postgres() -> Self {
        let url = PostgresServer::shared().database();
        Self::empty_at(url, tempfile::tempdir().unwrap()).await.and_everything().await
    }

    async fn and_everything(self) -> Self {
        let filled = self;
        filled.add_response().await;
        filled.add_batch().await;
        filled.add_fine_tuning().await;
        filled.add_eval_run_and_file().await;
        filled
    }

    /// `DATABASE_URL` and `FILES_URL`.
    pub(crate) fn settings(&self) -> [(&'static str, String); 2] {
        [
            ("DATABASE_URL", self.database_url.clone()),
            ("FILES_URL", self.folder.path().join("files").display().to_string()),
        ]
    }

    /// Records an event at its first delivery, and returns its completion.
    pub(crate) async fn add_event(
        &self,
        webhook_id: &str,
        event_type: &str,
        object_id: Option<&str>,
        age_secs: i64,
    ) -> Completion {
        let body = format!(r#"{{"type":"{event_type}","data":{{"id":"{}"}}}}"#, object_id.unwrap_or("x"));
        let received_at = self.now - TimeDelta::seconds(age_secs);
        let event = NewEvent {
            project: PROJECT.to_owned(),
            webhook_id: webhook_id.to_owned(),
            event_id: Some(format!("evt_of_{webhook_id}")),
            event_type: event_type.to_owned(),
            family: EventKind::from_name(event_type).family(),
            object_id: object_id.map(str::to_owned),
            created_at: Some(received_at),
            received_at,
            body: body.into_bytes(),
        };
        self.store.record_delivery(&event, 1).await.unwrap();
        Completion {
            project: PROJECT.to_owned(),
            webhook_id: webhook_id.to_owned(),
            attempts: 1,
            processed_at: self.now,
            reason: None,
            notifications: Vec::new(),
            sent_early: Vec::new(),
            attempt: None,
        }
    }

    /// Adds an event in state `dead`.
    pub(crate) async fn add_dead_event(&self, webhook_id: &str, error: &str) {
        self.add_event(webhook_id, "response.failed", None, 60).await;
        let failure = Failure {
            project: PROJECT.to_owned(),
            webhook_id: webhook_id.to_owned(),
            attempts: 7,
            state: EventState::Dead,
            reason: Reason::GaveUp,
            notifications: Vec::new(),
            attempt: None,
            error: error.to_owned(),
        };
        self.store.fail_event(&failure).await.unwrap();
    }

    async fn add_response(&self) {
        let done = self.add_event("wh_response", "response.completed", Some(RESPONSE_ID), 7_300).await;
        let citations = r#"[{"kind":"url_citation","url":"https://example.com/a","title":"On landing \u001b[31msafely"},
            {"kind":"url_citation","url":"https://example.com/a","title":"On landing \u001b[31msafely"}]"#;
        let response = ResponseRecord {
            project: PROJECT.to_owned(),
            response_id: RESPONSE_ID.to_owned(),
            status: Some("completed".to_owned()),
            model: Some("gpt-5.6-sol".to_owned()),
            output_text: Some("The answer is a long one. ".repeat(200)),
            citations: Some(citations.to_owned()),
            usage: Some(r#"{"input_tokens":1200,"output_tokens":34567}"#.to_owned()),
            input_tokens: Some(1200),
            output_tokens: Some(34567),
            cached_tokens: None,
            cache_write_tokens: None,
            reasoning_tokens: None,
            tool_usage: None,
            service_tier: None,
            conversation_id: None,
            previous_response_id: None,
            error: None,
            metadata: None,
            incomplete_reason: None,
            created_at: Some(self.now),
            completed_at: Some(self.now),
            received_at: self.now,
            fetch_state: FetchState::Fetched.into(),
            fetched_at: Some(self.now),
            terminal: true,
            raw: Some(RESPONSE_RAW.as_bytes().to_vec()),
        };
        self.store.save_response(&response, &done).await.unwrap();
    }

    async fn add_batch(&self) {
        let done = self.add_event("wh_batch", "batch.completed", Some("batch_1"), 100).await;
        let batch = BatchRecord {
            project: PROJECT.to_owned(),
            batch_id: "batch_1".to_owned(),
            status: Some("completed".to_owned()),
            endpoint: Some("/v1/responses".to_owned()),
            model: None,
            requests_total: Some(1200),
            requests_completed: Some(1199),
            requests_failed: Some(1),
            usage: None,
            errors: None,
            metadata: None,
            input_file_id: Some("file-in".to_owned()),
            output_file_id: Some("file-out".to_owned()),
            error_file_id: Some("file-err".to_owned()),
            created_at: Some(self.now),
            completed_at: Some(self.now),
            received_at: self.now,
            fetch_state: FetchState::Fetched.into(),
            fetched_at: Some(self.now),
            terminal: true,
            raw: None,
        };
        self.store.begin_batch(&batch).await.unwrap();
        let output = (1..=1199).map(|line| {
            result(
                line,
                Some(format!(
                    r#"{{"choices":[{{"message":{{"content":"Answer\n number {line} {}"}}}}]}}"#,
                    "long ".repeat(30)
                )),
                None,
            )
        });
        let error = result(1, None, Some(r#"{"code":"batch_expired","message":"Too late."}"#.to_owned()));
        for (source, rows) in [(ResultSource::Output, output.collect()), (ResultSource::Error, vec![error])] {
            let chunk = BatchChunk {
                project: PROJECT.to_owned(),
                batch_id: "batch_1".to_owned(),
                source,
                first_line: 1,
                rows,
            };
            self.store.append_batch_results(&chunk).await.unwrap();
        }
        self.store.finish_batch("batch_1", BatchEnd::Complete, &done).await.unwrap();
    }

    async fn add_fine_tuning(&self) {
        let done = self.add_event("wh_job", "fine_tuning.job.succeeded", Some("ftjob-1"), 10).await;
        let job = JobRecord {
            project: PROJECT.to_owned(),
            job_id: "ftjob-1".to_owned(),
            status: Some("succeeded".to_owned()),
            base_model: Some("gpt-6-luna".to_owned()),
            fine_tuned_model: Some("ft:gpt-6-luna:acme::1".to_owned()),
            trained_tokens: Some(98_765),
            error: Some(r#"{"code":null,"message":null,"param":null}"#.to_owned()),
            hyperparameters: Some(r#"{"n_epochs":3}"#.to_owned()),
            result_files: Some(r#"["file-curve"]"#.to_owned()),
            created_at: Some(self.now),
            finished_at: Some(self.now),
            received_at: self.now,
            fetch_state: FetchState::Fetched.into(),
            fetched_at: Some(self.now),
            terminal: true,
            raw: None,
        };
        let model = ModelRecord {
            project: PROJECT.to_owned(),
            model_id: "ft:gpt-6-luna:acme::1".to_owned(),
            job_id: Some("ftjob-1".to_owned()),
            base_model: Some("gpt-6-luna".to_owned()),
            owned_by: Some("acme".to_owned()),
            created_at: Some(self.now),
            fetched_at: Some(self.now),
            raw: None,
        };
        let metric = |step: i32| MetricRecord {
            step: step.into(),
            train_loss: Some(3.0 / f64::from(step)),
            train_accuracy: Some(0.5),
            valid_loss: None,
            valid_accuracy: None,
        };
        let parts = JobParts {
            checkpoints_state: Some(PartState::Fetched.into()),
            checkpoints: vec![CheckpointRecord {
                checkpoint_id: "ftckpt_1".to_owned(),
                step_number: Some(50),
                fine_tuned_model_checkpoint: Some(
                    "ft:gpt-4.1-mini-2025-04-14:acme::1:ckpt-step-50".to_owned(),
                ),
                metrics: Some(r#"{"full_valid_loss":0.1234}"#.to_owned()),
                created_at: Some(self.now),
            }],
            events_state: Some(PartState::Truncated.into()),
            events: vec![JobEventRecord {
                event_id: "ftevent-1".to_owned(),
                created_at: Some(self.now),
                level: Some("error".to_owned()),
                kind: Some("message".to_owned()),
                message: Some("Too many\u{1b}[31m steps.".to_owned()),
                data: None,
            }],
        };
        let metrics = (1..=100).map(metric).collect();
        let record = FineTuningRecord { job, model: Some(model), metrics, parts };
        self.store.save_fine_tuning(&record, &done).await.unwrap();
    }

    pub(crate) async fn add_safety_alert(&self) {
        let done = self.add_event("wh_alert", "safety.alert.created", Some("alert_1"), 5).await;
        let alert = SafetyAlertRecord {
            project: PROJECT.to_owned(),
            alert_id: "alert_1".to_owned(),
            response_id: Some("resp_1".to_owned()),
            request_id: None,
            model: None,
            error_type: Some("other".to_owned()),
            reason: None,
            detailed_explanation: Some("It tried to delete a table.".to_owned()),
            request_paused: Some(true),
            created_at: None,
            received_at: self.now,
            fetch_state: FetchState::Fetched.into(),
            fetched_at: Some(self.now),
            raw: Some(br#"{"id":"alert_1"}"#.to_vec()),
        };
        self.store.save_safety_alert(&alert, &done).await.unwrap();
    }

    async fn add_eval_run_and_file(&self) {
        let done = self.add_event("wh_run", "eval.run.failed", Some("evalrun_1"), 5).await;
        let run = EvalRunRecord {
            project: PROJECT.to_owned(),
            run_id: "evalrun_1".to_owned(),
            status: None,
            eval_id: None,
            name: None,
            model: None,
            total: None,
            passed: None,
            failed: None,
            errored: None,
            report_url: None,
            error: None,
            created_at: None,
            received_at: self.now,
            fetch_state: FetchState::NotFound.into(),
            fetched_at: None,
            terminal: false,
            raw: None,
        };
        self.store.save_eval_run(&run, &done).await.unwrap();
        let mut writer = self.store.files().create(PROJECT, "batch_1", "file-out").await.unwrap();
        writer.write(b"line 1\nline 2\n".to_vec().into()).await.unwrap();
        let stored = writer.finish().await.unwrap();
        let file = FileRecord {
            project: PROJECT.to_owned(),
            file_id: "file-out".to_owned(),
            object_id: "batch_1".to_owned(),
            purpose: Some("batch_output".to_owned()),
            filename: None,
            bytes: stored.bytes,
            sha256: stored.sha256,
            location: stored.location,
            created_at: None,
            expires_at: Some(self.now),
        };
        self.store.save_file(&file).await.unwrap();
    }
}

fn result(line: i64, body: Option<String>, error: Option<String>) -> BatchResult {
    BatchResult {
        line,
        custom_id: Some(format!("item-{line}")),
        status_code: body.as_ref().map(|_| 200),
        request_id: None,
        body: body.map(String::into_bytes),
        error,
        input_tokens: None,
        output_tokens: None,
        cached_tokens: None,
        cache_write_tokens: None,
        reasoning_tokens: None,
        quarantined: false,
    }
}
