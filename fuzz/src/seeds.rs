//! Valid inputs to start from.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Decimal128Array, Float32Array, Int64Array, ListArray, RecordBatch, StringArray,
    StringViewArray, StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Float32Type, Int32Type};
use arrow::ipc::writer::{FileWriter, StreamWriter};
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};

use crate::home::Home;

const ROWS: usize = 24;

/// The checkout.
pub(crate) fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of a folder of the checkout with one of these endings, up to a size.
pub(crate) fn golden(folder: &str, endings: &[&str]) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(checkout().join(folder)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let fits = |path: &PathBuf| {
        let name = path.to_string_lossy();
        endings.iter().any(|ending| name.ends_with(ending)) && path.metadata().is_ok_and(|m| m.len() < 40_000)
    };
    paths.into_iter().filter(fits).take(40).filter_map(|path| fs::read(path).ok()).collect()
}

/// A small table with one column of each supported type.
fn table() -> RecordBatch {
    let n = ROWS as i64;
    let text = |row: i64| format!("<b>Pen</b> {row} &amp; ink");
    let vectors = ListArray::from_iter_primitive::<Float32Type, _, _>(
        (0..n).map(|row| Some((0..4).map(move |at| Some((row * 4 + at) as f32 / 10.0)))),
    );
    let bytes = BinaryArray::from_iter((0..n).map(|row| (row % 5 > 0).then_some(b"\x89PNG".to_vec())));
    let path = StringArray::from_iter((0..n).map(|row| Some(format!("{row}.png"))));
    let picture = StructArray::from(vec![
        (Arc::new(Field::new("bytes", DataType::Binary, true)), Arc::new(bytes) as ArrayRef),
        (Arc::new(Field::new("path", DataType::Utf8, true)), Arc::new(path)),
    ]);
    let kinds: arrow::array::DictionaryArray<Int32Type> = (0..n).map(|row| ["a", "b"][row as usize % 2]).collect();
    let price = Decimal128Array::from_iter_values((0..n).map(i128::from)).with_precision_and_scale(12, 2);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("item_id", Arc::new(Int64Array::from_iter_values(0..n))),
        ("user_id", Arc::new(StringArray::from_iter_values((0..n).map(|row| format!("u{}", row % 3))))),
        ("timestamp", Arc::new(TimestampMicrosecondArray::from_iter_values((0..n).map(|row| row * 1_000_000)))),
        ("rating", Arc::new(Float32Array::from_iter_values((0..n).map(|row| row as f32 % 5.0)))),
        ("title", Arc::new(StringArray::from_iter((0..n).map(|row| (row % 7 > 0).then(|| text(row)))))),
        ("description", Arc::new(StringViewArray::from_iter_values((0..n).map(text)))),
        ("kind", Arc::new(kinds)),
        ("price", Arc::new(price.unwrap_or_else(|e| panic!("{e}")))),
        ("image", Arc::new(picture)),
        ("vector", Arc::new(vectors)),
    ];
    RecordBatch::try_from_iter(columns).unwrap_or_else(|e| panic!("{e}"))
}

/// The table as Parquet: uncompressed, compressed, and with data pages of version 2.
pub(crate) fn parquet(_: &Home) -> Vec<Vec<u8>> {
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let (gzip, brotli) = (Compression::GZIP(GzipLevel::default()), Compression::BROTLI(BrotliLevel::default()));
    let first = [Compression::UNCOMPRESSED, Compression::SNAPPY, zstd, gzip, brotli, Compression::LZ4_RAW];
    let first = first.map(|codec| (codec, WriterVersion::PARQUET_1_0));
    let second = [Compression::UNCOMPRESSED, zstd].map(|codec| (codec, WriterVersion::PARQUET_2_0));
    first
        .into_iter()
        .chain(second)
        .map(|(codec, version)| {
            let mut bytes = Vec::new();
            let second = version == WriterVersion::PARQUET_2_0;
            let properties = WriterProperties::builder()
                .set_compression(codec)
                .set_writer_version(version)
                .set_dictionary_enabled(!second)
                .build();
            let table = table();
            let writer = ArrowWriter::try_new(&mut bytes, table.schema(), Some(properties));
            let written = writer.and_then(|mut writer| {
                writer.write(&table)?;
                writer.close()
            });
            written.unwrap_or_else(|e| panic!("{e}"));
            bytes
        })
        .collect()
}

