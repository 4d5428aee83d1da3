//! Start values of new embedding rows, through the built binary.

use std::fs;
use std::path::Path;

use catalex::artifact::Overwrite;
use catalex::semantic_id::TokenTable;
use half::{bf16, f16};
use ndarray::{Array2, ArrayView1, Axis, s};
use safetensors::{Dtype, SafeTensors};

use super::support::{
    WORDS, catalex, clustered, features, files, hand_made, hand_made_from, language_model, numbers, outcome, succeeds,
    text,
};

const INPUT: &str = "model.embed_tokens.weight";
const OUTPUT: &str = "lm_head.weight";
const SIZES: [usize; 3] = [8, 8, 8];
const DIM: usize = 12;
/// More rows than tokens, as in many models.
const ROWS: usize = WORDS.len() + 2;

/// A model, a table of 150 items, and their catalog.
struct Shop {
    folder: tempfile::TempDir,
}

impl Shop {
    fn new() -> Self {
        let shop = Shop { folder: tempfile::tempdir().unwrap() };
        hand_made(6, &SIZES).save(shop.path("m").as_ref(), Overwrite::Refuse).unwrap();
        features(clustered(150, 6)).write(shop.path("x").as_ref(), Overwrite::Refuse).unwrap();
        succeeds(&["tokenize", &shop.path("x"), "--model", &shop.path("m"), "--out", &shop.path("t")]);
        // Texts depend on the first code, so that they carry information about it.
        let table = TokenTable::read(shop.path("t").as_ref()).unwrap();
        let mut next = numbers(9);
        let mut word = || WORDS[1 + ((next() + 1.0) * 5.49) as usize];
        let rows = table.codes.column(0).into_iter().enumerate().map(|(row, &code)| {
            format!("{row},{} {} {}\n", WORDS[1 + usize::from(code)], word(), WORDS[1 + usize::from(code)])
        });
        fs::write(shop.path("c.csv"), format!("id,t\n{}", rows.collect::<String>())).unwrap();
        shop
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }

    fn vocab(&self, llm: &str, out: &str, more: &[&str]) {
        let (tokens, out, llm) = (self.path("t"), self.path(out), self.path(llm));
        let (model, catalog) = (self.path("m"), self.path("c.csv"));
        let mut line = vec!["vocab", &tokens, "--out", &out, "--tokenizer", &llm, "--llm", &llm, "--model", &model];
        line.extend(["--catalog", &catalog, "--text", "t"]);
        line.extend(more);
        succeeds(&line);
    }

    fn rows(&self, out: &str, tensor: &str) -> Array2<f32> {
        rows(&Path::new(&self.path(out)).join("new_token_embeddings.safetensors"), tensor)
    }
}

/// A tensor of a file, as float32.
fn rows(path: &Path, tensor: &str) -> Array2<f32> {
    let bytes = fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = tensors.tensor(tensor).unwrap();
    let half = |b: &[u8]| {
        if tensor.dtype() == Dtype::F16 {
            f16::from_le_bytes([b[0], b[1]]).to_f32()
        } else {
            bf16::from_le_bytes([b[0], b[1]]).to_f32()
        }
    };
    let values = match tensor.dtype() {
        Dtype::F32 => tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        _ => tensor.data().chunks_exact(2).map(half).collect(),
    };
    Array2::from_shape_vec((tensor.shape()[0], tensor.shape()[1]), values).unwrap()
}

fn distance(a: ArrayView1<f32>, b: ArrayView1<f32>) -> f32 {
    (&a - &b).mapv(|x| x * x).sum()
}

/// Mean over the rows of their squared distances from their mean.
fn spread(rows: &Array2<f32>) -> f32 {
    let mean = rows.mean_axis(Axis(0)).unwrap();
    rows.rows().into_iter().map(|row| distance(row, mean.view())).sum::<f32>() / rows.nrows() as f32
}

#[test]
fn rows_have_the_old_ones_mean_and_spread_in_every_precision() {
    let shop = Shop::new();
    for (name, dtype) in [("f32", Dtype::F32), ("f16", Dtype::F16), ("bf16", Dtype::BF16)] {
        language_model(shop.path(name).as_ref(), ROWS, DIM, &[INPUT], dtype);
        let old = rows(&Path::new(&shop.path(name)).join("model.safetensors"), INPUT);
        let words = old.slice(s![..WORDS.len(), ..]).to_owned();
        for method in ["mean", "grounded", "structured"] {
            let out = format!("{name}-{method}");
            shop.vocab(name, &out, &["--start-values", method]);
            let new = shop.rows(&out, "input_embeddings");
            assert_eq!(new.dim(), (24, DIM));
            let mean = distance(new.mean_axis(Axis(0)).unwrap().view(), words.mean_axis(Axis(0)).unwrap().view());
            let share = spread(&new) / spread(&words);
            if method == "mean" {
                // In bfloat16, such small differences are rounded away.
                assert!(share < 1e-4 && mean < 1e-3, "{out}: {share} {mean}");
            } else {
                assert!((0.8..1.2).contains(&share), "{out}: {share}");
                assert!(mean < 0.3 * spread(&words), "{out}: {mean}");
            }
        }
    }
}

