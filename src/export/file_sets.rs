//! Sets of output files: one file per task and role, or one per split.

use std::collections::BTreeMap;

use super::output::{ExportOutput, FileFormat, FileId};
use super::reports::Role;
use crate::error::Result;

/// One file per task and role, created with its first record.
pub(super) struct ByTask {
    format: FileFormat,
    /// Prefix and suffix of the file names, around `TASK.ROLE`.
    affixes: (&'static str, &'static str),
    files: BTreeMap<(&'static str, Role), FileId>,
}

impl ByTask {
    pub(super) fn new(before: &'static str, after: &'static str, format: FileFormat) -> Self {
        ByTask { format, affixes: (before, after), files: BTreeMap::new() }
    }

    /// The file of a task and a role. Creates it if necessary.
    pub(super) fn file(&mut self, out: &mut ExportOutput, task: &'static str, role: Role) -> Result<FileId> {
        if let Some(&file) = self.files.get(&(task, role)) {
            return Ok(file);
        }
        let (before, after) = self.affixes;
        let file = out.file(format!("{before}{task}.{role}{after}"), role, self.format)?;
        self.files.insert((task, role), file);
        Ok(file)
    }
}

/// One file each for training, validation and test.
pub(super) struct SplitFiles([FileId; 3]);

impl SplitFiles {
    /// Creates the three files. `name` returns the file name of a role.
    pub(super) fn create(out: &mut ExportOutput, name: impl Fn(Role) -> String, format: FileFormat) -> Result<Self> {
        let mut file = |role: Role| out.file(name(role), role, format);
        Ok(SplitFiles([file(Role::Train)?, file(Role::Valid)?, file(Role::Test)?]))
    }

    /// The file of a role. Records of all roles other than validation and test belong to the training file.
    pub(super) fn of(&self, role: Role) -> FileId {
        let [train, valid, test] = self.0;
        match role {
            Role::Test => test,
            Role::Valid => valid,
            _ => train,
        }
    }
}
