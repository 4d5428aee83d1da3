//! Imports the IDs of another system as a token table.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::spec::Output;
use crate::artifact::OutputLock;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::semantic_id::{ForeignIds, IdSource, ImportReport, OddItems, TokenFormat};
use crate::settings::{Range, SettingGroup, settings};

settings! {
    /// How the IDs of another system are read.
    pub struct ImportSettings {
        /// Format of the file: lc-rec or letter (index.json), minionerec (index.json or info/*.txt), torcheasyrec
        /// (item_to_sid, or the folder of a generation), or codes (a table with ids and codes, or a .npy matrix of
        /// codes).
        from: String, "FORMAT";
        /// Format of a token, with {level} (a letter) or {index} (a number) and {code}.
        token_format: TokenFormat, "FORMAT", default "the first common format that fits";
        /// Column of the item ids in a table.
        id: String, "COLUMN", default "item_id or id";
        /// Column of the codes in a table (lists, or texts such as 1,22,3), or one column per level.
        codes: Vec<String>, "COLUMN,...", default "codebook, codes, semantic_ids, semantic_id or sid";
        /// Number of codes per level: one number for all levels, or one per level.
        codebook_size: Vec<usize>, "K[,K...]", default "the largest code of each level + 1", range Range::Between(2.0, 65_536.0);
        /// Handling of IDs whose number of levels differs from that of most IDs: error stops; drop leaves out their
        /// items; pad fills shorter IDs with code 0.
        ragged: String, "error|drop|pad", default "error";
        /// Handling of items with a token that is not a code: error stops; drop leaves them out.
        unknown: String, "error|drop", default "error";
    }
}

/// Read the IDs of another system: [`import_ids`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct ImportSpec {
    /// The file, or the folder of a generation of TorchEasyRec.
    pub file: PathBuf,
    /// How it is read.
    pub import: ImportSettings,
    /// The table to write.
    pub output: Output,
}

/// Writes the IDs of another system as a token table, without changing them, and reports problems in them, such as
/// shared IDs.
///
/// # Errors
/// As [`ForeignIds::read`]; [`Error::Config`] for settings with an unknown value.
pub fn import_ids(spec: &ImportSpec, progress: &dyn Progress) -> Result<ImportReport> {
    let settings = &spec.import;
    settings.check()?;
    let Some(from) = &settings.from else {
        let help = "set --from to the format of the file";
        return Err(Error::config("from", "lc-rec, minionerec, letter, torcheasyrec or codes", "none", help));
    };
    let source: IdSource = from.parse()?;
    let how = ForeignIds {
        token_format: settings.token_format.clone(),
        id: settings.id.clone(),
        codes: settings.codes.clone(),
        codebook_sizes: settings.codebook_size.clone(),
        ragged: settings.ragged.as_deref().map_or(Ok(OddItems::Refuse), str::parse)?,
        drop_unknown: match settings.unknown.as_deref() {
            None | Some("error") => false,
            Some("drop") => true,
            Some(other) => return Err(Error::config("unknown", "error or drop", other, "omit it to refuse them")),
        },
    };
    let overwrite = spec.output.overwrite();
    let _lock = OutputLock::claim(&spec.output.out, overwrite)?;
    progress.begin("import", None, "items");
    let (table, report) = how.read(&spec.file, source)?;
    table.write(&spec.output.out, overwrite)?;
    progress.end();
    Ok(report)
}
