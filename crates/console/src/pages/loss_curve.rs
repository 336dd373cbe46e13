//! The loss curve of a fine-tuning job, drawn as SVG by the server: only numbers reach the drawing.

use store::MetricRecord;

/// In units of the drawing.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 24.0;
/// More would not be visible.
const POINTS_MAX: usize = 600;
/// Of a loss that is drawn: more would leave the others no height.
const LOSS_MAX: f64 = 1e6;
/// Labels of the vertical axis, about.
const TICKS: f64 = 4.0;

/// Lines and labels with their positions.
pub(super) struct LossCurve {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) lines: Vec<Line>,
    pub(super) ticks: Vec<Tick>,
    pub(super) first_step: i64,
    pub(super) last_step: i64,
    pub(super) left: f64,
    pub(super) right: f64,
    /// The curve in words.
    pub(super) description: String,
}

/// One line of the drawing.
pub(super) struct Line {
    pub(super) class: &'static str,
    pub(super) legend_class: &'static str,
    pub(super) name: &'static str,
    /// The attribute `points` of a polyline.
    pub(super) points: String,
}

/// A horizontal line with its value.
pub(super) struct Tick {
    pub(super) y: String,
    pub(super) label: String,
}

/// From a range of values to a range of the drawing.
#[derive(Debug, Clone, Copy)]
struct Scale {
    from: (f64, f64),
    to: (f64, f64),
}

impl Scale {
    fn at(self, value: f64) -> f64 {
        let (low, high) = self.from;
        let share = if high > low { (value - low) / (high - low) } else { 0.5 };
        self.to.0 + share * (self.to.1 - self.to.0)
    }
}

type Points = Vec<(i64, f64)>;

impl LossCurve {
    /// `None` if no step has a loss.
    pub(super) fn of(metrics: &[MetricRecord]) -> Option<Self> {
        let points = |loss: fn(&MetricRecord) -> Option<f64>| -> Points {
            let known = |metric: &MetricRecord| {
                loss(metric).filter(|loss| loss.abs() <= LOSS_MAX).map(|loss| (metric.step, loss))
            };
            metrics.iter().filter_map(known).collect()
        };
        let (train, valid) = (points(|metric| metric.train_loss), points(|metric| metric.valid_loss));
        let all = || train.iter().chain(&valid);
        let first_step = all().map(|(step, _)| *step).min()?;
        let last_step = all().map(|(step, _)| *step).max()?;
        let highest = all().map(|(_, loss)| *loss).fold(f64::MIN, f64::max);
        let lowest = all().map(|(_, loss)| *loss).fold(0.0, f64::min);
        let step_size = tick_size(highest - lowest);
        let (low, high) =
            ((lowest / step_size).floor() * step_size, (highest / step_size).ceil() * step_size);
        let x = Scale { from: (first_step as f64, last_step as f64), to: (LEFT, WIDTH - RIGHT) };
        let y = Scale { from: (low, high), to: (HEIGHT - BOTTOM, TOP) };
        let drawn = |class, legend_class, name, points: &Points| Line {
            class,
            legend_class,
            name,
            points: polyline(points, x, y),
        };
        let lines = [drawn("l1", "c1", "Training", &train), drawn("l2", "c2", "Validation", &valid)];
        Some(Self {
            width: WIDTH,
            height: HEIGHT,
            lines: lines.into_iter().filter(|line| !line.points.is_empty()).collect(),
            ticks: ticks(low, high, step_size, y),
            first_step,
            last_step,
            left: LEFT,
            right: WIDTH - RIGHT,
            description: description(&train, &valid),
        })
    }
}

/// 1, 2 or 5 times a power of ten, so that a few of them cover the range.
fn tick_size(range: f64) -> f64 {
    if !range.is_normal() {
        return 1.0;
    }
    let rough = range / TICKS;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = match rough / power {
        factor if factor <= 1.0 => 1.0,
        factor if factor <= 2.0 => 2.0,
        factor if factor <= 5.0 => 5.0,
        _ => 10.0,
    };
    factor * power
}

fn ticks(low: f64, high: f64, size: f64, y: Scale) -> Vec<Tick> {
    let decimals = (-size.log10().floor()).clamp(0.0, 6.0) as usize;
    let count = ((high - low) / size).round().clamp(0.0, 20.0) as usize;
    let tick = |index: usize| {
        let value = low + index as f64 * size;
        Tick { y: format!("{:.1}", y.at(value)), label: format!("{value:.decimals$}") }
    };
    (0..=count).map(tick).collect()
}

