//! Renumbers the tombstones of an index that gets another generation number in a store.

use std::path::Path;

use super::super::{Index, TOKENS, TOMBSTONES};
use crate::artifact::Overwrite;
use crate::error::Result;
use crate::semantic_id::{TokenTable, Tombstones};

/// Writes the tombstones of an index for its new generation `number`. Items that the index itself deleted get `number`
/// as the generation of deletion. The length of their quarantine does not change.
///
/// # Errors
/// For tables that cannot be read; [`crate::Error::Io`].
pub(super) fn renumber(index: &Index, number: u64, path: &Path) -> Result<()> {
    let table = TokenTable::read(&index.path(TOKENS))?;
    let mut tombstones = Tombstones::read(&index.path(TOMBSTONES), table.codes.ncols())?;
    let old = index.manifest().generation.number;
    for row in (0..tombstones.len()).filter(|&row| tombstones.deleted_in[row] == old).collect::<Vec<_>>() {
        tombstones.deleted_in[row] = number;
        tombstones.releases_in[row] = tombstones.releases_in[row].map(|from| from.saturating_sub(old) + number);
    }
    tombstones.write(path, &table.metadata.token_format, Overwrite::Refuse)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::super::super::{ChangeKind, Generation, IndexWriter};
    use super::super::{PublishOptions, Store};
    use super::*;
    use crate::item_ids::ItemIds;
    use crate::semantic_id::{Collisions, TableMetadata, TokenFormat};

    /// Renumbering a generation keeps the length of the quarantine of the items that it deleted.
    #[test]
    fn tombstones_are_renumbered_with_their_generation() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        let metadata = TableMetadata {
            model_hash: "abc".into(),
            codebook_sizes: vec![4, 4],
            token_format: TokenFormat::default(),
            policy: Collisions::Resolve,
            collisions: None,
        };
        let table = TokenTable {
            members: None,
            item_ids: ItemIds::Integers(vec![1]),
            codes: ndarray::array![[0, 1]],
            residual_error: vec![0.0],
            reassigned: vec![false],
            metadata,
        };
        let child = |name: &str, parent: &Path| {
            let parent = Index::open(parent).unwrap();
            let writer = IndexWriter::create(&at(name), Overwrite::Refuse).unwrap();
            table.write(&writer.path(TOKENS), Overwrite::Refuse).unwrap();
            let mut stones = Tombstones::none(2);
            let number = parent.next_number().unwrap();
            for (item, deleted) in [(7, 0), (8, number), (9, number)] {
                let releases = (item != 9).then_some(deleted + 3);
                let codes = ndarray::array![item as u16 - 6, 0];
                stones.push(ItemIds::Integers(vec![item]), codes.view(), deleted, releases).unwrap();
            }
            stones.write(&writer.path(TOMBSTONES), &TokenFormat::default(), Overwrite::Refuse).unwrap();
            fs::write(writer.path("report.html"), name).unwrap();
            let generation = Generation {
                number,
                parent: Some(parent.manifest().hash()),
                change: ChangeKind::Delete,
                ..Generation::default()
            };
            writer.commit(1, "abc", json!({}), generation).unwrap();
            at(name)
        };
        let store = Store::create(&at("store")).unwrap();
        let publish = |index: &Path| store.publish(index, &PublishOptions::default()).unwrap();
        let writer = IndexWriter::create(&at("first"), Overwrite::Refuse).unwrap();
        table.write(&writer.path(TOKENS), Overwrite::Refuse).unwrap();
        writer.commit(1, "abc", json!({}), Generation::default()).unwrap();
        publish(&at("first"));
        let (a, b) = (child("a", &store.path_of(0)), child("b", &store.path_of(0)));
        assert_eq!(publish(&a).number, 1);
        store.begin().unwrap().rollback(Some(0)).unwrap();
        let published = publish(&b);
        let index = Index::open(&published.path).unwrap();
        let stones = Tombstones::read(&index.path(TOMBSTONES), 2).unwrap();
        assert_eq!((published.number, stones.deleted_in), (2, vec![0, 2, 2]));
        assert_eq!(stones.releases_in, [Some(3), Some(5), None]);
        // Publishing it again does not create another generation.
        assert_eq!((publish(&b).number, store.numbers().unwrap().len()), (2, 3));
    }
}
