//! The state of an interrupted build, kept next to its target: encoded features and training checkpoints.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::artifact::{
    Overwrite, copy_file, files_under, read_description, sha256, sha256_file, temporary_target, write_file,
};
use crate::error::{Error, Result};

/// The file with the settings of the build.
const SETTINGS: &str = "partial.json";
/// The folder of finished parts of the features.
pub const PARTS: &str = "parts";

/// The folder `NAME.partial` next to the index that is being built.
#[derive(Debug)]
pub struct Partial {
    folder: PathBuf,
    settings: String,
}

impl Partial {
    /// Starts a build of the index at `target`, or resumes one. `settings` contains everything that the features depend
    /// on.
    ///
    /// # Errors
    /// [`Error::File`] if an interrupted build exists and is neither resumed nor overwritten, or if the folder has
    /// other files; [`Error::Artifact`] if the build to resume had other settings; [`Error::Io`].
    pub fn begin(target: &Path, settings: &serde_json::Value, resume: bool, overwrite: Overwrite) -> Result<Self> {
        let mut folder = target.as_os_str().to_owned();
        folder.push(".partial");
        let partial = Partial { folder: folder.into(), settings: settings.to_string() };
        let (path, settings) = (partial.path(SETTINGS), &partial.settings);
        if partial.folder.symlink_metadata().is_ok()
            && let Some(got) = foreign(&partial.folder)
        {
            let help = "move it away, or choose another output path";
            return Err(Error::file(
                &partial.folder,
                "no such folder, or a folder with only the files of an interrupted run",
                got,
                help,
            ));
        }
        if path.is_file() && resume {
            let begun = fs::read_to_string(&path).map_err(|e| Error::io("read", &path, e))?;
            if begun != *settings {
                let got = format!("other settings; changed: {}", changed(&begun, settings).join(", "));
                let help = "use the catalog and the encoders of the interrupted build, or start again with --force";
                return Err(Error::artifact(&path, "the settings of this run", got, help));
            }
            return Ok(partial);
        }
        if path.is_file() && overwrite == Overwrite::Refuse {
            return Err(Error::file(
                &partial.folder,
                "no such folder",
                "an interrupted run",
                "continue it with --resume, or start again with --force",
            ));
        }
        partial.remove()?;
        fs::create_dir(&partial.folder).map_err(|e| Error::io("create", &partial.folder, e))?;
        write_file(&path, settings.as_bytes(), Overwrite::Refuse)?;
        Ok(partial)
    }

    /// The path of a part.
    pub fn path(&self, part: &str) -> PathBuf {
        self.folder.join(part)
    }

    /// Whether it has finished parts of features.
    pub fn has_parts(&self) -> bool {
        let entries = fs::read_dir(self.path(PARTS)).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| entry.path().extension().is_some_and(|e| e == "parquet"))
    }

    /// A hash of everything that the features depend on.
    pub fn settings_hash(&self) -> String {
        sha256(self.settings.as_bytes())
    }

    /// Creates a hard link to a part at a path in the index, or a copy if the file system has no hard links.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn share(&self, part: &str, place: &Path) -> Result<()> {
        let from = self.path(part);
        fs::hard_link(&from, place).or_else(|_| copy_file(&from, place))
    }

    /// Removes the folder. Called when the index is complete, or before the build starts again.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove(&self) -> Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", &self.folder, e)),
            _ => Ok(()),
        }
    }
}

/// Describes content of a folder that does not come from an interrupted run, if there is any.
fn foreign(folder: &Path) -> Option<String> {
    const FILES: [&str; 8] = [
        SETTINGS,
        "content.parquet",
        "features.parquet",
        "encoded.parquet",
        "encoded.json",
        "bad-images.jsonl",
        "bad-items.jsonl",
        "model.checkpoint",
    ];
    let names = |folder: &Path| -> Option<Vec<(String, bool)>> {
        let entries = fs::read_dir(folder).ok()?.map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().into_string().ok()?, entry.file_type().ok()?.is_dir()))
        });
        entries.collect()
    };
    // Temporary files; see `AtomicFile`.
    let temporary = |name: &str| temporary_target(name).is_some_and(|target| FILES.contains(&target));
    let Some(found) = names(folder) else { return Some("something else".into()) };
    let ours = |(name, is_folder): &(String, bool)| match is_folder {
        true => name == PARTS,
        false => FILES.contains(&&**name) || temporary(name),
    };
    let settings = read_description(&folder.join(SETTINGS)).ok();
    let begun = settings.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()).is_some_and(|v| v.is_object());
    // A run writes its settings first. If it was killed before, only temporary files exist.
    let nothing = || found.iter().all(|(name, is_folder)| !is_folder && temporary(name));
    if !begun && !nothing() {
        return Some("a folder that catalex did not write".into());
    }
    if let Some((name, _)) = found.iter().find(|entry| !ours(entry)) {
        return Some(format!("the file {name}"));
    }
    // The name of a part is a number of six digits with an extension.
    let parts = names(&folder.join(PARTS)).unwrap_or_default();
    let numbered = |name: &str| {
        let of_part = name.split_once('.').filter(|(_, kind)| ["parquet", "json", "journal"].contains(kind));
        of_part.is_some_and(|(number, _)| number.len() == 6 && number.bytes().all(|b| b.is_ascii_digit()))
    };
    let of_part = |name: &str| numbered(temporary_target(name).unwrap_or(name));
    let other = parts.iter().find(|(name, is_folder)| *is_folder || !of_part(name));
    other.map(|(name, _)| format!("the file {PARTS}/{name}"))
}