/// The table as an Arrow file and as an Arrow stream.
pub(crate) fn arrow(_: &Home) -> Vec<Vec<u8>> {
    let table = table();
    let (mut file, mut stream) = (Vec::new(), Vec::new());
    let written = FileWriter::try_new(&mut file, &table.schema()).and_then(|mut writer| {
        writer.write(&table)?;
        writer.finish()
    });
    let streamed = StreamWriter::try_new(&mut stream, &table.schema()).and_then(|mut writer| {
        writer.write(&table)?;
        writer.finish()
    });
    written.and(streamed).unwrap_or_else(|e| panic!("{e}"));
    vec![file, stream]
}

pub(crate) fn csv(home: &Home) -> Vec<Vec<u8>> {
    let events =
        b"user_id,item_id,timestamp,rating\nu1,3,2020-01-01T00:00:00Z,4\n\"u,2\",4,2020-01-01 10:00:00.5+02:00,5.0\n\
        u1,5,2020-01-02T00:00:00Z,3\nu1,6,2020-01-03T00:00:00Z,0\n";
    let times = b"user,item,time\nu,1,1577836800\nu,2,1577836801\nu,3,2.5e9\nu,4,1577836802\n";
    let priced = b"user_id,item_id,price\nu,1,1\nu,2,2.5\nu,3,3\nu,4,4\n";
    let bare = b"\xEF\xBB\xBFid,title\r\n1,\"a\"\"b\"\r\n2,\"c\nd\"";
    [vec![home.read("catalog.csv")], [events.as_slice(), times, priced, bare].map(<[u8]>::to_vec).into()].concat()
}

/// CSV with other quote characters, and with backslashes as escapes.
pub(crate) fn quoted(home: &Home) -> Vec<Vec<u8>> {
    let more =
        ["id,title\n1,\"a \\\"red\\\" pen, \\\\\"\n", "id,title\n2,'it\\'s, it'\n", "id\ttitle\n1\t\"a\"\"\tb\"\n"];
    [csv(home), tsv(home), more.map(|text| text.as_bytes().to_vec()).into()].concat()
}

/// Texts in encodings that are not UTF-8.
pub(crate) fn encodings(home: &Home) -> Vec<Vec<u8>> {
    let mut texts = vec![b"id,title\n1,Caf\xE9\n".to_vec(), b"\xEF\xBB\xBFid,title\n1,x\n".to_vec()];
    for text in [csv(home)[0].clone(), json_lines(home)[0].clone()] {
        let units: Vec<u16> = String::from_utf8_lossy(&text).encode_utf16().collect();
        texts.push(
            [&[0xFF, 0xFE], units.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<_>>().as_slice()].concat(),
        );
        texts.push(
            [&[0xFE, 0xFF], units.iter().flat_map(|unit| unit.to_be_bytes()).collect::<Vec<_>>().as_slice()].concat(),
        );
    }
    texts
}

pub(crate) fn tsv(_: &Home) -> Vec<Vec<u8>> {
    vec![b"id\ttitle\tdescription\n1\t\"Red\" pen\ta\\tb\n2\tx\t\n".to_vec(), b"1\t2\t3\t881250949\n".to_vec()]
}

pub(crate) fn json_lines(_: &Home) -> Vec<Vec<u8>> {
    vec![
        b"{\"id\": 1, \"title\": \"Red <i>pen</i>\", \"description\": [\"a\", \"b\"], \"image\": \"1.png\"}\n{\"id\": 2, \"title\": null}\n".to_vec(),
        b"{\"user_id\": \"u\", \"item_id\": 12345678901234567890, \"timestamp\": 1.5e9, \"rating\": 4.0}\n".to_vec(),
        golden("tests/golden", &[".jsonl"]).concat(),
    ]
}

/// Lines `user item item ...`.
pub(crate) fn sequences(_: &Home) -> Vec<Vec<u8>> {
    vec![b"u 1 2 3\nv 4 1\n".to_vec(), b"1\t2\t3\t881250949\n".to_vec()]
}

pub(crate) fn gzip(home: &Home) -> Vec<Vec<u8>> {
    let packed = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).and_then(|()| encoder.finish()).unwrap_or_else(|e| panic!("{e}"))
    };
    // A long cell, two members, padding.
    let long = [b"id,title\n1,".as_slice(), &[b'x'; 1 << 22]].concat();
    vec![packed(&csv(home)[0]), packed(&long), [packed(b"id,title\n"), packed(b"1,x\n"), vec![0; 512]].concat()]
}

pub(crate) fn zstd(home: &Home) -> Vec<Vec<u8>> {
    let packed = |bytes: &[u8]| zstd::bulk::compress(bytes, 3).unwrap_or_else(|e| panic!("{e}"));
    vec![packed(&csv(home)[0]), [packed(b"id,title\n"), packed(b"1,x\n")].concat()]
}

