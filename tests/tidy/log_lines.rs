//! Log lines include the causes of an error: `%error` and `?error` show only the outermost error, `chain(&error)` shows all.

use super::{files, product_code, report};

/// Names of variables and fields that hold errors.
const NAMES: [&str; 6] = ["error", "err", "source", "cause", "failure", "refusal"];

#[test]
fn no_log_line_leaves_out_the_causes_of_an_error() {
    let mut broken = Vec::new();
    for file in files(".rs").iter().filter(|file| file.iter().any(|part| part == "src")) {
        for call in calls(&product_code(file)).filter(|call| hides_causes(call)) {
            broken.push(format!("{}: log chain(&error): {call}", file.display()));
        }
    }
    report(&broken);
}

/// The arguments of each log call, on one line.
fn calls(code: &str) -> impl Iterator<Item = String> {
    code.split("tracing::").skip(1).filter_map(|rest| {
        let (level, rest) = rest.split_once("!(")?;
        let is_log = ["trace", "debug", "info", "warn", "error", "event"].contains(&level);
        let arguments = rest.split(");\n").next()?;
        is_log.then(|| arguments.split_whitespace().collect::<Vec<_>>().join(" "))
    })
}

/// Whether an error is logged as a field (`%error`, `why = ?failed.source`, `error = &error as &dyn Error`) or in the
/// message (`{error}`).
fn hides_causes(arguments: &str) -> bool {
    let is_error = |value: &str| NAMES.contains(&value.rsplit(['.', '_', '&', '*']).next().unwrap_or(value));
    let hides = |field: &str| {
        let (name, value) = field.split_once(" = ").unwrap_or(("", field));
        let formatted = value.strip_prefix(['%', '?']);
        value.contains("dyn ") || formatted.is_some_and(|value| name == "error" || is_error(value))
    };
    let in_message = |name: &&str| arguments.contains(&format!("{{{name}}}"));
    arguments.split(", ").map(|field| field.trim_end_matches(',')).any(hides) || NAMES.iter().any(in_message)
}

#[test]
fn an_error_without_its_causes_is_seen() {
    let code = "tracing::warn!(file, %error, \"x\");\ntracing::error!(\n    error = ?self.why,\n    \"x\",\n);\n\
                tracing::info!(file = %path, error = chain(&error), \"{count}\");\n";
    assert_eq!(calls(code).map(|call| hides_causes(&call)).collect::<Vec<_>>(), [true, true, false]);
    for hides in ["last = %self.last_error", "cause = &why as &dyn Error", "\"not read: {error}\""] {
        assert!(hides_causes(hides), "{hides}");
    }
    for fine in ["%address", "?last", "error", "error = text", "panic.backtrace = %backtrace"] {
        assert!(!hides_causes(fine), "{fine}");
    }
}
