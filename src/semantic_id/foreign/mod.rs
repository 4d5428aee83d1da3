//! Reads semantic IDs that other systems assigned, and reports problems with them.

mod columns;
mod index_json;
mod info_lines;
mod raw;
mod report;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::str::FromStr;

pub use report::{ImportReport, SharedId, UnknownToken};

use self::raw::RawIds;
use super::{TokenFormat, TokenTable};
use crate::error::{Error, Result};
use crate::features::integer_matrix;
use crate::tokenizer::MAX_LEVELS;

/// The system that wrote a file of IDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdSource {
    /// `index.json` of LC-Rec and LETTER, which maps item ids to lists of tokens.
    IndexJson,
    /// `index.json` of MiniOneRec, or its `info/*.txt`: lines of semantic ID, title and item id.
    MiniOneRec,
    /// `item_to_sid` of TorchEasyRec, as a table or in the folder of a generation, or the output of its prediction.
    TorchEasyRec,
    /// A table with ids and codes, or an integer matrix in `.npy` with one row per item or one row per level.
    Codes,
}

impl FromStr for IdSource {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "lc-rec" | "letter" => Ok(IdSource::IndexJson),
            "minionerec" => Ok(IdSource::MiniOneRec),
            "torcheasyrec" => Ok(IdSource::TorchEasyRec),
            "codes" => Ok(IdSource::Codes),
            other => {
                let help = "use codes for a table or matrix of another program";
                Err(Error::config("from", "lc-rec, minionerec, letter, torcheasyrec or codes", other, help))
            }
        }
    }
}

/// How to handle items whose number of levels differs from that of most items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OddItems {
    /// Refuse the file.
    #[default]
    Refuse,
    /// Omit these items.
    Drop,
    /// Pad shorter IDs with code 0.
    Pad,
}

impl FromStr for OddItems {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "error" => Ok(OddItems::Refuse),
            "drop" => Ok(OddItems::Drop),
            "pad" => Ok(OddItems::Pad),
            other => Err(Error::config("ragged", "error, drop or pad", other, "omit it to refuse such IDs")),
        }
    }
}

/// Options for reading IDs of other systems.
#[derive(Debug, Clone, Default)]
pub struct ForeignIds {
    /// The format of the tokens. By default, common formats are tried.
    pub token_format: Option<TokenFormat>,
    /// The column of the item ids.
    pub id: Option<String>,
    /// The column of the codes, or one column per level.
    pub codes: Option<Vec<String>>,
    /// Codebook sizes: one number for all levels, or one per level. By default, the sizes in TorchEasyRec's manifest,
    /// or the smallest sizes that contain all codes.
    pub codebook_sizes: Option<Vec<usize>>,
    /// How to handle items with another number of levels.
    pub ragged: OddItems,
    /// Whether to omit items with a token that is not a code. Otherwise, the file is refused.
    pub drop_unknown: bool,
}

impl ForeignIds {
    /// Reads a file of another system as a token table without a model, and reports problems. Residual errors are NaN,
    /// because they need a model.
    ///
    /// # Errors
    /// Errors name the file, the item and what to do.
    pub fn read(&self, path: &Path, source: IdSource) -> Result<(TokenTable, ImportReport)> {
        let mut raw = RawIds::new(self.token_format.clone());
        let mut sizes = self.codebook_sizes.clone();
        match source {
            IdSource::IndexJson => index_json::read(path, &mut raw)?,
            IdSource::MiniOneRec if info_lines::is_json(path)? => index_json::read(path, &mut raw)?,
            IdSource::MiniOneRec => info_lines::read(path, &mut raw)?,
            IdSource::TorchEasyRec => {
                let (tables, of_manifest) = columns::torch_easy_rec(path)?;
                sizes = sizes.or(of_manifest);
                columns::read(&tables, self, &mut raw)?;
            }
            IdSource::Codes if path.extension().is_some_and(|extension| extension == "npy") => matrix(path, &mut raw)?,
            IdSource::Codes => columns::read(path, self, &mut raw)?,
        }
        report::settle(path, raw, self, sizes)
    }
}

/// Reads a matrix with one row per item, or with one row per level.
fn matrix(path: &Path, raw: &mut RawIds) -> Result<()> {
    let mut codes = integer_matrix(path)?;
    // An ID has at most `MAX_LEVELS` levels, so the rows of this matrix are the levels.
    if codes.ncols() > MAX_LEVELS && codes.nrows() <= MAX_LEVELS {
        codes = codes.reversed_axes();
    }
    for (row, codes) in codes.rows().into_iter().enumerate() {
        let tokens: Vec<String> = codes.iter().map(i64::to_string).collect();
        raw.push(row.to_string(), tokens.iter().map(String::as_str));
    }
    Ok(())
}
