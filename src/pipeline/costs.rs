//! Time and memory of the stages of a build.

use std::time::Instant;

use crate::progress::Progress;

/// Time and memory of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct StageCost {
    /// Name of the stage.
    pub stage: &'static str,
    /// Wall-clock time in seconds.
    pub seconds: f64,
    /// Peak resident memory of the process until the end of the stage, in bytes. `None` if the system does not report
    /// it.
    pub peak_bytes: Option<u64>,
}

/// The stages so far.
#[derive(Debug, Default)]
pub(super) struct Costs {
    stages: Vec<StageCost>,
}

impl Costs {
    /// Runs a stage.
    pub(super) fn of<T>(&mut self, stage: &'static str, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let outcome = work();
        self.stages.push(StageCost { stage, seconds: began.elapsed().as_secs_f64(), peak_bytes: peak_bytes() });
        outcome
    }

    /// Reports each stage, and all of them together.
    pub(super) fn report(self, progress: &dyn Progress) -> Vec<StageCost> {
        for cost in &self.stages {
            progress.cost(cost.stage, cost.seconds, cost.peak_bytes);
        }
        let seconds = self.stages.iter().map(|cost| cost.seconds).sum();
        progress.cost("all", seconds, self.stages.iter().filter_map(|cost| cost.peak_bytes).max());
        self.stages
    }
}

/// Peak resident memory of this process in bytes, if the system reports it.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_timed_and_measured() {
        let mut costs = Costs::default();
        let filled = costs.of("fill", || vec![1u8; 64 << 20]);
        assert_eq!(costs.of("sum", || filled.iter().map(|&b| u64::from(b)).sum::<u64>()), 64 << 20);
        let stages = costs.report(&crate::progress::Silent);
        assert_eq!(stages.iter().map(|cost| cost.stage).collect::<Vec<_>>(), ["fill", "sum"]);
        assert!(stages.iter().all(|cost| cost.seconds > 0.0 && cost.peak_bytes.is_none_or(|peak| peak > 64 << 20)));
    }
}