fn polyline(points: &Points, x: Scale, y: Scale) -> String {
    let shown = spread(points.len(), POINTS_MAX).map(|index| points[index]);
    let texts = shown.map(|(step, loss)| format!("{:.1},{:.1}", x.at(step as f64), y.at(loss)));
    texts.collect::<Vec<_>>().join(" ")
}

fn description(train: &Points, valid: &Points) -> String {
    let part = |name: &str, points: &Points| {
        let ((first, from), (last, to)) = (points.first()?, points.last()?);
        Some(format!("{name} loss from {from:.4} at step {first} to {to:.4} at step {last}"))
    };
    let parts = [part("Training", train), part("Validation", valid)];
    format!("{}.", parts.into_iter().flatten().collect::<Vec<_>>().join("; "))
}

/// At most `max` evenly spaced indexes below `count`, with the first and the last.
pub(super) fn spread(count: usize, max: usize) -> impl Iterator<Item = usize> {
    let shown = count.min(max);
    (0..shown).map(move |index| if shown > 1 { index * (count - 1) / (shown - 1) } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(step: i64, train_loss: Option<f64>, valid_loss: Option<f64>) -> MetricRecord {
        MetricRecord { step, train_loss, train_accuracy: None, valid_loss, valid_accuracy: None }
    }

    #[test]
    fn a_curve_fills_the_drawing() {
        let metrics =
            [metric(1, Some(2.0), None), metric(51, Some(1.0), Some(1.5)), metric(101, Some(0.0), Some(0.5))];
        let curve = LossCurve::of(&metrics).unwrap();
        let points: Vec<&str> = curve.lines.iter().map(|line| &*line.points).collect();
        assert_eq!(points, ["46.0,10.0 377.0,103.0 708.0,196.0", "377.0,56.5 708.0,149.5"]);
        let labels: Vec<&str> = curve.ticks.iter().map(|tick| &*tick.label).collect();
        assert_eq!(labels, ["0.0", "0.5", "1.0", "1.5", "2.0"]);
        assert_eq!((curve.first_step, curve.last_step), (1, 101));
        assert_eq!(
            curve.description,
            "Training loss from 2.0000 at step 1 to 0.0000 at step 101; Validation loss from 1.5000 at step 51 \
             to 0.5000 at step 101."
        );
    }

    #[test]
    fn odd_values_draw_nothing_odd() {
        assert!(LossCurve::of(&[]).is_none());
        assert!(LossCurve::of(&[metric(1, Some(f64::NAN), None)]).is_none());
        let one = LossCurve::of(&[metric(7, Some(0.0), None), metric(8, Some(f64::INFINITY), None)]).unwrap();
        assert_eq!(one.lines[0].points, "377.0,103.0", "one point is in the middle");
        assert!(LossCurve::of(&[metric(1, Some(1e300), Some(f64::MIN))]).is_none());
        let huge = LossCurve::of(&[metric(i64::MIN, Some(-1e6), None), metric(i64::MAX, Some(1e6), None)]);
        let huge = huge.unwrap();
        assert!(huge.ticks.len() <= 21);
        let is_drawn = |char: char| char.is_ascii_digit() || " .,-".contains(char);
        assert!(huge.lines[0].points.chars().all(is_drawn), "{}", huge.lines[0].points);
    }

    #[test]
    fn ticks_are_round_numbers() {
        for (range, size) in
            [(2.0, 0.5), (0.9, 0.5), (10.0, 5.0), (0.03, 0.01), (0.0, 1.0), (f64::MAX, 5e307)]
        {
            let found = tick_size(range);
            assert!((found - size).abs() <= size * 1e-9, "{range}: {found}");
        }
    }

    #[test]
    fn a_long_curve_keeps_its_first_and_last_step() {
        assert_eq!(spread(0, 8).count(), 0);
        assert_eq!(spread(1, 8).collect::<Vec<_>>(), [0]);
        let steps: Vec<usize> = spread(1000, 8).collect();
        assert_eq!((steps.len(), steps[0], steps[7]), (8, 0, 999));
    }
}
