//! What was measured, as tables of ratios.

use std::collections::BTreeMap;
use std::time::Duration;

use super::contestants::Answer;
use super::files::{Phase, Shape};

/// Rows, shape, phase and contestant.
type Key = (u64, usize, usize, usize);

/// All measurements so far.
#[derive(Debug)]
pub(super) struct Report {
    names: Vec<String>,
    times: BTreeMap<Key, Vec<Duration>>,
    peak: u64,
    state: u64,
    /// The most tuples that a contestant updated when nothing was to be done.
    updated: BTreeMap<usize, u64>,
}

/// What the library may take, in parts of the floor.
fn budget(phase: Phase) -> Option<f64> {
    match phase {
        Phase::Load => Some(2.0),
        Phase::Nothing => Some(0.5),
        Phase::OnePercent => Some(0.9),
        Phase::Half => None,
    }
}

impl Report {
    pub(super) fn new(names: Vec<String>) -> Self {
        Self { names, times: BTreeMap::new(), peak: 0, state: 0, updated: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, (rows, shape, phase, who): (u64, Shape, Phase, usize), answer: &Answer) {
        self.times.entry((rows, shape as usize, phase as usize, who)).or_default().push(answer.time);
        self.peak = self.peak.max(answer.peak.unwrap_or_default());
        self.state = self.state.max(answer.state.unwrap_or_default());
    }

    pub(super) fn updated(&mut self, who: usize, tuples: u64) {
        let most = self.updated.entry(who).or_default();
        *most = (*most).max(tuples);
    }

    fn median(&self, (rows, shape, phase, who): (u64, Shape, Phase, usize)) -> Option<Duration> {
        let mut times = self.times.get(&(rows, shape as usize, phase as usize, who))?.clone();
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    }

    /// One size and shape: each contestant's time, and its ratio to the floor.
    pub(super) fn print(&self, rows: u64, shape: Shape) {
        let Some(floor) = self.median((rows, shape, Phase::Load, 0)) else { return };
        let also =
            if shape == Shape::Vectors { ", with a vector; from the second line on under an HNSW index" } else { "" };
        println!(
            "{rows} rows{also}; in brackets: against psql's COPY to a temporary table and insert ({} ms)",
            floor.as_millis()
        );
        let others = &self.names[1..];
        println!("| | budget of the library | {} |\n|---|---|{}", others.join(" | "), "---|".repeat(others.len()));
        for phase in Phase::ALL {
            let cells: Vec<String> = (1..self.names.len())
                .map(|who| match self.median((rows, shape, phase, who)) {
                    Some(time) => format!("{} ms ({:.2})", time.as_millis(), time.as_secs_f64() / floor.as_secs_f64()),
                    None => String::new(),
                })
                .collect();
            let budget =
                budget(phase).filter(|_| shape == Shape::Plain).map_or_else(String::new, |b| format!("{b:.1}"));
            println!("| {} | {budget} | {} |", phase.name(), cells.join(" | "));
        }
        if shape == Shape::Vectors {
            let said: Vec<String> =
                self.updated.iter().map(|(who, tuples)| format!("{} {tuples}", self.names[*who])).collect();
            println!("tuples updated when nothing changed: {}", said.join(", "));
        }
        println!("state at most {} bytes; the library's memory at most {} MiB\n", self.state, self.peak / 1024);
    }

    /// How the times grow from each size to the next.
    pub(super) fn print_growth(&self) {
        let mut sizes: Vec<u64> = self.times.keys().map(|key| key.0).collect();
        sizes.dedup();
        for pair in sizes.windows(2) {
            let [from, to] = pair else { continue };
            println!("from {from} to {to} rows the time grows by this factor");
            println!("| | {} |\n|---|{}", self.names.join(" | "), "---|".repeat(self.names.len()));
            for phase in Phase::ALL {
                let factor = |who| {
                    let [small, large] = [from, to].map(|rows| self.median((*rows, Shape::Plain, phase, who)));
                    let (small, large) = (small?, large?);
                    Some(format!("{:.1}", large.as_secs_f64() / small.as_secs_f64()))
                };
                let cells: Vec<String> = (0..self.names.len()).map(|who| factor(who).unwrap_or_default()).collect();
                println!("| {} | {} |", phase.name(), cells.join(" | "));
            }
            println!();
        }
    }
}
