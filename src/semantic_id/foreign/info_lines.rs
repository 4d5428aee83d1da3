//! Reads MiniOneRec's `info/*.txt`: lines of semantic ID, title and item id, separated by tabs.

use std::io::Read;
use std::path::Path;

use super::raw::RawIds;
use crate::artifact::{open_regular, read_text};
use crate::error::{Error, Result};

/// Whether a file is an `index.json` rather than lines.
pub(super) fn is_json(path: &Path) -> Result<bool> {
    let mut head = [0; 64];
    let mut file = open_regular(path).map_err(|e| Error::io("read", path, e))?;
    let length = file.read(&mut head).map_err(|e| Error::io("read", path, e))?;
    Ok(head[..length].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{'))
}

/// Reads the lines. A title may contain tabs.
pub(super) fn read(path: &Path, raw: &mut RawIds) -> Result<()> {
    let text = read_text(path).map_err(|e| Error::io("read", path, e))?;
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match (line.split_once('\t'), line.rsplit_once('\t')) {
            (Some((id, _)), Some((_, item))) => raw.push_text(item.trim().to_owned(), id),
            _ => {
                let got = format!("no tab in line {}", at + 1);
                let help = "pass a file in MiniOneRec's folder info, or its index.json";
                return Err(Error::file(path, "lines of semantic ID, title and item id, separated by tabs", got, help));
            }
        }
    }
    Ok(())
}
