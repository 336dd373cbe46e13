-- Agent sessions and their turns. The files that turns published are in `files`, under the id of their session.
CREATE TABLE agent_sessions (
    project          TEXT NOT NULL,
    session_id       TEXT NOT NULL,
    status           TEXT,           -- of the session; that of the last turn says whether it succeeded
    agent_id         TEXT,
    agent_name       TEXT,
    model            TEXT,
    environment_type TEXT,           -- none, openai_hosted, self_hosted
    environment_id   TEXT,
    error            TEXT,
    required_actions TEXT,         -- what the session waits for
    usage            TEXT,
    metadata         TEXT,
    last_turn_id     TEXT,
    last_turn_status TEXT,
    artifacts        TEXT,         -- the newest artifacts, each with its state
    created_at       TEXT,
    last_active_at   TEXT,
    received_at      TEXT NOT NULL,
    fetch_state      TEXT NOT NULL,  -- fetched, off, not_found, forbidden
    fetched_at       TEXT,
    raw              TEXT,
    raw_bytes        BLOB,
    PRIMARY KEY (project, session_id)
) STRICT;
CREATE INDEX agent_sessions_by_session_id ON agent_sessions (session_id);

CREATE TABLE agent_turns (
    project      TEXT NOT NULL,
    session_id   TEXT NOT NULL,
    turn_id      TEXT NOT NULL,
    status       TEXT,
    agent_id     TEXT,
    subagent_id  TEXT,
    output_text  TEXT,               -- the final message
    error        TEXT,
    usage        TEXT,
    created_at   TEXT,
    started_at   TEXT,
    completed_at TEXT,
    received_at  TEXT NOT NULL,
    fetch_state  TEXT NOT NULL,
    fetched_at   TEXT,
    terminal     INTEGER NOT NULL,
    raw          TEXT,
    raw_bytes    BLOB,
    PRIMARY KEY (project, session_id, turn_id)
) STRICT;
CREATE INDEX agent_turns_by_turn_id ON agent_turns (turn_id);

-- Objects that are known but were not read from the API, for whatever reason.
DROP VIEW unfetched_objects;
CREATE VIEW unfetched_objects AS
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
SELECT 'safety', project, alert_id, NULL, fetch_state, received_at
FROM safety_alerts WHERE fetch_state <> 'fetched'
UNION ALL
SELECT 'agent', project, session_id, status, fetch_state, received_at
FROM agent_sessions WHERE fetch_state <> 'fetched';
