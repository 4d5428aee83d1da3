//! Gives semantic IDs to items with a frozen model. This needs neither libtorch nor ONNX Runtime:
//!
//!     cargo run --locked --release --no-default-features --example tokenize_frozen -- MODEL FEATURES
//!
//! MODEL is a folder that `catalex train` wrote, FEATURES a Parquet table or a `.npy` matrix.

use std::path::{Path, PathBuf};

use catalex::features::FeatureFile;
use catalex::progress::Silent;
use catalex::semantic_id::{Collisions, TokenFormat, TokenTable};
use catalex::tokenizer::Tokenizer;

/// Encodes every item and resolves collisions. Features are read block by block, so the file may be larger than memory.
pub(crate) fn tokenize(model: &Path, features: &Path) -> catalex::Result<TokenTable> {
    let model = Tokenizer::load(model)?;
    let features = FeatureFile::open(features)?;
    TokenTable::of_features(&features, &model, TokenFormat::default(), Collisions::Resolve, &Silent)
}

fn main() -> catalex::Result<()> {
    let index = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/index-0.1");
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let model = arguments.next().unwrap_or_else(|| index.join("model"));
    let features = arguments.next().unwrap_or_else(|| index.join("features.parquet"));
    let table = tokenize(&model, &features)?;
    for row in 0..table.item_ids.len() {
        let moved = if table.reassigned[row] { "  (moved to a free code)" } else { "" };
        println!("{}\t{}{moved}", table.item_ids.text(row), table.semantic_id(row));
    }
    Ok(())
}
