//! Bad input of every kind, through the built binary: the exit code, a message that says where and what to do, no
//! panic, and nothing left behind.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Float32Array, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::{Float32Type, Int64Type};
use catalex::artifact::Overwrite;
use catalex::item_ids::ItemIds;
use catalex::semantic_id::{Collisions, TokenTable};
use ndarray::Array2;
use parquet::arrow::ArrowWriter;

use super::support::{
    WORDS, catalex, clustered, features, files, hand_made, language_model, mobilenet, outcome, write_matrix, write_npy,
};

/// Tables with one ID twice and with many items, vocabularies of this table and of another, lists of ids.
fn write_constraint_inputs(folder: &Path) {
    let at = |name: &str| folder.join(name);
    let mut table = TokenTable::read(&at("t.parquet")).unwrap();
    let vocabulary = |name: &str, sizes: &[usize]| {
        fs::create_dir(at(name)).unwrap();
        let (hash, format) = (&table.metadata.model_hash, &table.metadata.token_format);
        let ids = serde_json::json!({"first_id": 10, "vocabulary_size": 40});
        let described = serde_json::json!({
            "format_version": 1, "codebook_sizes": sizes, "model_hash": hash, "token_format": format, "tokenizer": ids,
        });
        fs::write(at(name).join("vocabulary.json"), described.to_string()).unwrap();
    };
    vocabulary("vocabulary", &[4, 4, 4]);
    vocabulary("other-vocabulary", &[4, 8, 4]);
    fs::write(at("unknown-ids.txt"), "3\n99\n").unwrap();
    table.metadata.policy = Collisions::Keep;
    let first = table.codes.row(0).to_owned();
    table.codes.row_mut(4).assign(&first);
    table.write(&at("kept.parquet"), Overwrite::Refuse).unwrap();
    let many = 25_000;
    table.metadata.codebook_sizes = vec![256, 256];
    table.item_ids = ItemIds::row_numbers(many);
    table.codes = Array2::from_shape_fn((many, 2), |(row, level)| (row >> (8 * level) & 255) as u16);
    (table.residual_error, table.reassigned) = (vec![0.0; many], vec![false; many]);
    table.write(&at("many.parquet"), Overwrite::Refuse).unwrap();
}

/// One case: its name, the arguments (`@x` is the path of x in the test's folder), the exit code, words of the message.
struct Case(&'static str, &'static str, i32, &'static [&'static str]);

fn parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn strings(values: Vec<Option<&str>>) -> ArrayRef {
    Arc::new(StringArray::from(values))
}

fn cut(path: &Path, from: &Path) {
    let bytes = fs::read(from).unwrap();
    fs::write(path, &bytes[..bytes.len() * 2 / 3]).unwrap();
}