#[test]
fn the_rows_reflect_texts_and_codebooks() {
    let shop = Shop::new();
    language_model(shop.path("llm").as_ref(), ROWS, DIM, &[INPUT], Dtype::F32);
    shop.vocab("llm", "g", &["--start-values", "grounded"]);
    shop.vocab("llm", "s", &[]);
    let words = rows(&Path::new(&shop.path("llm")).join("model.safetensors"), INPUT);
    let table = TokenTable::read(shop.path("t").as_ref()).unwrap();
    let used = |code: usize| table.codes.column(0).iter().filter(|&&c| usize::from(c) == code).count() > 5;
    // The word that all items of a code share is nearer to the code's row than the words of other codes.
    let centred = |rows: Array2<f32>| &rows - &rows.mean_axis(Axis(0)).unwrap();
    let (rows_of, words) = (centred(shop.rows("g", "input_embeddings").slice(s![..8, ..]).to_owned()), centred(words));
    let cosine = |a: ArrayView1<f32>, b: ArrayView1<f32>| a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt();
    let codes: Vec<usize> = (0..8).filter(|&code| used(code)).collect();
    let right = |&&code: &&usize| {
        let near = |word: usize| cosine(rows_of.row(code), words.row(1 + word));
        codes.iter().all(|&other| near(other) <= near(code))
    };
    assert!(codes.iter().filter(right).count() * 4 >= codes.len() * 3, "of {codes:?}");
    // Distances of rows correlate with distances of codewords, and more strongly with the structured method.
    let model = hand_made(6, &SIZES);
    let agreement = |out: &str| {
        let rows = shop.rows(out, "input_embeddings");
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for (level, book) in model.codebooks().iter().enumerate() {
            for (i, j) in (0..8).flat_map(|i| (0..i).map(move |j| (i, j))) {
                a.push(distance(book.row(i), book.row(j)).sqrt());
                b.push(distance(rows.row(level * 8 + i), rows.row(level * 8 + j)).sqrt());
            }
        }
        let (a, b) = (ndarray::Array1::from(a), ndarray::Array1::from(b));
        let (a, b) = (&a - a.mean().unwrap(), &b - b.mean().unwrap());
        a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
    };
    let (grounded, structured) = (agreement("g"), agreement("s"));
    assert!(structured > 0.4 && structured > grounded + 0.1, "{grounded} {structured}");
    // No two codes have the same start values, not even codes without items.
    let all = shop.rows("s", "input_embeddings");
    let nearest = (0..24).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| distance(all.row(i), all.row(j)));
    assert!(nearest.fold(f32::INFINITY, f32::min) > 0.01 * spread(&all));
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let shop = Shop::new();
    language_model(shop.path("llm").as_ref(), ROWS, DIM, &[INPUT, OUTPUT], Dtype::BF16);
    for method in ["mean", "grounded", "structured"] {
        let names: Vec<String> = ["a", "b", "c"].iter().map(|n| format!("{method}-{n}")).collect();
        shop.vocab("llm", &names[0], &["--start-values", method, "--write-model"]);
        shop.vocab("llm", &names[1], &["--start-values", method, "--write-model"]);
        shop.vocab("llm", &names[2], &["--start-values", method, "--seed", "1"]);
        let of = |name: &String| files(shop.path(name).as_ref());
        assert_eq!(of(&names[0]), of(&names[1]));
        let (first, other) = (of(&names[0]), of(&names[2]));
        assert_ne!(first["new_token_embeddings.safetensors"], other["new_token_embeddings.safetensors"]);
    }
}

