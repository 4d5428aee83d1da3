//! From a token table to the files that add its tokens to a language model.

use std::path::Path;

use super::sources;
use super::spec::{LlmSettings, ReadsTexts, VocabSpec, needs};
use crate::artifact::OutputLock;
use crate::catalog::{CatalogSpec, TextSpec};
use crate::error::{Error, Result};
use crate::index::{Index, resolve_index};
use crate::progress::Progress;
use crate::semantic_id::TokenTable;
use crate::settings::SettingGroup;
use crate::tokenizer::Tokenizer;
use crate::vocabulary::{StartMethod, StartValues, VocabularyOptions, write_vocabulary};

/// Default random seed.
const SEED: u64 = 42;

/// Writes the vocabulary folder of a token table and, if requested, files of a language model.
///
/// # Errors
/// As [`write_vocabulary`]; [`crate::Error::Config`] for settings that require others.
pub fn vocab(spec: &VocabSpec, progress: &dyn Progress) -> Result<()> {
    spec.vocabulary.check()?;
    spec.llm.check()?;
    let overwrite = spec.output.overwrite();
    let _lock = OutputLock::claim(&spec.output.out, overwrite)?;
    let source = resolve_index(&spec.tokens)?;
    let table = sources::token_table(&source)?;
    let mut options = spec.vocabulary.options();
    let method = spec.llm.method()?;
    let model = model(spec, &source, method)?;
    let trained = spec.llm.from.as_deref().map(|path| sources::token_table(&resolve_index(path)?)).transpose()?;
    if trained.is_some() && options.tokenizer.is_none() {
        options.tokenizer.clone_from(&spec.llm.llm);
    }
    options.start_values = start_values(&spec.llm, method, &options, model.as_ref(), trained.as_ref())?;
    write_vocabulary(&spec.output.out, &table, &options, overwrite, progress)
}

impl LlmSettings {
    fn method(&self) -> Result<StartMethod> {
        let Some(from) = &self.from else {
            return self.start_values.as_deref().map_or(Ok(StartMethod::Structured), str::parse);
        };
        let given = [
            ("start-values", self.start_values.is_some()),
            ("catalog", self.catalog.is_some()),
            ("text", self.text.is_some()),
            ("seed", self.seed.is_some()),
            ("gguf", self.gguf.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            None => Ok(StartMethod::Transferred),
            Some((key, _)) => Err(Error::config(
                *key,
                "no value with --from",
                format!("a value, and --from {}", from.display()),
                "omit it: rows come from the trained rows of the language model. For GGUF, convert the written model",
            )),
        }
    }
}

/// The model that assigned the codes, if needed.
fn model(spec: &VocabSpec, source: &Path, method: StartMethod) -> Result<Option<Tokenizer>> {
    let uses_codebooks = matches!(method, StartMethod::Structured | StartMethod::Transferred);
    if spec.llm.llm.is_none() || !uses_codebooks {
        return Ok(None);
    }
    let own = Index::is_index(source).then_some(source);
    spec.llm.model.as_deref().or(own).map(sources::model).transpose()
}

fn start_values<'a>(
    settings: &LlmSettings,
    method: StartMethod,
    vocabulary: &VocabularyOptions,
    model: Option<&'a Tokenizer>,
    trained: Option<&'a TokenTable>,
) -> Result<Option<StartValues<'a>>> {
    let Some(llm) = &settings.llm else {
        return match settings.first_given() {
            Some(setting) => Err(needs(&setting, "llm", "also set --llm to the language model's folder")),
            None => Ok(None),
        };
    };
    if vocabulary.tokenizer.is_none() {
        return Err(needs("llm", "tokenizer", "also set --tokenizer; it is often the same folder"));
    }
    if settings.catalog.is_some() && settings.text.is_none() {
        return Err(needs("catalog", "text", "set the text columns with --text"));
    }
    let of_catalog = [("text", settings.text.is_some()), ("id", settings.id.is_some())];
    if let (Some((setting, _)), None) = (of_catalog.iter().find(|(_, given)| *given), &settings.catalog) {
        return Err(needs(setting, "catalog", "also set --catalog"));
    }
    settings.check_reading("catalog", settings.catalog.is_some())?;
    Ok(Some(StartValues {
        llm: llm.clone(),
        embedding_tensor: settings.embedding_tensor.clone(),
        method,
        trained,
        catalog: settings.catalog.clone().map(|path| {
            let text = TextSpec::Joined(settings.text.clone().unwrap_or_default());
            settings.reading(CatalogSpec { path, id: settings.id.clone(), text, ..CatalogSpec::default() })
        }),
        codebooks: model.map(|model| (model.hash(), model.codebooks())),
        seed: settings.seed.unwrap_or(SEED),
        write_model: settings.write_model.unwrap_or_default(),
        pad_to_multiple_of: vocabulary.pad_to_multiple_of,
        gguf: settings.gguf.clone(),
    }))
}
