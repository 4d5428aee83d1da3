//! Builds an index of a small catalog with ready vectors: trains a model, gives every item a unique semantic ID, and
//! writes the vocabulary and a report.
//!
//!     cargo run --locked --release --example build_index -- FOLDER
//!
//! With `text` and `text_encoder` in `EncodeSettings`, the same call encodes texts first; `image` and `image_encoder` do
//! so for images.

use std::path::{Path, PathBuf};

use catalex::artifact::{Overwrite, write_file};
use catalex::features::{Features, Modality};
use catalex::item_ids::ItemIds;
use catalex::pipeline::spec::Embeddings;
use catalex::pipeline::{BuildSpec, EncodeSettings, IndexSummary, LookupKey, LookupSpec, Output, build, lookup};
use catalex::progress::Silent;
use catalex::training::TrainSettings;
use ndarray::Array2;

const ITEMS: usize = 300;

/// Items of twelve kinds; items of one kind have similar vectors.
fn write_inputs(folder: &Path) -> catalex::Result<(PathBuf, PathBuf)> {
    let (catalog, vectors) = (folder.join("catalog.csv"), folder.join("vectors.parquet"));
    let lines = (0..ITEMS).map(|item| format!("sku-{item},kind {}\n", item % 12));
    write_file(&catalog, format!("item_id,kind\n{}", lines.collect::<String>()).as_bytes(), Overwrite::Replace)?;
    let matrix = Array2::from_shape_fn((ITEMS, 16), |(item, dim)| {
        let kind = ((item % 12 * 31 + dim * 17) as f32).sin();
        kind + 0.3 * ((item * 13 + dim * 7) as f32).sin()
    });
    let modality = Modality { name: "text".into(), vectors: matrix, present: vec![true; ITEMS] };
    let ids = ItemIds::Strings((0..ITEMS).map(|item| format!("sku-{item}")).collect());
    Features::new(ids, vec![modality])?.write(&vectors, Overwrite::Replace)?;
    Ok((catalog, vectors))
}

/// Builds the index in `folder/index`.
pub(crate) fn build_index(folder: &Path) -> catalex::Result<IndexSummary> {
    let (catalog, vectors) = write_inputs(folder)?;
    let spec = BuildSpec {
        catalog,
        encode: EncodeSettings {
            // One modality, named "text", from the column "text" of the file. It is joined to the catalog by item id.
            embedding: Some(Embeddings(vec![format!("text={}:text", vectors.display())])),
            ..EncodeSettings::default()
        },
        // Settings that are not given have their defaults.
        train: TrainSettings { levels: Some(3), codebook_size: Some(vec![16]), ..TrainSettings::default() },
        output: Output { force: true, ..Output::new(folder.join("index")) },
        ..BuildSpec::default()
    };
    build(&spec, &Silent)
}

fn main() -> catalex::Result<()> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let summary = build_index(&folder)?;
    println!("{} items, {} distinct IDs", summary.figures.items, summary.figures.distinct_ids);
    println!("{}", summary.report.display());
    // Items under one prefix are of one kind.
    for prefix in &summary.prefixes {
        println!("{}  {}", prefix.prefix, prefix.items.join(", "));
    }
    let key = LookupKey::Item("sku-7".into());
    for hit in lookup(&LookupSpec::new(summary.index, key))? {
        println!("{} is {}", hit.item_id, hit.semantic_id);
    }
    Ok(())
}