#[test]
fn a_resized_checkpoint_differs_only_in_the_new_rows() {
    let shop = Shop::new();
    language_model(shop.path("llm").as_ref(), ROWS, DIM, &[INPUT, OUTPUT], Dtype::F16);
    fs::write(Path::new(&shop.path("llm")).join("pytorch_model.bin"), "old weights").unwrap();
    shop.vocab("llm", "v", &["--write-model", "--pad-to-multiple-of", "16"]);
    let (llm, model) = (Path::new(&shop.path("llm")).to_owned(), Path::new(&shop.path("v")).join("model"));
    for (file, tensor, new) in
        [("model-0.safetensors", INPUT, "input_embeddings"), ("model-1.safetensors", OUTPUT, "output_embeddings")]
    {
        let (old, resized, new) = (rows(&llm.join(file), tensor), rows(&model.join(file), tensor), shop.rows("v", new));
        // Old tokens and codes, rounded up to a multiple of 16.
        assert_eq!(resized.nrows(), 48);
        assert_eq!(resized.slice(s![..12, ..]), old.slice(s![..12, ..]));
        assert_eq!(resized.slice(s![12..36, ..]), new);
        let mean = old.slice(s![..12, ..]).mean_axis(Axis(0)).unwrap();
        assert!(resized.slice(s![36.., ..]).rows().into_iter().all(|row| distance(row, mean.view()) < 1e-4));
        let bytes = fs::read(model.join(file)).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let norm = tensors.names().into_iter().find(|name| name.contains("norm")).unwrap().to_owned();
        assert_eq!(tensors.tensor(&norm).unwrap().data(), [7; 16]);
    }
    let config = fs::read_to_string(model.join("config.json")).unwrap();
    assert_eq!(config, fs::read_to_string(llm.join("config.json")).unwrap().replace("14", "48"));
    assert!(!model.join("pytorch_model.bin").exists());
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(model.join("model.safetensors.index.json")).unwrap()).unwrap();
    assert_eq!(index["metadata"]["total_size"], 1000 + 2 * 34 * DIM * 2);
    assert_eq!(
        fs::read(model.join("tokenizer.json")).unwrap(),
        fs::read(Path::new(&shop.path("v")).join("tokenizer/tokenizer.json")).unwrap()
    );
}

#[test]
fn other_heads_are_extended_and_unknown_tensors_are_refused_by_name() {
    let shop = Shop::new();
    let head = "model.layers.9.shared_head.head.weight";
    language_model(shop.path("mtp").as_ref(), ROWS, DIM, &[INPUT, OUTPUT, head], Dtype::F32);
    shop.vocab("mtp", "v", &["--write-model"]);
    let file = "model-2.safetensors";
    let old = rows(&Path::new(&shop.path("mtp")).join(file), head);
    let new = rows(&Path::new(&shop.path("v")).join("model").join(file), head);
    assert_eq!(new.slice(s![..12, ..]), old.slice(s![..12, ..]));
    assert_eq!(new.nrows(), 36);
    let output = shop.rows("v", "output_embeddings");
    assert!(distance(new.row(12), output.row(0)) > 1e-3, "the rows of a head come from its own matrix");

    language_model(shop.path("odd").as_ref(), ROWS, DIM, &[INPUT, "score.weight"], Dtype::F32);
    let (tokens, out, llm) = (shop.path("t"), shop.path("w"), shop.path("odd"));
    let line = ["vocab", &tokens, "--out", &out, "--tokenizer", &llm, "--llm", &llm, "--start-values", "mean"];
    succeeds(&line);
    let failed = catalex(&[&line[..], &["--write-model", "--force"]].concat()).output().unwrap();
    let message = text(&failed.stderr);
    assert!(!failed.status.success() && message.contains("score.weight") && message.contains("14"), "{message}");
}

#[test]
fn embeddings_without_columns_and_mismatched_configurations_are_refused() {
    let shop = Shop::new();
    let (tokens, out, llm) = (shop.path("t"), shop.path("w"), shop.path("llm"));
    let line = ["vocab", &tokens, "--out", &out, "--tokenizer", &llm, "--llm", &llm, "--start-values", "mean"];
    let says = |dim: usize, config: &str| {
        language_model(llm.as_ref(), ROWS, dim, &[INPUT], Dtype::F32);
        fs::write(Path::new(&llm).join("config.json"), config).unwrap();
        let (code, message) = outcome(&catalex(&[&line[..], &["--write-model"]].concat()).output().unwrap());
        assert_eq!(code, 1, "{message}");
        message
    };
    assert!(says(0, "{}").contains("got shape [14, 0]"));
    assert!(says(DIM, "{\"vocab_size\": -1}").contains("config.json: expected a vocab_size of 14, the number of rows"));
    assert!(says(DIM, "[14]").contains("expected a JSON object"));
    // The vocabulary size is added if the configuration omits it because it is the default.
    fs::write(Path::new(&llm).join("config.json"), "{\"text_config\": {}}").unwrap();
    succeeds(&[&line[..], &["--write-model"]].concat());
    let config = fs::read_to_string(Path::new(&out).join("model/config.json")).unwrap();
    assert!(config.contains("\"vocab_size\": 36"), "{config}");
}

