//! A language model's own files: start values, a resized checkpoint, GGUF.

use std::path::PathBuf;

use super::text_settings;

text_settings! {
    /// A language model whose embedding rows for the new tokens are written.
    pub struct LlmSettings {
        /// Hugging Face model folder: write start values for its new embedding rows.
        llm: PathBuf, "HF_DIR";
        /// Index or token table that the language model was fine-tuned with: keep the rows of codes whose items stayed,
        /// and give the other codes means of trained rows. Needs a model and a tokenizer that have the tokens.
        from: PathBuf, "OLD_INDEX";
        /// Initialisation of the new rows: mean, grounded (in the items' texts) or structured (in the texts and the
        /// codebooks).
        start_values: String, "METHOD", default "structured";
        /// Catalog with the items' texts, for start values.
        catalog: PathBuf, "CATALOG";
        /// Column of the catalog's item ids.
        id: String, "COLUMN", default "item_id or id";
        /// Text columns of the catalog, joined in this order.
        text: Vec<String>, "COLUMN,...";
        /// Model that assigned the codes, or its index.
        model: PathBuf, "MODEL", default "that of TOKENS, if it is an index";
        /// Seed of all random numbers.
        seed: u64, "N", default "42";
        /// Name of the tensor with the language model's input embeddings, if it is not found automatically.
        embedding_tensor: String, "NAME";
        /// Also write a copy of the language model with the new rows.
        write_model: bool, "BOOL";
        /// GGUF file of the same language model: write a copy with the new tokens and rows.
        gguf: PathBuf, "FILE";
    }
}
