//! Parses the result file of a fine-tuning job: a CSV table of metrics by step, served as such or (in practice) in
//! base64.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Jobs have thousands of steps; a file with more than this is something else.
const STEPS_MAX: usize = 500_000;

/// Padding is optional: only the table matters.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

// Column names depend on the training method and have changed over time; the first one with a value counts.
const TRAIN_LOSS: &[&str] = &["train_loss", "training_loss"];
const TRAIN_ACCURACY: &[&str] =
    &["train_accuracy", "train_mean_token_accuracy", "training_token_accuracy", "training_accuracy"];
const VALID_LOSS: &[&str] = &["valid_loss", "validation_loss", "full_valid_loss", "full_validation_loss"];
const VALID_ACCURACY: &[&str] = &[
    "valid_accuracy",
    "valid_mean_token_accuracy",
    "validation_mean_token_accuracy",
    "validation_token_accuracy",
    "validation_accuracy",
    "full_valid_mean_token_accuracy",
    "full_validation_mean_token_accuracy",
];

/// The metrics after a training step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    pub step: i64,
    pub train_loss: Option<f64>,
    pub train_accuracy: Option<f64>,
    pub valid_loss: Option<f64>,
    pub valid_accuracy: Option<f64>,
}

/// Why a file is not a table of metrics.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ResultFileError {
    #[error("file is not a CSV table with a \"step\" column, neither as text nor in base64")]
    NotATable,
    #[error("file has more than {STEPS_MAX} steps")]
    TooManySteps,
}

/// Parses the table, sorted by step. Rows without a step are skipped; for a repeated step, the later values count.
/// Values that are not numbers (`nan`, `inf`, empty cells) are `None`.
///
/// # Errors
/// [`ResultFileError`] if it is not such a table.
pub fn parse(content: &[u8]) -> Result<Vec<Metric>, ResultFileError> {
    if let Some(table) = Table::find(content) {
        return table.metrics();
    }
    let text: Vec<u8> = content.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let decoded = BASE64.decode(text).map_err(|_| ResultFileError::NotATable)?;
    Table::find(&decoded).ok_or(ResultFileError::NotATable)?.metrics()
}

struct Table<'a> {
    columns: Columns,
    rows: Cow<'a, str>,
}

/// The column indexes of the values.
struct Columns {
    step: usize,
    train_loss: Vec<usize>,
    train_accuracy: Vec<usize>,
    valid_loss: Vec<usize>,
    valid_accuracy: Vec<usize>,
}

impl<'a> Table<'a> {
    /// Finds the table, if the first line has a `step` column.
    fn find(content: &'a [u8]) -> Option<Self> {
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content).trim_ascii_start();
        let end = content.iter().position(|byte| *byte == b'\n').unwrap_or(content.len());
        let header = std::str::from_utf8(&content[..end]).ok()?.to_ascii_lowercase();
        let names: Vec<&str> = cells(&header).collect();
        let positions = |wanted: &[&str]| {
            wanted
                .iter()
                .filter_map(|wanted| names.iter().position(|name| name == wanted))
                .collect::<Vec<_>>()
        };
        let columns = Columns {
            step: *positions(&["step"]).first()?,
            train_loss: positions(TRAIN_LOSS),
            train_accuracy: positions(TRAIN_ACCURACY),
            valid_loss: positions(VALID_LOSS),
            valid_accuracy: positions(VALID_ACCURACY),
        };
        Some(Self { columns, rows: String::from_utf8_lossy(&content[end..]) })
    }

    fn metrics(&self) -> Result<Vec<Metric>, ResultFileError> {
        let mut by_step: BTreeMap<i64, Metric> = BTreeMap::new();
        for row in self.rows.lines() {
            let Some(metric) = self.columns.metric(row) else { continue };
            let merged = by_step.entry(metric.step).or_insert(metric);
            merged.train_loss = metric.train_loss.or(merged.train_loss);
            merged.train_accuracy = metric.train_accuracy.or(merged.train_accuracy);
            merged.valid_loss = metric.valid_loss.or(merged.valid_loss);
            merged.valid_accuracy = metric.valid_accuracy.or(merged.valid_accuracy);
            if by_step.len() > STEPS_MAX {
                return Err(ResultFileError::TooManySteps);
            }
        }
        Ok(by_step.into_values().collect())
    }
}

