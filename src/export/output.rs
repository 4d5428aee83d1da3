//! The output files of an export, written record by record. A dry run only counts records and keeps samples.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::parquet::{ParquetColumns, ParquetFile};
use super::reports::{FileReport, Role, TaskReport};
use crate::artifact::{AtomicDir, FolderKind, Overwrite, seal, sha256_file};
use crate::error::{Error, Result};

/// The description of an export folder, which also identifies it.
pub const EXPORT_FILE: &str = "export.json";
/// A folder of exports.
const KIND: FolderKind = FolderKind {
    marker: EXPORT_FILE,
    keys: &["format_version", "model_hash", "files"],
    lists: |description, file| description["files"].get(file).is_some(),
};
/// Records per task that a dry run shows.
const SAMPLES: usize = 3;

/// The format of a text file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileFormat {
    /// A JSON array, one record per line.
    Array,
    /// A JSON object, one entry per line.
    Object,
    /// JSON Lines.
    Lines,
    /// Plain lines of text.
    Text,
}

/// A handle to an output file.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileId(usize);

/// An output file while it is written.
struct OpenFile {
    name: String,
    role: Role,
    format: FileFormat,
    records: u64,
    writer: Writer,
}

enum Writer {
    /// Nothing is written: a dry run, or a file that others write.
    Nothing,
    Bytes(PathBuf, BufWriter<File>),
    Table(Box<ParquetFile>),
}

/// The files and statistics of an export.
pub(super) struct ExportOutput {
    folder: Option<AtomicDir>,
    files: Vec<OpenFile>,
    tasks: BTreeMap<String, TaskReport>,
}

impl ExportOutput {
    /// Starts an export into `target`, or a dry run without a target.
    pub(super) fn new(target: Option<(&Path, Overwrite)>) -> Result<Self> {
        let folder = target.map(|(path, overwrite)| AtomicDir::create(path, &KIND, overwrite)).transpose()?;
        Ok(ExportOutput { folder, files: Vec::new(), tasks: BTreeMap::new() })
    }

    /// Whether this is a dry run.
    pub(super) fn is_dry(&self) -> bool {
        self.folder.is_none()
    }

