//! The settings of `preprocessor_config.json`, with the defaults of its image processor in transformers.

use std::path::Path;

use fast_image_resize as fir;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::folder::read_json;
use super::preprocess::{Preprocessor, ResizeTarget};
use crate::error::{Error, Result};

/// The defaults of an image processor.
struct ProcessorDefaults {
    name: &'static str,
    resample: u8,
    size: ResizeTarget,
    /// Edge of the centre crop.
    crop: Option<u32>,
    /// Mean and standard deviation per channel.
    normalize: Option<([f32; 3], [f32; 3])>,
    /// Whether a single number as size is the shortest edge, not both edges.
    edge: bool,
    flip: bool,
}

const BILINEAR: u8 = 2;
const BICUBIC: u8 = 3;
const OPENAI: Option<([f32; 3], [f32; 3])> =
    Some(([0.481_454_66, 0.457_827_5, 0.408_210_73], [0.268_629_54, 0.261_302_6, 0.275_777_1]));
const HALF: Option<([f32; 3], [f32; 3])> = Some(([0.5; 3], [0.5; 3]));

const fn defaults(name: &'static str, resample: u8, size: ResizeTarget, crop: Option<u32>) -> ProcessorDefaults {
    ProcessorDefaults { name, resample, size, crop, normalize: HALF, edge: true, flip: false }
}

const PROCESSORS: [ProcessorDefaults; 9] = [
    ProcessorDefaults { normalize: OPENAI, ..defaults("CLIP", BICUBIC, ResizeTarget::ShortestEdge(224), Some(224)) },
    ProcessorDefaults {
        normalize: OPENAI,
        ..defaults("ChineseCLIP", BICUBIC, ResizeTarget::ShortestEdge(224), Some(224))
    },
    // Used by DINOv2.
    ProcessorDefaults { normalize: OPENAI, ..defaults("Bit", BICUBIC, ResizeTarget::ShortestEdge(224), Some(224)) },
    defaults("Siglip", BICUBIC, ResizeTarget::Exact(224, 224), None),
    ProcessorDefaults { edge: false, ..defaults("ViT", BILINEAR, ResizeTarget::Exact(224, 224), None) },
    ProcessorDefaults { edge: false, ..defaults("DeiT", BICUBIC, ResizeTarget::Exact(256, 256), Some(224)) },
    defaults("MobileNetV1", BILINEAR, ResizeTarget::ShortestEdge(256), Some(224)),
    defaults("MobileNetV2", BILINEAR, ResizeTarget::ShortestEdge(256), Some(224)),
    ProcessorDefaults {
        normalize: None,
        flip: true,
        ..defaults("MobileViT", BICUBIC, ResizeTarget::ShortestEdge(224), Some(256))
    },
];
/// ConvNext has its own rule for resizing.
const CONVNEXT: ProcessorDefaults = defaults("ConvNext", BICUBIC, ResizeTarget::ShortestEdge(384), None);
const CONVNEXT_CROP: f64 = 224.0 / 256.0;
/// Minimum size without a crop in ConvNext.
const CONVNEXT_WHOLE: u32 = 384;

/// Supported steps, and steps without effect on vectors of single images.
const KNOWN_STEPS: [&str; 7] = [
    "do_resize",
    "do_center_crop",
    "do_rescale",
    "do_normalize",
    "do_flip_channel_order",
    "do_convert_rgb",
    "do_reduce_labels",
];
/// Keys of unsupported processors.
const UNSUPPORTED: [&str; 8] = [
    "rescale_offset",
    "offset",
    "include_top",
    "size_divisor",
    "size_divisibility",
    "max_num_patches",
    "max_pixels",
    "merge_size",
];

