//! Extension of small tokenizers of every kind.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokenizers::Tokenizer;

mod strange_folders;

use super::*;
use crate::item_ids::ItemIds;
use crate::progress::Silent;
use crate::semantic_id::{Collisions, TableMetadata};

fn table(format: &str) -> TokenTable {
    TokenTable {
        members: None,
        item_ids: ItemIds::Strings(vec!["x".into(), "y\"".into()]),
        codes: ndarray::array![[1, 0], [0, 2]],
        residual_error: vec![0.0; 2],
        reassigned: vec![false; 2],
        metadata: TableMetadata {
            model_hash: "abc".into(),
            codebook_sizes: vec![2, 3],
            token_format: format.parse::<TokenFormat>().unwrap(),
            policy: Collisions::Resolve,
            collisions: None,
        },
    }
}

/// A folder to work in, with a tokenizer in `hf/`.
struct Home(tempfile::TempDir);

impl Home {
    fn new(tokenizer: &Value) -> Home {
        let home = Home(tempfile::tempdir().unwrap());
        fs::create_dir(home.hf()).unwrap();
        home.put("tokenizer.json", &serde_json::to_vec_pretty(tokenizer).unwrap());
        home
    }

    fn hf(&self) -> PathBuf {
        self.0.path().join("hf")
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.hf().join(name), bytes).unwrap();
    }

    fn write(&self, out: &str, source: &Path, change: impl FnOnce(&mut VocabularyOptions)) -> Result<PathBuf> {
        let mut options = VocabularyOptions { tokenizer: Some(source.to_path_buf()), ..VocabularyOptions::default() };
        change(&mut options);
        let out = self.0.path().join(out);
        write_vocabulary(&out, &table("<{level}_{code}>"), &options, Overwrite::Refuse, &Silent)?;
        Ok(out)
    }

    fn refused(&self, source: &Path) -> String {
        let message = self.write("refused", source, |_| {}).unwrap_err().to_string();
        assert!(!self.0.path().join("refused").exists());
        message
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn files(folder: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let entry = |e: std::io::Result<fs::DirEntry>| e.unwrap();
    let files = fs::read_dir(folder).unwrap().map(entry).filter(|e| e.path().is_file());
    files.map(|e| (e.file_name().to_string_lossy().into_owned(), fs::read(e.path()).unwrap())).collect()
}

/// A lowercasing WordPiece tokenizer.
fn word_piece() -> Value {
    json!({
        "version": "1.0", "truncation": {"max_length": 2, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": null,
        "added_tokens": [{"id": 0, "content": "[UNK]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
        "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": null, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
                  "vocab": {"[UNK]": 0, "hello": 1, "yes": 2, "no": 3}},
    })
}

/// A Unigram tokenizer whose pieces are those of a SentencePiece model, with two tokens of its own after them.
fn unigram() -> (Value, Vec<u8>) {
    let pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("▁", -1.0), ("a", -1.5), ("▁buy", -2.25)];
    let added = |id: u32, content: &str| json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    let space = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [added(0, "<unk>"), added(6, "<extra_id_1>"), added(7, "<extra_id_0>")],
        "normalizer": null, "pre_tokenizer": space.clone(), "post_processor": null, "decoder": space,
        "model": {"type": "Unigram", "unk_id": 0, "vocab": pieces, "byte_fallback": false},
    });
    (tokenizer, sentencepiece::small_model(&["▁", "a", "▁buy"]))
}

#[test]
fn tokens_are_ordered_level_by_level() {
    let vocabulary = Vocabulary::new(&[2, 3], TokenFormat::default());
    assert_eq!(vocabulary.tokens().collect::<Vec<_>>(), ["<a_0>", "<a_1>", "<b_0>", "<b_1>", "<b_2>"]);
    assert_eq!((vocabulary.len(), vocabulary.offset(1), vocabulary.index(1, 2)), (5, 2, 4));
    assert_eq!(Vocabulary::new(&[65_536], TokenFormat::default()).tokens().last().unwrap(), "<a_65535>");
}

