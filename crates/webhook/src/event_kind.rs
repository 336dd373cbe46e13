//! Every event type that OpenAI is known to send (`tests/fixtures/openai/events.json`), and its family.

use crate::closed_set;

closed_set! {
    /// Event types that share one handler and one stream, so that families never wait for each other.
    pub enum Family {
        Response => "response",
        Batch => "batch",
        FineTuning => "fine_tuning",
        Eval => "eval",
        /// `realtime.*` and `live.*`: calls waiting to be answered; nothing to fetch.
        Realtime => "realtime",
        Agent => "agent",
        Safety => "safety",
        /// All other types, including unknown ones: OpenAI adds types faster than receivers are updated.
        Other => "other",
    }
}

/// Who waits for the notification of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// A caller waits on the phone: the notification is sent before the event is stored, and is worthless after seconds.
    Call,
    /// An agent waits for an action: the notification is sent before ordinary ones.
    Action,
    Ordinary,
}

/// The name of an unknown type is truncated to this many characters.
const UNKNOWN_CHARS_MAX: usize = 128;

macro_rules! event_kinds {
    ( $( $variant:ident => $text:literal, $family:ident; )+ ) => {
        /// The type of an event, by its OpenAI name.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum EventKind {
            $( $variant, )+
            /// A type that this version does not know; stored, never refused.
            Unknown(String),
        }

        impl EventKind {
            /// The names of all known types.
            pub const KNOWN: &'static [&'static str] = &[ $( $text, )+ ];

            /// The type with this name. Never fails: an unknown name becomes [`EventKind::Unknown`].
            pub fn from_name(name: &str) -> Self {
                match name {
                    $( $text => Self::$variant, )+
                    _ => Self::Unknown(name.chars().take(UNKNOWN_CHARS_MAX).collect()),
                }
            }

            /// OpenAI's name, such as `batch.completed`.
            pub fn as_str(&self) -> &str {
                match self {
                    $( Self::$variant => $text, )+
                    Self::Unknown(name) => name,
                }
            }

            /// The family that handles it.
            pub fn family(&self) -> Family {
                match self {
                    $( Self::$variant => Family::$family, )+
                    Self::Unknown(_) => Family::Other,
                }
            }
        }
    };
}

event_kinds! {
    ResponseCompleted => "response.completed", Response;
    ResponseFailed => "response.failed", Response;
    ResponseCancelled => "response.cancelled", Response;
    ResponseIncomplete => "response.incomplete", Response;
    BatchCompleted => "batch.completed", Batch;
    BatchFailed => "batch.failed", Batch;
    BatchExpired => "batch.expired", Batch;
    BatchCancelled => "batch.cancelled", Batch;
    FineTuningJobSucceeded => "fine_tuning.job.succeeded", FineTuning;
    FineTuningJobFailed => "fine_tuning.job.failed", FineTuning;
    FineTuningJobCancelled => "fine_tuning.job.cancelled", FineTuning;
    EvalRunSucceeded => "eval.run.succeeded", Eval;
    EvalRunFailed => "eval.run.failed", Eval;
    EvalRunCanceled => "eval.run.canceled", Eval;
    RealtimeCallIncoming => "realtime.call.incoming", Realtime;
    LiveCallIncoming => "live.call.incoming", Realtime;
    LiveTransportIncoming => "live.transport.incoming", Realtime;
    LiveTransportConnected => "live.transport.connected", Realtime;
    AgentSessionCreated => "agent.session.created", Agent;
    AgentSessionActionRequired => "agent.session.action_required", Agent;
    AgentSessionInProgress => "agent.session.in_progress", Agent;
    AgentSessionIdle => "agent.session.idle", Agent;
    AgentSessionFailed => "agent.session.failed", Agent;
    AgentEnvironmentReady => "agent.environment.ready", Agent;
    AgentEnvironmentFailed => "agent.environment.failed", Agent;
    AgentEnvironmentSuspended => "agent.environment.suspended", Agent;
    AgentEnvironmentExpired => "agent.environment.expired", Agent;
    SafetyAlertCreated => "safety.alert.created", Safety;
    SafetyOrgAlertCreated => "safety.org_alert.created", Safety;
    SafetyWarningIssued => "safety.warning_issued", Safety;
    SafetyDeactivationIssued => "safety.deactivation_issued", Safety;
    SafetyIdentifierBlocked => "safety_identifier.blocked", Safety;
    VideoCompleted => "video.completed", Other;
    VideoFailed => "video.failed", Other;
}

