//! Lists of item ids, one per line.

use std::path::Path;

use super::write_with;
use crate::error::{Error, Result};

/// Writes ids, one per line.
///
/// # Errors
/// [`Error::Item`] for an id that would not be one line; [`Error::Io`].
pub(super) fn write_ids(path: &Path, ids: &[String]) -> Result<()> {
    if let Some(id) = ids.iter().find(|id| id.contains(['\n', '\r'])) {
        return Err(Error::Item {
            item: id.escape_debug().to_string(),
            expected: "an id without line breaks, because a constraint folder lists the selected ids, one per line"
                .into(),
            got: "one with them".into(),
            help: "choose other ids, or exclude the item".into(),
        });
    }
    write_with(path, |out| ids.iter().try_for_each(|id| writeln!(out, "{id}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_with_line_breaks_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("only.txt");
        write_ids(&path, &["a b".into(), "\u{2028}".into()]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a b\n\u{2028}\n");
        for id in ["a\nb", "a\r"] {
            let refused = write_ids(&path, &["x".into(), id.into()]).unwrap_err().to_string();
            assert!(refused.contains(&id.escape_debug().to_string()), "{refused}");
        }
    }
}
