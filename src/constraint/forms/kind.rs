//! The names of the constraint forms and of their files.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The token table that the logits processors of servers read to resolve the item ids of named subsets.
pub(in crate::constraint) const TABLE_FILE: &str = "tokens.parquet";

/// A file format for the valid IDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConstraintForm {
    /// catalex's own trie, for memory mapping.
    Trie,
    /// The arrays of STATIC (arXiv 2602.22647).
    Static,
    /// A grammar for llguidance.
    Llguidance,
    /// A grammar for xgrammar.
    Xgrammar,
    /// A grammar for llama.cpp.
    Gbnf,
    /// A regular expression.
    Regex,
    /// A list of all IDs.
    Choices,
    /// The item dictionary of xLLM.
    Xllm,
    /// `info.txt` of MiniOneRec (arXiv 2510.24431).
    MiniOneRec,
    /// A logits processor for vLLM, which reads the trie.
    Vllm,
    /// A logits processor for SGLang, which reads the trie.
    Sglang,
    /// The item catalog of NVIDIA's server for generative recommendation (sid-gr-inference), as JSON Lines.
    Nvidia,
}

impl ConstraintForm {
    /// All forms.
    pub const ALL: [ConstraintForm; 12] = [
        ConstraintForm::Trie,
        ConstraintForm::Static,
        ConstraintForm::Llguidance,
        ConstraintForm::Xgrammar,
        ConstraintForm::Gbnf,
        ConstraintForm::Regex,
        ConstraintForm::Choices,
        ConstraintForm::Xllm,
        ConstraintForm::MiniOneRec,
        ConstraintForm::Vllm,
        ConstraintForm::Sglang,
        ConstraintForm::Nvidia,
    ];

    /// The file name.
    pub fn file(self) -> &'static str {
        match self {
            ConstraintForm::Trie => "ids.trie",
            ConstraintForm::Static => "static.safetensors",
            ConstraintForm::Llguidance => "ids.lark",
            ConstraintForm::Xgrammar => "ids.ebnf",
            ConstraintForm::Gbnf => "ids.gbnf",
            ConstraintForm::Regex => "ids.regex",
            ConstraintForm::Choices => "choices.json",
            ConstraintForm::Xllm => "xllm.bin",
            ConstraintForm::MiniOneRec => "info.txt",
            ConstraintForm::Vllm => "catalex_vllm.py",
            ConstraintForm::Sglang => "catalex_sglang.py",
            ConstraintForm::Nvidia => "nvidia.jsonl",
        }
    }

    /// The names of the form's other files. Two forms can share a file.
    pub fn companions(self) -> &'static [&'static str] {
        match self {
            ConstraintForm::Vllm => &["README-vllm.md", TABLE_FILE],
            ConstraintForm::Sglang => &["README-sglang.md", TABLE_FILE],
            ConstraintForm::Nvidia => &["README-nvidia.md"],
            _ => &[],
        }
    }

    /// Whether the file is a program of a server, which reads the trie.
    pub(in crate::constraint) fn is_program(self) -> bool {
        matches!(self, ConstraintForm::Vllm | ConstraintForm::Sglang)
    }

    /// These forms and the forms whose files they read: the logits processors of servers read the trie.
    pub fn with_required(forms: &[ConstraintForm]) -> Vec<ConstraintForm> {
        let trie = ConstraintForm::Trie;
        let added = forms.iter().any(|form| form.is_program()) && !forms.contains(&trie);
        added.then_some(trie).into_iter().chain(forms.iter().copied()).collect()
    }

    /// Maximum number of items; `docs/constrained-decoding.md` has the measurements behind it.
    pub fn max_items(self) -> Option<usize> {
        match self {
            ConstraintForm::Llguidance => Some(20_000),
            ConstraintForm::Xgrammar => Some(50_000),
            ConstraintForm::Gbnf => Some(200_000),
            ConstraintForm::Regex => Some(10_000),
            ConstraintForm::Choices => Some(1_000_000),
            ConstraintForm::Trie
            | ConstraintForm::Static
            | ConstraintForm::Xllm
            | ConstraintForm::MiniOneRec
            | ConstraintForm::Vllm
            | ConstraintForm::Sglang
            | ConstraintForm::Nvidia => None,
        }
    }

    pub(super) fn needs_token_ids(self) -> bool {
        matches!(
            self,
            ConstraintForm::Static
                | ConstraintForm::Xllm
                | ConstraintForm::Vllm
                | ConstraintForm::Sglang
                | ConstraintForm::Nvidia
        )
    }
}

impl fmt::Display for ConstraintForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConstraintForm::Trie => "trie",
            ConstraintForm::Static => "static",
            ConstraintForm::Llguidance => "llguidance",
            ConstraintForm::Xgrammar => "xgrammar",
            ConstraintForm::Gbnf => "gbnf",
            ConstraintForm::Regex => "regex",
            ConstraintForm::Choices => "choices",
            ConstraintForm::Xllm => "xllm",
            ConstraintForm::MiniOneRec => "minionerec",
            ConstraintForm::Vllm => "vllm",
            ConstraintForm::Sglang => "sglang",
            ConstraintForm::Nvidia => "nvidia",
        })
    }
}

impl FromStr for ConstraintForm {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        ConstraintForm::named("form", name)
    }
}

impl ConstraintForm {
    /// The form of a name, which the setting `key` gives.
    ///
    /// # Errors
    /// [`Error::Config`] for an unknown name.
    pub fn named(key: &str, name: &str) -> Result<Self> {
        ConstraintForm::ALL.into_iter().find(|form| form.to_string() == name).ok_or_else(|| {
            let names: Vec<String> = ConstraintForm::ALL.iter().map(ConstraintForm::to_string).collect();
            Error::config(key, format!("one of {}", names.join(", ")), name, "choose one of them")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_of_servers_come_with_the_trie() {
        use ConstraintForm::{Nvidia, Sglang, Trie, Vllm};
        assert_eq!(ConstraintForm::with_required(&[Vllm, Sglang]), [Trie, Vllm, Sglang]);
        assert_eq!(ConstraintForm::with_required(&[Vllm, Trie]), [Vllm, Trie]);
        assert_eq!(ConstraintForm::with_required(&[Nvidia]), [Nvidia]);
    }
}
