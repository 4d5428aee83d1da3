//! The file of an FM-index.

use std::path::Path;

use super::FmIndex;
use super::layout::{FORMAT, FmLayout, FmShape};
use crate::artifact::Overwrite;
use crate::constraint::file::BinaryFormat;
use crate::constraint::layout::Buffer;
use crate::error::Result;

impl FmIndex {
    /// Writes the index to a file, atomically.
    ///
    /// # Errors
    /// As [`crate::artifact::AtomicFile`].
    pub fn save(&self, path: &Path, overwrite: Overwrite) -> Result<()> {
        BinaryFormat::save(&self.buffer.bytes()[..self.layout.end], path, overwrite)
    }

    /// Maps a file into memory and verifies it. Processes share the pages, and nothing is copied. The file must not be
    /// modified in place while it is mapped; catalex itself only replaces files.
    ///
    /// # Errors
    /// [`crate::Error::Io`] where it cannot be read; [`crate::Error::Artifact`] for another format or version and for a
    /// damaged file.
    pub fn load(path: &Path) -> Result<Self> {
        let map = FORMAT.map(path)?;
        let wrong = |got: String| FORMAT.wrong(path, "consistent arrays of an FM-index", got);
        let layout = FmLayout::new(FmShape::of_header(&map).map_err(wrong)?);
        FORMAT.check_length(path, &map, layout.end)?;
        let index = FmIndex { buffer: Buffer::Mapped(map), layout };
        index.check().map_err(wrong)?;
        Ok(index)
    }
}