    /// The temporary folder, for code that writes a file itself; none in a dry run.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(AtomicDir::path)
    }

    /// Creates a file; `name` may contain folders.
    pub(super) fn file(&mut self, name: impl Into<String>, role: Role, format: FileFormat) -> Result<FileId> {
        let name = name.into();
        let writer = match self.path_of(&name)? {
            None => Writer::Nothing,
            Some(path) => {
                let file = File::create(&path).map_err(|e| Error::io("create", &path, e))?;
                Writer::Bytes(path, BufWriter::with_capacity(1 << 18, file))
            }
        };
        self.files.push(OpenFile { name, role, format, records: 0, writer });
        Ok(FileId(self.files.len() - 1))
    }

    /// Creates a Parquet file.
    pub(super) fn table(&mut self, name: impl Into<String>, role: Role, columns: ParquetColumns) -> Result<FileId> {
        let name = name.into();
        let writer = match self.path_of(&name)? {
            None => Writer::Nothing,
            Some(path) => Writer::Table(Box::new(ParquetFile::create(path, columns)?)),
        };
        self.files.push(OpenFile { name, role, format: FileFormat::Text, records: 0, writer });
        Ok(FileId(self.files.len() - 1))
    }

    /// Registers a file that was written into [`ExportOutput::folder`].
    pub(super) fn register(&mut self, name: &str, role: Role, records: u64) {
        let writer = Writer::Nothing;
        self.files.push(OpenFile { name: name.into(), role, format: FileFormat::Text, records, writer });
    }

    fn path_of(&self, name: &str) -> Result<Option<PathBuf>> {
        let Some(folder) = self.folder() else { return Ok(None) };
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|e| Error::io("create a folder in", folder, e))?;
        }
        Ok(Some(path))
    }

    /// Writes a record as JSON and counts it.
    pub(super) fn record(&mut self, file: FileId, task: &str, record: &impl Serialize) -> Result<()> {
        self.sample(task, || serde_json::to_value(record).unwrap_or(Value::Null));
        self.again(file, record)
    }

    /// Writes a record that is already counted, for a second file with the same records.
    pub(super) fn again(&mut self, file: FileId, record: &impl Serialize) -> Result<()> {
        self.write(file, |out, first, format| {
            out.write_all(match (format, first) {
                (FileFormat::Array, true) => b"[\n",
                (FileFormat::Array, false) => b",\n",
                _ => b"",
            })?;
            serde_json::to_writer(&mut *out, record)?;
            if format == FileFormat::Lines { out.write_all(b"\n") } else { Ok(()) }
        })
    }

    /// Writes an entry of a JSON object and counts it.
    pub(super) fn entry(&mut self, file: FileId, task: &str, key: &str, value: &impl Serialize) -> Result<()> {
        self.sample(task, || serde_json::json!({ key: value }));
        self.write(file, |out, first, _| {
            out.write_all(if first { b"{\n" } else { b",\n" })?;
            serde_json::to_writer(&mut *out, key)?;
            out.write_all(b": ")?;
            Ok(serde_json::to_writer(&mut *out, value)?)
        })
    }

    /// Writes a line of text, which must not contain line breaks, and counts it.
    pub(super) fn line(&mut self, file: FileId, task: &str, line: &str) -> Result<()> {
        self.sample(task, || Value::String(line.to_owned()));
        self.line_again(file, line)
    }

    /// Writes a line of text that belongs to a record already counted.
    pub(super) fn line_again(&mut self, file: FileId, line: &str) -> Result<()> {
        self.write(file, |out, _, _| writeln!(out, "{line}"))
    }

    /// Writes a row of a Parquet file and counts it. `sample` returns the record that a dry run shows.
    pub(super) fn row(
        &mut self,
        file: FileId,
        task: &str,
        add: impl FnOnce(&mut ParquetColumns),
        sample: impl FnOnce() -> Value,
    ) -> Result<()> {
        self.sample(task, sample);
        let file = &mut self.files[file.0];
        file.records += 1;
        if let Writer::Table(table) = &mut file.writer {
            table.add(add)?;
        }
        Ok(())
    }

    /// Counts a skipped example.
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
        let file = &mut self.files[file.0];
        let first = file.records == 0;
        file.records += 1;
        match &mut file.writer {
            Writer::Bytes(path, out) => write(out, first, file.format).map_err(|e| Error::io("write", path, e)),
            Writer::Nothing | Writer::Table(_) => Ok(()),
        }
    }

    /// Closes all files and returns their descriptions.
    pub(super) fn finish(&mut self) -> Result<(BTreeMap<String, FileReport>, BTreeMap<String, TaskReport>)> {
        let mut files = BTreeMap::new();
        for file in std::mem::take(&mut self.files) {
            match file.writer {
                Writer::Nothing => {}
                Writer::Table(table) => table.finish()?,
                Writer::Bytes(path, mut out) => {
                    let end: &[u8] = match (file.format, file.records) {
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
                let path = folder.join(&file.name);
                let bytes = path.metadata().map_err(|e| Error::io("read", &path, e))?.len();
                let report = FileReport { role: file.role, records: file.records, bytes, sha256: sha256_file(&path)? };
                files.insert(file.name, report);
            }
        }
        Ok((files, std::mem::take(&mut self.tasks)))
    }

    /// Writes the description and moves the folder to its place.
    pub(super) fn commit(self, description: &impl Serialize) -> Result<()> {
        let Some(folder) = self.folder else { return Ok(()) };
        let path = folder.path().join(EXPORT_FILE);
        let write = || fs::write(&path, seal::to_json(description)?);
        write().map_err(|e| Error::io("write", &path, e))?;
        folder.commit()
    }
}
