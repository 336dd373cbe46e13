//! Charts as SVG, drawn by the server: the marks within `<svg>`, made only of numbers and units.

use std::fmt;

use askama::filters::HtmlSafe;
use chrono::{DateTime, Utc};

use super::quantity;

/// The plotted area of a chart, in units of its `viewBox`.
struct Area {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

const BARS: Area = Area { left: 40.0, right: 760.0, top: 10.0, bottom: 130.0 };
const LINES: Area = Area { left: 46.0, right: 424.0, top: 14.0, bottom: 130.0 };
/// The part of a slot that its bar fills.
const BAR_SHARE: f64 = 0.7;
/// Labels of the time axis.
const LABELS: usize = 6;

impl Area {
    fn y(&self, share: f64) -> f64 {
        self.bottom - share * (self.bottom - self.top)
    }

    fn x(&self, index: f64, slots: usize) -> f64 {
        self.left + index * (self.right - self.left) / slots.max(1) as f64
    }

    /// A horizontal line with its label at each of these shares of the height.
    fn scale(&self, f: &mut fmt::Formatter<'_>, label: impl Fn(f64) -> String) -> fmt::Result {
        for share in [0.0, 0.5, 1.0] {
            let (y, left, right) = (self.y(share), self.left, self.right);
            write!(
                f,
                "<line class=\"axis\" x1=\"{left:.0}\" x2=\"{right:.0}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"
            )?;
            let (x, y, label) = (left - 6.0, y + 4.0, label(share));
            write!(f, "<text x=\"{x:.0}\" y=\"{y:.1}\" text-anchor=\"end\">{label}</text>")?;
        }
        Ok(())
    }

    fn times(&self, f: &mut fmt::Formatter<'_>, starts: &[DateTime<Utc>]) -> fmt::Result {
        let y = self.bottom + 16.0;
        for (index, at) in starts.iter().enumerate().step_by((starts.len() / LABELS).max(1)) {
            let x = self.x(index as f64, starts.len());
            write!(f, "<text x=\"{x:.1}\" y=\"{y:.0}\">{}</text>", at.format("%H:%M"))?;
        }
        Ok(())
    }
}

/// Stacked bars: one for each slot, from the bottom.
pub(super) struct BarChart {
    starts: Vec<DateTime<Utc>>,
    bars: Vec<[u32; 3]>,
}

impl BarChart {
    pub(super) fn new(slots: impl IntoIterator<Item = (DateTime<Utc>, [u32; 3])>) -> Self {
        let (starts, bars) = slots.into_iter().unzip();
        Self { starts, bars }
    }
}

impl fmt::Display for BarChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = self.bars.iter().map(|bar| bar.iter().sum::<u32>()).max().unwrap_or(0);
        let top = round_up(f64::from(max).max(2.0), &[2.0, 4.0, 10.0]);
        BARS.scale(f, |share| quantity::count((top * share).round() as i128))?;
        let width = BARS.x(BAR_SHARE, self.bars.len()) - BARS.left;
        for (index, bar) in self.bars.iter().enumerate() {
            let x = BARS.x(index as f64, self.bars.len());
            let mut below = 0.0;
            for (class, count) in (1..).zip(bar).filter(|(_, count)| **count > 0) {
                let above = below + f64::from(*count);
                let (y, height) = (BARS.y(above / top), BARS.y(below / top) - BARS.y(above / top));
                write!(
                    f,
                    "<rect class=\"c{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
                )?;
                below = above;
            }
        }
        BARS.times(f, &self.starts)
    }
}

impl HtmlSafe for BarChart {}

/// Two lines over the same times, in milliseconds. A slot without a value interrupts them.
pub(super) struct LineChart {
    starts: Vec<DateTime<Utc>>,
    lines: [Vec<Option<f64>>; 2],
}

