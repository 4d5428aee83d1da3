//! The record of a training, which is stored in the model.

use serde::{Deserialize, Deserializer, Serialize};

use super::config::TrainConfig;
use super::older;
use super::residual_errors::ResidualErrors;

/// Settings and outcome of a training, as `config.json` of a model holds them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingRecord {
    /// The configuration, with the values that depend on the features filled in. `None` in a model of an older version
    /// that had other settings.
    #[serde(deserialize_with = "older::config")]
    pub config: Option<TrainConfig>,
    /// Number of items of the features.
    pub items: usize,
    /// Number of items that were held out of training.
    pub held_out: usize,
    /// The epoch whose state was kept.
    pub best_epoch: usize,
    /// One entry per measured epoch, in order.
    pub history: Vec<EpochFigures>,
    /// The residual errors of the finished model. `None` in a model of an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residual_errors: Option<ResidualErrors>,
}

/// The measurements after an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochFigures {
    /// Number of epochs done; 0 is the state before gradient descent.
    pub epoch: usize,
    /// Mean loss over the batches of the epoch; `None` for epoch 0.
    pub loss: Option<f64>,
    /// Relative reconstruction error of the held-out items, or of the training items where none are held out. Not a
    /// number where training diverged.
    #[serde(deserialize_with = "null_as_nan")]
    pub error: f64,
    /// Number of codes that no item of the epoch used and that were moved.
    pub revived: usize,
}

impl TrainingRecord {
    /// The figures of the epoch whose state was kept.
    pub fn best(&self) -> Option<&EpochFigures> {
        self.history.iter().find(|figures| figures.epoch == self.best_epoch)
    }

    /// Reads a record; `None` for anything else. The model format allows any JSON value in its place.
    pub(crate) fn deserialize_lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(serde_json::from_value(value).ok())
    }
}

/// JSON has no NaN: it is written as null.
fn null_as_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::LcRecConfig;

    fn record() -> TrainingRecord {
        let epoch = |epoch, loss, error| EpochFigures { epoch, loss, error, revived: 0 };
        TrainingRecord {
            config: Some(LcRecConfig::default().into()),
            items: 500,
            held_out: 0,
            best_epoch: 100,
            history: vec![epoch(50, None, 0.5), epoch(100, Some(0.25), 0.125)],
            residual_errors: ResidualErrors::of(vec![0.5, 0.25, 1.0], true),
        }
    }

    #[test]
    fn a_record_round_trips_with_its_best_epoch() {
        let record = record();
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<TrainingRecord>(&text).unwrap(), record);
        assert_eq!(record.best().unwrap().error, 0.125);
        let older = TrainingRecord { residual_errors: None, ..record };
        let text = serde_json::to_string(&older).unwrap();
        assert!(!text.contains("residual_errors"));
        assert_eq!(serde_json::from_str::<TrainingRecord>(&text).unwrap(), older);
    }

    #[test]
    fn a_diverged_epoch_is_read_back_as_nan() {
        let mut record = record();
        record.history.push(EpochFigures { epoch: 150, loss: Some(f64::NAN), error: f64::NAN, revived: 0 });
        let text = serde_json::to_string(&record).unwrap();
        let back: TrainingRecord = serde_json::from_str(&text).unwrap();
        assert!(back.history[2].error.is_nan());
        assert_eq!(back.history[2].loss, None);
    }

    #[test]
    fn an_invalid_record_is_none() {
        #[derive(Deserialize)]
        struct Holder {
            #[serde(deserialize_with = "TrainingRecord::deserialize_lenient")]
            training: Option<TrainingRecord>,
        }
        for text in [r#"{"training": null}"#, r#"{"training": {"seed": 7}}"#, r#"{"training": "by hand"}"#] {
            assert_eq!(serde_json::from_str::<Holder>(text).unwrap().training, None);
        }
    }
}
