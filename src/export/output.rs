//! The files of a family, written record by record, or counted and sampled in a dry run.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::parquet::{ParquetColumns, ParquetFile};
use crate::artifact::{AtomicDir, Overwrite, sha256_file};
use crate::error::{Error, Result};

/// The file by which an exported folder is known, and what is in it.
pub const EXPORT_FILE: &str = "export.json";
/// Records of each task that a dry run shows.
const SAMPLES: usize = 3;

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// To learn from.
    Train,
    /// To choose settings by.
    Valid,
    /// To be tested on.
    Test,
    /// Items, without users; every item is in it.
    Items,
    /// The family's own layout, which it splits itself or needs whole.
    Layout,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Train => "train",
            Role::Valid => "valid",
            Role::Test => "test",
            Role::Items => "items",
            Role::Layout => "layout",
        })
    }
}

impl From<crate::behaviour::SplitPart> for Role {
    fn from(part: crate::behaviour::SplitPart) -> Self {
        match part {
            crate::behaviour::SplitPart::Train => Role::Train,
            crate::behaviour::SplitPart::Valid => Role::Valid,
            crate::behaviour::SplitPart::Test => Role::Test,
        }
    }
}

/// How records stand in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileFormat {
    /// A JSON array, a record a line.
    Array,
    /// A JSON object, an entry a line.
    Object,
    /// JSON Lines.
    Lines,
    /// Lines of text.
    Text,
}

/// A file that records go to.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileId(usize);

/// What became of a task.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TaskReport {
    /// Records written.
    pub records: u64,
    /// Things left out because no template's words could all be filled, or there were no candidates.
    pub skipped: u64,
    /// The first records, in a dry run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Value>,
}

/// What is in a file.
#[derive(Debug, Clone, Serialize)]
pub struct FileReport {
    /// What it is for.
    pub role: Role,
    /// Its records.
    pub records: u64,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

struct Opened {
    name: String,
    role: Role,
    form: FileFormat,
    records: u64,
    writer: Writer,
}

enum Writer {
    /// A dry run.
    Nothing,
    Bytes(PathBuf, BufWriter<File>),
    Table(Box<ParquetFile>),
}

/// All files of an export.
pub(super) struct ExportOutput {
    folder: Option<AtomicDir>,
    files: Vec<Opened>,
    tasks: BTreeMap<String, TaskReport>,
}

/// Files of many tasks and roles, each begun when its first record comes.
pub(super) struct ByTask {
    form: FileFormat,
    /// What stands before and after `TASK.ROLE` in their names.
    around: (&'static str, &'static str),
    files: BTreeMap<(&'static str, Role), FileId>,
}

impl ByTask {
    pub(super) fn new(before: &'static str, after: &'static str, form: FileFormat) -> Self {
        ByTask { form, around: (before, after), files: BTreeMap::new() }
    }

    /// The file of a task and a role.
    pub(super) fn file(&mut self, out: &mut ExportOutput, task: &'static str, role: Role) -> Result<FileId> {
        if let Some(&file) = self.files.get(&(task, role)) {
            return Ok(file);
        }
        let (before, after) = self.around;
        let file = out.file(format!("{before}{task}.{role}{after}"), role, self.form)?;
        self.files.insert((task, role), file);
        Ok(file)
    }
}

impl ExportOutput {
    /// Begins an export into `target`; a dry run has none.
    pub(super) fn new(target: Option<(&Path, Overwrite)>) -> Result<Self> {
        let folder = target.map(|(path, overwrite)| AtomicDir::create(path, EXPORT_FILE, overwrite)).transpose()?;
        Ok(ExportOutput { folder, files: Vec::new(), tasks: BTreeMap::new() })
    }

    /// Whether nothing is written.
    pub(super) fn is_dry(&self) -> bool {
        self.folder.is_none()
    }

    /// Where files are written meanwhile, for what writes itself.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(AtomicDir::path)
    }

    /// Begins a file; `name` may have folders.
    pub(super) fn file(&mut self, name: impl Into<String>, role: Role, form: FileFormat) -> Result<FileId> {
        let name = name.into();
        let writer = match self.place(&name)? {
            None => Writer::Nothing,
            Some(path) => {
                let file = File::create(&path).map_err(|e| Error::io("create", &path, e))?;
                Writer::Bytes(path, BufWriter::with_capacity(1 << 18, file))
            }
        };
        self.files.push(Opened { name, role, form, records: 0, writer });
        Ok(FileId(self.files.len() - 1))
    }

    /// Begins a Parquet file.
    pub(super) fn table(&mut self, name: impl Into<String>, role: Role, columns: ParquetColumns) -> Result<FileId> {
        let name = name.into();
        let writer = match self.place(&name)? {
            None => Writer::Nothing,
            Some(path) => Writer::Table(Box::new(ParquetFile::create(path, columns)?)),
        };
        self.files.push(Opened { name, role, form: FileFormat::Text, records: 0, writer });
        Ok(FileId(self.files.len() - 1))
    }

    /// Names a file that was written into [`ExportOutput::folder`] by others.
    pub(super) fn foreign(&mut self, name: &str, role: Role, records: u64) {
        let writer = Writer::Nothing;
        self.files.push(Opened { name: name.into(), role, form: FileFormat::Text, records, writer });
    }

