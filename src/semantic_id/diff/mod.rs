//! Differences between two token tables: items, codes, and the names of codes.

mod compact;
mod compare;
mod figures;
mod join;
mod neighbours;
mod renaming;
#[cfg(test)]
mod tests;

pub use compact::CompactTable;
pub use figures::{CodeRenaming, DiffExamples, DiffItem, LevelDiff, PrefixDiff, TableDiff, TableSide};
