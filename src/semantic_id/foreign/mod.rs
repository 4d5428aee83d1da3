//! IDs that other systems made: reading them, and saying what is wrong with them.

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

/// What wrote a file of IDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdSource {
    /// `index.json` of LC-Rec and LETTER: item id to the list of its tokens.
    IndexJson,
    /// `index.json` of MiniOneRec, or its `info/*.txt`: lines of ID, title and item id.
    MiniOneRec,
    /// `item_to_sid` of TorchEasyRec, as a table or the folder of a generation, or the output of its prediction.
    TorchEasyRec,
    /// A table with ids and codes, or a matrix of integers in `.npy` with a row per item.
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

/// What to do about an item that is not like the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OddItems {
    /// Refuse the file.
    #[default]
    Refuse,
    /// Leave the items out.
    Drop,
    /// Complete shorter IDs with code 0.
    Pad,
}

impl FromStr for OddItems {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "error" => Ok(OddItems::Refuse),
            "drop" => Ok(OddItems::Drop),
            "pad" => Ok(OddItems::Pad),
            other => Err(Error::config("ragged", "error, drop or pad", other, "leave it out to refuse such IDs")),
        }
    }
}

/// How foreign IDs are read.
#[derive(Debug, Clone, Default)]
pub struct ForeignIds {
    /// The format of the tokens; found by trying the usual ones if not given.
    pub token_format: Option<TokenFormat>,
    /// The column of the item ids.
    pub id: Option<String>,
    /// The column of the codes, or one column per level.
    pub codes: Option<Vec<String>>,
    /// Codes per level: one number for all levels or one for each. By default, those that occur.
    pub codebook_sizes: Option<Vec<usize>>,
    /// What to do about items with another number of levels.
    pub ragged: OddItems,
    /// Whether items with a token that is no code are left out; otherwise they are refused.
    pub drop_unknown: bool,
}

impl ForeignIds {
    /// Reads a file of another system, as a token table without a model, and says what is wrong with it. Residual errors,
    /// which need a model, are not numbers.
    ///
    /// # Errors
    /// Errors name the file and the item, and what to do.
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

/// A matrix with a row per item, or with a row per level.
fn matrix(path: &Path, raw: &mut RawIds) -> Result<()> {
    let mut codes = integer_matrix(path)?;
    // No ID has so many levels.
    if codes.ncols() > MAX_LEVELS && codes.nrows() <= MAX_LEVELS {
        codes = codes.reversed_axes();
    }
    for (row, codes) in codes.rows().into_iter().enumerate() {
        let tokens: Vec<String> = codes.iter().map(i64::to_string).collect();
        raw.push(row.to_string(), tokens.iter().map(String::as_str));
    }
    Ok(())
}
