//! How the system gives ingest its turns on a core.

#[cfg(target_os = "linux")]
use rustix::process::getpriority_process;
#[cfg(target_os = "linux")]
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadPriorityOsValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// Lets whoever runs finish before this thread, or one that it starts from now on, takes the core (`SCHED_BATCH`,
/// sched(7)). Woken by Redis or by a sender on the same machine, ingest would otherwise push it aside halfway, and it would
/// go on with cold caches or on another core (docs/benchmarks.md has what that costs, and what this costs beside programs
/// that never wait). A process that was given a niceness is left alone: somebody has decided.
#[cfg(target_os = "linux")]
pub(crate) fn let_others_finish() {
    if getpriority_process(None).ok() != Some(0) {
        return;
    }
    let niceness_0 = ThreadPriority::Os(ThreadPriorityOsValue::default());
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), niceness_0, policy) {
        tracing::debug!(
            ?error,
            "the system does not allow SCHED_BATCH: received webhooks cost a little more"
        );
    }
}

/// Elsewhere there is no such thing.
#[cfg(not(target_os = "linux"))]
pub(crate) fn let_others_finish() {}
