//! Reads the configurations in records of older versions.
//!
//! Up to version 0.1 one flat list of settings served both algorithms; `method` told them apart, and each ignored some.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::config::{LcRecConfig, QuantizerConfig, TrainConfig};

/// Reads a configuration of this version or of the flat form; `None` for any other.
pub(super) fn config<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TrainConfig>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(match value {
        Value::Object(flat) if flat.contains_key("method") => of_flat(&flat),
        value => serde_json::from_value(value).ok(),
    })
}

/// `None` where a setting is missing, as in still older versions: today's default need not be the value of then.
fn of_flat(flat: &Map<String, Value>) -> Option<TrainConfig> {
    let is = |key: &str, value: Value| flat.get(key) == Some(&value);
    let algorithm = match flat.get("method")?.as_str()? {
        // Only a caller in Rust could have trained without standardisation.
        "refine" if is("standardize", true.into()) => TrainConfig::from(QuantizerConfig::default()),
        "lc-rec" if is("standardize", false.into()) && is("complete", false.into()) => LcRecConfig::default().into(),
        _ => return None,
    };
    let Ok(Value::Object(mut config)) = serde_json::to_value(algorithm) else { return None };
    for (key, value) in config.iter_mut().filter(|(key, _)| *key != "algorithm") {
        *value = flat.get(key)?.clone();
    }
    serde_json::from_value(Value::Object(config)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::TrainingRecord;

    /// A record as version 0.1 wrote it.
    fn record(method: &str, standardize: bool) -> Value {
        serde_json::json!({
            "best_epoch": 0,
            "config": {
                "agreement": 0.8, "balance": 0.006, "batch-size": 512, "codebook-sizes": [64, 32], "coherence": 0.02,
                "commitment-weight": 0.25, "complete": standardize, "cut-crowded": true, "device": "cpu", "epochs": 1,
                "hidden": [], "holdout": 0.05, "kmeans-items-per-code": 48, "kmeans-iterations": 25, "latent-dim": 8,
                "learning-rate": 0.0001, "method": method, "modality-dropout": 0.2, "modality-weights": {"text": 2.0},
                "patience": 3, "reconstruction-weight": 1.0, "refine-iterations": 12, "ridge": 2.0, "sample-items": 262144,
                "seed": 9, "separation": 1.0, "sinkhorn": 0.0, "standardize": standardize, "weight-decay": 0.01
            },
            "held_out": 0,
            "history": [{"epoch": 0, "error": 0.4, "loss": null, "revived": 0}],
            "items": 300
        })
    }

    fn config(record: Value) -> Option<TrainConfig> {
        serde_json::from_value::<TrainingRecord>(record).unwrap().config
    }

    #[test]
    fn flat_configurations_are_read_as_those_of_their_method() {
        let expected = QuantizerConfig {
            codebook_sizes: vec![64, 32],
            latent_dim: 8,
            hidden: Vec::new(),
            epochs: 1,
            refine_iterations: Some(12),
            coherence: Some(0.02),
            modality_weights: [("text".into(), 2.0)].into(),
            seed: 9,
            ..QuantizerConfig::default()
        };
        assert_eq!(config(record("refine", true)), Some(expected.into()));
        let Some(TrainConfig::LcRec(lc_rec)) = config(record("lc-rec", false)) else { panic!("lc-rec") };
        assert_eq!((lc_rec.sinkhorn, lc_rec.kmeans_iterations, lc_rec.seed), (0.0, 25, 9));
    }

    #[test]
    fn an_unknown_configuration_is_none_and_the_rest_of_the_record_is_read() {
        let mut older = record("refine", true);
        older["config"].as_object_mut().unwrap().remove("agreement");
        assert_eq!(config(older), None);
        assert_eq!(config(record("refine", false)), None);
        assert_eq!(config(record("other", true)), None);
    }
}
