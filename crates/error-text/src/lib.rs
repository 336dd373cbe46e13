//! Formats an error with its causes; `Display` alone shows only the outermost error.

use std::error::Error;

/// The error and its causes on one line. Omits a cause that repeats the end of the text before it.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for cause in causes(error) {
        let cause = cause.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// The innermost cause, which says what happened; the outer errors only add context.
pub fn root_cause(error: &dyn Error) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

fn causes<'e>(error: &'e dyn Error) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Outer(std::io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("cannot reach Redis")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn each_cause_appears_once() {
        // An `io::Error` made from another repeats its text.
        let refused = std::io::Error::other(std::io::Error::other("refused"));
        let error = Outer(refused);
        assert_eq!(chain(&error), "cannot reach Redis: refused");
        assert_eq!(root_cause(&error), "refused");
        assert_eq!((chain(&error.0), root_cause(&error.0)), ("refused".to_owned(), "refused".to_owned()));
    }
}
