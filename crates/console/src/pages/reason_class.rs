//! Who can fix what went wrong, in words.

use webhook::ReasonClass;

/// Where to look first.
pub(super) const fn cause(class: Option<ReasonClass>) -> &'static str {
    match class {
        Some(ReasonClass::Ours) => "this installation",
        Some(ReasonClass::Openai) => "OpenAI",
        Some(ReasonClass::BadData) => "the data",
        None => "unknown",
    }
}

/// What to do about it.
pub(super) const fn cure(class: ReasonClass) -> &'static str {
    match class {
        ReasonClass::Ours => {
            "Look at this installation first: Health shows what is wrong. Then redrive the event."
        }
        ReasonClass::Openai => "OpenAI did not deliver it. Fetch the object again once OpenAI has it.",
        ReasonClass::BadData => "Its data cannot be processed as it is; see the webhook below.",
    }
}
