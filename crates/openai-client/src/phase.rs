//! The phase of an object, from its status.

/// OpenAI may add statuses: an unknown one may or may not be final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Running,
    /// Successful or not.
    Ended,
    /// An unknown status, or none.
    Unknown,
}