pub(crate) fn pictures(_: &Home) -> Vec<Vec<u8>> {
    let endings = [".png", ".jpg", ".gif", ".bmp", ".webp", ".tiff"];
    let mut pictures = golden("tests/golden/encoder/formats", &endings);
    pictures.extend(golden("fixtures/emoji/images", &[".png"]).into_iter().take(3));
    pictures
}

/// A GGUF file with three tokens and one float32 matrix.
pub(crate) fn gguf(_: &Home) -> Vec<Vec<u8>> {
    let words = ["[UNK]", "red", "green", "blue", "pen", "lamp", "<pad>"];
    let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let make = |kind: u32, size: usize| {
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend([1u64, 4].map(u64::to_le_bytes).concat());
        out.extend([text("general.architecture"), 8u32.to_le_bytes().to_vec(), text("llama")].concat());
        out.extend([text("llama.vocab_size"), [4u32, 7].map(u32::to_le_bytes).concat()].concat());
        out.extend([text("tokenizer.ggml.tokens"), [9u32, 8].map(u32::to_le_bytes).concat()].concat());
        out.extend((words.len() as u64).to_le_bytes());
        words.iter().for_each(|word| out.extend(text(word)));
        out.extend([text("tokenizer.ggml.token_type"), [9u32, 5].map(u32::to_le_bytes).concat()].concat());
        out.extend((words.len() as u64).to_le_bytes());
        out.extend([1u32; 7].map(u32::to_le_bytes).concat());
        out.extend(text("token_embd.weight"));
        out.extend(2u32.to_le_bytes());
        out.extend([8u64, words.len() as u64].map(u64::to_le_bytes).concat());
        out.extend(kind.to_le_bytes());
        out.extend(0u64.to_le_bytes());
        out.resize(out.len().next_multiple_of(32), 0);
        out.resize(out.len() + 8 * words.len() * size, 0x3C);
        out
    };
    vec![make(0, 4), make(1, 2), make(30, 2)]
}

/// SentencePiece models of a few pieces.
pub(crate) fn sentencepiece(_: &Home) -> Vec<Vec<u8>> {
    let piece = |text: &str, kind: u8| {
        let mut inner = vec![0x0A, text.len() as u8];
        inner.extend(text.bytes());
        inner.extend([0x15, 0, 0, 0x80, 0xC0, 0x18, kind]);
        [&[0x0A, inner.len() as u8], inner.as_slice()].concat()
    };
    let pieces = [("<unk>", 2), ("<s>", 3), ("</s>", 3), ("\u{2581}red", 1), ("\u{2581}pen", 1), ("e", 1)];
    let model: Vec<u8> = pieces.iter().flat_map(|&(text, kind)| piece(text, kind)).collect();
    // The trainer's settings with the kind of model, and the normalizer's.
    let unigram = [model.as_slice(), &[0x12, 2, 0x18, 1], &[0x1A, 4, 0x0A, 2, b'n', b'f']].concat();
    let pairs = [model.as_slice(), &[0x12, 2, 0x18, 2]].concat();
    vec![unigram, pairs]
}

pub(crate) fn tokenizers(home: &Home) -> Vec<Vec<u8>> {
    let mut found = vec![home.read("llm/tokenizer.json")];
    found.extend(golden("tests/golden/fm_index", &["tokenizer.json"]));
    let more = [
        r#"{"version":"1.0","added_tokens":[],"normalizer":{"type":"Precompiled","precompiled_charsmap":"AAAAAA=="},"pre_tokenizer":{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"always","split":true},"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"a","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[],"special_tokens":{"a":{"id":"a","ids":[1],"tokens":["a"]}}},"decoder":{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"always","split":true},"model":{"type":"Unigram","unk_id":0,"vocab":[["?",0.0],["a",-1.5],["\u2581pen",-2.0]],"byte_fallback":false}}"#,
        r###"{"version":"1.0","added_tokens":[{"id":3,"content":"<x>","single_word":true,"lstrip":true,"rstrip":false,"normalized":true,"special":false}],"normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":{"type":"BertProcessing","sep":["?",0],"cls":["?",0]},"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},"model":{"type":"WordPiece","unk_token":"?","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{"?":0,"pen":1,"##s":2}}}"###,
        r#"{"version":"1.0","added_tokens":[],"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"\u2581"},{"type":"Replace","pattern":{"Regex":"\\s+"},"content":"\u2581"}]},"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"\\p{L}+|\\p{N}{1,3}"},"behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}]},"post_processor":null,"decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true},"model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":false,"vocab":{"p":0,"e":1,"n":2,"pe":3,"pen":4},"merges":[["p","e"],["pe","n"]]}}"#,
    ];
    found.extend(more.map(|text| text.as_bytes().to_vec()));
    found
}