#[test]
fn a_token_that_loading_adds_gets_a_row_too() {
    let shop = Shop::new();
    language_model(shop.path("llm").as_ref(), WORDS.len(), DIM, &[INPUT], Dtype::F32);
    let llm = Path::new(&shop.path("llm")).to_owned();
    fs::write(llm.join("tokenizer_config.json"), r#"{"pad_token": "<pad>", "unk_token": "[UNK]"}"#).unwrap();
    shop.vocab("llm", "v", &["--write-model"]);
    let old = rows(&llm.join("model.safetensors"), INPUT);
    let new = rows(&Path::new(&shop.path("v")).join("model/model.safetensors"), INPUT);
    assert_eq!((new.nrows(), new.slice(s![..12, ..])), (37, old.view()));
    assert!(distance(new.row(12), old.mean_axis(Axis(0)).unwrap().view()) < 1e-6);
    assert_eq!(new.slice(s![13.., ..]), shop.rows("v", "input_embeddings"));
}

#[test]
fn from_an_earlier_index_only_rows_of_codes_with_other_items_change() {
    let shop = Shop::new();
    language_model(shop.path("llm").as_ref(), ROWS, DIM, &[INPUT, OUTPUT], Dtype::BF16);
    shop.vocab("llm", "v", &["--write-model"]);
    let trained = Path::new(&shop.path("v")).join("model");
    hand_made_from(7, 6, &SIZES).save(shop.path("m2").as_ref(), Overwrite::Refuse).unwrap();
    succeeds(&["tokenize", &shop.path("x"), "--model", &shop.path("m2"), "--out", &shop.path("t2")]);
    let vocab = |tokens: &str, out: &str, more: &[&str]| {
        let (tokens, out, llm) = (shop.path(tokens), shop.path(out), trained.to_string_lossy().into_owned());
        let line = ["vocab", &tokens, "--from", &shop.path("t"), "--llm", &llm, "--out", &out];
        catalex(&[&line[..], more].concat()).output().unwrap()
    };
    let model = shop.path("m2");
    let written = vocab("t2", "w", &["--model", &model, "--write-model"]);
    assert!(written.status.success(), "{}", text(&written.stderr));

    let [before, after] = ["t", "t2"].map(|name| TokenTable::read(shop.path(name).as_ref()).unwrap());
    for (file, tensor) in [("model-0.safetensors", INPUT), ("model-1.safetensors", OUTPUT)] {
        let (old, new) =
            (rows(&trained.join(file), tensor), rows(&Path::new(&shop.path("w")).join("model").join(file), tensor));
        assert_eq!((old.dim(), old.slice(s![..12, ..])), (new.dim(), new.slice(s![..12, ..])));
        let mut changed = 0;
        for (level, code) in (0..3).flat_map(|level| (0..8).map(move |code| (level, code))) {
            let now: Vec<usize> = (0..150).filter(|&row| after.codes[[row, level]] == code).collect();
            let stayed = now.iter().filter(|&&row| before.codes[[row, level]] == code).count();
            let row = 12 + level * 8 + usize::from(code);
            assert_eq!(old.row(row) == new.row(row), 2 * stayed >= now.len(), "level {level}, code {code}");
            changed += usize::from(2 * stayed < now.len());
        }
        assert!(changed > 4, "{changed}");
    }
    let description = |out: &str| fs::read(Path::new(&shop.path(out)).join("tokenizer/catalex.json")).unwrap();
    assert!(text(&description("w")).contains(&after.metadata.model_hash));

    // A training program may drop the record of the extension.
    fs::remove_file(trained.join("catalex.json")).unwrap();
    assert!(vocab("t2", "w2", &["--model", &model, "--write-model"]).status.success());
    assert_eq!(files(shop.path("w").as_ref()), files(shop.path("w2").as_ref()));
    // With the same model, no code has another meaning.
    assert!(vocab("t", "w3", &["--write-model"]).status.success());
    let kept = Path::new(&shop.path("w3")).join("model/model-0.safetensors");
    assert_eq!(rows(&kept, INPUT), rows(&trained.join("model-0.safetensors"), INPUT));

    let refused = |output: std::process::Output, says: &[&str]| {
        let message = text(&output.stderr);
        assert!(!output.status.success() && says.iter().all(|say| message.contains(say)), "{message}");
    };
    refused(vocab("t2", "no", &["--text", "t"]), &["text", "no value with --from"]);
    let (tokens, llm, out) = (shop.path("t2"), shop.path("llm"), shop.path("no"));
    let line = ["vocab", &tokens, "--from", &shop.path("t"), "--llm", &llm, "--out", &out];
    refused(catalex(&line).output().unwrap(), &["<a_0>", "fine-tuned model"]);
}
