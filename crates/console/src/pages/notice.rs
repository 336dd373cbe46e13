//! What an act did, as the page after it says. The address carries it, as a member of a closed set and numbers: no link can
//! make a page say anything else.

use std::fmt;

use operations::dead_letter_acts::LetterAct;
use webhook::closed_set;

use super::quantity::counted;

closed_set! {
    /// What was done.
    pub(super) enum Done {
        Redriven => "redriven",
        Discarded => "discarded",
        Replayed => "replayed",
        Fetching => "fetching",
    }
}

/// What an act did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) done: Done,
    pub(super) count: u64,
    /// What others had changed before.
    pub(super) gone: u64,
}

impl From<LetterAct> for Done {
    fn from(act: LetterAct) -> Self {
        match act {
            LetterAct::Redrive => Self::Redriven,
            LetterAct::Discard => Self::Discarded,
        }
    }
}

impl Notice {
    pub(super) fn one(done: Done) -> Self {
        Self { done, count: 1, gone: 0 }
    }

    /// The notice in the query of an address.
    pub(super) fn in_query(query: &str) -> Option<Self> {
        let value = |name: &str| {
            url::form_urlencoded::parse(query.as_bytes())
                .find(|(other, _)| other == name)
                .map(|(_, value)| value)
        };
        let number = |name: &str| value(name).and_then(|number| number.parse().ok()).unwrap_or(0);
        let done = value("done")?.parse().ok()?;
        Some(Self { done, count: number("count"), gone: number("gone") })
    }

    /// The address with this notice instead of an earlier one.
    pub(super) fn on(self, address: &str) -> String {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let earlier = url::form_urlencoded::parse(query.as_bytes());
        let kept = earlier.filter(|(name, _)| !["done", "count", "gone"].contains(&name.as_ref()));
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept).append_pair("done", self.done.as_str());
        query.append_pair("count", &self.count.to_string()).append_pair("gone", &self.gone.to_string());
        format!("{path}?{}", query.finish())
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = counted(self.count, "dead letter");
        match self.done {
            Done::Redriven => write!(f, "Redriven: {letters}. Workers process them now.")?,
            Done::Discarded => write!(f, "Discarded: {letters}.")?,
            Done::Replayed => write!(f, "Enqueued again. A worker processes the event now.")?,
            Done::Fetching => write!(f, "Enqueued. A worker fetches the object from OpenAI now.")?,
        }
        if self.gone > 0 {
            write!(f, " {} had been redriven or discarded before.", counted(self.gone, "other"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_read_back_from_the_address() {
        let notice = Notice { done: Done::Redriven, count: 1_200, gone: 1 };
        let address = notice.on("/dead?family=batch&done=replayed&count=7&q=%26");
        assert_eq!(address, "/dead?family=batch&q=%26&done=redriven&count=1200&gone=1");
        assert_eq!(Notice::in_query(address.split_once('?').unwrap().1), Some(notice));
        let text = "Redriven: 1,200 dead letters. Workers process them now. 1 other had been redriven or discarded before.";
        assert_eq!(notice.to_string(), text);
        for none in ["", "done=", "done=paid", "count=1"] {
            assert_eq!(Notice::in_query(none), None, "{none}");
        }
    }
}
