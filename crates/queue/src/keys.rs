//! The names of the keys. They are an interface: people read them with `redis-cli`.

use webhook::Family;

/// The consumer group of every events stream.
pub const GROUP: &str = "workers";

/// The keys under one prefix. The prefix is a hash tag, so one script may access several keys in a cluster.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// Stream: a family's events. Entries are deleted when done and never trimmed, so `XLEN` is the backlog.
    pub fn events(&self, family: Family) -> String {
        format!("{{{}}}:events:{family}", self.prefix)
    }

    /// Sorted set: entries that wait for their retry; the score is the due time in unix milliseconds.
    pub fn delayed(&self, family: Family) -> String {
        format!("{{{}}}:delayed:{family}", self.prefix)
    }

    /// Hash: `<id>` failed attempts, `<id>#crashes` expired leases, `<id>#alone` those that expired while the entry ran
    /// alone in its worker, `<id>#first_error` and `<id>#last_error`.
    pub fn attempts(&self, family: Family) -> String {
        format!("{{{}}}:attempts:{family}", self.prefix)
    }

    /// Stream: dead letters.
    pub fn dead(&self, family: Family) -> String {
        format!("{{{}}}:dead:{family}", self.prefix)
    }

    /// Sorted set: the generations of dedupe records; the score is the expiry in unix seconds.
    pub fn seen(&self) -> String {
        format!("{{{}}}:seen", self.prefix)
    }

    /// Set of integers with a TTL: dedupe records. `enqueue.lua` builds the same name.
    pub fn seen_set(&self, generation: &str, shard: u16) -> String {
        format!("{{{}}}:seen:{generation}:{shard}", self.prefix)
    }

    /// Stream: used to check whether Redis accepts events; entries are removed immediately.
    pub fn check(&self) -> String {
        format!("{{{}}}:check", self.prefix)
    }

    /// String with a TTL: workers pause this project's family (429). The value is the reason.
    pub fn pause(&self, project: &str, family: Family) -> String {
        format!("{{{}}}:pause:{project}:{family}", self.prefix)
    }

    /// Sorted set: recent pauses, as `<project>:<family>`; the score is the end of the pause in unix milliseconds.
    pub fn pauses(&self) -> String {
        format!("{{{}}}:pauses", self.prefix)
    }

    /// Stream: records of operators' actions on dead letters.
    pub fn records(&self) -> String {
        format!("{{{}}}:records", self.prefix)
    }

    /// Stream, capped: what became of each object, or of an event without one.
    pub fn changes(&self) -> String {
        format!("{{{}}}:changes", self.prefix)
    }

    /// Stream, capped: the notifications for a target of kind `redis-stream`.
    pub fn notifications(&self, target: &str) -> String {
        format!("{{{}}}:notifications:{target}", self.prefix)
    }

    /// Hash: the running programs, each with its version, host, heartbeat and targets, as JSON.
    pub fn instances(&self) -> String {
        format!("{{{}}}:instances", self.prefix)
    }

    /// String: the queue generation. It disappears only with all other state.
    pub fn queue_generation(&self) -> String {
        format!("{{{}}}:born", self.prefix)
    }

    /// String with a TTL: this run of an operator's command has enqueued this stored event again.
    pub fn replayed(&self, project: &str, run: &str, webhook_id: &str) -> String {
        format!("{{{}}}:replayed:{project}:{run}:{webhook_id}", self.prefix)
    }
}

/// The keys of one family, built once.
#[derive(Debug)]
pub(crate) struct FamilyKeys {
    pub(crate) events: String,
    pub(crate) delayed: String,
    pub(crate) attempts: String,
    pub(crate) dead: String,
}

impl FamilyKeys {
    pub(crate) fn new(keys: &Keys, family: Family) -> Self {
        Self {
            events: keys.events(family),
            delayed: keys.delayed(family),
            attempts: keys.attempts(family),
            dead: keys.dead(family),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_the_documentation() {
        let keys = Keys::new("landfall");
        assert_eq!(keys.events(Family::FineTuning), "{landfall}:events:fine_tuning");
        assert_eq!(keys.delayed(Family::Batch), "{landfall}:delayed:batch");
        assert_eq!(keys.attempts(Family::Batch), "{landfall}:attempts:batch");
        assert_eq!(keys.dead(Family::Batch), "{landfall}:dead:batch");
        assert_eq!(keys.check(), "{landfall}:check");
        assert_eq!(keys.seen(), "{landfall}:seen");
        assert_eq!(keys.seen_set("12250", 7), "{landfall}:seen:12250:7");
        assert_eq!(keys.pause("default", Family::Batch), "{landfall}:pause:default:batch");
        assert_eq!(keys.pauses(), "{landfall}:pauses");
        assert_eq!(keys.records(), "{landfall}:records");
        assert_eq!(keys.changes(), "{landfall}:changes");
        assert_eq!(keys.notifications("app"), "{landfall}:notifications:app");
        assert_eq!(keys.instances(), "{landfall}:instances");
        assert_eq!(keys.queue_generation(), "{landfall}:born");
        assert_eq!(keys.replayed("default", "r7", "wh_1"), "{landfall}:replayed:default:r7:wh_1");
    }
}
