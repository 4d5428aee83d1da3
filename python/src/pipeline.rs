//! The jobs of `catalex::pipeline` that need neither libtorch nor ONNX Runtime, and the declarations of all settings.
//!
//! A job takes its spec as JSON text and a listener for progress events, and returns its summary as JSON text.

use catalex::pipeline::{
    self, AdoptSettings, AdoptSpec, AppendSettings, AttributeSettings, BehaviourSettings, CatalogColumns,
    CheckSettings, CheckSpec, CompareSettings, CompareSpec, ConstrainSettings, ConstrainSpec, DeleteSettings,
    DiffSettings, DiffSpec, EncodeSettings, Environment, ExportOptions, ExportSpec, FarSettings, HistorySettings,
    ImportSettings, ImportSpec, InspectSpec, Inspected, LlmSettings, LookupSettings, LookupSpec, MemberCatalogSettings,
    PublishSettings, RankingSettings, ReportColumns, RetrainSettings, SharingSettings, ShowSettings, ThreadSettings,
    TokenSettings, TokenizeSpec, VocabSpec, VocabularySettings,
};
use catalex::progress::{Progress, Silent};
use catalex::semantic_id::TokenFormat;
use catalex::settings::{Setting, SettingGroup};
use catalex::training::TrainSettings;
use catalex::{Error, Result};
use pyo3::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::errors::to_py;
use crate::work;

/// Gives every item of features a semantic ID and writes the token table.
#[pyfunction]
pub(crate) fn tokenize(py: Python<'_>, spec: &str, listener: &Bound<'_, PyAny>) -> PyResult<String> {
    check_token_format(spec).map_err(to_py)?;
    job(py, spec, listener, |spec: TokenizeSpec, progress| {
        let pipeline::TokenizeSummary { items, frozen, collisions, far } = pipeline::tokenize(&spec, progress)?;
        Ok(json!({ "items": items, "frozen": frozen, "collisions": collisions, "far": far }))
    })
}

/// Writes the vocabulary folder of a token table.
#[pyfunction]
pub(crate) fn vocab(py: Python<'_>, spec: &str, listener: &Bound<'_, PyAny>) -> PyResult<String> {
    job(py, spec, listener, |spec: VocabSpec, progress| pipeline::vocab(&spec, progress))
}

/// Writes the constraint forms of a token table, and returns the content of `constraint.json`.
#[pyfunction]
pub(crate) fn constrain(py: Python<'_>, spec: &str, listener: &Bound<'_, PyAny>) -> PyResult<String> {
    let spec: ConstrainSpec = spec_of(spec).map_err(to_py)?;
    work::long_with_events(py, listener, move |progress| pipeline::constrain(&spec, progress))
}

/// Writes items and histories for a family of LLM recommenders, and returns the content of `export.json`.
#[pyfunction]
pub(crate) fn export(py: Python<'_>, spec: &str, listener: &Bound<'_, PyAny>) -> PyResult<String> {
    job(py, spec, listener, |spec: ExportSpec, progress| pipeline::export(&spec, progress))
}

/// The templates of an export family as TOML.
#[pyfunction]
pub(crate) fn family_templates(family: &str) -> PyResult<&'static str> {
    pipeline::family_templates(family).map_err(to_py)
}

/// Measures a model, a token table or an index: `{"model": ...}` for a model without features, else `{"figures": ...}`.
#[pyfunction]
pub(crate) fn inspect(py: Python<'_>, spec: &str, listener: &Bound<'_, PyAny>) -> PyResult<String> {
    job(py, spec, listener, |spec: InspectSpec, progress| {
        Ok(match pipeline::inspect(&spec, progress)? {
            Inspected::Model(config, _) => json!({ "model": config }),
            Inspected::Table(figures) => json!({ "figures": figures }),
        })
    })
}

/// Checks a catalog, and returns what `catalex check --json` prints.
#[pyfunction]
pub(crate) fn check(py: Python<'_>, spec: &str) -> PyResult<String> {
    let spec: CheckSpec = spec_of(spec).map_err(to_py)?;
    work::short(py, || json_text(&pipeline::check(&spec, &Silent)?))
}

/// Finds the items of a semantic ID or a prefix, or the semantic ID of an item.
#[pyfunction]
pub(crate) fn lookup(py: Python<'_>, spec: &str) -> PyResult<String> {
    let spec: LookupSpec = spec_of(spec).map_err(to_py)?;
    work::short(py, || json_text(&pipeline::lookup(&spec)?))
}

/// Compares two token tables, and returns what `catalex diff --json` prints.
#[pyfunction]
pub(crate) fn diff(py: Python<'_>, spec: &str, listener: &Bound<'_, PyAny>) -> PyResult<String> {
    job(py, spec, listener, |spec: DiffSpec, progress| pipeline::diff(&spec, progress))
}

/// Compares how well two sets of IDs predict histories, and returns what `catalex compare --json` prints.
#[pyfunction]
pub(crate) fn compare(py: Python<'_>, spec: &str, listener: &Bound<'_, PyAny>) -> PyResult<String> {
    job(py, spec, listener, |spec: CompareSpec, progress| pipeline::compare(&spec, progress))
}