    fn place(&self, name: &str) -> Result<Option<PathBuf>> {
        let Some(folder) = self.folder() else { return Ok(None) };
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|e| Error::io("create a folder in", folder, e))?;
        }
        Ok(Some(path))
    }

    /// Writes a record as JSON.
    pub(super) fn record(&mut self, file: FileId, task: &str, record: &impl Serialize) -> Result<()> {
        self.sample(task, || serde_json::to_value(record).unwrap_or(Value::Null));
        self.again(file, record)
    }

    /// Writes, in another form, a record that was counted already.
    pub(super) fn again(&mut self, file: FileId, record: &impl Serialize) -> Result<()> {
        self.write(file, |out, first, form| {
            out.write_all(match (form, first) {
                (FileFormat::Array, true) => b"[\n",
                (FileFormat::Array, false) => b",\n",
                _ => b"",
            })?;
            serde_json::to_writer(&mut *out, record)?;
            if form == FileFormat::Lines { out.write_all(b"\n") } else { Ok(()) }
        })
    }

    /// Writes an entry of a JSON object.
    pub(super) fn entry(&mut self, file: FileId, task: &str, key: &str, value: &impl Serialize) -> Result<()> {
        self.sample(task, || serde_json::json!({ key: value }));
        self.write(file, |out, first, _| {
            out.write_all(if first { b"{\n" } else { b",\n" })?;
            serde_json::to_writer(&mut *out, key)?;
            out.write_all(b": ")?;
            Ok(serde_json::to_writer(&mut *out, value)?)
        })
    }

    /// Writes a line of text, which must have no line breaks in it.
    pub(super) fn line(&mut self, file: FileId, task: &str, line: &str) -> Result<()> {
        self.sample(task, || Value::String(line.to_owned()));
        self.line_again(file, line)
    }

    /// Writes a line of text that belongs to what was counted already.
    pub(super) fn line_again(&mut self, file: FileId, line: &str) -> Result<()> {
        self.write(file, |out, _, _| writeln!(out, "{line}"))
    }

    /// Writes a row of a Parquet file. `sample` is what a dry run shows of it.
    pub(super) fn row(
        &mut self,
        file: FileId,
        task: &str,
        add: impl FnOnce(&mut ParquetColumns),
        sample: impl FnOnce() -> Value,
    ) -> Result<()> {
        self.sample(task, sample);
        let opened = &mut self.files[file.0];
        opened.records += 1;
        if let Writer::Table(table) = &mut opened.writer {
            table.add(add)?;
        }
        Ok(())
    }

    /// Says that something a task could have been made of was left out.
    pub(super) fn skip(&mut self, task: &str) {
        self.tasks.entry(task.to_owned()).or_default().skipped += 1;
    }

    fn sample(&mut self, task: &str, value: impl FnOnce() -> Value) {
        let report = match self.tasks.get_mut(task) {
            Some(report) => report,
            None => self.tasks.entry(task.to_owned()).or_default(),
        };
        report.records += 1;
        if self.folder.is_none() && report.samples.len() < SAMPLES {
            report.samples.push(value());
        }
    }

    fn write(
        &mut self,
        file: FileId,
        write: impl FnOnce(&mut dyn Write, bool, FileFormat) -> std::io::Result<()>,
    ) -> Result<()> {
        let opened = &mut self.files[file.0];
        let first = opened.records == 0;
        opened.records += 1;
        match &mut opened.writer {
            Writer::Bytes(path, out) => write(out, first, opened.form).map_err(|e| Error::io("write", path, e)),
            Writer::Nothing | Writer::Table(_) => Ok(()),
        }
    }

    /// Ends all files, and says what is in them.
    pub(super) fn finish(&mut self) -> Result<(BTreeMap<String, FileReport>, BTreeMap<String, TaskReport>)> {
        let mut files = BTreeMap::new();
        for opened in std::mem::take(&mut self.files) {
            match opened.writer {
                Writer::Nothing => {}
                Writer::Table(table) => table.finish()?,
                Writer::Bytes(path, mut out) => {
                    let end: &[u8] = match (opened.form, opened.records) {
                        (FileFormat::Array, 0) => b"[]\n",
                        (FileFormat::Array, _) => b"\n]\n",
                        (FileFormat::Object, 0) => b"{}\n",
                        (FileFormat::Object, _) => b"\n}\n",
                        (FileFormat::Lines | FileFormat::Text, _) => b"",
                    };
                    out.write_all(end).and_then(|()| out.flush()).map_err(|e| Error::io("write", &path, e))?;
                }
            }
            if let Some(folder) = self.folder() {
                let path = folder.join(&opened.name);
                let bytes = path.metadata().map_err(|e| Error::io("read", &path, e))?.len();
                let report =
                    FileReport { role: opened.role, records: opened.records, bytes, sha256: sha256_file(&path)? };
                files.insert(opened.name, report);
            }
        }
        Ok((files, std::mem::take(&mut self.tasks)))
    }

    /// Writes what the folder says of itself, and puts it in its place.
    pub(super) fn commit(self, description: &impl Serialize) -> Result<()> {
        let Some(folder) = self.folder else { return Ok(()) };
        let path = folder.path().join(EXPORT_FILE);
        let json = serde_json::to_string_pretty(description).map_err(|e| Error::io("write", &path, e.into()))?;
        fs::write(&path, json + "\n").map_err(|e| Error::io("write", &path, e))?;
        folder.commit()
    }
}
