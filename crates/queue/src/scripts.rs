//! The Lua scripts (`scripts/*.lua`); each has one caller. A script is atomic, in memory and in the AOF: an entry is in
//! exactly one place whenever Redis or a worker dies.

use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use redis::{FromRedisValue, Script, ScriptInvocation};
use webhook::Family;

use crate::connection::SharedConnection;
use crate::error::QueueError;
use crate::keys::{FamilyKeys, GROUP, Keys};
use crate::known_pauses::KnownPauses;
use crate::repair::RepairKind;

macro_rules! script {
    ($name:ident, $file:literal) => {
        pub(crate) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(include_str!(concat!("scripts/", $file))));
    };
}

script!(ENSURE_GROUP, "ensure_group.lua");
script!(CLAIM, "claim.lua");
script!(RECOVER, "recover.lua");
script!(BEAT, "beat.lua");
script!(ACK, "ack.lua");
script!(PUT_BACK, "put_back.lua");
script!(DEAD_LETTER, "dead_letter.lua");
script!(REMOVE_CONSUMER, "remove_consumer.lua");
script!(STATS, "stats.lua");
script!(BEAT_INSTANCE, "beat_instance.lua");
script!(UNSETTLED, "unsettled.lua");
script!(FIND_IN_BODIES, "find_in_bodies.lua");
script!(MAKE_DUE, "make_due.lua");
script!(BEGIN_ALONE, "begin_alone.lua");
script!(PAUSE, "pause.lua");
script!(AUDIT, "audit.lua");
script!(REMOVE_DEAD_CONSUMERS, "remove_dead_consumers.lua");
script!(REDRIVE, "redrive.lua");
script!(DISCARD, "discard.lua");

/// Approximate bytes of entries that one step reads; Redis is blocked meanwhile.
pub(crate) const STEP_BYTES_MAX: usize = 1 << 20;

/// A consumer's connection, keys and name for one family, and what its deliveries tell it.
pub(crate) struct ConsumerSession {
    pub(crate) connection: SharedConnection,
    pub(crate) keys: FamilyKeys,
    pub(crate) all_keys: Keys,
    pub(crate) family: Family,
    pub(crate) name: String,
    pub(crate) lease: Duration,
    pub(crate) pauses: KnownPauses,
    /// This consumer made entries due: it put a delivery back, or found stranded entries. The next read claims them
    /// before it takes new ones.
    pub(crate) has_due: AtomicBool,
}

impl ConsumerSession {
    pub(crate) async fn invoke<T: FromRedisValue>(
        &self,
        operation: &'static str,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, QueueError> {
        self.connection.invoke(script).await.map_err(QueueError::while_doing(operation))
    }
}

/// Creates the group if it is missing. Returns what was missing.
pub(crate) async fn ensure_group(
    connection: &SharedConnection,
    keys: &FamilyKeys,
) -> Result<Option<RepairKind>, QueueError> {
    let mut script = ENSURE_GROUP.prepare_invoke();
    script.key(&keys.events).key(&keys.delayed).arg(GROUP);
    let reply = connection.invoke(&script).await;
    Ok(match reply.map_err(QueueError::while_doing("create the consumer group"))? {
        0 => None,
        1 => Some(RepairKind::Group),
        _ => Some(RepairKind::Stream),
    })
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
