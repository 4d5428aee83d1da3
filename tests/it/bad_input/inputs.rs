//! The input files of the cases. Most of them are invalid.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Float32Array, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::{Float32Type, Int64Type};
use catalex::artifact::Overwrite;
use catalex::item_ids::ItemIds;
use catalex::semantic_id::TokenTable;
use ndarray::Array2;
use parquet::arrow::ArrowWriter;

use super::super::support::{
    catalex, clustered, features, hand_made, mobilenet, outcome, root, write_matrix, write_npy,
};
use super::faulty_models::{write_encoders, write_language_models, write_tokenizers};

/// Writes all input files of the cases, valid and invalid ones.
pub(super) fn write_inputs(folder: &Path) {
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
    fs::write(at("future/config.json"), config.replacen("\"format_version\": 4", "\"format_version\": 99", 1)).unwrap();
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
    let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![&b"x"[..], b"\xff\xfe"]));
    parquet(&at("binary.parquet"), vec![("id", ids()), ("t", bytes)]);
    parquet(
        &at("float-id.parquet"),
        vec![("id", Arc::new(Float32Array::from(vec![1.5]))), ("t", strings(vec![Some("x")]))],
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
    let smile = fs::read(root().join("fixtures/emoji/images/1F600.png")).unwrap();
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
    let many = 25_000;
    table.metadata.codebook_sizes = vec![256, 256];
    table.item_ids = ItemIds::row_numbers(many);
    table.codes = Array2::from_shape_fn((many, 2), |(row, level)| (row >> (8 * level) & 255) as u16);
    (table.residual_error, table.reassigned) = (vec![0.0; many], vec![false; many]);
    table.write(&at("many.parquet"), Overwrite::Refuse).unwrap();
}

fn parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn strings(values: Vec<Option<&str>>) -> ArrayRef {
    Arc::new(StringArray::from(values))
}

/// The first two thirds of a file.
pub(super) fn cut(path: &Path, from: &Path) {
    let bytes = fs::read(from).unwrap();
    fs::write(path, &bytes[..bytes.len() * 2 / 3]).unwrap();
}
