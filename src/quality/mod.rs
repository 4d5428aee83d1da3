//! Quality measures of a token table, and the report that shows them.
//!
//! [`Figures`] holds the numbers; [`Report`] is an HTML page with the numbers and the items by prefix. Features are read
//! block by block, so they may be larger than memory.

mod drift;
mod drift_advice;
mod duplicates;
mod figures;
mod histories;
mod label_neighbours;
mod labels;
mod neighbours;
mod recall;
mod reconstruction;
mod report;

pub use drift::{CrowdedGrowth, PrefixNovelty, ResidualDrift, UsageShift};
pub use drift_advice::{Advice, Drift, DriftSince};
pub use duplicates::DuplicateGroup;
pub use figures::{CrowdedPrefix, Figures, LevelFigures};
pub use histories::{
    BetterIds, CoOccurrenceKept, CodeEntropy, HistoryFigures, IdComparison, LevelEntropy, NextItemFigures,
    PairedFigure, PopularitySpread, PrefixPurity, SharedIdEvents, ShuffledIds,
};
pub use label_neighbours::{LabelNeighbours, Nearness};
pub use labels::{LabelDepth, LabelFigures};
pub use recall::NeighbourFigures;
pub use reconstruction::{HeldOutError, Reconstruction};
pub use report::{Cards, Map, PICTURES_AT_MOST, Pictures, Report, picture_order, report_rows};

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2};

    use super::*;
    use crate::artifact::Overwrite;
    use crate::features::{FeatureFile, FeatureSource, Features, Modality};
    use crate::item_ids::ItemIds;
    use crate::progress::Silent;
    use crate::semantic_id::{Collisions, TableMetadata, TokenFormat, TokenTable};
    use crate::tokenizer::{ModalityShape, Network, Offsets, Standardization, Tokenizer, Weights};

    /// A table of these codes, with ids `0..n`.
    pub(crate) fn table(codes: Array2<u16>, sizes: &[usize]) -> TokenTable {
        TokenTable {
            members: None,
            item_ids: ItemIds::row_numbers(codes.nrows()),
            residual_error: vec![0.0; codes.nrows()],
            reassigned: vec![false; codes.nrows()],
            codes,
            metadata: TableMetadata {
                model_hash: "0123456789abcdef".into(),
                codebook_sizes: sizes.to_vec(),
                token_format: TokenFormat::default(),
                policy: Collisions::Resolve,
                collisions: None,
            },
        }
    }

    /// A linear model of modalities "a" and "b" that keeps the first dimensions of the input.
    pub(crate) fn model(dims: [usize; 2], codebooks: Vec<Array2<f32>>) -> Tokenizer {
        let (dim, latent_dim) = (dims[0] + dims[1], codebooks[0].ncols());
        let skip = Array2::from_shape_fn((latent_dim, dim), |(i, j)| f32::from(i == j));
        let weights = Weights {
            standardization: Standardization {
                mean: Array1::zeros(dim),
                scale: Array1::ones(dim),
                dims: dims.into(),
                completion: None,
            },
            inverse: Network { skip: Some(skip.t().to_owned()), layers: vec![] },
            projection: Network { skip: Some(skip), layers: vec![] },
            offsets: Offsets::zero(codebooks.iter().map(Array2::nrows)),
            codebooks,
        };
        let shapes = ["a", "b"].into_iter().zip(dims).map(|(name, dim)| ModalityShape { name: name.into(), dim });
        Tokenizer::new(shapes.collect(), weights, None).unwrap()
    }

    #[test]
    fn a_file_of_many_blocks_equals_the_matrix_in_memory() {
        let n = 20_000;
        let value = |i: usize, j: usize| ((i * 7_919 + j * 104_729 + i * i % 613) % 2_003) as f32 / 500.0 - 2.0;
        let modality = |name: &str, dim: usize, lacks: usize| Modality {
            name: name.into(),
            vectors: Array2::from_shape_fn((n, dim), |(i, j)| value(i, j + lacks)),
            present: (0..n).map(|i| i % lacks != lacks / 3).collect(),
        };
        let ids = ItemIds::Strings((0..n).map(|i| format!("i{i}")).collect());
        // In another order than the model's.
        let features = Features::new(ids, vec![modality("b", 3, 5), modality("a", 4, 10)]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        features.write(&path, Overwrite::Refuse).unwrap();
        let file = FeatureFile::open(&path).unwrap();
        assert_eq!(file.parts(), 3);
        let book = |size: usize, l: usize| Array2::from_shape_fn((size, 6), |(i, j)| value(i * 31 + l, j));
        let model = model([4, 3], vec![book(30, 0), book(30, 1), book(40, 2)]);
        let labels: Vec<String> = (0..n).map(|i| ["", "x", "y", "z"][i % 4].into()).collect();
        let measured = |source: &dyn FeatureSource| {
            let table =
                TokenTable::of_features(source, &model, TokenFormat::default(), Collisions::Resolve, &Silent).unwrap();
            let figures = Figures::of_table(&table, Some((&model, source)), &Silent).unwrap();
            let map = Map::of_items(&table, &model, source).unwrap();
            let labels = LabelNeighbours::measure(&model, source, &labels, &Silent).unwrap();
            (table, figures, map, labels)
        };
        let (from_file, from_memory) = (measured(&file), measured(&features));
        assert_eq!(from_file, from_memory);

        // The reconstruction error of all items in one matrix, summed in row order.
        let (table, figures, ..) = from_memory;
        let (x, present) = (features.concatenated_in(&[1, 0]), features.presence_in(&[1, 0]));
        let codes = model.encode(x.view(), Some(present.view())).unwrap().codes;
        let standardized = model.standardization().apply_with_gaps(x.view(), Some(present.view()));
        let sum = |x: &Array2<f32>| x.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>();
        let error = |codes: &Array2<u16>| {
            let mut left = model.decode_standardized(codes.view()).unwrap() - &standardized;
            left.indexed_iter_mut().for_each(|((i, j), v)| *v *= f32::from(present[[i, usize::from(j >= 4)]]));
            sum(&left) / sum(&standardized)
        };
        let expected =
            Reconstruction { before_resolution: error(&codes), after_resolution: error(&table.codes), held_out: None };
        assert_eq!(figures.reconstruction, Some(expected));
        assert!(expected.after_resolution > expected.before_resolution);
    }

    #[test]
    fn features_of_other_items_are_refused() {
        let model = model([1, 1], vec![ndarray::array![[0.0, 0.0], [1.0, 1.0]]]);
        let features = |first: i64, n: usize| {
            let modality = |name: &str| Modality {
                name: name.into(),
                vectors: Array2::from_shape_fn((n, 1), |(i, _)| i as f32),
                present: vec![true; n],
            };
            let ids = ItemIds::Integers((first..first + n as i64).collect());
            Features::new(ids, vec![modality("a"), modality("b")]).unwrap()
        };
        let mut table = table(ndarray::array![[0], [1]], &[2]);
        let fails = |table: &TokenTable, features: Features| {
            Figures::of_table(table, Some((&model, &features)), &Silent).unwrap_err().to_string()
        };
        assert!(fails(&table, features(0, 2)).contains("model of the token table"));
        table.metadata.model_hash = model.hash().to_owned();
        assert!(fails(&table, features(0, 3)).contains("the 2 items of the token table"));
        assert!(fails(&table, features(1, 2)).contains("the 2 items of the token table"));
        assert!(Figures::of_table(&table, Some((&model, &features(0, 2))), &Silent).is_ok());
    }
}
