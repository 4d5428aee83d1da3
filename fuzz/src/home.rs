//! Valid files for the targets, made by the library itself.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use catalex::artifact::Overwrite;
use catalex::constraint::{Document, FmIndex, Trie, tokens_of};
use catalex::features::{Features, Modality};
use catalex::index::{FEATURES, Generation, IndexWriter, MODEL, TOKENS};
use catalex::item_ids::ItemIds;
use catalex::pipeline::{self, BuildSpec};
use catalex::progress::Silent;
use catalex::semantic_id::{Collisions, TokenFormat, TokenTable};
use catalex::tokenizer::{ModalityShape, Network, Offsets, Standardization, Tokenizer, Weights};
use ndarray::{Array1, Array2};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::random::Random;

/// Number of items.
pub(crate) const ITEMS: usize = 24;
const DIM: usize = 4;
const CATALOG: &str = "id,title,description,tags,price,image,kind\n1,\"Red, old pen\",\"A <b>pen</b> &amp; ink\",\"[\"\"a\"\", \"\"b\"\"]\",15,1.png,a\n";

/// The folder of the valid files.
#[derive(Debug)]
pub(crate) struct Home {
    folder: PathBuf,
}

impl Home {
    /// Makes the files.
    pub(crate) fn create(folder: &Path) -> io::Result<Self> {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder)?;
        let home = Home { folder: folder.to_path_buf() };
        home.fill().map_err(|e| io::Error::other(format!("the valid files: {e}")))?;
        Ok(home)
    }

    /// A file of the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The content of a file.
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    fn fill(&self) -> Result<(), Box<dyn Error>> {
        let features = features();
        fs::write(self.path("x.safetensors"), matrix(&features)?)?;
        features.write(&self.path("x.parquet"), Overwrite::Refuse)?;
        let mut npy = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        npy.extend(format!("{:117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (24, 4), }").bytes());
        npy.extend(features.concatenated().iter().flat_map(|v| v.to_le_bytes()));
        fs::write(self.path("x.npy"), npy)?;
        let model = model()?;
        model.save(&self.path("model"), Overwrite::Refuse)?;
        let table = TokenTable::of_features(&features, &model, TokenFormat::default(), Collisions::Resolve, &Silent)?;
        table.write(&self.path("t.parquet"), Overwrite::Refuse)?;
        fs::write(self.path("catalog.csv"), CATALOG)?;
        self.language_model()?;
        let vocabulary = json!({"tokens": self.path("t.parquet"), "output": {"out": self.path("vocabulary")},
            "vocabulary": {"tokenizer": self.path("llm"), "begin-token": "<|id|>", "end-token": "<|/id|>"}});
        pipeline::vocab(&spec(vocabulary), &Silent)?;
        let trie = Trie::new(table.codes.view())?;
        trie.save(&self.path("bare.trie"), Overwrite::Refuse)?;
        let tokens = tokens_of(&table, &self.path("vocabulary"))?;
        trie.with_tokens(tokens)?.save(&self.path("tokens.trie"), Overwrite::Refuse)?;
        let document = |i: u32| Document { facets: vec![vec![i % 5, 7], vec![], vec![8], vec![9 + i % 3, 9, 100_000]] };
        FmIndex::new((0..12).map(document))?.save(&self.path("fm"), Overwrite::Refuse)?;
        self.index(&table)
    }

    /// Writes an index of the valid files.
    fn index(&self, table: &TokenTable) -> Result<(), Box<dyn Error>> {
        let index = IndexWriter::create(&self.path("index"), Overwrite::Refuse)?;
        for (from, to) in [("x.parquet", FEATURES), ("t.parquet", TOKENS)] {
            fs::copy(self.path(from), index.path(to))?;
        }
        fs::create_dir(index.path(MODEL))?;
        for file in ["config.json", "model.safetensors"] {
            fs::copy(self.path("model").join(file), index.path(MODEL).join(file))?;
        }
        let build = BuildSpec { catalog: self.path("catalog.csv"), ..BuildSpec::default() };
        index.commit(ITEMS as u64, &table.metadata.model_hash, serde_json::to_value(build)?, Generation::default())?;
        Ok(())
    }

    /// A random language model.
    fn language_model(&self) -> io::Result<()> {
        let folder = self.path("llm");
        fs::create_dir(&folder)?;
        let words = ["[UNK]", "red", "green", "blue", "pen", "lamp"];
        let vocabulary: Value = words.iter().zip(0..).map(|(word, id)| ((*word).to_owned(), json!(id))).collect();
        let special = json!({"id": 6, "content": "<pad>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true});
        let tokenizer = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [special],
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"},
                {"type": "Replace", "pattern": {"String": "'"}, "content": " "}]},
            "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
            "model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab": vocabulary},
        });
        fs::write(folder.join("tokenizer.json"), tokenizer.to_string())?;
        let config = json!({"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "unk_token": "[UNK]",
            "model_max_length": 512, "added_tokens_decoder": {"6": {"content": "<pad>", "special": true}}});
        fs::write(folder.join("tokenizer_config.json"), config.to_string())?;
        let special = json!({"pad_token": "<pad>", "additional_special_tokens": ["<pad>"]});
        fs::write(folder.join("special_tokens_map.json"), special.to_string())?;
        fs::write(folder.join("config.json"), json!({"tie_word_embeddings": true, "vocab_size": 7}).to_string())?;
        let mut random = Random::new(2);
        let floats = |n: usize, random: &mut Random| {
            (0..n).flat_map(|_| (random.below(1000) as f32 / 500.0 - 1.0).to_le_bytes()).collect::<Vec<u8>>()
        };
        let (rows, norm) = (floats(7 * 8, &mut random), floats(8, &mut random));
        let view = |shape, bytes| safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, bytes);
        let tensors = [("model.embed_tokens.weight", view(vec![7, 8], &rows)), ("norm.weight", view(vec![8], &norm))];
        let tensors = tensors.into_iter().map(|(name, view)| view.map(|view| (name, view)));
        let tensors = tensors.collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
        fs::write(folder.join("model.safetensors"), safetensors::serialize(tensors, None).map_err(io::Error::other)?)
    }
}

