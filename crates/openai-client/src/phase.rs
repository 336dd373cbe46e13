//! How far an object is, by its status.

/// Statuses are OpenAI's to add: one that is not known may be an end or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Running,
    /// Good or bad.
    Ended,
    /// A status that is not known, or none.
    Unknown,
}
