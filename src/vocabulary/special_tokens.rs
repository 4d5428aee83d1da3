//! The special tokens that transformers adds to a tokenizer when it loads it.
//!
//! `tokenizer_config.json` and `special_tokens_map.json` can name tokens that `tokenizer.json` lacks. `AutoTokenizer`
//! gives them the ids after the last one, in this order: the named tokens, model-specific tokens (`image_token`), and
//! the list of extra tokens. The order is that of transformers 5; version 4 has the list before the model-specific
//! tokens.

use serde_json::{Map, Value, json};

/// The named tokens, in the order of transformers.
const NAMED: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
/// Tokenizer classes and their default tokens, in the order of [`NAMED`]; "" for none.
const CLASSES: [(&[&str], [&str; 7]); 13] = [
    (&["gpt2", "whisper"], ["<|endoftext|>", "<|endoftext|>", "<|endoftext|>", "", "", "", ""]),
    (&["qwen2"], ["", "<|endoftext|>", "<|endoftext|>", "", "<|endoftext|>", "", ""]),
    (&["gptneox"], ["<|endoftext|>", "<|endoftext|>", "<|endoftext|>", "", "<|padding|>", "", ""]),
    (&["llama"], ["<s>", "</s>", "<unk>", "", "", "", ""]),
    (&["gemma"], ["<bos>", "<eos>", "<unk>", "", "<pad>", "", "<mask>"]),
    (&["t5"], ["", "</s>", "<unk>", "", "<pad>", "", ""]),
    (&["pegasus"], ["", "</s>", "<unk>", "", "<pad>", "", "<mask_2>"]),
    (
        &["bart", "roberta", "xlmroberta", "camembert", "mbart", "nllb", "led", "longformer", "barthez", "blenderbot"],
        ["<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"],
    ),
    (&["bert", "distilbert", "electra", "mobilebert"], ["", "", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"]),
    (&["deberta", "debertav2"], ["[CLS]", "[SEP]", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"]),
    (&["albert", "rembert"], ["[CLS]", "[SEP]", "<unk>", "[SEP]", "<pad>", "[CLS]", "[MASK]"]),
    (&["mpnet"], ["<s>", "</s>", "[UNK]", "</s>", "<pad>", "<s>", "<mask>"]),
    (&["xlnet"], ["<s>", "</s>", "<unk>", "<sep>", "<pad>", "<cls>", "<mask>"]),
];
/// Default extra tokens of a T5 tokenizer.
const T5_EXTRAS: u64 = 100;

/// A token that a configuration names, with its entry in a list of added tokens.
#[derive(Debug, PartialEq)]
pub(super) struct SpecialToken {
    pub(super) word: String,
    pub(super) more: Map<String, Value>,
}

/// The files that name special tokens.
#[derive(Default)]
pub(super) struct SpecialTokenFiles<'a> {
    /// `tokenizer_config.json`.
    pub(super) config: Option<&'a Value>,
    /// `special_tokens_map.json`; transformers reads it only without `added_tokens_decoder` in the configuration.
    pub(super) map: Option<&'a Value>,
    /// The padding token that `tokenizer.json` stores.
    pub(super) padding: Option<&'a str>,
    /// The name of the tokenizer's class, or the model type.
    pub(super) class: &'a str,
}

impl SpecialTokenFiles<'_> {
    /// All special tokens, in the order in which transformers adds them. Some can already be in the tokenizer.
    pub(super) fn tokens(&self) -> Vec<SpecialToken> {
        let files = [self.config, self.map];
        let class = class_of(self.class);
        let defaults = CLASSES.iter().find(|(names, _)| names.contains(&class.as_str())).map(|(_, tokens)| tokens);
        let mut tokens = Vec::new();
        for (at, key) in NAMED.iter().enumerate() {
            // The map is read last. Null means that there is no such token.
            let given = files.iter().rev().flatten().find_map(|file| file.get(key));
            let default = defaults.map(|defaults| defaults[at]).or(self.padding.filter(|_| *key == "pad_token"));
            tokens.extend(given.map_or_else(|| default.and_then(|word| token(&json!(word))), token));
        }
        tokens.extend(self.model_specific().into_iter().filter_map(|(_, value)| token(value)));
        let list = |file: Option<&Value>, key: &str| -> Vec<SpecialToken> {
            file.and_then(|file| file[key].as_array()).into_iter().flatten().filter_map(token).collect()
        };
        let mut extra = list(self.config, "extra_special_tokens");
        if extra.is_empty() {
            extra = list(self.config, "additional_special_tokens");
        }
        extra.extend(
            ["extra_special_tokens", "additional_special_tokens"].into_iter().flat_map(|key| list(self.map, key)),
        );
        if extra.is_empty() && class == "t5" {
            let number = self.config.and_then(|config| config["extra_ids"].as_u64()).unwrap_or(T5_EXTRAS);
            extra.extend((0..number.min(T5_EXTRAS * 10)).filter_map(|id| token(&json!(format!("<extra_id_{id}>")))));
        }
        tokens.extend(extra);
        let mut known = std::collections::HashSet::new();
        tokens.retain(|token| known.insert(token.word.clone()));
        tokens
    }

    /// Tokens under other names: entries with flags, then words, then those of `extra_special_tokens`.
    fn model_specific(&self) -> Vec<(&str, &Value)> {
        let mut pairs: Vec<(&str, &Value)> = Vec::new();
        let mut set = |key, value| match pairs.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => pairs.push((key, value)),
        };
        further(self.config).filter(|(_, value)| value.is_object()).for_each(|(key, value)| set(key.as_str(), value));
        further(self.map).for_each(|(key, value)| set(key, value));
        further(self.config).filter(|(_, value)| value.is_string()).for_each(|(key, value)| set(key, value));
        for file in [self.config, self.map].into_iter().flatten() {
            let named = file["extra_special_tokens"].as_object().into_iter().flatten();
            named.for_each(|(key, value)| set(key, value));
        }
        pairs
    }
}

/// The keys of a file that name tokens beyond [`NAMED`].
fn further(file: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    let keys = file.and_then(Value::as_object).into_iter().flatten();
    keys.filter(|(key, _)| key.ends_with("_token") && !NAMED.contains(&key.as_str()))
}

/// The name of a class without its ending, or a model type, in lower case: "gptneox" of GPTNeoXTokenizerFast and gpt_neox.
fn class_of(name: &str) -> String {
    let name = name.trim_end_matches("Fast").trim_end_matches("Tokenizer");
    name.chars().filter(|c| !"-_".contains(*c)).collect::<String>().to_lowercase()
}

/// A token of a configuration: a word, or an entry with flags.
fn token(value: &Value) -> Option<SpecialToken> {
    let word = value.as_str().or_else(|| value["content"].as_str()).filter(|word| !word.is_empty())?;
    let flag = |key: &str| (key.to_owned(), json!(value[key].as_bool().unwrap_or(false)));
    let flags = ["single_word", "lstrip", "rstrip", "normalized"].map(flag);
    let more = [("content".to_owned(), json!(word))].into_iter().chain(flags).chain([("special".into(), json!(true))]);
    Some(SpecialToken { word: word.to_owned(), more: more.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(config: &Value, map: &Value, padding: Option<&str>, class: &str) -> Vec<String> {
        let files = SpecialTokenFiles { config: Some(config), map: Some(map), padding, class };
        files.tokens().into_iter().map(|token| token.word).collect()
    }

    #[test]
    fn the_order_equals_that_of_transformers() {
        let config = json!({
            "image_token": "<image>", "pad_token": "<pad>", "additional_special_tokens": ["<x>", "<y>"], "add_bos_token": true,
            "bos_token": {"__type": "AddedToken", "content": "<s>", "lstrip": true}, "unk_token": null,
            "video_token": {"__type": "AddedToken", "content": "<video>"}, "tokenizer_class": "PreTrainedTokenizerFast",
        });
        assert_eq!(words(&config, &json!({}), None, ""), ["<s>", "<pad>", "<video>", "<image>", "<x>", "<y>"]);
        let named = json!({"extra_special_tokens": {"audio_token": "<audio>"}, "eos_token": "<e>", "c_token": "<c>"});
        assert_eq!(words(&named, &json!({}), None, ""), ["<e>", "<c>", "<audio>"]);
        let list = json!({"extra_special_tokens": ["<l>"], "additional_special_tokens": ["<not read>"]});
        assert_eq!(words(&list, &json!({}), None, ""), ["<l>"]);
    }

    #[test]
    fn the_map_comes_before_the_configuration_and_its_list_after_it() {
        let config = json!({"pad_token": "<old>", "additional_special_tokens": ["<x>"]});
        let map = json!({"pad_token": {"content": "<pad>"}, "additional_special_tokens": ["<x>", {"content": "<z>"}]});
        assert_eq!(words(&config, &map, None, ""), ["<pad>", "<x>", "<z>"]);
    }

    #[test]
    fn a_class_has_default_tokens_and_a_null_is_none() {
        let null = json!({"pad_token": null});
        assert_eq!(words(&json!({}), &json!({}), None, "GPTNeoXTokenizerFast"), ["<|endoftext|>", "<|padding|>"]);
        assert_eq!(words(&null, &json!({}), None, "gpt_neox"), ["<|endoftext|>"]);
        assert_eq!(words(&json!({}), &json!({}), Some("[PAD]"), "PreTrainedTokenizerFast"), ["[PAD]"]);
        assert_eq!(words(&null, &json!({}), Some("[PAD]"), "PreTrainedTokenizerFast"), [""; 0]);
        let t5 = words(&json!({"extra_ids": 2}), &json!({}), None, "T5TokenizerFast");
        assert_eq!(t5, ["</s>", "<unk>", "<pad>", "<extra_id_0>", "<extra_id_1>"]);
    }
}