#[derive(Deserialize, Default)]
#[serde(default)]
struct PreprocessorConfig {
    image_processor_type: Option<String>,
    feature_extractor_type: Option<String>,
    do_resize: Option<bool>,
    size: Option<Value>,
    resample: Option<u8>,
    do_center_crop: Option<bool>,
    crop_size: Option<Value>,
    crop_pct: Option<f64>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    do_normalize: Option<bool>,
    image_mean: Option<Value>,
    image_std: Option<Value>,
    do_flip_channel_order: Option<bool>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
struct ProcessorConfig {
    image_processor: PreprocessorConfig,
}

impl Preprocessor {
    /// Reads `preprocessor_config.json`, or the image part of `processor_config.json`.
    pub(super) fn of_folder(folder: &Path) -> Result<Self> {
        let mut path = folder.join("preprocessor_config.json");
        let mut config = read_json::<PreprocessorConfig>(&path)?;
        let joint = folder.join("processor_config.json");
        if config.is_none() && joint.is_file() {
            config = read_json::<ProcessorConfig>(&joint)?.map(|config| config.image_processor);
            path = joint;
        }
        let Some(config) = config else {
            return Err(Error::Missing {
                path,
                expected: "the image preprocessing of an encoder".into(),
                help: "use the original file of the model".into(),
            });
        };
        let help = "use the original file of the model, or an encoder with another image processor";
        config.steps().map_err(|(expected, got)| Error::file(&path, expected, got, help))
    }
}

/// The expected and the actual value.
type SettingFault = (String, String);

fn wrong(expected: impl Into<String>, got: impl ToString) -> SettingFault {
    (expected.into(), got.to_string())
}

impl PreprocessorConfig {
    fn steps(&self) -> std::result::Result<Preprocessor, SettingFault> {
        self.refuse_others()?;
        let name = self.image_processor_type.as_deref().or(self.feature_extractor_type.as_deref()).unwrap_or_default();
        let name = ["Pil", "Fast"].iter().fold(name, |name, end| name.strip_suffix(end).unwrap_or(name));
        let name = ["ImageProcessor", "FeatureExtractor"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let convnext = name.eq_ignore_ascii_case(CONVNEXT.name);
        let defaults = PROCESSORS.iter().chain([&CONVNEXT]).find(|defaults| name.eq_ignore_ascii_case(defaults.name));
        if self.crop_pct.is_some() && !convnext {
            return Err(wrong("crop_pct of a ConvNextImageProcessor only", name));
        }

        let filter = match self.resample.or(defaults.map(|defaults| defaults.resample)).unwrap_or(BILINEAR) {
            0 => fir::ResizeAlg::Nearest,
            1 => fir::ResizeAlg::Convolution(fir::FilterType::Lanczos3),
            2 => fir::ResizeAlg::Convolution(fir::FilterType::Bilinear),
            3 => fir::ResizeAlg::Convolution(fir::FilterType::CatmullRom),
            4 => fir::ResizeAlg::Convolution(fir::FilterType::Box),
            5 => fir::ResizeAlg::Convolution(fir::FilterType::Hamming),
            other => return Err(wrong("resample from 0 to 5, by Pillow's numbers", other)),
        };
        let cropped = self.do_center_crop.unwrap_or(defaults.is_some_and(|defaults| defaults.crop.is_some()));
        let mut resize = match self.do_resize.unwrap_or(true) {
            true => {
                // A processor without a name that crops is assumed to resize the shortest edge.
                let edge = defaults.map_or(name.is_empty() && cropped, |defaults| defaults.edge);
                let size = match &self.size {
                    Some(value) => read_size(value, edge),
                    None => defaults.map(|defaults| defaults.size),
                };
                let form = "size as shortest_edge, or height and width";
                Some((size.ok_or_else(|| wrong(form, given(&self.size)))?, filter))
            }
            false => None,
        };
        let mut crop = match cropped {
            true => {
                let size = match &self.crop_size {
                    Some(value) => read_size(value, false),
                    None => defaults.and_then(|defaults| defaults.crop).map(|edge| ResizeTarget::Exact(edge, edge)),
                };
                match size {
                    Some(ResizeTarget::Exact(height, width)) => Some((height, width)),
                    _ => return Err(wrong("crop_size as height and width", given(&self.crop_size))),
                }
            }
            false => None,
        };
        if let (true, Some((ResizeTarget::ShortestEdge(edge), filter))) = (convnext, resize) {
            if edge < CONVNEXT_WHOLE {
                let share = self.crop_pct.unwrap_or(CONVNEXT_CROP);
                let larger = f64::from(edge) / share;
                if !(1.0..=16_384.0).contains(&larger) {
                    return Err(wrong("crop_pct as a fraction", share));
                }
                resize = Some((ResizeTarget::ShortestEdge(larger as u32), filter));
                crop = crop.or(Some((edge, edge)));
            } else {
                resize = Some((ResizeTarget::Exact(edge, edge), filter));
            }
        }
        let flip = self.do_flip_channel_order.unwrap_or(defaults.is_some_and(|defaults| defaults.flip));
        let order = if flip { [2, 1, 0] } else { [0, 1, 2] };
        Ok(Preprocessor { resize, crop, channels: self.channels(defaults, order)?, order })
    }

    /// Factor and offset of red, green and blue. The numbers of the file are in the order of the network's channels.
    fn channels(
        &self,
        defaults: Option<&ProcessorDefaults>,
        order: [usize; 3],
    ) -> std::result::Result<[(f32, f32); 3], SettingFault> {
        let factor =
            if self.do_rescale.unwrap_or(true) { self.rescale_factor.unwrap_or(1.0 / 255.0) as f32 } else { 1.0 };
        let known = defaults.map(|defaults| defaults.normalize);
        if !self.do_normalize.unwrap_or(!matches!(known, Some(None))) {
            return Ok([(factor, 0.0); 3]);
        }
        let numbers = |value: &Option<Value>, default: Option<[f32; 3]>| match value {
            Some(Value::Number(number)) => number.as_f64().map(|number| [number as f32; 3]),
            Some(value) => <[f32; 3]>::deserialize(value).ok(),
            None => default,
        };
        let known = known.flatten();
        let (mean, std) = (numbers(&self.image_mean, known.map(|k| k.0)), numbers(&self.image_std, known.map(|k| k.1)));
        match (mean, std) {
            (Some(mean), Some(std)) if std.iter().all(|&s| s > 0.0) => {
                Ok(std::array::from_fn(|c| (factor / std[order[c]], -mean[order[c]] / std[order[c]])))
            }
            _ => Err(wrong(
                "image_mean and image_std of three channels",
                format!("{} and {}", given(&self.image_mean), given(&self.image_std)),
            )),
        }
    }

    /// Refuses unknown steps, because skipping one would silently change the vectors.
    fn refuse_others(&self) -> std::result::Result<(), SettingFault> {
        let on = |value: &Value| !matches!(value, Value::Null | Value::Bool(false));
        let unsupported = |key: &str| {
            (key.starts_with("do_") && !KNOWN_STEPS.contains(&key)) || UNSUPPORTED.contains(&key) || key == "pad_size"
        };
        match self.others.iter().find(|(key, value)| unsupported(key) && on(value)) {
            Some((key, value)) => {
                Err(wrong(format!("only the steps {}", KNOWN_STEPS.join(", ")), format!("{key}: {value}")))
            }
            None => Ok(()),
        }
    }
}

fn given(value: &Option<Value>) -> String {
    value.as_ref().map_or_else(|| "none".into(), Value::to_string)
}

/// Parses a size; `edge` tells whether a single number is the shortest edge.
fn read_size(value: &Value, edge: bool) -> Option<ResizeTarget> {
    let number =
        |value: &Value| value.as_u64().and_then(|v| u32::try_from(v).ok()).filter(|v| (1..=16_384).contains(v));
    match value {
        Value::Number(_) => {
            number(value).map(|n| if edge { ResizeTarget::ShortestEdge(n) } else { ResizeTarget::Exact(n, n) })
        }
        Value::Array(both) if both.len() == 2 => Some(ResizeTarget::Exact(number(&both[0])?, number(&both[1])?)),
        Value::Object(keys) if !keys.get("longest_edge").is_none_or(Value::is_null) => None,
        Value::Object(keys) => match keys.get("shortest_edge").filter(|value| !value.is_null()) {
            Some(edge) => number(edge).map(ResizeTarget::ShortestEdge),
            None => {
                Some(ResizeTarget::Exact(keys.get("height").and_then(number)?, keys.get("width").and_then(number)?))
            }
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(json: &str) -> std::result::Result<Preprocessor, SettingFault> {
        serde_json::from_str::<PreprocessorConfig>(json).unwrap().steps()
    }

    fn filter(made: &Preprocessor) -> fir::ResizeAlg {
        made.resize.unwrap().1
    }

    #[test]
    fn missing_settings_are_the_defaults_of_the_processor() {
        let clip = steps(r#"{"image_processor_type": "CLIPImageProcessor"}"#).unwrap();
        assert_eq!((clip.resize.unwrap().0, clip.crop), (ResizeTarget::ShortestEdge(224), Some((224, 224))));
        assert_eq!(filter(&clip), fir::ResizeAlg::Convolution(fir::FilterType::CatmullRom));
        let vit = steps(r#"{"feature_extractor_type": "ViTFeatureExtractor", "size": 384}"#).unwrap();
        assert_eq!((vit.resize.unwrap().0, vit.crop), (ResizeTarget::Exact(384, 384), None));
        assert_eq!(vit.channels[0], (2.0 / 255.0, -1.0));
        let fast = steps(r#"{"image_processor_type": "SiglipImageProcessorFast", "size": {"height": 3, "width": 4}}"#);
        assert_eq!(fast.unwrap().output_size(), Some((3, 4)));
        let old =
            r#"{"size": 256, "do_center_crop": true, "crop_size": 224, "image_mean": 0.5, "image_std": [1, 1, 1]}"#;
        assert_eq!(steps(old).unwrap().resize.unwrap().0, ResizeTarget::ShortestEdge(256));
    }

    #[test]
    fn convnext_crops_small_sizes_only() {
        let small = steps(r#"{"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 224}}"#);
        let small = small.unwrap();
        assert_eq!((small.resize.unwrap().0, small.crop), (ResizeTarget::ShortestEdge(256), Some((224, 224))));
        let large = steps(r#"{"image_processor_type": "ConvNextFeatureExtractor", "size": 384, "crop_pct": 0.95}"#);
        assert_eq!(large.unwrap().resize.unwrap().0, ResizeTarget::Exact(384, 384));
    }

    #[test]
    fn flipped_channels_keep_their_means() {
        let given = r#"{"size": [2, 2], "do_flip_channel_order": true, "do_rescale": false,
                        "image_mean": [1, 2, 3], "image_std": [1, 1, 1]}"#;
        let made = steps(given).unwrap();
        // Red is the last channel of the network, with mean 3.
        assert_eq!((made.order, made.channels[0]), ([2, 1, 0], (1.0, -3.0)));
    }

    #[test]
    fn invalid_settings_are_named() {
        let says = |json: &str| match steps(json) {
            Err((expected, got)) => format!("{expected}; {got}"),
            Ok(made) => panic!("{made:?}"),
        };
        assert!(says(r#"{"size": {"edge": 3}}"#).contains("shortest_edge"));
        assert!(says(r#"{"size": {"shortest_edge": 3, "longest_edge": 9}}"#).contains("longest_edge"));
        assert!(says(r#"{"size": 224, "resample": 9}"#).contains("resample"));
        assert!(says(r#"{"size": 224}"#).contains("image_mean"));
        assert!(says(r#"{"size": 224, "do_pad": true}"#).contains("do_pad"));
        assert!(says(r#"{"size": 224, "rescale_offset": true}"#).contains("rescale_offset"));
        assert!(says(r#"{"size": 224, "crop_pct": 0.9}"#).contains("crop_pct"));
        assert!(says(r#"{"image_processor_type": "ViTImageProcessor", "do_center_crop": true}"#).contains("crop_size"));
    }
}