/// A spec of a pipeline function, built from JSON keys, so that new fields need no change here.
pub(crate) fn spec<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|e| panic!("{value}: {e}"))
}

fn features() -> Features {
    let mut random = Random::new(1);
    let vectors = Array2::from_shape_simple_fn((ITEMS, DIM), || random.below(2000) as f32 / 1000.0 - 1.0);
    let text = Modality { name: "text".into(), present: vec![true; ITEMS], vectors };
    match Features::new(ItemIds::row_numbers(ITEMS), vec![text]) {
        Ok(features) => features,
        Err(error) => panic!("{error}"),
    }
}

/// The vectors as a safetensors file.
fn matrix(features: &Features) -> Result<Vec<u8>, safetensors::SafeTensorError> {
    let bytes: Vec<u8> = features.concatenated().iter().flat_map(|v| v.to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![ITEMS, DIM], &bytes)?;
    safetensors::serialize([("vectors", view)], None)
}

fn model() -> catalex::Result<Tokenizer> {
    let mut random = Random::new(3);
    let mut numbers = || random.below(2000) as f32 / 1000.0 - 1.0;
    let identity = || Network { skip: Some(Array2::eye(DIM)), layers: vec![] };
    let weights = Weights {
        standardization: Standardization {
            mean: Array1::zeros(DIM),
            scale: Array1::ones(DIM),
            dims: vec![DIM],
            completion: None,
        },
        projection: identity(),
        inverse: identity(),
        codebooks: (0..3).map(|_| Array2::from_shape_simple_fn((4, DIM), &mut numbers)).collect(),
        offsets: Offsets::zero([4, 4, 4]),
    };
    Tokenizer::new(vec![ModalityShape { name: "text".into(), dim: DIM }], weights, None)
}
