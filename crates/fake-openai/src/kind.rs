//! The kinds of objects, by the names that OpenAI gives them.

use webhook::closed_set;

closed_set! {
    /// What an object says of itself in its field `object`.
    pub enum Kind {
        Response => "response",
        Batch => "batch",
        File => "file",
        FineTuningJob => "fine_tuning.job",
        Checkpoint => "fine_tuning.job.checkpoint",
        JobEvent => "fine_tuning.job.event",
        Model => "model",
        Eval => "eval",
        EvalRun => "eval.run",
    }
}