/// Writes the IDs of another system as a token table, and returns what `catalex import --json` prints.
#[pyfunction]
pub(crate) fn import_ids(py: Python<'_>, spec: &str, listener: &Bound<'_, PyAny>) -> PyResult<String> {
    check_import_format(spec).map_err(to_py)?;
    job(py, spec, listener, |spec: ImportSpec, progress| pipeline::import_ids(&spec, progress))
}

/// Fits a model to the codes of a token table and writes an index; `now` is seconds since 1970. Returns what
/// `catalex adopt --json` prints.
#[pyfunction]
pub(crate) fn adopt(py: Python<'_>, spec: &str, now: u64, listener: &Bound<'_, PyAny>) -> PyResult<String> {
    job(py, spec, listener, move |spec: AdoptSpec, progress| {
        let environment = Environment { now: Some(now), ..spec.environment.clone() };
        pipeline::adopt(&AdoptSpec { environment, ..spec }, progress)
    })
}

/// The newest version of an index's manifest that this build reads.
#[pyfunction]
pub(crate) fn index_format_version() -> u32 {
    catalex::index::FORMAT_VERSION
}

/// The declarations of all settings as JSON: a list per group.
#[pyfunction]
pub(crate) fn settings() -> String {
    fn add<T: SettingGroup>(groups: &mut Map<String, Value>, name: &str) {
        groups.insert(name.into(), T::SETTINGS.iter().map(declaration).collect());
    }
    let mut groups = Map::new();
    add::<TrainSettings>(&mut groups, "train");
    add::<EncodeSettings>(&mut groups, "encode");
    add::<BehaviourSettings>(&mut groups, "behaviour");
    add::<AppendSettings>(&mut groups, "append");
    add::<DeleteSettings>(&mut groups, "delete");
    add::<RetrainSettings>(&mut groups, "retrain");
    add::<FarSettings>(&mut groups, "far");
    add::<TokenSettings>(&mut groups, "tokens");
    add::<SharingSettings>(&mut groups, "sharing");
    add::<MemberCatalogSettings>(&mut groups, "members");
    add::<VocabularySettings>(&mut groups, "vocabulary");
    add::<LlmSettings>(&mut groups, "llm");
    add::<ConstrainSettings>(&mut groups, "constraint");
    add::<RankingSettings>(&mut groups, "ranking");
    add::<CatalogColumns>(&mut groups, "columns");
    add::<ExportOptions>(&mut groups, "export");
    add::<ReportColumns>(&mut groups, "report");
    add::<ShowSettings>(&mut groups, "show");
    add::<AttributeSettings>(&mut groups, "attributes");
    add::<CheckSettings>(&mut groups, "check");
    add::<LookupSettings>(&mut groups, "lookup");
    add::<PublishSettings>(&mut groups, "publish");
    add::<ThreadSettings>(&mut groups, "threads");
    add::<DiffSettings>(&mut groups, "diff");
    add::<HistorySettings>(&mut groups, "histories");
    add::<CompareSettings>(&mut groups, "compare");
    add::<ImportSettings>(&mut groups, "import");
    add::<AdoptSettings>(&mut groups, "adopt");
    Value::Object(groups).to_string()
}

fn declaration(setting: &Setting) -> Value {
    json!({
        "name": setting.field, "kind": setting.kind.name(), "value_name": setting.value_name, "default": setting.default,
        "range": setting.range.to_string(), "help": setting.help(),
    })
}

/// Runs a job on the spec that `spec` holds.
pub(crate) fn job<S: DeserializeOwned + Send + 'static, T: Serialize>(
    py: Python<'_>,
    spec: &str,
    listener: &Bound<'_, PyAny>,
    run: impl FnOnce(S, &dyn Progress) -> Result<T> + Send + 'static,
) -> PyResult<String> {
    let spec = spec_of(spec).map_err(to_py)?;
    work::long_with_events(py, listener, move |progress| json_text(&run(spec, progress)?))
}

pub(crate) fn spec_of<S: DeserializeOwned>(text: &str) -> Result<S> {
    // Parsed through a value, so that errors do not name a line and a column of a text that the caller never saw.
    let value: std::result::Result<Value, _> = serde_json::from_str(text);
    value
        .and_then(serde_json::from_value)
        .map_err(|e| Error::config("arguments", "names and types of the job's settings", e, "see docs/python.md"))
}

/// As [`check_token_format`], for an import.
fn check_import_format(spec: &str) -> Result<()> {
    let value: Value = serde_json::from_str(spec).unwrap_or_default();
    value["import"]["token-format"].as_str().map_or(Ok(()), |format| format.parse::<TokenFormat>().map(drop))
}

/// Parses the token format of a spec separately, because its error message is more precise than that of the whole spec.
fn check_token_format(spec: &str) -> Result<()> {
    let value: Value = serde_json::from_str(spec).unwrap_or_default();
    value["tokens"]["token-format"].as_str().map_or(Ok(()), |format| format.parse::<TokenFormat>().map(drop))
}

pub(crate) fn json_text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::mismatch("summary", "JSON", e, "please report this"))
}
