//! What `preprocessor_config.json` asks for, step by step as the Python image processors do it.

use std::path::Path;

use fast_image_resize as fir;
use image::{RgbImage, imageops};
use serde::Deserialize;
use serde_json::Value;

use super::{read_json, required};
use crate::error::{Error, Result};

/// The steps from a picture to a network's input.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Preprocessor {
    resize: Option<(Size, fir::FilterType)>,
    crop: Option<(u32, u32)>,
    /// Factor and offset of each channel: `value * factor + offset`.
    channels: [(f32, f32); 3],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    ShortestEdge(u32),
    /// Height and width.
    Exact(u32, u32),
}

#[derive(Deserialize)]
#[serde(default)]
struct Config {
    do_resize: bool,
    size: Option<Value>,
    resample: u8,
    do_center_crop: bool,
    crop_size: Option<Value>,
    do_rescale: bool,
    rescale_factor: f64,
    do_normalize: bool,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            do_resize: true,
            size: None,
            resample: 2,
            do_center_crop: false,
            crop_size: None,
            do_rescale: true,
            rescale_factor: 1.0 / 255.0,
            do_normalize: true,
            image_mean: None,
            image_std: None,
        }
    }
}

impl Preprocessor {
    pub(super) fn of_folder(folder: &Path) -> Result<Self> {
        let path = required(folder, &["preprocessor_config.json"], "the image preprocessing of an encoder")?;
        let config: Config = read_json(&path)?.unwrap_or_default();
        let wrong = |expected: &str, got: String| {
            Error::file(&path, expected, got, "take the file as the model's publisher wrote it")
        };
        let size = |value: &Option<Value>, name: &str| {
            let read = value.as_ref().and_then(parse_size);
            read.ok_or_else(|| wrong(&format!("{name} as shortest_edge, or height and width"), format!("{value:?}")))
        };
        let resize = match config.do_resize {
            true => {
                let filter = match config.resample {
                    1 => fir::FilterType::Lanczos3,
                    2 => fir::FilterType::Bilinear,
                    3 => fir::FilterType::CatmullRom,
                    4 => fir::FilterType::Box,
                    5 => fir::FilterType::Hamming,
                    other => return Err(wrong("resample from 1 to 5, by Pillow's numbers", other.to_string())),
                };
                Some((size(&config.size, "size")?, filter))
            }
            false => None,
        };
        let crop = match config.do_center_crop {
            true => Some(match size(&config.crop_size, "crop_size")? {
                Size::ShortestEdge(edge) => (edge, edge),
                Size::Exact(height, width) => (height, width),
            }),
            false => None,
        };
        let factor = if config.do_rescale { config.rescale_factor as f32 } else { 1.0 };
        let (mean, std) = match (config.do_normalize, config.image_mean, config.image_std) {
            (false, ..) => ([0.0; 3], [1.0; 3]),
            (true, Some(mean), Some(std)) if std.iter().all(|&s| s > 0.0) => (mean, std),
            _ => return Err(wrong("image_mean and image_std of three channels", "none".into())),
        };
        let channels = std::array::from_fn(|c| (factor / std[c], -mean[c] / std[c]));
        Ok(Preprocessor { resize, crop, channels })
    }

    /// Height and width of the output where they do not depend on the picture.
    pub(super) fn output_size(&self) -> Option<(u32, u32)> {
        match (self.crop, self.resize) {
            (Some(size), _) => Some(size),
            (None, Some((Size::Exact(height, width), _))) => Some((height, width)),
            _ => None,
        }
    }

