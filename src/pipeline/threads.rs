//! The number of threads of a function of the pipeline.

use super::spec::ThreadSettings;
use crate::error::{Error, Result};
use crate::settings::SettingGroup;

/// Runs `work` on this number of threads (default: all cores), and passes the number to it.
///
/// # Errors
/// [`Error::Config`] for a number out of range; [`Error::Unavailable`] if the system cannot create the threads; the
/// errors of `work`.
pub(super) fn with_threads<T: Send>(threads: Option<usize>, work: impl FnOnce(usize) -> Result<T> + Send) -> Result<T> {
    ThreadSettings { threads }.check()?;
    let all = std::thread::available_parallelism().map_or(1, |n| n.get());
    let threads = threads.unwrap_or(all);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|e| Error::Unavailable {
        what: format!("{threads} threads"),
        reason: e.to_string(),
        help: "use fewer with --threads".into(),
    })?;
    pool.install(|| {
        #[cfg(feature = "train")]
        crate::rqvae::set_threads(threads);
        work(threads)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_runs_on_the_requested_number_of_threads() {
        assert_eq!(with_threads(Some(3), |n| Ok((n, rayon::current_num_threads()))).unwrap(), (3, 3));
        assert!(with_threads(Some(0), Ok).unwrap_err().to_string().contains("threads: expected a number from 1"));
    }
}
