//! The Lua scripts (`scripts/*.lua`), each behind one typed function. A script is atomic, in memory and in the AOF:
//! an entry is in exactly one place whenever Redis or a worker dies.

use std::sync::LazyLock;
use std::time::Duration;

use redis::{FromRedisValue, Script, ScriptInvocation};
use webhook::Family;

use crate::connection::SharedConnection;
use crate::error::QueueError;
use crate::keys::{FamilyKeys, GROUP, Keys};
use crate::repair::RepairKind;

macro_rules! script {
    ($name:ident, $file:literal) => {
        pub(crate) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(include_str!(concat!("scripts/", $file))));
    };
}

script!(ENSURE_GROUP, "ensure_group.lua");
script!(DUE, "due.lua");
script!(RECLAIM, "reclaim.lua");
script!(RECOVER, "recover.lua");
script!(BEAT, "beat.lua");
script!(ACK, "ack.lua");
script!(PUT_BACK, "put_back.lua");
script!(DEAD_LETTER, "dead_letter.lua");
script!(REMOVE_CONSUMER, "remove_consumer.lua");
script!(STATS, "stats.lua");
script!(BEAT_INSTANCE, "beat_instance.lua");
script!(UNSETTLED, "unsettled.lua");
script!(MAKE_DUE, "make_due.lua");
script!(BEGIN_ALONE, "begin_alone.lua");
script!(PAUSE, "pause.lua");
script!(AUDIT, "audit.lua");
script!(REMOVE_DEAD_CONSUMERS, "remove_dead_consumers.lua");
script!(REDRIVE, "redrive.lua");
script!(DISCARD, "discard.lua");

/// No retry is further away than this: a delay beyond it is a mistake in the arithmetic of somebody's clock.
const DELAY_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Entries a parting consumer gives back in one step; it was never given more at once.
const GIVE_BACK_MAX: usize = 1000;
/// Entries audited in one step.
const AUDIT_PAGE: usize = 100;
/// About how many bytes of entries one step reads: Redis does nothing else meanwhile.
pub(crate) const STEP_BYTES_MAX: usize = 1 << 20;

/// A consumer's place at one family's stream.
pub(crate) struct Seat {
    pub(crate) connection: SharedConnection,
    pub(crate) keys: FamilyKeys,
    pub(crate) all_keys: Keys,
    pub(crate) family: Family,
    pub(crate) name: String,
    pub(crate) lease: Duration,
}

/// Creates the group where it is missing; says what was.
pub(crate) async fn ensure_group(
    connection: &SharedConnection,
    keys: &FamilyKeys,
) -> Result<Option<RepairKind>, QueueError> {
    let mut script = ENSURE_GROUP.prepare_invoke();
    script.key(&keys.events).key(&keys.delayed).arg(GROUP);
    Ok(match invoke(connection, "create the consumer group", &script).await? {
        0 => None,
        1 => Some(RepairKind::Group),
        _ => Some(RepairKind::Stream),
    })
}

/// Claims what is due; says how long until the next one is, and the ids.
pub(crate) async fn due(seat: &Seat, count: usize) -> Result<(Option<Duration>, Vec<String>), QueueError> {
    let mut script = DUE.prepare_invoke();
    script.key(&seat.keys.events).key(&seat.keys.delayed).key(&seat.keys.attempts);
    script.arg(GROUP).arg(&seat.name).arg(count);
    let (next_ms, ids): (i64, Vec<String>) = invoke(&seat.connection, "take due entries", &script).await?;
    Ok((u64::try_from(next_ms).ok().map(Duration::from_millis), ids))
}

/// Claims entries whose lease ran out, from `cursor` on; returns the next cursor and the ids.
pub(crate) async fn reclaim(
    seat: &Seat,
    cursor: &str,
    count: usize,
    held: &[String],
) -> Result<(String, Vec<String>), QueueError> {
    let mut script = RECLAIM.prepare_invoke();
    script.key(&seat.keys.events).key(&seat.keys.attempts);
    script.arg(GROUP).arg(&seat.name).arg(millis(seat.lease)).arg(cursor).arg(count).arg(held);
    invoke(&seat.connection, "take over abandoned entries", &script).await
}

/// Claims again what was given to this consumer in a reply that was lost.
pub(crate) async fn recover(seat: &Seat, count: usize, held: &[String]) -> Result<Vec<String>, QueueError> {
    let mut script = RECOVER.prepare_invoke();
    script.key(&seat.keys.events).arg(GROUP).arg(&seat.name).arg(count).arg(held);
    invoke(&seat.connection, "take undelivered entries again", &script).await
}

/// Renews leases; returns the ids whose lease is lost.
pub(crate) async fn beat(seat: &Seat, ids: &[String]) -> Result<Vec<String>, QueueError> {
    let mut script = BEAT.prepare_invoke();
    script.key(&seat.keys.events).arg(GROUP).arg(&seat.name).arg(ids);
    invoke(&seat.connection, "renew leases", &script).await
}

