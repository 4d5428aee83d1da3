//! An FM-index as a file.

use std::path::Path;

use super::FmIndex;
use super::layout::{FmLayout, KIND, Shape};
use crate::artifact::Overwrite;
use crate::constraint::file::BinaryFormat;
use crate::constraint::layout::Buffer;
use crate::error::Result;

impl FmIndex {
    /// Writes it to a file, which is whole or not there.
    ///
    /// # Errors
    /// As [`crate::artifact::AtomicFile`].
    pub fn save(&self, path: &Path, overwrite: Overwrite) -> Result<()> {
        BinaryFormat::save(&self.buffer.bytes()[..self.layout.end], path, overwrite)
    }

    /// Maps a file into memory and checks it: pages are shared by all processes that use the file, and nothing is
    /// copied. The file must not be changed in place while it is mapped; catalex replaces files, and never does.
    ///
    /// # Errors
    /// [`crate::Error::Io`] when it cannot be read; [`crate::Error::Artifact`] for another format, another version, or
    /// damage.
    pub fn load(path: &Path) -> Result<Self> {
        let map = KIND.map(path)?;
        let layout = FmLayout::new(Shape::of_header(&map));
        KIND.check_length(path, &map, layout.end)?;
        Ok(FmIndex { buffer: Buffer::Mapped(map), layout })
    }
}
