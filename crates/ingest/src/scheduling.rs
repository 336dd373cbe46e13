//! How ingest's threads share cores with others.

use rustix::process::getpriority_process;
use thread_priority::NormalThreadSchedulePolicy::{Batch, Other};
use thread_priority::{
    ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
    thread_schedule_policy,
};

/// A thread of ours that wakes lets whoever runs on the core finish first, most often the one that woke it (`SCHED_BATCH`).
/// What is taken in at low rates costs a quarter less CPU and comes back sooner, while a core that others keep busy lets us
/// wait up to their time slice, some milliseconds (docs/benchmarks.md). Threads started later inherit it, so
/// it comes before all of them.
pub fn wake_without_preempting() {
    // Whoever started us under another policy or niceness has chosen.
    let chosen = !matches!(thread_schedule_policy(), Ok(ThreadSchedulePolicy::Normal(Other)))
        || getpriority_process(None) != Ok(0);
    if chosen {
        return;
    }
    // It sets the niceness too. Of its 99 steps from 19 down to -20 this one is 0.
    let even = ThreadPriority::Crossplatform(48_u8.try_into().expect("48 is one of its steps"));
    let batch = ThreadSchedulePolicy::Normal(Batch);
    // A system that refuses keeps its way of sharing cores: nothing depends on ours.
    set_thread_priority_and_policy(thread_native_id(), even, batch).ok();
}
