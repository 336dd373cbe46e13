//! Sample records, as a worker builds them.

use chrono::{DateTime, Utc};
use store::{
    AgentRecord, AgentSessionRecord, AgentTurnRecord, BatchChunk, BatchInput, BatchRecord, BatchResult,
    CheckpointRecord, Completion, EvalRunRecord, FileRecord, FineTuningRecord, JobEventRecord, JobParts,
    JobRecord, MetricRecord, ModelRecord, NewEvent, PartState, ResponseFile, ResponseFileState,
    ResponseRecord, ResultSource, SafetyAlertRecord,
};
use webhook::{Family, FetchState};

/// The time `secs` seconds into the test.
pub(crate) fn at(secs: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_464_147 + secs, 0).unwrap()
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

pub(crate) fn event(webhook_id: &str, object_id: &str) -> NewEvent {
    NewEvent {
        project: "default".to_owned(),
        webhook_id: webhook_id.to_owned(),
        event_id: text("evt_1"),
        event_type: "response.completed".to_owned(),
        family: Family::Response,
        object_id: text(object_id),
        created_at: Some(at(-5)),
        received_at: at(0),
        body: br#"{"id":"evt_1","type":"response.completed","data":{"id":"resp_1"}}"#.to_vec(),
    }
}

pub(crate) fn completion(webhook_id: &str) -> Completion {
    Completion {
        project: "default".to_owned(),
        webhook_id: webhook_id.to_owned(),
        attempts: 1,
        processed_at: at(10),
        reason: None,
        notifications: Vec::new(),
        sent_early: Vec::new(),
        attempt: None,
    }
}

