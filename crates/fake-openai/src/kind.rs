//! The kinds of objects, by OpenAI's names.

use webhook::closed_set;

closed_set! {
    /// The value of an object's field `object`.
    pub enum Kind {
        Response => "response",
        Batch => "batch",
        File => "file",
        Container => "container",
        ContainerFile => "container.file",
        FineTuningJob => "fine_tuning.job",
        Checkpoint => "fine_tuning.job.checkpoint",
        JobEvent => "fine_tuning.job.event",
        Model => "model",
        Eval => "eval",
        EvalRun => "eval.run",
        AgentSession => "agent.session",
        AgentTurn => "agent.session.turn",
        /// On the wire items have no field `object`.
        AgentItem => "agent.session.item",
        AgentArtifact => "agent.session.artifact",
        SafetyAlert => "safety.alert",
    }
}