fn write_inputs(folder: &Path) {
    let at = |name: &str| folder.join(name);
    let floats = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let list = |rows: Vec<Option<Vec<Option<f32>>>>| -> ArrayRef {
        Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows))
    };
    // Features.
    write_matrix(&at("x.npy"), &clustered(40, 4));
    write_matrix(&at("wide.npy"), &clustered(40, 5));
    write_matrix(&at("one.npy"), &clustered(1, 4));
    write_matrix(&at("equal.npy"), &Array2::ones((40, 4)));
    write_npy(&at("ints.npy"), "<i8", &[2, 1], &[0; 16]);
    write_npy(&at("cube.npy"), "<f4", &[2, 1, 1], &floats(&[1.0, 2.0]));
    write_npy(&at("nan.npy"), "<f4", &[3, 1], &floats(&[1.0, f32::NAN, 2.0]));
    write_npy(&at("inf.npy"), "<f4", &[3, 1], &floats(&[1.0, 2.0, f32::INFINITY]));
    write_npy(&at("short.npy"), "<f4", &[30, 4], &floats(&[1.0, 2.0]));
    features(clustered(40, 4)).write(&at("x.parquet"), Overwrite::Refuse).unwrap();
    cut(&at("cut.parquet"), &at("x.parquet"));
    let ids = || -> ArrayRef { Arc::new(Int64Array::from(vec![1, 2])) };
    let ragged = list(vec![Some(vec![Some(1.0), Some(2.0)]), Some(vec![Some(1.0)])]);
    parquet(&at("ragged.parquet"), vec![("item_id", ids()), ("v", ragged)]);
    let holes = list(vec![Some(vec![Some(1.0), None]), Some(vec![Some(1.0), Some(2.0)])]);
    parquet(&at("holes.parquet"), vec![("item_id", ids()), ("v", holes)]);
    let good = || list(vec![Some(vec![Some(1.0)]), Some(vec![Some(2.0)])]);
    parquet(&at("ready.parquet"), vec![("item_id", ids()), ("v", good())]);
    parquet(&at("others.parquet"), vec![("item_id", Arc::new(Int64Array::from(vec![70, 71]))), ("v", good())]);
    parquet(&at("twice.parquet"), vec![("item_id", Arc::new(Int64Array::from(vec![7, 7]))), ("v", good())]);
    parquet(&at("floats.parquet"), vec![("item_id", ids()), ("price", Arc::new(Float32Array::from(vec![1.0, 2.0])))]);
    let integers = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1)]), Some(vec![Some(2)])]);
    parquet(&at("int-lists.parquet"), vec![("item_id", ids()), ("v", Arc::new(integers))]);
    fs::write(at("empty"), "").unwrap();
    fs::write(at("words.txt"), "these are words").unwrap();
    // A model and its table.
    hand_made(4, &[4, 4, 4]).save(&at("model"), Overwrite::Refuse).unwrap();
    hand_made(1, &[4, 4]).save(&at("model-of-1"), Overwrite::Refuse).unwrap();
    hand_made(2, &[4, 4]).save(&at("model-of-2"), Overwrite::Refuse).unwrap();
    hand_made(4, &[4, 4]).save(&at("small-model"), Overwrite::Refuse).unwrap();
    hand_made(4, &[4, 4, 4]).save(&at("flipped"), Overwrite::Refuse).unwrap();
    let mut weights = fs::read(at("flipped/model.safetensors")).unwrap();
    let last = weights.len() - 3;
    weights[last] ^= 4;
    fs::write(at("flipped/model.safetensors"), weights).unwrap();
    hand_made(4, &[4, 4, 4]).save(&at("future"), Overwrite::Refuse).unwrap();
    let config = fs::read_to_string(at("future/config.json")).unwrap();
    fs::write(at("future/config.json"), config.replacen("\"format_version\": 3", "\"format_version\": 99", 1)).unwrap();
    let made = catalex(&[
        "tokenize",
        &at("x.npy").to_string_lossy(),
        "--model",
        &at("model").to_string_lossy(),
        "--out",
        &at("t.parquet").to_string_lossy(),
    ]);
    let (code, message) = outcome(&{ made }.output().unwrap());
    assert_eq!(code, 0, "{message}");
    cut(&at("cut-tokens.parquet"), &at("t.parquet"));
    write_constraint_inputs(folder);
    // Catalogs.
    fs::write(at("c.csv"), "id,t\n1,x\n2,y\n").unwrap();
    fs::write(at("ragged.csv"), "id,t\n1,x\n2,y,z\n").unwrap();
    fs::write(at("bare.csv"), "id,t\n").unwrap();
    fs::write(at("twice.csv"), "id,t\n7,x\n8,y\n7,z\n").unwrap();
    fs::write(at("textless.csv"), "id,t\n1,\n2, \n").unwrap();
    fs::write(at("bad.jsonl"), "{\"id\": 1, \"t\": \"x\"}\n{\"id\": 2, \"t\": \n").unwrap();
    fs::write(at("object.jsonl"), "{\"id\": 1, \"t\": {\"en\": \"x\"}}\n").unwrap();
    fs::create_dir(at("mixed")).unwrap();
    fs::write(at("mixed/a.csv"), "id,t\n1,x\n").unwrap();
    fs::write(at("mixed/b.jsonl"), "{\"id\": 2, \"t\": \"y\"}\n").unwrap();
    fs::create_dir(at("parts")).unwrap();
    fs::write(at("parts/a.csv"), "id,t\n1,x\n").unwrap();
    fs::write(at("parts/b.csv"), "id,text\n2,y\n").unwrap();
    fs::write(at("cut.csv.gz"), [0x1F, 0x8B, 8, 0, 0, 0]).unwrap();
    parquet(
        &at("null-id.parquet"),
        vec![("id", strings(vec![Some("a"), None])), ("t", strings(vec![Some("x"), Some("y")]))],
    );
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![&b"x"[..], b"y"]));
    parquet(&at("binary.parquet"), vec![("id", ids()), ("t", bytes)]);
    parquet(
        &at("float-id.parquet"),
        vec![("id", Arc::new(Float32Array::from(vec![1.0]))), ("t", strings(vec![Some("x")]))],
    );
    // Interactions.
    fs::write(at("did.csv"), "user,item,time\nu,1,3\nu,2,4\nv,1,5\n").unwrap();
    fs::write(at("undated.csv"), "user,item,time\nu,1,3\nu,2,soon\n").unwrap();
    fs::write(at("nobody.csv"), "user,item\nu,1\n,2\n").unwrap();
    fs::write(at("u.data"), "1\t2\t3\t881250949\n").unwrap();
    fs::write(at("did.txt"), "u 1 2\nv 1\n").unwrap();
    fs::write(at("single.txt"), "u 1\nv 2\nw 1 1\n").unwrap();
    fs::write(at("others.txt"), "u x1 x2\n").unwrap();
    fs::write(at("alone.txt"), "u 1 2\nv\n").unwrap();
    fs::write(at("three.csv"), "id,t\n1,x\n2,y\n3,z\n").unwrap();
    // Exports.
    let event = |at: usize| format!("{},{},{at},{}\n", ["u", "v"][at % 2], at % 40, at % 5 + 1);
    fs::write(at("rated.csv"), format!("user,item,time,rating\n{}", (0..24).map(event).collect::<String>())).unwrap();
    let unrated = |at: usize| format!("{},{},{at}\n", ["u", "v"][at % 2], at % 40);
    fs::write(at("unrated.csv"), format!("user,item,time\n{}", (0..24).map(unrated).collect::<String>())).unwrap();
    fs::write(at("misrated.csv"), "user,item,rating\nu,1,4\nu,2,fine\n").unwrap();
    fs::write(at("histroy.toml"), "[[recommend]]\ninstruction = \"{histroy}\"\noutput = \"{item}\"\n").unwrap();
    fs::write(at("no-task.toml"), "[[recomend]]\ninstruction = \"{history}\"\noutput = \"{item}\"\n").unwrap();
    let intention = |item: usize| format!(r#"{{"u": {{"item": {item}, "inters": [], "querys": ["a", "b"]}}}}"#);
    let searches = format!(r#"{{"train": {}, "test": {}}}"#, intention(22), intention(22));
    let users = format!(r#"{{"user_explicit_preference": {{"u": ["x"]}}, "user_vague_intention": {searches}}}"#);
    fs::write(at("leaking.json"), users).unwrap();
    fs::write(at("answers.jsonl"), "{\"id\": \"u/1\", \"answer\": \"1\"}\n").unwrap();
    // Pictures.
    let smile = fs::read(super::support::root().join("fixtures/emoji/images/1F600.png")).unwrap();
    fs::write(at("good.png"), &smile).unwrap();
    fs::write(at("corrupt.png"), &smile[..smile.len() / 2]).unwrap();
    fs::write(at("zero.png"), "").unwrap();
    // A bitmap whose header declares 60,000 x 60,000 pixels.
    let mut bomb = b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    bomb.extend([60_000u32.to_le_bytes(), 60_000u32.to_le_bytes()].concat());
    bomb.extend([1, 0, 24, 0]);
    bomb.extend([0; 24]);
    fs::write(at("bomb.bmp"), bomb).unwrap();
    for name in ["corrupt.png", "zero.png", "missing.png", "bomb.bmp", "words.txt"] {
        fs::write(at(&format!("{name}.csv")), format!("id,image\n1,good.png\n2,{name}\n")).unwrap();
    }
    fs::write(at("unreadable.csv"), "id,image\n1,zero.png\n2,missing.png\n").unwrap();
    // Encoders.
    for folder in ["no-graph", "bad-graph", "no-tokenizer", "bad-tokenizer"] {
        fs::create_dir(at(folder)).unwrap();
    }
    fs::write(at("no-graph/tokenizer.json"), "{}").unwrap();
    fs::write(at("bad-tokenizer/model.onnx"), "no graph").unwrap();
    fs::copy(mobilenet().join("preprocessor_config.json"), at("bad-graph/preprocessor_config.json")).unwrap();
    fs::write(at("bad-graph/model.onnx"), "no graph").unwrap();
    fs::write(at("bad-tokenizer/tokenizer.json"), "{\"model\": 3}").unwrap();
    write_tokenizers(folder);
    write_encoders(folder);
    write_language_models(folder);
    // Settings.
    fs::write(at("unknown.toml"), "levles = 3\n").unwrap();
    fs::write(at("syntax.toml"), "levels = = 3\n").unwrap();
    fs::write(at("type.toml"), "levels = \"three\"\n").unwrap();
    fs::create_dir(at("folder")).unwrap();
    fs::write(at("folder/precious.txt"), "keep").unwrap();
}

/// Folders of encoders, each with its own fault.
fn write_encoders(folder: &Path) {
    let write = |name: &str, files: &[(&str, &str)]| {
        for (file, content) in [("model.onnx", "no graph")].iter().chain(files) {
            let path = folder.join(name).join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        fs::copy(folder.join("hf/tokenizer.json"), folder.join(name).join("tokenizer.json")).unwrap();
    };
    let modules = r#"[{"type": "sentence_transformers.models.Transformer", "path": ""},
                      {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]"#;
    write("graphs", &[("onnx/model_a.onnx", ""), ("onnx/model_b.onnx", "")]);
    fs::remove_file(folder.join("graphs/model.onnx")).unwrap();
    write("median", &[("modules.json", modules), ("1_Pooling/config.json", r#"{"pooling_mode": "median"}"#)]);
    write("dense", &[("modules.json", &modules.replace("Pooling\"", "Dense\""))]);
    let prompts = r#"{"prompts": {"query": "query: "}, "default_prompt_name": "item"}"#;
    write("prompted", &[("config_sentence_transformers.json", prompts)]);
    write("no-settings", &[]);
    write("padding", &[("preprocessor_config.json", r#"{"size": 224, "do_pad": true}"#)]);
    write("far", &[("preprocessor_config.json", r#"{"size": {"longest_edge": 224}}"#)]);
    write("no-mean", &[("preprocessor_config.json", r#"{"size": {"height": 224, "width": 224}}"#)]);
}

/// Small WordPiece tokenizers, each with its own fault, and SentencePiece models.
fn write_tokenizers(folder: &Path) {
    let write = |name: &str, vocab: &str| {
        fs::create_dir(folder.join(name)).unwrap();
        let tokenizer = format!(
            r###"{{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
            "pre_tokenizer": {{"type": "Whitespace"}}, "post_processor": null, "decoder": null,
            "model": {{"type": "WordPiece", "unk_token": "?", "continuing_subword_prefix": "##",
                       "max_input_chars_per_word": 100, "vocab": {{"?": 0, {vocab}}}}}}}"###
        );
        fs::write(folder.join(name).join("tokenizer.json"), tokenizer).unwrap();
    };
    write("hf", "\"yes\": 1");
    write("taken", "\"<b_2>\": 1");
    write("huge", "\"yes\": 4294967290");
    write("gaps", "\"yes\": 90");
    write("listing", "\"yes\": 1");
    fs::write(folder.join("listing/added_tokens.json"), "[1]").unwrap();
    write("other-index", "\"yes\": 1");
    fs::write(
        folder.join("other-index/catalex.json"),
        r#"{"format_version": 1, "model_hash": "abc", "codebook_sizes": [4, 4, 4], "token_format": "<{level}_{code}>",
            "begin_token": null, "end_token": null, "first_id": 2}"#,
    )
    .unwrap();
    write("bad-record", "\"yes\": 1");
    fs::write(folder.join("bad-record/catalex.json"), "{}").unwrap();
    fs::create_dir(folder.join("cut-model")).unwrap();
    fs::write(folder.join("cut-model/spiece.model"), b"\x0a\x09\x0a\x05<unk>\x18\x02\x0a\x30\x0a").unwrap();
    fs::create_dir(folder.join("xlm-r")).unwrap();
    fs::write(folder.join("xlm-r/sentencepiece.bpe.model"), b"\x0a\x09\x0a\x05<unk>\x18\x02").unwrap();
    fs::write(folder.join("xlm-r/tokenizer_config.json"), r#"{"tokenizer_class": "XLMRobertaTokenizer"}"#).unwrap();
}

/// Small language models, most with a fault.
fn write_language_models(folder: &Path) {
    use safetensors::Dtype::F32;
    let at = |name: &str| folder.join(name);
    let words = WORDS.len();
    language_model(&at("llm"), words, 8, &["model.embed_tokens.weight"], F32);
    language_model(&at("tiny"), words, 4, &["model.embed_tokens.weight"], F32);
    language_model(&at("cut-llm"), words, 8, &["model.embed_tokens.weight"], F32);
    cut(&at("cut-llm/model.safetensors"), &at("llm/model.safetensors"));
    language_model(&at("odd-llm"), words, 8, &["encoder.embed.table"], F32);
    language_model(&at("tall-llm"), 2_000, 8, &["model.embed_tokens.weight"], F32);
    language_model(&at("short-llm"), words - 1, 8, &["model.embed_tokens.weight"], F32);
    language_model(&at("two-llm"), words, 8, &["model.embed_tokens.weight", "lm_head.weight"], F32);
    fs::remove_file(at("two-llm/model-1.safetensors")).unwrap();
    language_model(&at("bare-llm"), words, 8, &["model.embed_tokens.weight"], F32);
    fs::remove_file(at("bare-llm/model.safetensors")).unwrap();
    let items: String = (0..40).map(|row| format!("{row},red pen\n")).collect();
    fs::write(at("items.csv"), format!("id,t\n{items}")).unwrap();
    fs::write(at("fewer.csv"), format!("id,t\n{}", &items[..100])).unwrap();
    // GGUF.
    let string = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let tokens: Vec<u8> = WORDS.iter().flat_map(|word| string(word)).collect();
    let head = |version: u32, kind: u32| {
        let mut bytes = [&b"GGUF"[..], &version.to_le_bytes(), &1u64.to_le_bytes(), &1u64.to_le_bytes()].concat();
        bytes.extend(string("tokenizer.ggml.tokens"));
        bytes.extend([9u32.to_le_bytes(), 8u32.to_le_bytes()].concat());
        bytes.extend((words as u64).to_le_bytes());
        bytes.extend(&tokens);
        bytes.extend(string("token_embd.weight"));
        bytes.extend(2u32.to_le_bytes());
        bytes.extend([8u64.to_le_bytes(), (words as u64).to_le_bytes()].concat());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(0u64.to_le_bytes());
        bytes.resize(bytes.len().next_multiple_of(32) + words * 8 * 4, 0);
        bytes
    };
    fs::write(at("good.gguf"), head(3, 0)).unwrap();
    fs::write(at("future.gguf"), head(7, 0)).unwrap();
    fs::write(at("strange.gguf"), head(3, 99)).unwrap();
    fs::write(at("cut.gguf"), &head(3, 0)[..head(3, 0).len() - 40]).unwrap();
    fs::write(at("head.gguf"), &head(3, 0)[..100]).unwrap();
}

/// Cases that every build has.
const FROZEN: &[Case] = &[
    Case("no model", "tokenize @x.npy --model @nowhere --out @o", 1, &["nowhere"]),
    Case("a model that is none", "tokenize @x.npy --model @folder --out @o", 1, &["folder"]),
    Case("flipped byte", "tokenize @x.npy --model @flipped --out @o", 1, &["model.safetensors", "damaged"]),
    Case("model of the future", "tokenize @x.npy --model @future --out @o", 1, &["config.json", "99"]),
    Case("other width", "tokenize @wide.npy --model @model --out @o", 1, &["expected", "4", "5", "train a new model"]),
    Case(
        "more items than codes",
        "tokenize @x.npy --model @small-model --out @o",
        1,
        &["at most 16", "40", "3 levels"],
    ),
    Case("ints", "tokenize @ints.npy --model @model --out @o", 1, &["ints.npy", "i8", "float32"]),
    Case("3-D", "tokenize @cube.npy --model @model --out @o", 1, &["cube.npy", "3 dimensions"]),
    Case("NaN", "tokenize @nan.npy --model @model-of-1 --out @o", 1, &["nan.npy, row 2", "NaN"]),
    Case("infinity", "tokenize @inf.npy --model @model-of-1 --out @o", 1, &["inf.npy, row 3", "inf"]),
    Case("cut npy", "tokenize @short.npy --model @model --out @o", 1, &["short.npy", "damaged"]),
    Case("cut features", "tokenize @cut.parquet --model @model --out @o", 1, &["cut.parquet", "damaged"]),
    Case("ragged lists", "tokenize @ragged.parquet --model @model-of-2 --out @o", 1, &["row 2", "\"v\"", "2 numbers"]),
    Case("null in a vector", "tokenize @holes.parquet --model @model-of-2 --out @o", 1, &["row 1", "null"]),
    Case("repeated ids", "tokenize @twice.parquet --model @model-of-1 --out @o", 1, &["row 2", "7, also in row 1"]),
    Case("no vectors", "tokenize @floats.parquet --model @model --out @o", 1, &["float lists", "price (Float32)"]),
    Case("integer lists", "tokenize @int-lists.parquet --model @model --out @o", 1, &["float lists"]),
    Case("features are a folder", "tokenize @folder --model @model --out @o", 1, &["folder", "file"]),
    Case("empty features", "tokenize @empty --model @model --out @o", 1, &["empty file"]),
    Case("no features", "tokenize @nope.npy --model @model --out @o", 1, &["nope.npy does not exist"]),
    Case("out exists", "tokenize @x.npy --model @model --out @words.txt", 1, &["already there", "--force"]),
    Case(
        "out under a file",
        "tokenize @x.npy --model @model --out @words.txt/o",
        1,
        &["words.txt", "folder to write in"],
    ),
    Case("out not writable", "tokenize @x.npy --model @model --out /proc/catalex", 1, &["cannot create", "/proc"]),
    Case("out is a foreign folder", "vocab @t.parquet --out @folder --force", 1, &["did not write"]),
    Case("no threads", "tokenize @x.npy --model @model --out @o --threads 0", 2, &["threads", "1 to 4096"]),
    Case("ambiguous tokens", "tokenize @x.npy --model @model --out @o --token-format {level}", 2, &["{code}"]),
    Case("no such item", "lookup @t.parquet --item 99", 1, &["item 99"]),
    Case("no such token", "lookup @t.parquet <a_9>", 1, &["below 4"]),
    Case("nothing to look up", "lookup @t.parquet", 2, &["--item"]),
    Case("cut tokens", "lookup @cut-tokens.parquet <a_1>", 1, &["cut-tokens.parquet", "damaged"]),
    Case("features for tokens", "lookup @x.parquet <a_1>", 1, &["x.parquet", "catalex.codebook_sizes"]),
    Case("tokens are words", "inspect @words.txt", 1, &["words.txt", "token table"]),
    Case("inspect a folder", "inspect @folder", 1, &["folder", "index"]),
    Case("features without model", "inspect @t.parquet --features @x.npy", 2, &["--model"]),
    Case(
        "no tokenizer.json",
        "vocab @t.parquet --out @o --tokenizer @no-tokenizer",
        1,
        &["tokenizer.json", "save_pretrained"],
    ),
    Case("unknown form", "constrain @t.parquet --form tire --out @o", 2, &["one of trie, static", "tire"]),
    Case("a form twice", "constrain @t.parquet --form trie,regex,trie --out @o", 2, &["trie twice"]),
    Case(
        "no token ids",
        "constrain @t.parquet --form trie,static --out @o",
        2,
        &["static holds token ids", "--tokenizer"],
    ),
    Case(
        "a folder without vocabulary",
        "constrain @t.parquet --form static --vocabulary @folder --out @o",
        1,
        &["vocabulary.json"],
    ),
    Case(
        "another table's vocabulary",
        "constrain @t.parquet --form trie --vocabulary @other-vocabulary --out @o",
        1,
        &["codebooks", "expected [4, 4, 4], got [4, 8, 4]", "wrote for this table"],
    ),
    Case("one ID twice", "constrain @kept.parquet --form trie --out @o", 1, &["rows 1 and 5", "resolve collisions"]),
    Case(
        "too many for a grammar",
        "constrain @many.parquet --form trie,regex --out @o",
        1,
        &["at most", "25000", "form trie", "--only"],
    ),
    Case(
        "only unknown items",
        "constrain @t.parquet --form trie --only @unknown-ids.txt --out @o",
        1,
        &["unknown-ids.txt", "\"99\" in line 2"],
    ),
    Case("only nothing", "constrain @t.parquet --form trie --only @empty --out @o", 1, &["at least one id"]),
    Case("no titles", "constrain @t.parquet --form minionerec --out @o", 2, &["titles", "--catalog"]),
    Case(
        "a catalog without title",
        "constrain @t.parquet --form minionerec --catalog @c.csv --out @o",
        2,
        &["--title"],
    ),
    Case(
        "another catalog",
        "constrain @t.parquet --form minionerec --catalog @c.csv --title t --out @o",
        1,
        &["item 0", "c.csv", "--id"],
    ),
    Case(
        "deep tables",
        "constrain @t.parquet --form static --vocabulary @vocabulary --dense-depth 3 --out @o",
        2,
        &["dense-depth", "less than 3 levels"],
    ),
    Case(
        "few logits",
        "constrain @t.parquet --form static --vocabulary @vocabulary --logits 15 --out @o",
        2,
        &["token below 15"],
    ),
    Case("forms are a foreign folder", "constrain @t.parquet --form trie --out @folder --force", 1, &["did not write"]),
    Case("llm without tokenizer", "vocab @t.parquet --out @o --llm @llm", 2, &["llm", "--tokenizer"]),
    Case("start values without llm", "vocab @t.parquet --out @o --start-values mean", 2, &["start-values", "--llm"]),
    Case("unknown start values", "vocab LLM @llm --start-values best", 2, &["mean, grounded or structured"]),
    Case("start values without texts", "vocab LLM @llm --start-values grounded", 2, &["catalog", "grounded"]),
    Case("start values without model", "vocab LLM @llm --catalog @items.csv --text t", 2, &["model", "structured"]),
    Case(
        "catalog without columns",
        "vocab LLM @llm --catalog @items.csv --start-values grounded",
        2,
        &["catalog", "--text"],
    ),
    Case(
        "another model",
        "vocab LLM @llm --catalog @items.csv --text t --model @model-of-2",
        1,
        &["the model of the token table", "--model"],
    ),
    Case(
        "catalog without all items",
        "vocab LLM @llm --catalog @fewer.csv --text t --start-values grounded",
        1,
        &["fewer.csv", "all 40 items"],
    ),
    Case("cut safetensors", "vocab LLM @cut-llm --start-values mean", 1, &["model.safetensors", "whole safetensors"]),
    Case(
        "no embedding tensor",
        "vocab LLM @odd-llm --start-values mean",
        1,
        &["--embedding-tensor", "table (12 rows)"],
    ),
    Case(
        "no such embedding tensor",
        "vocab LLM @llm --start-values mean --embedding-tensor x",
        1,
        &["a tensor x", "model.embed_tokens.weight"],
    ),
    Case("llm of more words", "vocab LLM @tall-llm --start-values mean", 1, &["12, one for each id", "2000"]),
    Case("llm of fewer words", "vocab LLM @short-llm --start-values mean", 1, &["12, one for each id", "11"]),
    Case("missing shard", "vocab LLM @two-llm --start-values mean", 1, &["model-1.safetensors", "index.json"]),
    Case(
        "llm without weights",
        "vocab LLM @bare-llm --start-values mean",
        1,
        &["model.safetensors", "save_pretrained"],
    ),
    Case("llm that is none", "vocab LLM @folder --start-values mean", 1, &["config.json", "configuration"]),
    Case("no gguf", "vocab LLM @llm --start-values mean --gguf @no.gguf", 1, &["no.gguf does not exist"]),
    Case("words for gguf", "vocab LLM @llm --start-values mean --gguf @words.txt", 1, &["words.txt", "GGUF"]),
    Case("cut gguf", "vocab LLM @llm --start-values mean --gguf @cut.gguf", 1, &["cut.gguf", "all of token_embd"]),
    Case(
        "cut head of gguf",
        "vocab LLM @llm --start-values mean --gguf @head.gguf",
        1,
        &["head.gguf", "ends after 100"],
    ),
    Case("gguf of the future", "vocab LLM @llm --start-values mean --gguf @future.gguf", 1, &["version 2 or 3", "7"]),
    Case(
        "gguf of unknown type",
        "vocab LLM @llm --start-values mean --gguf @strange.gguf",
        1,
        &["Q4_0", "ggml type 99"],
    ),
    Case(
        "gguf of another model",
        "vocab LLM @tiny --start-values mean --gguf @good.gguf",
        1,
        &["token_embd", "8 numbers"],
    ),
    Case("bad tokenizer.json", "vocab @t.parquet --out @o --tokenizer @bad-tokenizer", 1, &["tokenizer.json"]),
    Case("no tokenizer folder", "vocab @t.parquet --out @o --tokenizer @nowhere", 1, &["nowhere", "does not exist"]),
    Case("tokens are taken", "vocab @t.parquet --out @o --tokenizer @taken", 1, &["taken", "\"<b_2>\" with id 1"]),
    Case("ids are used up", "vocab @t.parquet --out @o --tokenizer @huge", 1, &["huge", "32 bits", "4294967291"]),
    Case("ids with gaps", "vocab @t.parquet --out @o --tokenizer @gaps", 1, &["gaps", "\"<a_0>\"", "without a gap"]),
    Case("bad added tokens", "vocab @t.parquet --out @o --tokenizer @listing", 1, &["added_tokens.json"]),
    Case(
        "another index's tokenizer",
        "vocab @t.parquet --out @o --tokenizer @other-index",
        1,
        &["other-index", "hash abc", "before it was extended"],
    ),
    Case("bad record", "vocab @t.parquet --out @o --tokenizer @bad-record", 1, &["catalex.json", "damaged"]),
    Case("cut SentencePiece", "vocab @t.parquet --out @o --tokenizer @cut-model", 1, &["spiece.model", "cut short"]),
    Case("other ids than places", "vocab @t.parquet --out @o --tokenizer @xlm-r", 1, &["XLMRobertaTokenizer"]),
    Case("vocabulary exists", "vocab @t.parquet --out @words.txt --tokenizer @hf", 1, &["already there", "--force"]),
    Case("empty marker", "vocab @t.parquet --out @o --begin-token=", 2, &["begin-token", "empty"]),
    Case("marker is a code", "vocab @t.parquet --out @o --end-token <a_1>", 2, &["end-token", "<a_1>"]),
    Case("padding without ids", "vocab @t.parquet --out @o --pad-to-multiple-of 64", 2, &["together with --tokenizer"]),
    Case(
        "padding to nothing",
        "vocab @t.parquet --out @o --tokenizer @hf --pad-to-multiple-of 0",
        2,
        &["pad-to-multiple-of", "1 or more"],
    ),
    Case(
        "marker in ordinary text",
        "vocab @t.parquet --out @o --tokenizer @hf --begin-token :",
        1,
        &["ordinary text", "marker"],
    ),
    Case("no interactions", "embed @c.csv --interactions @nowhere.csv --out @o", 1, &["nowhere.csv", "a line a user"]),
    Case("empty interactions", "embed @c.csv --interactions @empty --out @o", 1, &["empty", "an empty file"]),
    Case("a table without a name", "embed @c.csv --interactions @u.data --out @o", 1, &["u.data", ".txt for lines"]),
    Case("no such users", "embed @c.csv --interactions @c.csv --out @o", 1, &["user_id", "one of: id, t"]),
    Case(
        "no such items",
        "embed @c.csv --interactions @did.csv --interactions-item sku --out @o",
        1,
        &["sku", "one of: user, item, time"],
    ),
    Case("nobody did it", "embed @c.csv --interactions @nobody.csv --out @o", 1, &["row 2", "user", "an id"]),
    Case("no date", "embed @c.csv --interactions @undated.csv --out @o", 1, &["row 2", "time", "soon"]),
    Case("a user alone", "embed @c.csv --interactions @alone.txt --out @o", 1, &["alone.txt", "line 2"]),
    Case("single items", "embed @c.csv --interactions @single.txt --out @o", 1, &["two different items", "3 users"]),
    Case("all held out", "embed @c.csv --interactions @did.txt --hold-out-last 1 --out @o", 1, &["hold out less"]),
    Case("items of others", "embed @c.csv --interactions @others.txt --out @o", 1, &["catalog", "\"1\"", "\"x1\""]),
    Case("nobody used it", "embed @three.csv --interactions @did.csv --out @o", 1, &["item 3", "behaviour"]),
    Case("hold out of what", "embed @c.csv --hold-out-last 1 --out @o", 2, &["hold-out-last", "--interactions"]),
    Case(
        "no window",
        "embed @c.csv --interactions @did.csv --behaviour-window 0 --out @o",
        2,
        &["behaviour-window", "1 to 1000"],
    ),
    Case(
        "no damping",
        "embed @c.csv --interactions @did.csv --popularity-damping 2 --out @o",
        2,
        &["popularity-damping", "0 to 1"],
    ),
    Case("export for nobody", "export --for nobody", 2, &["lc-rec, tallrec, instructrec", "sequences", "nobody"]),
    Case("export of nothing", "export --for trl RATED --out @o", 2, &["TOKENS", "token table"]),
    Case("export of nobody's doings", "export @t.parquet --for trl --out @o", 2, &["interactions"]),
    Case("export to nowhere", "export @t.parquet --for trl RATED", 2, &["out", "--dry-run"]),
    Case("export dry and wet", "EXPORT trl RATED --dry-run", 2, &["--dry-run", "--out"]),
    Case("titles without catalog", "export @t.parquet --for trl RATED --out @o", 2, &["catalog", "trl shows titles"]),
    Case(
        "no column of titles",
        "export @t.parquet --for trl RATED --catalog @items.csv --out @o",
        2,
        &["title, name, label", "--title"],
    ),
    Case(
        "catalog of fewer items",
        "export @t.parquet --for trl RATED --catalog @c.csv --title t --out @o",
        1,
        &["item 0"],
    ),
    Case("unknown split", "EXPORT trl RATED --split half", 2, &["leave-one-out or time", "half"]),
    Case("shares of no time", "EXPORT trl RATED --test-share 0.2", 2, &["split", "--split time"]),
    Case("all of it for tests", "EXPORT trl RATED --split time --test-share 0.9", 2, &["share", "less than 1"]),
    Case(
        "time of no times",
        "EXPORT trl --interactions @did.txt --min-interactions 2 --split time",
        2,
        &["without times", "leave-one-out"],
    ),
    Case("no history", "EXPORT trl RATED --history 0", 2, &["history", "from 1"]),
    Case("too few to cut", "EXPORT trl RATED --min-interactions 2", 2, &["min-interactions", "3 or more"]),
    Case("users too short", "EXPORT trl RATED --min-interactions 50", 1, &["a user with 50 events", "2 users"]),
    Case("events of other items", "EXPORT trl --interactions @others.txt", 1, &["ids of the token table", "x1"]),
    Case("LC-Rec by time", "EXPORT lc-rec RATED --split time", 2, &["leave-one-out", "llamafactory"]),
    Case("likes unknown", "EXPORT tallrec --interactions @unrated.csv", 1, &["ratings", "--implicit"]),
    Case("a rating that is none", "EXPORT tallrec --interactions @misrated.csv", 1, &["row 2", "rating", "fine"]),
    Case(
        "no such ratings",
        "EXPORT tallrec RATED --interactions-rating stars",
        1,
        &["stars", "one of: user, item, time, rating"],
    ),
    Case("rating above all", "EXPORT tallrec RATED --rating-threshold NaN", 2, &["rating-threshold"]),
    Case("a sample of none", "EXPORT tallrec RATED --few-shot 16,0", 2, &["few-shot", "1 or more"]),
    Case("items by what", "EXPORT tallrec RATED --items names", 2, &["titles, ids or both"]),
    Case("one candidate", "EXPORT ranking RATED --candidates 1", 2, &["candidates", "from 2"]),
    Case("a name of two folders", "EXPORT lc-rec RATED --name a/b", 2, &["name", "a/b"]),
    Case(
        "a word that is not filled",
        "EXPORT bigrec RATED --templates @histroy.toml",
        1,
        &["histroy.toml", "{histroy}", "{history} only", "form 1 of recommend", "--show-templates"],
    ),
    Case("a task that is none", "EXPORT bigrec RATED --templates @no-task.toml", 1, &["recomend", "recommend"]),
    Case("templates that are words", "EXPORT bigrec RATED --templates @words.txt", 1, &["words.txt", "TOML"]),
    Case("no templates", "EXPORT bigrec RATED --templates @no.toml", 1, &["no.toml"]),
    Case("preferences that are words", "EXPORT lc-rec RATED --users @words.txt", 1, &["user_explicit_preference"]),
    Case("a search for what is held out", "EXPORT lc-rec RATED --users @leaking.json", 1, &["user u", "held-out"]),
    Case("no tokenizer for facets", "EXPORT transrec RATED --tokenizer @folder", 1, &["tokenizer.json"]),
    Case("ids of another table", "EXPORT sequences RATED --vocabulary @other-vocabulary", 1, &["codebooks"]),
    Case(
        "export into a foreign folder",
        "export @t.parquet --for sequences RATED --out @folder --force",
        1,
        &["did not write", "export.json"],
    ),
    Case("answers to nothing", "answers @nowhere.jsonl @bad.jsonl --out @o", 1, &["nowhere.jsonl"]),
    Case("prompts that are words", "answers @words.txt @bad.jsonl --out @o", 1, &["words.txt", "line 1", "ranking"]),
    Case("answers to others", "answers @empty @answers.jsonl --out @o", 1, &["answers.jsonl", "\"u/1\" in line 1"]),
    Case(
        "export is there",
        "export @t.parquet --for sequences RATED --out @words.txt",
        1,
        &["already there", "--force"],
    ),
    Case("embedding without a name", "embed @c.csv --embedding @x.npy --out @o", 2, &["embedding", "NAME=FILE"]),
    Case("no embedding", "embed @c.csv --embedding v=@nope.npy --out @o", 1, &["nope.npy does not exist"]),
    Case(
        "two embeddings of one name",
        "embed @c.csv --embedding v=@x.npy --embedding v=@wide.npy --out @o",
        2,
        &["embedding", "v=", "another name"],
    ),
    Case(
        "embeddings of another catalog",
        "embed @c.csv --embedding v=@x.npy --out @o",
        1,
        &["rows of", "x.npy", "expected 2, one for each item", "got 40", "item ids"],
    ),
    Case("column of a matrix", "embed @c.csv --embedding v=@x.npy:y --out @o", 2, &["column y", "no columns"]),
    Case("NaN in an embedding", "embed @three.csv --embedding v=@nan.npy --out @o", 1, &["nan.npy, row 2", "NaN"]),
    Case(
        "ragged embedding",
        "embed @c.csv --embedding v=@ragged.parquet --out @o",
        1,
        &["row 2", "\"v\"", "2 numbers"],
    ),
    Case("null in an embedding", "embed @c.csv --embedding v=@holes.parquet --out @o", 1, &["row 1", "null"]),
    Case("repeated ids of embeddings", "embed @c.csv --embedding v=@twice.parquet --out @o", 1, &["7, also in row 1"]),
    Case(
        "no such column of embeddings",
        "embed @c.csv --embedding v=@ready.parquet:w --out @o",
        1,
        &["ready.parquet", "\"w\"", "name one of: v"],
    ),
    Case(
        "no embeddings",
        "embed @c.csv --embedding v=@floats.parquet --out @o",
        1,
        &["float lists", "price (Float32)"],
    ),
    Case(
        "embeddings of other items",
        "embed @c.csv --embedding v=@others.parquet --out @o",
        1,
        &["others.parquet", "\"1\"", "\"70\"", "--id"],
    ),
    Case("an item without anything", "embed @three.csv --embedding v=@ready.parquet --out @o", 1, &["item 3", "v"]),
];

/// Cases of training.
#[cfg(feature = "train")]
const TRAIN: &[Case] = &[
    Case("one item", "train @one.npy --out @o", 1, &["at least 2 items", "1"]),
    Case("equal items", "train @equal.npy --out @o --codebook-size 4", 1, &["40 equal vectors"]),
    Case("more codes than items", "train @x.npy --out @o", 2, &["at most 40", "256", "fewer codes"]),
    Case("more items than IDs", "train @x.npy --out @o --levels 2 --codebook-size 4", 2, &["room for 40 items", "16"]),
    Case("zero levels", "train @x.npy --out @o --levels 0", 2, &["levels"]),
    Case("nine levels", "train @x.npy --out @o --levels 9 --codebook-size 4", 2, &["levels"]),
    Case("codebook of 1", "train @x.npy --out @o --codebook-size 1", 2, &["codebook-size"]),
    Case("codebook of 70,000", "train @x.npy --out @o --codebook-size 70000", 2, &["codebook-size", "65536"]),
    Case(
        "sizes and levels",
        "train @x.npy --out @o --codebook-size 4,4 --levels 3",
        2,
        &["codebook-size", "2 numbers"],
    ),
    Case("not a number", "train @x.npy --out @o --epochs many", 2, &["--epochs"]),
    Case(
        "unknown key",
        "train @x.npy --out @o --config @unknown.toml",
        2,
        &["levles", "unknown.toml", "codebook-size"],
    ),
    Case("bad TOML", "train @x.npy --out @o --config @syntax.toml", 1, &["syntax.toml"]),
    Case("wrong type in TOML", "train @x.npy --out @o --config @type.toml", 1, &["type.toml", "three"]),
    Case("no TOML", "train @x.npy --out @o --config @no.toml", 1, &["no.toml"]),
    Case("unknown device", "train @x.npy --out @o --codebook-size 4 --device tpu", 2, &["cuda:N"]),
    Case("other modality", "train @x.npy --out @o --codebook-size 4 --weight text=1", 2, &["setting weight", "text"]),
    Case("NaN in training", "train @nan.npy --out @o --codebook-size 2", 1, &["row 2"]),
];

/// Cases of the encoders. `IMAGE` stands for the flags that encode the column `image`.
#[cfg(feature = "encoders")]
const ENCODE: &[Case] = &[
    Case("nothing to serve", "serve @none.parquet --stdio", 1, &["none.parquet"]),
    Case("no way to serve", "serve @t.parquet", 2, &["--stdio"]),
    Case("features for an index", "serve @x.parquet --stdio", 1, &["x.parquet", "catalex.codebook_sizes"]),
    Case("no text to serve", "serve @t.parquet --catalog @c.csv --text title --stdio", 1, &["\"title\"", "id, t"]),
    Case("no catalog", "embed @nope.parquet IMAGE --out @o", 1, &["nope.parquet does not exist"]),
    Case("cut catalog", "embed @cut.parquet IMAGE --out @o", 1, &["cut.parquet", "damaged"]),
    Case("ragged row", "embed @ragged.csv --text t --text-encoder TEXT --out @o", 1, &["ragged.csv", "line 3"]),
    Case("no such column", "embed @c.csv --text title --text-encoder TEXT --out @o", 1, &["\"title\"", "id, t"]),
    Case("no such id column", "embed @c.csv --id sku --text t --text-encoder TEXT --out @o", 1, &["\"sku\"", "id, t"]),
    Case("binary text", "embed @binary.parquet --text t --text-encoder TEXT --out @o", 1, &["\"t\"", "Binary"]),
    Case("object text", "embed @object.jsonl --text t --text-encoder TEXT --out @o", 1, &["\"t\"", "lists of these"]),
    Case("float ids", "embed @float-id.parquet --text t --text-encoder TEXT --out @o", 1, &["\"id\"", "Float32"]),
    Case("null id", "embed @null-id.parquet --text t --text-encoder TEXT --out @o", 1, &["row 2", "null"]),
    Case("repeated id", "embed @twice.csv --text t --text-encoder TEXT --out @o", 1, &["row 3", "7, also in row 1"]),
    Case("no rows", "embed @bare.csv --text t --text-encoder TEXT --out @o", 1, &["bare.csv", "without rows"]),
    Case("no text at all", "embed @textless.csv --text t --text-encoder TEXT --out @o", 1, &["text", "--text"]),
    Case("bad line", "embed @bad.jsonl --text t --text-encoder TEXT --out @o", 1, &["bad.jsonl", "line 2"]),
    Case("unknown format", "embed @words.txt --text t --text-encoder TEXT --out @o", 1, &["words.txt", ".csv"]),
    Case("mixed parts", "embed @mixed --text t --text-encoder TEXT --out @o", 1, &["a.csv", "JsonLines", "one form"]),
    Case("a part without a column", "embed @parts --text t --text-encoder TEXT --out @o", 1, &["b.csv", "\"t\""]),
    Case("no file of that pattern", "embed @x*.csv --text t --text-encoder TEXT --out @o", 1, &["x*.csv", "pattern"]),
    Case("cut gzip", "embed @cut.csv.gz --text t --text-encoder TEXT --out @o", 1, &["cut.csv.gz", "damaged"]),
    Case("bad form", "embed @c.csv --template {t --text-encoder TEXT --out @o", 2, &["{t", "without its }"]),
    Case(
        "form and columns",
        "embed @c.csv --text t --template {t} --text-encoder TEXT --out @o",
        2,
        &["template", "both"],
    ),
    Case(
        "mean of a form",
        "embed @c.csv --average-text --template {t} --text-encoder TEXT --out @o",
        2,
        &["average-text", "--text"],
    ),
    Case("form of no column", "embed @c.csv --template {x} --text-encoder TEXT --out @o", 1, &["\"x\"", "id, t"]),
    Case(
        "an embedding called text",
        "embed @c.csv --text t --text-encoder TEXT --embedding text=@ready.parquet --out @o",
        2,
        &["embedding", "another name"],
    ),
    Case("unknown policy", "embed @zero.png.csv IMAGE --on-bad-image skip --out @o", 2, &["on-bad-image", "missing"]),
    Case(
        "no readable picture",
        "embed @unreadable.csv IMAGE --on-bad-image missing --out @o",
        1,
        &["can be read", "zero.png"],
    ),
    Case(
        "folder without pictures",
        "embed @folder --image-encoder PICTURE --out @o",
        1,
        &["folder of tables", "pictures"],
    ),
    Case("corrupt image", "embed @corrupt.png.csv IMAGE --out @o", 1, &["item 2", "corrupt.png"]),
    Case("zero-byte image", "embed @zero.png.csv IMAGE --out @o", 1, &["item 2", "zero.png", "no bytes"]),
    Case("missing image", "embed @missing.png.csv IMAGE --out @o", 1, &["item 2", "missing.png"]),
    Case("image bomb", "embed @bomb.bmp.csv IMAGE --out @o", 1, &["item 2", "60000 x 60000"]),
    Case("words for an image", "embed @words.txt.csv IMAGE --out @o", 1, &["item 2", "words.txt", "PNG"]),
    Case("no encoder", "embed @c.csv --out @o", 2, &["text-encoder"]),
    Case("text without encoder", "embed @c.csv --text t --out @o", 2, &["text", "text-encoder"]),
    Case("no graph", "embed @c.csv --text t --text-encoder @no-graph --out @o", 1, &["no-graph", "onnx/model.onnx"]),
    Case("no tokenizer", "embed @c.csv --text t --text-encoder @no-tokenizer --out @o", 1, &["tokenizer.json"]),
    Case(
        "bad tokenizer",
        "embed @c.csv --text t --text-encoder @bad-tokenizer --out @o",
        1,
        &["tokenizer.json", "Hugging Face tokenizer"],
    ),
    Case("bad text graph", "embed @c.csv --text t --text-encoder @no-settings --out @o", 1, &["an ONNX model"]),
    Case(
        "several graphs",
        "embed @c.csv --text t --text-encoder @graphs --out @o",
        2,
        &["one of: onnx/model_a.onnx, onnx/model_b.onnx", "--onnx-file"],
    ),
    Case(
        "no such graph",
        "embed @c.csv --text t --text-encoder TEXT --onnx-file int8.onnx --out @o",
        1,
        &["int8.onnx", "the folder has model.onnx", "--onnx-file"],
    ),
    Case(
        "no such picture graph",
        "embed @zero.png.csv IMAGE --image-onnx-file int8.onnx --out @o",
        1,
        &["int8.onnx", "the folder has model.onnx", "--image-onnx-file"],
    ),
    Case("graph of what", "embed @zero.png.csv IMAGE --onnx-file m.onnx --out @o", 2, &["onnx-file", "--text-encoder"]),
    Case("prompt of what", "embed @zero.png.csv IMAGE --prompt hi --out @o", 2, &["prompt", "--text-encoder"]),
    Case(
        "picture graph of what",
        "embed @c.csv --text t --text-encoder TEXT --image-onnx-file m.onnx --out @o",
        2,
        &["image-onnx-file", "--image-encoder"],
    ),
    Case(
        "unknown pooling",
        "embed @c.csv --text t --text-encoder @median --out @o",
        1,
        &["1_Pooling/config.json", "lasttoken", "median"],
    ),
    Case("unknown module", "embed @c.csv --text t --text-encoder @dense --out @o", 1, &["modules.json", "Dense"]),
    Case(
        "unknown prompt",
        "embed @c.csv --text t --text-encoder @prompted --out @o",
        1,
        &["config_sentence_transformers.json", "query", "item", "--prompt"],
    ),
    Case(
        "no image settings",
        "embed @zero.png.csv --image image --image-encoder @no-settings --out @o",
        1,
        &["preprocessor_config.json"],
    ),
    Case("unknown step", "embed @zero.png.csv --image image --image-encoder @padding --out @o", 1, &["do_pad: true"]),
    Case("unknown size", "embed @zero.png.csv --image image --image-encoder @far --out @o", 1, &["longest_edge"]),
    Case("no mean", "embed @zero.png.csv --image image --image-encoder @no-mean --out @o", 1, &["image_mean"]),
    Case("unknown device", "embed @zero.png.csv IMAGE --encoder-device tpu --out @o", 2, &["encoder-device", "cuda:N"]),
    Case(
        "no such device",
        "embed @zero.png.csv IMAGE --encoder-device cuda:1 --out @o",
        1,
        &["cuda:1", "no CUDAExecutionProvider", "onnxruntime-gpu"],
    ),
    Case(
        "no Mac",
        "embed @zero.png.csv IMAGE --encoder-device coreml --out @o",
        1,
        &["coreml", "no CoreMLExecutionProvider"],
    ),
    Case(
        "a name and no network",
        "embed @c.csv --text t --text-encoder nobody/none --out @o",
        1,
        &["the model nobody/none", "/nowhere/hub", "HF_HUB_OFFLINE", "name a folder"],
    ),
    Case("no such folder", "embed @c.csv --text t --text-encoder @nowhere --out @o", 1, &["nowhere", "tokenizer.json"]),
    Case(
        "bad graph",
        "embed @zero.png.csv --image image --image-encoder @bad-graph --out @o",
        1,
        &["bad-graph", "ONNX"],
    ),
];

fn run(cases: &[Case], least: usize, environment: &[(&str, &str)]) {
    assert!(cases.len() >= least);
    let folder = tempfile::tempdir().unwrap();
    write_inputs(folder.path());
    let before = files(folder.path());
    let picture = mobilenet().to_string_lossy().into_owned();
    let text = if cfg!(feature = "encoders") { super::support::minilm() } else { "no-encoder".into() };
    let mut wrong = Vec::new();
    for Case(name, line, expected, words) in cases {
        let line = line.replace("IMAGE", "--image image --image-encoder PICTURE").replace("PICTURE", &picture);
        let line = line.replace("TEXT", &text.to_string_lossy());
        let line = line.replace("EXPORT", "export @t.parquet --catalog @items.csv --title t --out @o --for");
        let line = line.replace("RATED", "--interactions @rated.csv");
        let line = line.replace("=@", &format!("={}/", folder.path().display()));
        let line = line.replace("LLM", "@t.parquet --out @o --tokenizer @llm --llm");
        let place = |word: &str| match word.strip_prefix('@') {
            Some(file) => folder.path().join(file).to_string_lossy().into_owned(),
            None => word.to_owned(),
        };
        let arguments: Vec<String> = line.split(' ').map(place).collect();
        let (code, message) = outcome(&catalex(&arguments).envs(environment.iter().copied()).output().unwrap());
        let missing: Vec<_> = words.iter().filter(|word| !message.contains(**word)).collect();
        if code != *expected || !missing.is_empty() {
            wrong.push(format!("{name}: exit {code}, expected {expected}; without {missing:?} in: {message}"));
        }
        let after = files(folder.path());
        if after != before {
            let new: Vec<_> = after.keys().filter(|name| !before.contains_key(*name)).collect();
            wrong.push(format!("{name}: left or changed files, new are {new:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn of_the_frozen_half() {
    run(FROZEN, 30, &[]);
}

#[cfg(feature = "train")]
#[test]
fn of_training() {
    run(TRAIN, 15, &[]);
}

#[cfg(feature = "encoders")]
#[test]
fn of_the_encoders() {
    run(ENCODE, 20, &[("HF_HUB_OFFLINE", "1"), ("HF_HUB_CACHE", "/nowhere/hub")]);
    let missing = [Case(
        "no ONNX Runtime",
        "embed @c.csv --text t --text-encoder TEXT --out @o",
        1,
        &["/nowhere.so", "make setup"],
    )];
    run(&missing, 1, &[("ORT_DYLIB_PATH", "/nowhere.so")]);
}
