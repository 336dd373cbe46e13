//! Prints the medians, and the ratios to the bare server in the same turn, as a Markdown table.

use crate::peer::Peer;

/// The measurements of one peer in one turn.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) peer: Peer,
    pub(crate) turn: usize,
    pub(crate) rate: f64,
    pub(crate) cpu_us: f64,
    pub(crate) redis_cpu_us: f64,
    pub(crate) latency_us: [f64; 3],
    pub(crate) idle_mib: f64,
    pub(crate) loaded_mib: f64,
    pub(crate) idle_open_secs: f64,
    pub(crate) idle_open: usize,
    pub(crate) refused: u64,
    pub(crate) lost: i64,
    pub(crate) forgeries_accepted: u64,
    /// CPU cores that other processes used during the turn.
    pub(crate) other_cores: f64,
}

/// Prints one line per peer.
pub(crate) fn print(all: &[Figures], peers: &[Peer]) {
    println!(
        "| server | requests/s | × bare | CPU µs/request | × bare | p50 µs | p99 µs | p99.9 µs | Redis µs | MiB idle, loaded | not 200 | lost |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for &peer in peers {
        let mine: Vec<&Figures> = all.iter().filter(|figures| figures.peer == peer).collect();
        if mine.is_empty() {
            continue;
        }
        let of = |figure: fn(&Figures) -> f64| median(mine.iter().map(|&figures| figure(figures)).collect());
        let times = |figure: fn(&Figures) -> f64| times_bare(all, &mine, figure);
        println!(
            "| {} | {:.0} | {} | {:.1} | {} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1}, {:.1} | {} | {} |",
            peer.name(),
            of(|figures| figures.rate),
            times(|figures| figures.rate),
            of(|figures| figures.cpu_us),
            times(|figures| figures.cpu_us),
            of(|figures| figures.latency_us[0]),
            of(|figures| figures.latency_us[1]),
            of(|figures| figures.latency_us[2]),
            of(|figures| figures.redis_cpu_us),
            of(|figures| figures.idle_mib),
            of(|figures| figures.loaded_mib),
            mine.iter().map(|figures| figures.refused).sum::<u64>(),
            mine.iter().map(|figures| figures.lost).sum::<i64>(),
        );
    }
    let forgeries: u64 = all.iter().map(|figures| figures.forgeries_accepted).sum();
    if forgeries > 0 {
        println!("\n{forgeries} FORGERIES WERE ANSWERED 200 (the bare handler does not check signatures)");
    }
}

/// The median of the ratios per turn.
fn times_bare(all: &[Figures], mine: &[&Figures], figure: fn(&Figures) -> f64) -> String {
    let bare = |turn| all.iter().find(|other| other.peer == Peer::Bare && other.turn == turn);
    let ratios = mine.iter().filter_map(|mine| Some(figure(mine) / figure(bare(mine.turn)?)));
    let ratios: Vec<f64> = ratios.collect();
    if ratios.is_empty() { "-".to_owned() } else { format!("{:.2}", median(ratios)) }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }
}
