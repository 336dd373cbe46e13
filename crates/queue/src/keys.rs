//! The names of the keys: an interface, people read them with `redis-cli`.

use webhook::Family;

/// The consumer group of every events stream.
pub const GROUP: &str = "workers";

/// The keys under one prefix. All carry it as hash tag, so that one script may touch several in a cluster.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// Stream: the work of a family. Entries are deleted when done and never trimmed, so `XLEN` is the backlog.
    pub fn events(&self, family: Family) -> String {
        format!("{{{}}}:events:{family}", self.prefix)
    }

    /// Sorted set: entries that wait for their retry; the score is when they are due, in unix milliseconds.
    pub fn delayed(&self, family: Family) -> String {
        format!("{{{}}}:delayed:{family}", self.prefix)
    }

    /// Hash: `<id>` failed attempts, `<id>#crashes` leases that ran out, `<id>#alone` those of them while it ran
    /// alone in its worker, `<id>#first_error` and `<id>#last_error`.
    pub fn attempts(&self, family: Family) -> String {
        format!("{{{}}}:attempts:{family}", self.prefix)
    }

    /// Stream: dead letters.
    pub fn dead(&self, family: Family) -> String {
        format!("{{{}}}:dead:{family}", self.prefix)
    }

    /// Sorted set: the generations of dedupe records; the score is when each expires, in unix seconds.
    pub fn seen(&self) -> String {
        format!("{{{}}}:seen", self.prefix)
    }

    /// Set of integers with a time to live: dedupe records. `enqueue.lua` makes the same name.
    pub fn seen_set(&self, generation: &str, shard: u16) -> String {
        format!("{{{}}}:seen:{generation}:{shard}", self.prefix)
    }

    /// Stream: what a check whether Redis takes events adds, and removes at once.
    pub fn check(&self) -> String {
        format!("{{{}}}:check", self.prefix)
    }

    /// String with a time to live: workers leave this project's family alone (429). Its value says why.
    pub fn pause(&self, project: &str, family: Family) -> String {
        format!("{{{}}}:pause:{project}:{family}", self.prefix)
    }

    /// Sorted set: the pauses there may be, as `<project>:<family>`; the score is when each ends, in unix milliseconds.
    pub fn pauses(&self) -> String {
        format!("{{{}}}:pauses", self.prefix)
    }

    /// Stream: what operators did to dead letters.
    pub fn records(&self) -> String {
        format!("{{{}}}:records", self.prefix)
    }

    /// Stream, capped: the notifications for a target of kind `redis-stream`.
    pub fn notifications(&self, target: &str) -> String {
        format!("{{{}}}:notifications:{target}", self.prefix)
    }

    /// Hash: the running programs, each with its version, host, heartbeat and targets, as JSON.
    pub fn instances(&self) -> String {
        format!("{{{}}}:instances", self.prefix)
    }

    /// String: since when this queue's state exists. It vanishes only with everything else.
    pub fn queue_generation(&self) -> String {
        format!("{{{}}}:born", self.prefix)
    }

    /// String with a time to live: this run of an operator's command has enqueued this stored event again.
    pub fn replayed(&self, project: &str, run: &str, webhook_id: &str) -> String {
        format!("{{{}}}:replayed:{project}:{run}:{webhook_id}", self.prefix)
    }
}

/// The keys of one family, spelled out once.
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
        assert_eq!(keys.notifications("app"), "{landfall}:notifications:app");
        assert_eq!(keys.instances(), "{landfall}:instances");
        assert_eq!(keys.queue_generation(), "{landfall}:born");
        assert_eq!(keys.replayed("default", "r7", "wh_1"), "{landfall}:replayed:default:r7:wh_1");
    }
}