pub(crate) fn response(raw: &str) -> ResponseRecord {
    ResponseRecord {
        project: "default".to_owned(),
        response_id: "resp_1".to_owned(),
        status: text("completed"),
        model: text("gpt-5.6-sol"),
        output_text: text("Forty-two."),
        citations: text(r#"[{"kind":"url_citation","url":"https://example.org"}]"#),
        usage: text(r#"{"input_tokens":3,"output_tokens":4}"#),
        input_tokens: Some(3),
        output_tokens: Some(4),
        cached_tokens: Some(2),
        cache_write_tokens: Some(1),
        reasoning_tokens: Some(1),
        tool_usage: text(r#"{"web_search":{"num_requests":1}}"#),
        service_tier: text("default"),
        conversation_id: text("conv_1"),
        previous_response_id: text("resp_0"),
        error: None,
        metadata: text(r#"{"run":"7"}"#),
        incomplete_reason: None,
        created_at: Some(at(-60)),
        completed_at: Some(at(-6)),
        received_at: at(0),
        fetch_state: FetchState::Fetched.into(),
        fetched_at: Some(at(1)),
        terminal: true,
        raw: Some(raw.as_bytes().to_vec()),
    }
}

pub(crate) fn response_file(file_id: &str) -> ResponseFile {
    ResponseFile {
        project: "default".to_owned(),
        response_id: "resp_1".to_owned(),
        container_id: "cntr_1".to_owned(),
        file_id: file_id.to_owned(),
        filename: text("plot.png"),
        state: ResponseFileState::Pending.into(),
        stored_file_id: None,
        first_attempt_at: at(1),
    }
}

pub(crate) fn eval_run() -> EvalRunRecord {
    EvalRunRecord {
        project: "default".to_owned(),
        run_id: "evalrun_1".to_owned(),
        status: text("completed"),
        eval_id: text("eval_1"),
        name: text("nightly"),
        model: text("gpt-6-luna"),
        total: Some(10),
        passed: Some(8),
        failed: Some(1),
        errored: Some(1),
        report_url: text("https://example.org/report"),
        error: None,
        created_at: Some(at(-60)),
        received_at: at(0),
        fetch_state: FetchState::Fetched.into(),
        fetched_at: Some(at(1)),
        terminal: true,
        raw: Some(br#"{"id":"evalrun_1"}"#.to_vec()),
    }
}

pub(crate) fn safety_alert() -> SafetyAlertRecord {
    SafetyAlertRecord {
        project: "default".to_owned(),
        alert_id: "alert_1".to_owned(),
        response_id: text("resp_1"),
        request_id: text("req_1"),
        model: text("gpt-5.6-sol"),
        error_type: text("other"),
        reason: None,
        detailed_explanation: text("It tried to delete a table."),
        request_paused: Some(true),
        created_at: Some(at(-6)),
        received_at: at(0),
        fetch_state: FetchState::Fetched.into(),
        fetched_at: Some(at(1)),
        raw: Some(br#"{"id":"alert_1"}"#.to_vec()),
    }
}

pub(crate) fn agent() -> AgentRecord {
    AgentRecord {
        session: AgentSessionRecord {
            project: "default".to_owned(),
            session_id: "asess_1".to_owned(),
            status: text("idle"),
            agent_id: text("agent_1"),
            agent_name: text("Triage"),
            model: text("gpt-5.6-sol"),
            environment_type: text("openai_hosted"),
            environment_id: text("aenv_1"),
            error: None,
            required_actions: text("[]"),
            usage: text(r#"{"total_tokens":7}"#),
            metadata: text(r#"{"run":"7"}"#),
            last_turn_id: text("turn_2"),
            last_turn_status: text("completed"),
            artifacts: text(r#"[{"id":"artifact_1","state":"fetched"}]"#),
            created_at: Some(at(-60)),
            last_active_at: Some(at(-6)),
            received_at: at(0),
            fetch_state: FetchState::Fetched.into(),
            fetched_at: Some(at(1)),
            raw: Some(br#"{"id":"asess_1"}"#.to_vec()),
        },
        turns: vec![agent_turn("turn_2", -10), agent_turn("turn_1", -50)],
    }
}

pub(crate) fn agent_turn(turn_id: &str, created_secs: i64) -> AgentTurnRecord {
    AgentTurnRecord {
        project: "default".to_owned(),
        session_id: "asess_1".to_owned(),
        turn_id: turn_id.to_owned(),
        status: text("completed"),
        agent_id: text("agent_1"),
        subagent_id: None,
        output_text: text("Done."),
        error: None,
        usage: text(r#"{"total_tokens":3}"#),
        created_at: Some(at(created_secs)),
        started_at: Some(at(created_secs)),
        completed_at: Some(at(created_secs + 5)),
        received_at: at(0),
        fetch_state: FetchState::Fetched.into(),
        fetched_at: Some(at(1)),
        terminal: true,
        raw: Some(format!(r#"{{"id":"{turn_id}"}}"#).into_bytes()),
    }
}

pub(crate) fn fine_tuning() -> FineTuningRecord {
    let metric = |step: i64| MetricRecord {
        step,
        train_loss: Some(1.0 / step as f64),
        train_accuracy: Some(0.5),
        valid_loss: None,
        valid_accuracy: None,
    };
    FineTuningRecord {
        job: JobRecord {
            project: "default".to_owned(),
            job_id: "ftjob_1".to_owned(),
            status: text("succeeded"),
            base_model: text("gpt-6-luna"),
            fine_tuned_model: text("ft:gpt-6-luna:acme::1"),
            trained_tokens: Some(1234),
            error: None,
            hyperparameters: text(r#"{"n_epochs":3}"#),
            result_files: text(r#"["file_1"]"#),
            created_at: Some(at(-60)),
            finished_at: Some(at(-6)),
            received_at: at(0),
            fetch_state: FetchState::Fetched.into(),
            fetched_at: Some(at(1)),
            terminal: true,
            raw: Some(br#"{"id":"ftjob_1"}"#.to_vec()),
        },
        model: Some(ModelRecord {
            project: "default".to_owned(),
            model_id: "ft:gpt-6-luna:acme::1".to_owned(),
            job_id: text("ftjob_1"),
            base_model: text("gpt-6-luna"),
            owned_by: text("acme"),
            created_at: Some(at(-6)),
            fetched_at: Some(at(1)),
            raw: Some(br#"{"id":"ft:gpt-6-luna:acme::1"}"#.to_vec()),
        }),
        metrics: (1..=20).map(metric).collect(),
        parts: JobParts {
            checkpoints_state: Some(PartState::Fetched.into()),
            checkpoints: vec![checkpoint(20), checkpoint(10)],
            events_state: Some(PartState::Truncated.into()),
            events: vec![job_event(1), job_event(2)],
        },
    }
}

fn checkpoint(step: i64) -> CheckpointRecord {
    CheckpointRecord {
        checkpoint_id: format!("ftckpt_{step}"),
        step_number: Some(step),
        fine_tuned_model_checkpoint: Some(format!("ft:gpt-4.1-mini:acme::1:ckpt-step-{step}")),
        metrics: text(r#"{"full_valid_loss":0.5}"#),
        created_at: Some(at(step)),
    }
}

fn job_event(number: i64) -> JobEventRecord {
    JobEventRecord {
        event_id: format!("ftevent_{number}"),
        created_at: Some(at(number)),
        level: text("error"),
        kind: text("message"),
        message: text("The training file is invalid."),
        data: text(r#"{"line":7}"#),
    }
}

pub(crate) fn batch_input(line: i64) -> BatchInput {
    BatchInput {
        line,
        custom_id: Some(format!("request-{line:05}")),
        method: text("POST"),
        url: text("/v1/responses"),
        body: Some(format!(r#"{{"input":"question {line}"}}"#).into_bytes()),
    }
}

pub(crate) fn batch() -> BatchRecord {
    BatchRecord {
        project: "default".to_owned(),
        batch_id: "batch_1".to_owned(),
        status: text("completed"),
        endpoint: text("/v1/responses"),
        model: text("gpt-6-luna"),
        requests_total: Some(5000),
        requests_completed: Some(5000),
        requests_failed: Some(0),
        usage: text(r#"{"input_tokens":3}"#),
        errors: None,
        metadata: None,
        input_file_id: text("file_in"),
        output_file_id: text("file_out"),
        error_file_id: text("file_err"),
        created_at: Some(at(-60)),
        completed_at: Some(at(-6)),
        received_at: at(0),
        fetch_state: FetchState::Fetched.into(),
        fetched_at: Some(at(1)),
        terminal: true,
        raw: Some(br#"{"id":"batch_1","status":"completed"}"#.to_vec()),
    }
}

pub(crate) fn result(line: i64) -> BatchResult {
    BatchResult {
        line,
        custom_id: Some(format!("request-{line:05}")),
        status_code: Some(200),
        request_id: Some(format!("req_{line}")),
        body: Some(format!(r#"{{"choices":[{{"message":{{"content":"answer {line}"}}}}]}}"#).into_bytes()),
        error: None,
        input_tokens: Some(3),
        output_tokens: Some(line),
        cached_tokens: Some(2),
        cache_write_tokens: Some(1),
        reasoning_tokens: Some(0),
        quarantined: false,
    }
}

pub(crate) fn chunk(source: ResultSource, first_line: i64, rows: Vec<BatchResult>) -> BatchChunk {
    BatchChunk { project: "default".to_owned(), batch_id: "batch_1".to_owned(), source, first_line, rows }
}

pub(crate) fn file() -> FileRecord {
    FileRecord {
        project: "default".to_owned(),
        file_id: "file_out".to_owned(),
        object_id: "batch_1".to_owned(),
        purpose: text("batch_output"),
        filename: text("output.jsonl"),
        bytes: 5,
        sha256: "00".repeat(32),
        location: "default/batch_1/file_out".to_owned(),
        created_at: Some(at(-6)),
        expires_at: Some(at(2_592_000)),
    }
}