impl Columns {
    fn metric(&self, row: &str) -> Option<Metric> {
        let cells: Vec<&str> = cells(row).collect();
        let number =
            |index: &usize| cells.get(*index)?.parse::<f64>().ok().filter(|number| number.is_finite());
        let first = |columns: &[usize]| columns.iter().find_map(number);
        // A step may be written as a float; beyond 2^53 it would not be exact.
        let step = number(&self.step).filter(|step| step.fract() == 0.0 && (0.0..9e15).contains(step))?;
        Some(Metric {
            step: step as i64,
            train_loss: first(&self.train_loss),
            train_accuracy: first(&self.train_accuracy),
            valid_loss: first(&self.valid_loss),
            valid_accuracy: first(&self.valid_accuracy),
        })
    }
}

/// The cells of a row. They are names or numbers, which never contain commas.
fn cells(row: &str) -> impl Iterator<Item = &str> {
    row.split(',').map(|cell| cell.trim().trim_matches('"').trim())
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const TABLE: &str = "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n\
        1,2.5,0.5,,\n2,2.25,0.625,2.5,0.5625\n\n3,1.5,,nan,\n";

    fn metric(step: i64, values: [Option<f64>; 4]) -> Metric {
        let [train_loss, train_accuracy, valid_loss, valid_accuracy] = values;
        Metric { step, train_loss, train_accuracy, valid_loss, valid_accuracy }
    }

    fn expected() -> Vec<Metric> {
        vec![
            metric(1, [Some(2.5), Some(0.5), None, None]),
            metric(2, [Some(2.25), Some(0.625), Some(2.5), Some(0.5625)]),
            metric(3, [Some(1.5), None, None, None]),
        ]
    }

    #[test]
    fn a_plain_table_with_empty_cells_is_parsed() {
        assert_eq!(parse(TABLE.as_bytes()).unwrap(), expected());
        let windows = format!("\u{feff}{}", TABLE.replace('\n', "\r\n"));
        assert_eq!(parse(windows.as_bytes()).unwrap(), expected());
    }

    #[test]
    fn a_base64_table_may_be_wrapped_or_unpadded() {
        let encoded = STANDARD.encode(TABLE);
        assert_eq!(parse(encoded.as_bytes()).unwrap(), expected());
        assert_eq!(parse(encoded.trim_end_matches('=').as_bytes()).unwrap(), expected());
        let wrapped: String = encoded
            .as_bytes()
            .chunks(76)
            .map(|line| format!("{}\n", String::from_utf8_lossy(line)))
            .collect();
        assert_eq!(parse(wrapped.as_bytes()).unwrap(), expected());
    }

    #[test]
    fn alternative_column_names_are_known() {
        let table = "elapsed_tokens,\"Step\",training_loss,train_mean_token_accuracy,valid_loss,full_valid_loss,full_valid_mean_token_accuracy\n\
            100,7.0,0.5,0.75,,0.25,0.875\n200,8,0.5,0.75,0.125,0.25,x\n";
        let metrics = parse(table.as_bytes()).unwrap();
        assert_eq!(metrics[0], metric(7, [Some(0.5), Some(0.75), Some(0.25), Some(0.875)]));
        assert_eq!(metrics[1], metric(8, [Some(0.5), Some(0.75), Some(0.125), None]));
    }

    #[test]
    fn rows_without_a_step_are_skipped_and_repeated_steps_merged() {
        let table =
            "step,train_loss,valid_loss\n,1,1\nx,1,1\n-1,1,1\n1.5,1,1\n2,1,\n1,4\n2,3,2\n2,,\n9e99,1,1\n";
        let metrics = parse(table.as_bytes()).unwrap();
        assert_eq!(
            metrics,
            [metric(1, [Some(4.0), None, None, None]), metric(2, [Some(3.0), None, Some(2.0), None])]
        );
    }

    #[test]
    fn content_without_a_table_is_an_error() {
        for content in [
            &b""[..],
            b"\xff\xfe",
            b"{\"step\":1}",
            b"loss,accuracy\n1,2\n",
            b"c3RlcA",
            b"c3Rl!",
            b"aGVsbG8=",
        ] {
            let table = parse(content);
            // "c3RlcA" is the base64 of "step": a table without rows.
            assert_eq!(
                table,
                if content == b"c3RlcA" { Ok(vec![]) } else { Err(ResultFileError::NotATable) },
                "{content:?}"
            );
        }
    }

    #[test]
    fn steps_are_bounded() {
        let mut table = "step\n".to_owned();
        table.extend((0..=STEPS_MAX).map(|step| format!("{step}\n")));
        assert_eq!(parse(table.as_bytes()), Err(ResultFileError::TooManySteps));
    }
}
