-- Agent sessions and their turns. The files that turns published are in `files`, under the id of their session.
CREATE TABLE agent_sessions (
    project          text NOT NULL,
    session_id       text NOT NULL,
    status           text,           -- of the session; that of the last turn says whether it succeeded
    agent_id         text,
    agent_name       text,
    model            text,
    environment_type text,           -- none, openai_hosted, self_hosted
    environment_id   text,
    error            jsonb,
    required_actions jsonb,         -- what the session waits for
    usage            jsonb,
    metadata         jsonb,
    last_turn_id     text,
    last_turn_status text,
    artifacts        jsonb,         -- the newest artifacts, each with its state
    created_at       timestamptz,
    last_active_at   timestamptz,
    received_at      timestamptz NOT NULL,
    fetch_state      text NOT NULL,  -- fetched, off, not_found, forbidden
    fetched_at       timestamptz,
    raw              jsonb,
    raw_bytes        bytea,
    PRIMARY KEY (project, session_id)
);
CREATE INDEX agent_sessions_by_session_id ON agent_sessions USING hash (session_id);

CREATE TABLE agent_turns (
    project      text NOT NULL,
    session_id   text NOT NULL,
    turn_id      text NOT NULL,
    status       text,
    agent_id     text,
    subagent_id  text,
    output_text  text,               -- the final message
    error        jsonb,
    usage        jsonb,
    created_at   timestamptz,
    started_at   timestamptz,
    completed_at timestamptz,
    received_at  timestamptz NOT NULL,
    fetch_state  text NOT NULL,
    fetched_at   timestamptz,
    terminal     boolean NOT NULL,
    raw          jsonb,
    raw_bytes    bytea,
    PRIMARY KEY (project, session_id, turn_id)
);
CREATE INDEX agent_turns_by_turn_id ON agent_turns USING hash (turn_id);

-- Objects that are known but were not read from the API, for whatever reason.
CREATE OR REPLACE VIEW unfetched_objects AS
SELECT 'response' AS family, project, response_id AS object_id, status, fetch_state, received_at
FROM responses WHERE fetch_state <> 'fetched'
UNION ALL
SELECT 'batch', project, batch_id, status, fetch_state, received_at
FROM batches WHERE fetch_state <> 'fetched'
UNION ALL
SELECT 'fine_tuning', project, job_id, status, fetch_state, received_at
FROM fine_tuning_jobs WHERE fetch_state <> 'fetched'
UNION ALL
SELECT 'eval', project, run_id, status, fetch_state, received_at
FROM eval_runs WHERE fetch_state <> 'fetched'
UNION ALL
SELECT 'safety', project, alert_id, CAST(NULL AS text), fetch_state, received_at
FROM safety_alerts WHERE fetch_state <> 'fetched'
UNION ALL
SELECT 'agent', project, session_id, status, fetch_state, received_at
FROM agent_sessions WHERE fetch_state <> 'fetched';
