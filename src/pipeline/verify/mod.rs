//! Checks that files that catalex wrote are undamaged, and that files of one index match.

mod files;
mod generation;
mod index;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::sources;
use crate::error::{Error, Result};
use crate::guard::guarded;
use crate::index::{FileHashes, Store};
use crate::progress::Progress;
use crate::semantic_id::TokenTable;

/// Verify an index, a store or a file: [`verify`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct VerifySpec {
    /// An index, a store, or a file or folder that catalex wrote.
    pub path: PathBuf,
    /// The token table, or the index, that a vocabulary, a trie or a folder of constraint forms belongs to.
    pub tokens: Option<PathBuf>,
}

/// Result of [`verify`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Whether all checks passed.
    pub whole: bool,
    /// Kind of the path, such as "index" or "store".
    pub kind: &'static str,
    /// The checks, in order.
    pub checks: Vec<VerifyCheck>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyCheck {
    /// The file or folder.
    pub path: PathBuf,
    /// What was checked.
    pub check: String,
    /// The problem that was found, if any.
    pub problem: Option<String>,
}

impl Verified {
    /// The checks that failed.
    pub fn problems(&self) -> impl Iterator<Item = &VerifyCheck> {
        self.checks.iter().filter(|check| check.problem.is_some())
    }
}

/// Checks a file, an index, or all generations of a store: hashes, formats and versions, and whether model, table,
/// features, vocabulary and constraint forms match. Problems are part of the result and not an error, so that all
/// checks run.
///
/// # Errors
/// [`Error::Missing`] and [`Error::File`] for a path that catalex did not write; for `tokens` that cannot be read.
pub fn verify(spec: &VerifySpec, progress: &dyn Progress) -> Result<Verified> {
    let path = &spec.path;
    let table = spec.tokens.as_deref().map(sources::token_table).transpose()?;
    let mut checks = Checks { list: Vec::new(), hashes: FileHashes::default(), progress };
    let kind = match Store::is_store(path) {
        true => {
            checks.store(path);
            "store"
        }
        false => checks.path(path, table.as_ref())?,
    };
    let whole = checks.list.iter().all(|check| check.problem.is_none());
    Ok(Verified { whole, kind, checks: checks.list })
}

/// The checks so far.
struct Checks<'a> {
    list: Vec<VerifyCheck>,
    hashes: FileHashes,
    progress: &'a dyn Progress,
}

impl Checks<'_> {
    /// Runs a check. Returns its value if there is no problem. A panic of a parser counts as a problem.
    fn run<T>(&mut self, path: &Path, check: &str, run: impl FnOnce() -> Result<T>) -> Option<T> {
        let outcome = guarded(run).map_err(|e| e.to_string()).and_then(|found| found.map_err(|e| e.to_string()));
        self.add(path, check, outcome)
    }

    fn add<T>(&mut self, path: &Path, check: &str, outcome: Result<T, String>) -> Option<T> {
        let (found, problem) = match outcome {
            Ok(found) => (Some(found), None),
            Err(problem) => (None, Some(problem)),
        };
        self.list.push(VerifyCheck { path: path.to_path_buf(), check: check.to_owned(), problem });
        found
    }

    /// Checks a store: the pointer to the current generation, and the numbers and parents of all generations.
    fn store(&mut self, path: &Path) {
        let Some(store) = self.run(path, "store", || Store::open(path)) else { return };
        let help = "make a generation current: catalex rollback --store DIR --to N";
        self.run(path, "pointer to the current generation", || match store.current_number()? {
            Some(number) if !store.path_of(number).is_dir() => {
                let expected = format!("the folder of generation {number}, the current one");
                Err(Error::artifact(&store.path_of(number), expected, "no folder", help))
            }
            None if !store.numbers()?.is_empty() => {
                Err(Error::artifact(path, "a pointer to the current generation", "none", help))
            }
            _ => Ok(()),
        });
        let Some(history) = self.run(path, "generations", || store.history()) else { return };
        let known: Vec<(String, u64)> =
            history.iter().filter_map(|one| Some((one.manifest.as_ref().ok()?.hash(), one.number))).collect();
        for one in &history {
            self.index(&one.path, None);
            let Ok(manifest) = &one.manifest else { continue };
            self.run(&one.path, "number in the store", || {
                let (number, parent) = (manifest.generation.number, &manifest.generation.parent);
                let later = known.iter().find(|(hash, at)| Some(hash) == parent.as_ref() && *at >= number);
                match later {
                    _ if number != one.number => Err(Error::artifact(
                        &one.path,
                        format!("generation {}", one.number),
                        number,
                        "rename the folder",
                    )),
                    Some((_, later)) => {
                        let expected = format!("a parent before generation {number}");
                        Err(Error::artifact(&one.path, expected, format!("generation {later}"), "publish it again"))
                    }
                    None => Ok(()),
                }
            });
        }
    }
}

/// The codebook sizes of a table's model: those of all levels except a disambiguating level.
fn model_sizes(table: &TokenTable) -> &[usize] {
    let sizes = &table.metadata.codebook_sizes;
    &sizes[..table.quantized().ncols().min(sizes.len())]
}
