//! Seconds and memory of the parts of a verb's work.

use std::time::Instant;

use catalex::progress::Progress;

/// Parts that are over, in their order, and the one that runs.
pub(super) struct Costs {
    done: Vec<(&'static str, f64, Option<u64>)>,
}

impl Costs {
    pub(super) fn new() -> Self {
        Costs { done: Vec::new() }
    }

    /// Does a part of the work.
    pub(super) fn of<T>(&mut self, part: &'static str, work: impl FnOnce() -> T) -> T {
        forget_peak();
        let began = Instant::now();
        let outcome = work();
        self.done.push((part, began.elapsed().as_secs_f64(), peak_bytes()));
        outcome
    }

    /// Tells what each part took, and all of them together.
    pub(super) fn tell(&self, progress: &dyn Progress) {
        for &(part, seconds, peak) in &self.done {
            progress.cost(part, seconds, peak);
        }
        let seconds = self.done.iter().map(|(_, seconds, _)| seconds).sum();
        progress.cost("all", seconds, self.done.iter().filter_map(|&(_, _, peak)| peak).max());
    }
}

/// Makes the system count this process's most memory anew. Where it cannot, peaks only grow from part to part.
fn forget_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The most memory this process held, where the system says so.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_timed_and_measured() {
        let mut costs = Costs::new();
        let filled = costs.of("fill", || vec![1u8; 64 << 20]);
        assert_eq!(costs.of("sum", || filled.iter().map(|&b| u64::from(b)).sum::<u64>()), 64 << 20);
        assert_eq!(costs.done.iter().map(|(part, ..)| *part).collect::<Vec<_>>(), ["fill", "sum"]);
        assert!(costs.done.iter().all(|&(_, seconds, peak)| seconds > 0.0 && peak.is_none_or(|peak| peak > 64 << 20)));
    }
}
