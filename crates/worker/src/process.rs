//! The path of one delivery: parse → precheck → permit → run → settle → log. Each step has its own file.

use std::sync::Arc;
use std::time::Instant;

use queue::Delivery;
use tokio_util::sync::CancellationToken;
use webhook::Family;

use crate::context::Context;
use crate::delivery_log::LogLine;
use crate::job::Job;
use crate::permits::SharedPermit;
use crate::precheck::precheck;
use crate::run::run;
use crate::settle::{settle, settle_undecodable};
use crate::settlement::{Settlement, Write};
use crate::supervisor::{Slot, Supervisor};

/// Processes one delivery, and frees its slot as soon as another one may run. `release` fires when a stopping worker can
/// no longer wait. Returns false when the outcome could not be reported to Redis.
pub(crate) async fn process(
    context: &Context,
    family: Family,
    delivery: Delivery,
    admitted: (Slot, Arc<SharedPermit>),
    release: &CancellationToken,
) -> bool {
    let started = Instant::now();
    let (entry_id, attempt, content) =
        (delivery.entry_id.clone(), delivery.attempt, delivery.content.clone());
    let job = content.as_ref().map(|entry| Job::parse(entry, &delivery, &context.worker));
    let ended = match &job {
        Ok(job) => {
            // Dropped with its permit before the log line: if a suspect then crashes this worker, this delivery is
            // settled already.
            let mut supervisor = Supervisor::new(&delivery, admitted, release);
            let attempted = attempt_job(context, job, &delivery, &mut supervisor).await;
            settle(context, job, delivery, &mut supervisor, attempted).await
        }
        Err(error) => settle_undecodable(context, delivery, error).await,
    };
    let took = started.elapsed();
    LogLine { family, entry_id: &entry_id, attempt, job: job.as_ref().ok(), took }.write(context, &ended);
    ended.unsettled.is_none()
}

/// Runs all steps up to the write to commit, or returns how to settle without one.
async fn attempt_job(
    context: &Context,
    job: &Job<'_>,
    delivery: &Delivery,
    supervisor: &mut Supervisor<'_>,
) -> Result<Write, Settlement> {
    precheck(context, job, delivery).await?;
    supervisor.isolate_suspect(&context.permits, delivery).await?;
    run(context, job, supervisor).await
}