impl EventKind {
    /// Whether the event is about an object that is fetched; otherwise only the event itself is stored.
    pub fn has_object(&self) -> bool {
        match self.family() {
            Family::Response | Family::Batch | Family::FineTuning | Family::Eval => true,
            // The other safety events are about cases of the organization, which a project's key cannot read.
            Family::Safety => *self == Self::SafetyAlertCreated,
            // The events of environments do not name a session.
            Family::Agent => matches!(
                self,
                Self::AgentSessionCreated
                    | Self::AgentSessionActionRequired
                    | Self::AgentSessionInProgress
                    | Self::AgentSessionIdle
                    | Self::AgentSessionFailed
            ),
            Family::Realtime | Family::Other => false,
        }
    }

    /// Who waits for the event's notification.
    pub fn urgency(&self) -> Urgency {
        match self.family() {
            Family::Realtime => Urgency::Call,
            Family::Agent if *self == Self::AgentSessionActionRequired => Urgency::Action,
            Family::Response
            | Family::Batch
            | Family::FineTuning
            | Family::Eval
            | Family::Agent
            | Family::Safety
            | Family::Other => Urgency::Ordinary,
        }
    }
}

impl std::fmt::Display for EventKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_openai_documents_is_known() {
        let fixture = include_str!("../../../tests/fixtures/openai/events.json");
        let events: Vec<serde_json::Value> = serde_json::from_str(fixture).unwrap();
        assert!(events.len() > 30);
        for event in events {
            let name = event["type"].as_str().unwrap();
            assert!(!matches!(EventKind::from_name(name), EventKind::Unknown(_)), "{name} is not known");
        }
    }

    #[test]
    fn names_round_trip() {
        for name in EventKind::KNOWN {
            assert_eq!(EventKind::from_name(name).as_str(), *name);
        }
    }

    #[test]
    fn only_safety_alerts_of_the_project_and_agent_sessions_are_fetched() {
        let fetched = EventKind::KNOWN.iter().map(|name| EventKind::from_name(name));
        let fetched = fetched
            .filter(|kind| matches!(kind.family(), Family::Safety | Family::Agent) && kind.has_object());
        assert_eq!(
            fetched.collect::<Vec<_>>(),
            [
                EventKind::AgentSessionCreated,
                EventKind::AgentSessionActionRequired,
                EventKind::AgentSessionInProgress,
                EventKind::AgentSessionIdle,
                EventKind::AgentSessionFailed,
                EventKind::SafetyAlertCreated
            ]
        );
    }

    #[test]
    fn only_calls_are_as_urgent_as_calls() {
        let kinds = EventKind::KNOWN.iter().map(|name| EventKind::from_name(name));
        let calls: Vec<_> = kinds.filter(|kind| kind.urgency() == Urgency::Call).collect();
        assert_eq!(
            calls,
            [
                EventKind::RealtimeCallIncoming,
                EventKind::LiveCallIncoming,
                EventKind::LiveTransportIncoming,
                EventKind::LiveTransportConnected
            ]
        );
        assert_eq!(EventKind::AgentSessionActionRequired.urgency(), Urgency::Action);
        assert_eq!(EventKind::AgentSessionIdle.urgency(), Urgency::Ordinary);
        assert_eq!(EventKind::from_name("response.reticulated").urgency(), Urgency::Ordinary);
    }

    #[test]
    fn an_unknown_type_belongs_to_family_other() {
        let kind = EventKind::from_name("response.reticulated");
        assert_eq!((kind.as_str(), kind.family()), ("response.reticulated", Family::Other));
        assert_eq!(EventKind::from_name(&"x".repeat(500)).as_str().len(), UNKNOWN_CHARS_MAX);
    }
}