/// The keys whose values differ between two JSON objects, including those of nested objects.
fn changed(begun: &str, settings: &str) -> Vec<String> {
    fn compare(key: &str, begun: &Value, now: &Value, found: &mut Vec<String>) {
        if let (Value::Object(a), Value::Object(b)) = (begun, now) {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            keys.into_iter().for_each(|key| {
                let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                compare(key, &of(a), &of(b), found);
            });
        } else if begun != now {
            found.push(key.to_owned());
        }
    }
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let mut found = Vec::new();
    compare("everything", &read(begun), &read(settings), &mut found);
    found
}

/// Identifies the content of a catalog. For a file, this is its hash. For a folder, or the folder of a pattern, it is a
/// hash of the names, sizes and modification times of the files.
///
/// # Errors
/// [`Error::Io`].
pub fn fingerprint(catalog: &Path) -> Result<String> {
    let is_pattern = |path: &Path| !path.exists() && path.to_string_lossy().contains(['*', '?', '[']);
    let catalog = catalog.ancestors().find(|path| !is_pattern(path)).unwrap_or(catalog);
    let catalog = if catalog.as_os_str().is_empty() { Path::new(".") } else { catalog };
    if !catalog.is_dir() {
        return sha256_file(catalog);
    }
    let entry = |path: PathBuf| -> Result<String> {
        let about = fs::metadata(&path).map_err(|e| Error::io("read", &path, e))?;
        let changed = about.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
        Ok(format!("{} {} {changed:?}", path.display(), about.len()))
    };
    let entries = files_under(catalog)?.into_iter().map(entry).collect::<Result<Vec<String>>>()?;
    Ok(sha256(entries.join("\n").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_resumed_only_with_the_same_settings() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("index");
        let settings = |seed: u64| serde_json::json!({ "seed": seed });
        let begin = |seed, resume, overwrite| Partial::begin(&target, &settings(seed), resume, overwrite);
        let partial = begin(1, false, Overwrite::Refuse).unwrap();
        fs::write(partial.path("features.parquet"), "x").unwrap();
        assert!(begin(1, false, Overwrite::Refuse).unwrap_err().to_string().contains("--resume"));
        assert!(begin(2, true, Overwrite::Refuse).unwrap_err().to_string().contains("other settings"));
        assert!(begin(1, true, Overwrite::Refuse).unwrap().path("features.parquet").exists());
        assert!(!begin(1, false, Overwrite::Replace).unwrap().path("features.parquet").exists());
        partial.remove().unwrap();
        begin(1, true, Overwrite::Refuse).unwrap();
    }

    #[test]
    fn files_that_catalex_did_not_write_are_kept() {
        let home = tempfile::tempdir().unwrap();
        let (target, partial) = (home.path().join("index"), home.path().join("index.partial"));
        let begin = |overwrite| Partial::begin(&target, &serde_json::json!({}), true, overwrite).map(drop);
        let cases: [&[&str]; 9] = [
            &[".part-note"],
            &[".movie.mkv.part-abcdef"],
            &["partial.json", ".partial.json.part-1"],
            &["partial.json", "parts/000001.jpg"],
            &["chapter.txt"],
            &["partial.json", "chapter.txt"],
            &["partial.json", "parts/chapter.txt"],
            &["partial.json", "parts/more/000001.parquet"],
            &["features.parquet"],
        ];
        for files in cases {
            for file in files {
                fs::create_dir_all(partial.join(file).parent().unwrap()).unwrap();
                fs::write(partial.join(file), "{}").unwrap();
            }
            for overwrite in [Overwrite::Refuse, Overwrite::Replace] {
                let message = begin(overwrite).unwrap_err().to_string();
                assert!(message.contains("index.partial") && message.contains("move it away"), "{message}");
            }
            assert!(files.iter().all(|file| partial.join(file).exists()), "{files:?}");
            fs::remove_dir_all(&partial).unwrap();
        }
        fs::write(&partial, "a file").unwrap();
        assert!(begin(Overwrite::Replace).is_err() && partial.is_file());
        fs::remove_file(&partial).unwrap();
        // The run was killed before it wrote its settings.
        fs::create_dir(&partial).unwrap();
        fs::write(partial.join(".partial.json.part-abcdef"), "{").unwrap();
        begin(Overwrite::Refuse).unwrap();
        assert!(partial.join("partial.json").is_file());
    }

    #[test]
    fn the_fingerprint_depends_on_the_content() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.csv");
        fs::write(&file, "id\n1\n").unwrap();
        let (of_file, of_folder) = (fingerprint(&file).unwrap(), fingerprint(folder.path()).unwrap());
        assert_eq!(of_folder, fingerprint(folder.path()).unwrap());
        fs::write(&file, "id\n12\n").unwrap();
        assert_ne!(of_file, fingerprint(&file).unwrap());
        assert_ne!(of_folder, fingerprint(folder.path()).unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn the_fingerprint_of_a_folder_of_links_depends_on_their_targets() {
        let folder = tempfile::tempdir().unwrap();
        let (links, file) = (folder.path().join("links"), folder.path().join("a.csv"));
        fs::create_dir(&links).unwrap();
        fs::write(&file, "id\n1\n").unwrap();
        std::os::unix::fs::symlink(&file, links.join("a.csv")).unwrap();
        let before = fingerprint(&links).unwrap();
        fs::write(&file, "id\n12\n").unwrap();
        assert_ne!(before, fingerprint(&links).unwrap());
    }
}
