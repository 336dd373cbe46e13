//! Mutation tests of the Lua scripts: the model must find each planted bug.

use crate::model::{self, Violation};
use crate::script_swap;

/// Walks after which a bug counts as not found.
const SEEDS_MAX: u64 = 12;

/// Dead consumers are removed after seconds; a walk is shorter, so this time is reduced.
const SILENT_ENOUGH: &str = "consumer.pending == 0 and consumer.idle > tonumber(ARGV[3])";

/// One bug: the script, the original text and its replacement.
struct Mutant {
    name: &'static str,
    script: &'static str,
    from: &'static str,
    to: &'static str,
}

macro_rules! script {
    ($name:literal) => {
        include_str!(concat!("../../src/scripts/", $name, ".lua"))
    };
}

const MUTANTS: [Mutant; 18] = [
    Mutant {
        name: "retry without ZADD",
        script: script!("put_back"),
        from: "redis.call('ZADD', KEYS[2], due, id)",
        to: "",
    },
    Mutant {
        name: "enqueue without XADD",
        script: script!("enqueue"),
        from: "redis.call('XADD', events, '*', unpack(ARGV, first, last))",
        to: "'1-1'",
    },
    Mutant {
        name: "enqueue that does not look for duplicates",
        script: script!("enqueue"),
        from: "if redis.call('SISMEMBER', record_set(back), record) == 1 then return {'duplicate', ''} end",
        to: "",
    },
    Mutant {
        name: "enqueue without a record",
        script: script!("enqueue"),
        from: "redis.call('SADD', record_set(0), record)",
        to: "",
    },
    Mutant {
        name: "dead letter without XADD",
        script: script!("dead_letter"),
        from: "redis.call('XADD', KEYS[4], '*', unpack(letter))",
        to: "",
    },
    Mutant {
        name: "due without FORCE",
        script: script!("claim"),
        from: "0, id, 'FORCE', 'JUSTID')",
        to: "0, id, 'JUSTID')",
    },
    Mutant {
        name: "removing a consumer ignores what is pending",
        script: script!("remove_consumer"),
        from: "if redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])[1] then return 0 end",
        to: "",
    },
    Mutant {
        name: "putting back what another consumer holds, or has settled",
        script: script!("put_back"),
        from: "if not redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1, ARGV[2])[1] then return 0 end",
        to: "",
    },
    Mutant {
        name: "giving up what another consumer holds, or has settled",
        script: script!("dead_letter"),
        from: "if not redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1, ARGV[2])[1] then return 0 end",
        to: "",
    },
    Mutant {
        name: "removing dead consumers ignores what is pending",
        script: script!("remove_dead_consumers"),
        from: SILENT_ENOUGH,
        to: "consumer.idle > 20",
    },
    Mutant {
        name: "an audit that finds and does nothing",
        script: script!("audit"),
        from: "redis.call('ZADD', KEYS[2], now, id)",
        to: "",
    },
    Mutant {
        name: "an audit that takes what is pending for stranded",
        script: script!("audit"),
        from: "not redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)[1] and",
        to: "",
    },
    Mutant {
        name: "redrive without XADD",
        script: script!("redrive"),
        from: "redis.call('XADD', KEYS[2], '*', unpack(fields))",
        to: "'1-1'",
    },
    Mutant {
        name: "redrive that leaves the letter",
        script: script!("redrive"),
        from: "redis.call('XDEL', KEYS[1], ARGV[1])",
        to: "",
    },
    Mutant {
        name: "ack without XDEL",
        script: script!("ack"),
        from: "redis.call('XDEL', KEYS[1], unpack(ids))",
        to: "1",
    },
    Mutant {
        name: "an ack of many that deletes only the first",
        script: script!("ack"),
        from: "redis.call('XDEL', KEYS[1], unpack(ids))",
        to: "redis.call('XDEL', KEYS[1], ids[1])",
    },
    Mutant {
        name: "a group that is recreated at the end of the stream",
        script: script!("ensure_group"),
        from: "KEYS[1], ARGV[1], '0', 'MKSTREAM'",
        to: "KEYS[1], ARGV[1], '$', 'MKSTREAM'",
    },
    Mutant {
        name: "a group that is recreated beside its delayed set",
        script: script!("ensure_group"),
        from: "redis.call('DEL', KEYS[2])",
        to: "",
    },
];

#[tokio::test]
async fn every_planted_bug_is_found_by_the_model() {
    let mut survivors = Vec::new();
    for mutant in &MUTANTS {
        assert!(mutant.script.contains(mutant.from), "{}: the script has changed, so must this", mutant.name);
        match killed_by(mutant).await {
            Some((seed, Violation(what))) => println!("{}: found with seed {seed}: {what}", mutant.name),
            None => survivors.push(mutant.name),
        }
    }
    assert!(survivors.is_empty(), "not found: {survivors:?}");
}

/// The first seed whose walk finds the bug, and the violation.
async fn killed_by(mutant: &Mutant) -> Option<(u64, Violation)> {
    let instead = mutant.script.replacen(mutant.from, mutant.to, 1);
    for seed in 1..=SEEDS_MAX {
        let server = model::server("redis-server");
        let url = script_swap::start(server.port(), mutant.script, instead.clone()).await;
        if let Err(violation) = model::walk(server, url, seed).await {
            return Some((seed, violation));
        }
    }
    None
}

/// Ensures that mutants are not found because of the proxy or the reduced time.
#[tokio::test]
async fn the_wire_and_quick_removals_break_nothing() {
    let script = script!("remove_dead_consumers");
    let quick = script.replace(SILENT_ENOUGH, "consumer.pending == 0 and consumer.idle > 20");
    assert_ne!(script, quick, "the script has changed, so must this");
    for seed in 1..=2 {
        let server = model::server("redis-server");
        let url = script_swap::start(server.port(), script, quick.clone()).await;
        model::walk(server, url, seed).await.unwrap();
    }
}
