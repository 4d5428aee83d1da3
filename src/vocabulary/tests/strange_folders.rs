//! Unusual folders: tokens outside `tokenizer.json`, ids without a token, links.

use std::fs;

use serde_json::json;
use tokenizers::Tokenizer;

use super::{Home, files, read, word_piece};

#[test]
fn special_tokens_of_the_configuration_are_in_use_and_written_out() {
    let home = Home::new(&word_piece());
    home.put(
        "tokenizer_config.json",
        br#"{"pad_token": "<pad>", "additional_special_tokens": ["<extra>", "yes"], "unk_token": "[UNK]"}"#,
    );
    home.put("special_tokens_map.json", br#"{"mask_token": {"content": "<mask>", "lstrip": true}}"#);
    home.put("added_tokens.json", b"{}");
    let out = home.write("v", &home.hf(), |_| {}).unwrap();
    let added = read(&out.join("tokenizer/tokenizer.json"))["added_tokens"].clone();
    let pairs: Vec<_> =
        added.as_array().unwrap().iter().map(|token| (token["id"].as_u64(), &token["content"])).collect();
    assert_eq!(
        pairs[..4],
        [
            (Some(0), &json!("[UNK]")),
            (Some(4), &json!("<pad>")),
            (Some(5), &json!("<mask>")),
            (Some(6), &json!("<extra>"))
        ]
    );
    assert_eq!(
        (&added[2]["lstrip"], &added[2]["special"], pairs[4]),
        (&json!(true), &json!(true), (Some(7), &json!("<a_0>")))
    );
    assert_eq!(read(&out.join("tokenizer/added_tokens.json"))["<extra>"], 6);
    let ids = &read(&out.join("vocabulary.json"))["tokenizer"];
    assert_eq!((&ids["first_id"], &ids["embedding_rows"]), (&json!(7), &json!(12)));
    let again = home.write("w", &out.join("tokenizer"), |_| {}).unwrap();
    assert_eq!(files(&out.join("tokenizer")), files(&again.join("tokenizer")));

    // If the configuration lists added tokens, it replaces the map.
    home.put(
        "tokenizer_config.json",
        br#"{"added_tokens_decoder": {"0": {"content": "[UNK]"}}, "pad_token": "<pad>"}"#,
    );
    fs::remove_file(home.hf().join("added_tokens.json")).unwrap();
    let out = home.write("x", &home.hf(), |_| {}).unwrap();
    let decoder = &read(&out.join("tokenizer/tokenizer_config.json"))["added_tokens_decoder"];
    assert_eq!((&decoder["4"]["content"], &decoder["5"]["content"]), (&json!("<pad>"), &json!("<a_0>")));
}

#[test]
fn ids_without_a_token_are_filled_below_the_highest() {
    let mut tokenizer = word_piece();
    tokenizer["model"]["vocab"]["[PAD]"] = json!(9);
    tokenizer["added_tokens"].as_array_mut().unwrap().push(json!({"id": 9, "content": "[PAD]", "single_word": false,
        "lstrip": false, "rstrip": false, "normalized": false, "special": true}));
    let home = Home::new(&tokenizer);
    let out = home.write("v", &home.hf(), |_| {}).unwrap();
    let vocab = &read(&out.join("tokenizer/tokenizer.json"))["model"]["vocab"];
    assert_eq!(
        (&vocab["<catalex_unused_4>"], &vocab["<catalex_unused_8>"], &vocab["[PAD]"]),
        (&json!(4), &json!(8), &json!(9))
    );
    let extended = Tokenizer::from_file(out.join("tokenizer/tokenizer.json")).unwrap();
    assert_eq!((extended.token_to_id("<a_0>"), extended.get_vocab_size(true)), (Some(10), 15));
    let again = home.write("w", &out.join("tokenizer"), |_| {}).unwrap();
    assert_eq!(files(&out.join("tokenizer")), files(&again.join("tokenizer")));
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_and_pipes_are_refused() {
    for name in ["tokenizer_config.json", "README.md", "chat_templates/x"] {
        let home = Home::new(&word_piece());
        fs::create_dir(home.hf().join("chat_templates")).unwrap();
        fs::write(home.0.path().join("secret"), "{}").unwrap();
        std::os::unix::fs::symlink(home.0.path().join("secret"), home.hf().join(name)).unwrap();
        let message = home.refused(&home.hf());
        assert!(message.contains(name) && message.contains("secret"), "{message}");
    }
    let home = Home::new(&word_piece());
    let _socket = std::os::unix::net::UnixListener::bind(home.hf().join("pipe")).unwrap();
    assert!(home.refused(&home.hf()).contains("a socket"));
}