/// Removes an entry for good.
pub(crate) async fn ack(seat: &Seat, id: &str) -> Result<(), QueueError> {
    let mut script = ACK.prepare_invoke();
    script.key(&seat.keys.events).key(&seat.keys.delayed).key(&seat.keys.attempts);
    script.arg(GROUP).arg(id);
    invoke(&seat.connection, "ack a delivery", &script).await
}

/// Marks an entry as running alone. `false`: the lease is lost.
pub(crate) async fn begin_alone(seat: &Seat, id: &str, crashes_alone: u32) -> Result<bool, QueueError> {
    let mut script = BEGIN_ALONE.prepare_invoke();
    script.key(&seat.keys.events).key(&seat.keys.attempts);
    script.arg(GROUP).arg(&seat.name).arg(id).arg(crashes_alone);
    invoke(&seat.connection, "mark an entry as running alone", &script).await
}

/// Gives an entry back; with an error it was a failed attempt. `false`: the lease is lost.
pub(crate) async fn put_back(
    seat: &Seat,
    id: &str,
    delay: Duration,
    crashes_alone: u32,
    error: Option<&str>,
) -> Result<bool, QueueError> {
    let mut script = PUT_BACK.prepare_invoke();
    script.key(&seat.keys.events).key(&seat.keys.delayed).key(&seat.keys.attempts);
    script.arg(GROUP).arg(&seat.name).arg(id).arg(millis(delay.min(DELAY_MAX))).arg(crashes_alone).arg(error);
    invoke(&seat.connection, "put a delivery back", &script).await
}

/// Moves an entry to the dead letters. `false`: the lease is lost.
pub(crate) async fn dead_letter(
    seat: &Seat,
    id: &str,
    reason: &str,
    error: &str,
    file_expires_ms: Option<i64>,
) -> Result<bool, QueueError> {
    let mut script = DEAD_LETTER.prepare_invoke();
    script.key(&seat.keys.events).key(&seat.keys.delayed).key(&seat.keys.attempts).key(&seat.keys.dead);
    script.arg(GROUP).arg(&seat.name).arg(id).arg(reason).arg(error).arg(file_expires_ms);
    invoke(&seat.connection, "write a dead letter", &script).await
}

/// Deletes the consumer's name, unless something is pending under it. `false`: it stays.
pub(crate) async fn remove_consumer(seat: &Seat, held: &[String]) -> Result<bool, QueueError> {
    let mut script = REMOVE_CONSUMER.prepare_invoke();
    script.key(&seat.keys.events).key(&seat.keys.delayed);
    script.arg(GROUP).arg(&seat.name).arg(GIVE_BACK_MAX).arg(held);
    invoke(&seat.connection, "remove the consumer", &script).await
}

/// Makes delivered entries due that are neither pending nor delayed. Returns where to go on, and how many they were.
pub(crate) async fn audit(seat: &Seat, from: &str) -> Result<(Option<String>, u64), QueueError> {
    let mut script = AUDIT.prepare_invoke();
    script.key(&seat.keys.events).key(&seat.keys.delayed).arg(GROUP).arg(from);
    script.arg(AUDIT_PAGE).arg(STEP_BYTES_MAX);
    let (go_on, stranded): (String, u64) =
        invoke(&seat.connection, "look for stranded entries", &script).await?;
    Ok(((!go_on.is_empty()).then_some(go_on), stranded))
}

/// Deletes the names of other consumers that hold nothing and have been silent for so long; says how many.
pub(crate) async fn remove_dead_consumers(seat: &Seat, silent: Duration) -> Result<u64, QueueError> {
    let mut script = REMOVE_DEAD_CONSUMERS.prepare_invoke();
    script.key(&seat.keys.events).arg(GROUP).arg(&seat.name).arg(millis(silent));
    invoke(&seat.connection, "remove the names of dead workers", &script).await
}

/// Pauses a project's family for everybody; returns how long it is paused now.
pub(crate) async fn pause(
    seat: &Seat,
    project: &str,
    wanted: Duration,
    reason: &str,
) -> Result<Duration, QueueError> {
    let mut script = PAUSE.prepare_invoke();
    script.key(seat.all_keys.pause(project, seat.family)).key(seat.all_keys.pauses());
    script.arg(millis(wanted).max(1)).arg(reason).arg(format!("{project}:{}", seat.family));
    invoke(&seat.connection, "pause a family", &script).await.map(Duration::from_millis)
}

async fn invoke<T: FromRedisValue>(
    connection: &SharedConnection,
    operation: &'static str,
    script: &ScriptInvocation<'_>,
) -> Result<T, QueueError> {
    connection.invoke(script).await.map_err(QueueError::while_doing(operation))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
