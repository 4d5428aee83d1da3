//! Semantic IDs: collision resolution and the token table.
//!
//! A semantic ID is a sequence of codes, one per level. [`TokenFormat`] writes it as tokens, [`resolve`] makes the IDs of
//! a catalog unique, [`TokenTable`] stores them and [`Lookup`] finds items by ID and by prefix.

mod assign;
mod collisions;
mod columns;
mod delta;
mod diff;
mod far;
mod foreign;
mod groups;
mod join_ids;
mod joined;
mod kept;
mod latents;
mod lc_rec;
mod lookup;
mod make;
mod matching;
mod member_columns;
mod members;
mod occupied;
mod overflow;
mod parts;
mod report;
mod resolve;
mod share;
mod table;
mod table_files;
mod table_io;
mod table_metadata;
mod taken_seats;
#[cfg(test)]
mod tests;
mod token_format;
mod tombstones;

pub use collisions::Collisions;
pub use delta::{IdChange, IdDelta};
pub use diff::{CodeRenaming, CompactTable, DiffExamples, DiffItem, LevelDiff, PrefixDiff, TableDiff, TableSide};
pub use far::{FAR_PERCENTILE, FarItems};
pub use foreign::{ForeignIds, IdSource, ImportReport, OddItems, SharedId, UnknownToken};
pub use kept::names_like;
pub use latents::{Latents, Loaded};
pub use lookup::Lookup;
pub use make::{QuantizedItems, TokenizedItems};
pub use members::{ItemClasses, MemberFacts, Members};
pub use occupied::Occupied;
pub use parts::{CatalogPart, make_room, resolve_part};
pub use report::CollisionReport;
pub use resolve::{Assignment, UnresolvedItems, place, resolve};
pub use table::TokenTable;
pub use table_metadata::TableMetadata;
pub use taken_seats::TakenSeats;
pub use token_format::TokenFormat;
pub use tombstones::Tombstones;