#[test]
fn an_extended_tokenizer_keeps_old_ids_and_encodes_every_semantic_id() {
    let home = Home::new(&word_piece());
    home.put(
        "tokenizer_config.json",
        br#"{"added_tokens_decoder": {"0": {"content": "[UNK]"}}, "chat_template": "x", "z": 1.50}"#,
    );
    home.put("special_tokens_map.json", b"{ \"unk_token\":  \"[UNK]\"}");
    home.put("config.json", b"{\"vocab_size\": 100}");
    home.put("model.safetensors", b"weights");
    fs::create_dir(home.hf().join("chat_templates")).unwrap();
    home.put("chat_templates/tools.jinja", b"{{ x }}");
    let out = home.write("v", &home.hf(), |options| options.pad_to_multiple_of = Some(64)).unwrap();

    let description = read(&out.join("vocabulary.json"));
    let ids = &description["tokenizer"];
    assert_eq!(ids["token_ids"]["<b_2>"], 8);
    assert_eq!(
        (&ids["vocabulary_size"], &ids["model_rows"], &ids["embedding_rows"]),
        (&json!(9), &json!(100), &json!(128))
    );
    assert_eq!((&ids["first_ids"], &ids["trainable_token_indices"]), (&json!([4, 6]), &json!([4, 5, 6, 7, 8])));
    assert_eq!((&ids["begin_id"], &ids["spaces_between_tokens"]), (&Value::Null, &json!(true)));
    let index = read(&out.join("index.json"));
    assert_eq!(index, json!({"x": ["<a_1>", "<b_0>"], "y\"": ["<a_0>", "<b_2>"]}));
    let yaml = fs::read_to_string(out.join("llamafactory.yaml")).unwrap();
    assert_eq!(yaml, "add_tokens: \"<a_0>,<a_1>,<b_0>,<b_1>,<b_2>\"\nresize_vocab: true\n");

    let extended = out.join("tokenizer");
    let (before, after) = (files(&home.hf()), files(&extended));
    assert!(!after.contains_key("model.safetensors"));
    assert_eq!(after["special_tokens_map.json"], before["special_tokens_map.json"]);
    assert_eq!(fs::read(extended.join("chat_templates/tools.jinja")).unwrap(), b"{{ x }}");
    let config = String::from_utf8(after["tokenizer_config.json"].clone()).unwrap();
    assert!(config.ends_with(r#", "chat_template": "x", "z": 1.50}"#), "{config}");
    assert_eq!(read(&extended.join("tokenizer_config.json"))["added_tokens_decoder"]["8"]["content"], "<b_2>");
    let mut tokenizer = Tokenizer::from_file(extended.join("tokenizer.json")).unwrap();
    tokenizer.with_truncation(None).unwrap();
    assert_eq!(tokenizer.encode("Yes <a_1><b_0> no", false).unwrap().get_ids(), [2, 5, 6, 3]);
    let read_back = TokenIds::read(&out).unwrap();
    assert_eq!((read_back.id(1, 2), read_back.vocabulary_size), (8, 9));
}

#[test]
fn extending_again_gives_the_same_folder_and_another_index_is_refused() {
    let home = Home::new(&word_piece());
    let markers = |options: &mut VocabularyOptions| {
        options.begin_token = Some("<|sid_begin|>".into());
        options.end_token = Some("<|sid_end|>".into());
    };
    let first = home.write("v1", &home.hf(), markers).unwrap();
    let second = home.write("v2", &first.join("tokenizer"), markers).unwrap();
    assert_eq!(files(&first), files(&second));
    assert_eq!(files(&first.join("tokenizer")), files(&second.join("tokenizer")));
    assert_eq!(read(&first.join("vocabulary.json"))["tokenizer"]["end_id"], 10);
    let ids = TokenIds::read(&first).unwrap();
    assert_eq!((ids.begin, ids.end, ids.vocabulary_size), (Some(9), Some(10), 11));

    let message = home.refused(&first.join("tokenizer"));
    assert!(message.contains("extended by the begin marker <|sid_begin|>"), "{message}");
    let options = VocabularyOptions { tokenizer: Some(first.join("tokenizer")), ..VocabularyOptions::default() };
    let mut other = table("<{level}_{code}>");
    other.metadata.model_hash = "def".into();
    let error = write_vocabulary(&home.0.path().join("v3"), &other, &options, Overwrite::Refuse, &Silent);
    let message = error.unwrap_err().to_string();
    assert!(message.contains("hash def") && message.contains("hash abc"), "{message}");
    let vocabulary = Vocabulary::new(&[2], TokenFormat::default());
    assert!(check_options(&options, &vocabulary).unwrap_err().to_string().contains("tokens of an index"));

    fs::remove_file(first.join("tokenizer/catalex.json")).unwrap();
    let message = home.refused(&first.join("tokenizer"));
    assert!(
        message.contains("\"<a_0>\" with id 4, and 4 more") && message.contains("before it was extended"),
        "{message}"
    );
    let mut bare = word_piece();
    bare["added_tokens"] = json!([]);
    let home = Home::new(&bare);
    home.put("catalex.json", &fs::read(second.join("tokenizer/catalex.json")).unwrap());
    let message = home.write("v", &home.hf(), markers).unwrap_err().to_string();
    assert!(message.contains("no such token"), "{message}");
}

#[test]
fn tokenizer_json_and_sentencepiece_model_get_the_same_ids() {
    let (tokenizer, model) = unigram();
    let home = Home::new(&tokenizer);
    home.put("spiece.model", &model);
    home.put("added_tokens.json", b"{\"<extra_id_0>\": 7}");
    let out = home.write("v", &home.hf(), |_| {}).unwrap().join("tokenizer");
    let extended = sentencepiece::SentencePieceModel::read(&out.join("spiece.model")).unwrap();
    let pieces: Vec<_> = extended.pieces[6..].iter().map(|piece| (piece.text.as_str(), piece.kind)).collect();
    use sentencepiece::PieceKind::{Control, UserDefined};
    let ours = ["<a_0>", "<a_1>", "<b_0>", "<b_1>", "<b_2>"].map(|word| (word, UserDefined));
    assert_eq!(pieces, [&[("<extra_id_1>", Control), ("<extra_id_0>", Control)][..], &ours].concat());
    assert!(fs::read(out.join("spiece.model")).unwrap().starts_with(&model));
    let tokenizer = Tokenizer::from_file(out.join("tokenizer.json")).unwrap();
    for (id, piece) in extended.pieces.iter().enumerate() {
        assert_eq!(tokenizer.token_to_id(&piece.text), Some(id as u32));
    }
    assert_eq!(read(&out.join("added_tokens.json"))["<b_2>"], 12);
    assert_eq!(read(&out.join("../vocabulary.json"))["tokenizer"]["spaces_between_tokens"], false);
}

#[test]
fn a_model_with_other_ids_than_the_tokenizer_is_unchanged() {
    let (mut tokenizer, model) = unigram();
    // As in XLM-RoBERTa: one more id in front.
    tokenizer["model"]["vocab"].as_array_mut().unwrap().insert(1, json!(["<pad>", 0.0]));
    tokenizer["added_tokens"] = json!([]);
    let home = Home::new(&tokenizer);
    home.put("sentencepiece.bpe.model", &model);
    let out = home.write("v", &home.hf(), |_| {}).unwrap();
    assert_eq!(fs::read(out.join("tokenizer/sentencepiece.bpe.model")).unwrap(), model);
    let ids = &read(&out.join("vocabulary.json"))["tokenizer"];
    assert_eq!((&ids["first_id"], &ids["sentencepiece_extended"]), (&json!(7), &json!(false)));
}

#[test]
fn a_sentencepiece_model_alone_is_extended() {
    let home = Home::new(&json!({}));
    fs::remove_file(home.hf().join("tokenizer.json")).unwrap();
    let (_, model) = unigram();
    home.put("tokenizer.model", &model);
    home.put("added_tokens.json", b"{\"<pad>\": 7}");
    let out = home.write("v", &home.hf(), |_| {}).unwrap();
    let extended = sentencepiece::SentencePieceModel::read(&out.join("tokenizer/tokenizer.model")).unwrap();
    let texts: Vec<&str> = extended.pieces[6..].iter().map(|piece| piece.text.as_str()).collect();
    assert_eq!(texts, ["<catalex_unused_6>", "<pad>", "<a_0>", "<a_1>", "<b_0>", "<b_1>", "<b_2>"]);
    let again = home.write("w", &out.join("tokenizer"), |_| {}).unwrap();
    assert_eq!(files(&out.join("tokenizer")), files(&again.join("tokenizer")));

    home.put("tokenizer_config.json", b"{\"tokenizer_class\": \"XLMRobertaTokenizer\"}");
    let message = home.refused(&home.hf());
    assert!(message.contains("XLMRobertaTokenizer") && message.contains("save_pretrained"), "{message}");
}

#[test]
fn tokens_that_only_a_companion_file_lists_keep_their_ids() {
    let home = Home::new(&word_piece());
    home.put("added_tokens.json", b"{\"<pad>\": 4}");
    let out = home.write("v", &home.hf(), |_| {}).unwrap();
    let added = &read(&out.join("tokenizer/tokenizer.json"))["added_tokens"];
    assert_eq!(
        (&added[1]["content"], &added[2]["content"], &added[2]["id"]),
        (&json!("<pad>"), &json!("<a_0>"), &json!(5))
    );
    home.put("added_tokens.json", b"{\"<pad>\": 40}");
    let message = home.refused(&home.hf());
    assert!(message.contains("gaps"), "{message}");
}

#[test]
fn tokenizers_that_cannot_be_extended_are_refused() {
    let refused = |change: fn(&mut Value), format: &str| {
        let mut tokenizer = word_piece();
        change(&mut tokenizer);
        let home = Home::new(&tokenizer);
        let options = VocabularyOptions { tokenizer: Some(home.hf()), ..VocabularyOptions::default() };
        let out = home.0.path().join("v");
        let error = write_vocabulary(&out, &table(format), &options, Overwrite::Refuse, &Silent);
        assert!(!out.exists());
        error.unwrap_err().to_string()
    };
    let message = refused(|t| t["model"]["vocab"]["b-1"] = json!(4), "{level}-{code}");
    assert!(message.contains("\"b-1\" with id 4"), "{message}");
    let message = refused(|t| t["model"]["vocab"]["far"] = json!(4_294_967_290u64), "<{level}_{code}>");
    assert!(message.contains("32 bits") && message.contains("4294967291"), "{message}");
    let message = refused(|_| {}, "{level}_{code}");
    assert!(message.contains("ordinary text") && message.contains("--token-format"), "{message}");
    // An existing added token matches a part of a new one.
    let swallow = |t: &mut Value| {
        let mut token = t["added_tokens"][0].clone();
        token["content"] = json!("<a_1><");
        token["id"] = json!(4);
        t["added_tokens"].as_array_mut().unwrap().push(token);
    };
    let message = refused(swallow, "<{level}_{code}>");
    assert!(message.contains("item x") && message.contains("keep these tokens whole"), "{message}");

    let home = Home::new(&json!({"model": {"vocab": 3}}));
    assert!(home.refused(&home.hf()).contains("tokenizer.json"));
    fs::remove_file(home.hf().join("tokenizer.json")).unwrap();
    let message = home.refused(&home.hf());
    assert!(message.contains("save_pretrained") && message.contains("spiece.model"), "{message}");
    home.put("spiece.model", b"no model");
    assert!(home.refused(&home.hf()).contains("SentencePiece"));
}
