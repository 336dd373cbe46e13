//! Ids of objects that can be waited for. The prefix tells the kind before anything is known about the object.

use std::fmt;
use std::str::FromStr;

use webhook::{Family, closed_set};

closed_set! {
    /// The kind of an object, as in `landfall show --json`.
    pub enum ObjectKind {
        Response => "response",
        Batch => "batch",
        FineTuningJob => "fine_tuning_job",
        EvalRun => "eval_run",
        AgentSession => "agent_session",
    }
}

const PREFIXES: [(&str, ObjectKind); 7] = [
    ("resp_", ObjectKind::Response),
    ("batch_", ObjectKind::Batch),
    ("ftjob-", ObjectKind::FineTuningJob),
    ("ftjob_", ObjectKind::FineTuningJob),
    ("evalrun_", ObjectKind::EvalRun),
    ("sess_", ObjectKind::AgentSession),
    ("asess_", ObjectKind::AgentSession),
];

/// The id of an object of a known kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectId {
    text: String,
    kind: ObjectKind,
}

/// An id whose prefix belongs to no kind of object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the ID of an object that can be awaited; write one that starts with {}", prefixes())]
pub struct UnknownPrefix;

fn prefixes() -> String {
    let [rest @ .., last] = PREFIXES.map(|(prefix, _)| prefix);
    format!("{} or {last}", rest.join(", "))
}

impl ObjectKind {
    /// The family of the events about such an object.
    pub fn family(self) -> Family {
        match self {
            Self::Response => Family::Response,
            Self::Batch => Family::Batch,
            Self::FineTuningJob => Family::FineTuning,
            Self::EvalRun => Family::Eval,
            Self::AgentSession => Family::Agent,
        }
    }
}

impl ObjectId {
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn kind(&self) -> ObjectKind {
        self.kind
    }
}

impl FromStr for ObjectId {
    type Err = UnknownPrefix;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let has = |(prefix, _): &&(&str, ObjectKind)| text.len() > prefix.len() && text.starts_with(prefix);
        let (_, kind) = PREFIXES.iter().find(has).ok_or(UnknownPrefix)?;
        Ok(Self { text: text.to_owned(), kind: *kind })
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_tells_the_kind() {
        for (id, kind) in [
            ("resp_1", ObjectKind::Response),
            ("batch_1", ObjectKind::Batch),
            ("ftjob-1", ObjectKind::FineTuningJob),
            ("ftjob_1", ObjectKind::FineTuningJob),
            ("evalrun_1", ObjectKind::EvalRun),
            ("sess_1", ObjectKind::AgentSession),
            ("asess_1", ObjectKind::AgentSession),
        ] {
            let parsed: ObjectId = id.parse().unwrap();
            assert_eq!((parsed.as_str(), parsed.kind()), (id, kind));
        }
    }

    #[test]
    fn an_unknown_prefix_is_refused_with_the_known_ones() {
        for id in ["", "resp_", "wh_1", "Resp_1", "file-1", "ft:gpt"] {
            assert_eq!(id.parse::<ObjectId>(), Err(UnknownPrefix), "{id}");
        }
        let text = UnknownPrefix.to_string();
        assert!(text.ends_with("resp_, batch_, ftjob-, ftjob_, evalrun_, sess_ or asess_"), "{text}");
    }
}