    /// The network's input for one picture, `(3, height, width)`, written to `out`.
    ///
    /// # Errors
    /// The reason, where the picture cannot be resized or has another size than `out`.
    pub(super) fn apply(&self, picture: RgbImage, out: &mut [f32]) -> std::result::Result<(), String> {
        let picture = match self.resize {
            Some((size, filter)) => resize(picture, size, filter)?,
            None => picture,
        };
        let picture = match self.crop {
            Some((height, width)) => centre_crop(&picture, height, width),
            None => picture,
        };
        let pixels = (picture.width() * picture.height()) as usize;
        if out.len() != 3 * pixels {
            return Err(format!("{} x {} pixels, which the network does not take", picture.width(), picture.height()));
        }
        for (at, pixel) in picture.pixels().enumerate() {
            for (c, (factor, offset)) in self.channels.iter().enumerate() {
                out[c * pixels + at] = f32::from(pixel.0[c]) * factor + offset;
            }
        }
        Ok(())
    }
}

fn parse_size(value: &Value) -> Option<Size> {
    let number =
        |value: &Value| value.as_u64().and_then(|v| u32::try_from(v).ok()).filter(|v| (1..=16_384).contains(v));
    if let Some(edge) = number(value) {
        return Some(Size::ShortestEdge(edge));
    }
    if let Some(edge) = value.get("shortest_edge").and_then(number) {
        return Some(Size::ShortestEdge(edge));
    }
    Some(Size::Exact(value.get("height").and_then(number)?, value.get("width").and_then(number)?))
}

fn resize(picture: RgbImage, size: Size, filter: fir::FilterType) -> std::result::Result<RgbImage, String> {
    let (width, height) = picture.dimensions();
    let (new_height, new_width) = match size {
        Size::Exact(height, width) => (height, width),
        // The long edge is cut to a whole number, as torchvision and transformers do.
        Size::ShortestEdge(edge) => {
            let long = |long: u32, short: u32| (u64::from(edge) * u64::from(long) / u64::from(short)).max(1);
            let limit = |long: u64| u32::try_from(long).ok().filter(|&l| l <= 65_536).ok_or("a picture far too narrow");
            if width <= height { (limit(long(height, width))?, edge) } else { (edge, limit(long(width, height))?) }
        }
    };
    if (new_width, new_height) == (width, height) {
        return Ok(picture);
    }
    let mut resized = RgbImage::new(new_width, new_height);
    let options = fir::ResizeOptions::new().resize_alg(fir::ResizeAlg::Convolution(filter));
    fir::Resizer::new().resize(&picture, &mut resized, &options).map_err(|e| e.to_string())?;
    Ok(resized)
}

/// Cuts out the middle; a picture that is too small gets black borders.
fn centre_crop(picture: &RgbImage, height: u32, width: u32) -> RgbImage {
    // Python rounds halves to the even number.
    let start = |whole: u32, part: u32| (f64::from(whole) / 2.0 - f64::from(part) / 2.0).round_ties_even() as i64;
    let (left, top) = (start(picture.width(), width), start(picture.height(), height));
    let mut out = RgbImage::new(width, height);
    imageops::replace(&mut out, picture, -left, -top);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_cut_as_in_python() {
        let picture = RgbImage::from_fn(101, 57, |x, y| image::Rgb([x as u8, y as u8, 0]));
        let resized = resize(picture, Size::ShortestEdge(32), fir::FilterType::Bilinear).unwrap();
        assert_eq!(resized.dimensions(), (56, 32));
        let cropped = centre_crop(&resized, 31, 31);
        assert_eq!(cropped.get_pixel(0, 0), resized.get_pixel(12, 0));
        assert_eq!(centre_crop(&cropped, 33, 33).get_pixel(0, 0).0, [0, 0, 0]);
    }

    #[test]
    fn wrong_settings_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let says = |json: &str| {
            std::fs::write(folder.path().join("preprocessor_config.json"), json).unwrap();
            Preprocessor::of_folder(folder.path()).unwrap_err().to_string()
        };
        assert!(says("{").contains("settings of an encoder"));
        assert!(says("{\"size\": {\"edge\": 3}}").contains("shortest_edge"));
        assert!(says("{\"size\": 224, \"resample\": 9}").contains("resample"));
        assert!(says("{\"size\": 224}").contains("image_mean"));
    }
}
