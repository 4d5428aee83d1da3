//! Checks of single files and folders. Their kind is detected from their names and first bytes.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::Checks;
use crate::artifact::{open_regular, read_description, seal, sha256_file};
use crate::constraint::{CONSTRAINT_FILE, FmIndex, Trie};
use crate::error::{Error, Result};
use crate::export::EXPORT_FILE;
use crate::features::{FeatureFile, for_each_block};
use crate::index::{Index, MANIFEST};
use crate::ranking::{RANKING_FEATURES, SUBWORD_VOCABULARY, SubwordVocabulary, check_ranking_features};
use crate::semantic_id::TokenTable;
use crate::tokenizer::{CONFIG_FILE, Tokenizer};
use crate::vocabulary::{VOCABULARY_FILE, check_vocabulary};

/// Files of an index that are neither features nor a token table, but have a seal.
const SEALED: [&str; 4] = ["attributes.parquet", "content.parquet", "delta.parquet", "tombstones.parquet"];
/// A key in the metadata of a token table.
const TABLE_KEY: &[u8] = b"catalex.token_format";
/// The kind in the metadata of ranking features.
const RANKING_KIND: &[u8] = RANKING_FEATURES.as_bytes();
/// Advice for a damaged file.
const HELP: &str = "restore it from a copy or write it again";

impl Checks<'_> {
    /// Checks a path of any kind, and returns the kind.
    pub(super) fn path(&mut self, path: &Path, table: Option<&TokenTable>) -> Result<&'static str> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !path.exists() {
            let help = "check the path".into();
            return Err(Error::Missing {
                path: path.to_path_buf(),
                expected: "an index, a store or a file".into(),
                help,
            });
        }
        if Index::is_index(path) {
            self.index(path, table);
            return Ok("index");
        }
        if path.is_dir() {
            return self.folder(path, table);
        }
        if name == MANIFEST {
            self.run(path, "manifest", || Index::unverified(path.parent().unwrap_or(path)));
            return Ok("manifest");
        }
        if let Some(kind) = self.by_magic(path, table)? {
            return Ok(kind);
        }
        if name == CONFIG_FILE || name == "model.safetensors" {
            return self.folder(path.parent().unwrap_or(path), table);
        }
        if is_subword_vocabulary(path) {
            self.run(path, "subword vocabulary", || SubwordVocabulary::read(path).map(drop));
            return Ok("subword vocabulary");
        }
        Err(unknown(path, "another file"))
    }

    fn folder(&mut self, path: &Path, table: Option<&TokenTable>) -> Result<&'static str> {
        let has = |name: &str| path.join(name).is_file();
        if has(VOCABULARY_FILE) {
            match table {
                Some(table) => {
                    self.run(path, "vocabulary of the token table", || check_vocabulary(path, table));
                }
                None => {
                    self.run(path, "vocabulary", || crate::vocabulary::check_description(path));
                }
            }
            Ok("vocabulary")
        } else if has(CONSTRAINT_FILE) {
            self.forms(path, table);
            Ok("constraint forms")
        } else if has(EXPORT_FILE) {
            self.export(path);
            Ok("export")
        } else if has(CONFIG_FILE) {
            self.run(path, "model", || Tokenizer::load(path));
            Ok("model")
        } else {
            Err(unknown(path, "another folder"))
        }
    }

    /// Checks a file whose first bytes identify a format of catalex. `None` if they do not.
    fn by_magic(&mut self, path: &Path, table: Option<&TokenTable>) -> Result<Option<&'static str>> {
        let fail = |e| Error::io("read", path, e);
        let mut file = open_regular(path).map_err(fail)?;
        let length = file.metadata().map_err(fail)?.len();
        let mut magic = Vec::new();
        file.by_ref().take(8).read_to_end(&mut magic).map_err(fail)?;
        if path.extension().is_some_and(|e| e == "trie") || magic == *b"CATALEXT" {
            self.run(path, if table.is_some() { "trie of the token table" } else { "trie" }, || {
                let trie = Trie::load(path)?;
                table.map_or(Ok(()), |table| trie.check_table(table))
            });
            return Ok(Some("trie"));
        }
        if path.extension().is_some_and(|e| e == "fm") || magic == *b"CATALEXF" {
            self.run(path, "FM-index", || FmIndex::load(path).map(drop));
            return Ok(Some("FM-index"));
        }
        if !magic.starts_with(b"PAR1") && path.extension().is_none_or(|e| e != "parquet") {
            return Ok(None);
        }
        let tail = length.min(seal::TAIL);
        file.seek(SeekFrom::Start(length - tail)).map_err(fail)?;
        let mut end = Vec::new();
        file.read_to_end(&mut end).map_err(fail)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if SEALED.contains(&&*name) {
            self.run(path, "seal", || {
                file.rewind().map_err(fail)?;
                match seal::check(length, &end, &file).map_err(fail)? {
                    seal::Seal::Whole => Ok(()),
                    _ => Err(seal::broken(path, HELP)),
                }
            });
            return Ok(Some("table of an index"));
        }
        if end.windows(TABLE_KEY.len()).any(|window| window == TABLE_KEY) {
            self.run(path, "token table", || TokenTable::read(path));
            return Ok(Some("token table"));
        }
        if end.windows(RANKING_KIND.len()).any(|window| window == RANKING_KIND) {
            self.run(path, "ranking features", || check_ranking_features(path));
            return Ok(Some("ranking features"));
        }
        self.run(path, "features", || for_each_block(&FeatureFile::open(path)?, |_| Ok(())));
        Ok(Some("features"))
    }

    /// Checks the files of an export against the hashes in its description.
    fn export(&mut self, path: &Path) {
        let description = path.join(EXPORT_FILE);
        let files = self.run(&description, "description of an export", || {
            let wrong = |e: &dyn std::fmt::Display| Error::artifact(&description, "files with their hashes", e, HELP);
            let bytes = read_description(&description).map_err(|e| Error::io("read", &description, e))?;
            // Exports of earlier versions have no seal.
            let value = seal::of_json(&description, &bytes, "the description of an export", HELP, |_| false)?;
            let files = value["files"].as_object().ok_or_else(|| wrong(&"none"))?;
            let hash = |(name, about): (&String, &serde_json::Value)| {
                Some((path.join(name), about["sha256"].as_str()?.to_owned()))
            };
            files.iter().map(hash).collect::<Option<Vec<_>>>().ok_or_else(|| wrong(&"a file without a hash"))
        });
        for (file, expected) in files.unwrap_or_default() {
            self.run(&file, "SHA-256", || match sha256_file(&file)? {
                got if got == expected => Ok(()),
                got => Err(Error::artifact(&file, format!("SHA-256 {expected}"), got, HELP)),
            });
        }
    }
}

/// Whether a JSON file names this kind, even if it has changed since it was written.
fn is_subword_vocabulary(path: &Path) -> bool {
    let names =
        |bytes: Vec<u8>| bytes.windows(SUBWORD_VOCABULARY.len()).any(|part| part == SUBWORD_VOCABULARY.as_bytes());
    path.extension().is_some_and(|extension| extension == "json") && read_description(path).is_ok_and(names)
}

fn unknown(path: &Path, got: &str) -> Error {
    let expected = "an index, a store, or a file or folder that catalex wrote";
    Error::file(path, expected, got, "pass the path of one of these")
}