impl LineChart {
    pub(super) fn new(slots: impl IntoIterator<Item = (DateTime<Utc>, Option<[f64; 2]>)>) -> Self {
        let (starts, values): (Vec<_>, Vec<Option<[f64; 2]>>) = slots.into_iter().unzip();
        let lines =
            [0, 1].map(|line| values.iter().map(|values| values.map(|values| values[line])).collect());
        Self { starts, lines }
    }
}

impl fmt::Display for LineChart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = self.lines.iter().flatten().flatten().copied().fold(100.0, f64::max);
        let top = round_up(max, &[2.0, 4.0, 10.0]);
        LINES.scale(f, |share| if share == 0.0 { "0".to_owned() } else { quantity::millis(top * share) })?;
        for (class, line) in (1..).zip(&self.lines) {
            let points: Vec<Option<(f64, f64)>> = line
                .iter()
                .enumerate()
                .map(|(index, value)| {
                    value.map(|value| (LINES.x(index as f64 + 0.5, line.len()), LINES.y(value / top)))
                })
                .collect();
            for run in points.split(Option::is_none).filter(|run| !run.is_empty()) {
                write_run(f, class, run.iter().flatten())?;
            }
        }
        LINES.times(f, &self.starts)
    }
}

impl HtmlSafe for LineChart {}

/// A line through the points; a dot if there is only one.
fn write_run<'a>(
    f: &mut fmt::Formatter<'_>,
    class: u8,
    points: impl Iterator<Item = &'a (f64, f64)>,
) -> fmt::Result {
    let points: Vec<&(f64, f64)> = points.collect();
    if let [(x, y)] = points[..] {
        return write!(f, "<circle class=\"c{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>");
    }
    write!(f, "<polyline class=\"l{class}\" points=\"")?;
    for (x, y) in points {
        write!(f, "{x:.1},{y:.1} ")?;
    }
    f.write_str("\"/>")
}

/// The least of these steps, times a power of ten, that is not below `max`.
fn round_up(max: f64, steps: &[f64]) -> f64 {
    let power = 10_f64.powf(max.log10().floor());
    let candidates =
        [power / 10.0, power].into_iter().flat_map(|power| steps.iter().map(move |step| step * power));
    candidates.filter(|candidate| *candidate >= max).fold(power * 10.0, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(count: i64) -> impl Iterator<Item = DateTime<Utc>> {
        (0..count).filter_map(|index| DateTime::from_timestamp(index * 900, 0))
    }

    #[test]
    fn scales_end_at_round_numbers() {
        for (max, top) in [
            (2.0, 2.0),
            (3.0, 4.0),
            (5.0, 10.0),
            (10.0, 10.0),
            (11.0, 20.0),
            (390.0, 400.0),
            (1_001.0, 2_000.0),
        ] {
            assert_eq!(round_up(max, &[2.0, 4.0, 10.0]), top, "{max}");
        }
    }

    #[test]
    fn bars_are_stacked_and_empty_slots_have_none() {
        let bars = [[0, 0, 0], [1, 2, 1]];
        let svg = BarChart::new(slots(2).zip(bars)).to_string();
        assert_eq!(svg.matches("<rect").count(), 3, "{svg}");
        assert!(
            svg.contains("<rect class=\"c3\" x=\"400.0\" y=\"10.0\" width=\"252.0\" height=\"30.0\"/>"),
            "{svg}"
        );
        assert!(svg.contains(">00:15</text>") && svg.contains(">4</text>"), "{svg}");
        assert!(!BarChart::new([]).to_string().contains("NaN"));
    }

    #[test]
    fn a_line_is_interrupted_where_nothing_is_known() {
        let values = [Some([10.0, 90.0]), Some([20.0, 80.0]), None, Some([30.0, 200.0])];
        let svg = LineChart::new(slots(4).zip(values)).to_string();
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (2, 2), "{svg}");
        assert!(svg.contains(">200 ms</text>"), "{svg}");
        let empty = LineChart::new(slots(4).zip([None; 4])).to_string();
        assert!(!empty.contains("polyline") && !empty.contains("NaN"), "{empty}");
    }
}
