//! Image preprocessing, step by step as in the Python image processors.

use fast_image_resize as fir;
use image::{Rgb32FImage, RgbImage, imageops};

/// Maximum number of pixels of an image after its width and before its height is resized.
const MAX_PIXELS: u64 = 100_000_000;
/// Number of bytes of an image whose width is resized at a time.
const STRIP_BYTES: usize = 4 << 20;

/// The preprocessing steps of an image.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Preprocessor {
    pub(super) resize: Option<(ResizeTarget, fir::ResizeAlg)>,
    /// Height and width of the centre crop.
    pub(super) crop: Option<(u32, u32)>,
    /// Factor and offset of red, green and blue: `value * factor + offset`.
    pub(super) channels: [(f32, f32); 3],
    /// The network's channels of red, green and blue.
    pub(super) order: [usize; 3],
}

/// The target size of resizing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResizeTarget {
    ShortestEdge(u32),
    /// Height and width.
    Exact(u32, u32),
}

/// The memory layout of a network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PixelLayout {
    /// `(3, height, width)`.
    ChannelsFirst,
    /// `(height, width, 3)`.
    ChannelsLast,
}

impl Preprocessor {
    /// Height and width of the output, if they do not depend on the image.
    pub(super) fn output_size(&self) -> Option<(u32, u32)> {
        match (self.crop, self.resize) {
            (Some(size), _) => Some(size),
            (None, Some((ResizeTarget::Exact(height, width), _))) => Some((height, width)),
            _ => None,
        }
    }

    /// Writes the network's input for one image to `out`.
    ///
    /// # Errors
    /// The reason, where the image cannot be resized or does not have the size of `out`.
    pub(super) fn apply(
        &self,
        picture: RgbImage,
        layout: PixelLayout,
        (height, width): (usize, usize),
        out: &mut [f32],
    ) -> std::result::Result<(), String> {
        let picture = match self.resize {
            Some((size, filter)) => resize(picture, size, filter)?,
            None => picture,
        };
        let picture = match self.crop {
            Some((height, width)) => centre_crop(&picture, height, width),
            None => picture,
        };
        if (picture.height() as usize, picture.width() as usize) != (height, width) {
            return Err(format!(
                "{} x {} pixels, which the network does not accept",
                picture.width(),
                picture.height()
            ));
        }
        let pixels = height * width;
        for (at, pixel) in picture.pixels().enumerate() {
            for ((value, (factor, offset)), channel) in pixel.0.iter().zip(&self.channels).zip(self.order) {
                let index = match layout {
                    PixelLayout::ChannelsFirst => channel * pixels + at,
                    PixelLayout::ChannelsLast => at * 3 + channel,
                };
                out[index] = f32::from(*value) * factor + offset;
            }
        }
        Ok(())
    }
}

fn resize(picture: RgbImage, size: ResizeTarget, filter: fir::ResizeAlg) -> std::result::Result<RgbImage, String> {
    let (width, height) = picture.dimensions();
    let (new_height, new_width) = match size {
        ResizeTarget::Exact(height, width) => (height, width),
        // The long edge is truncated to an integer, as in torchvision and transformers.
        ResizeTarget::ShortestEdge(edge) => {
            let long = |long: u32, short: u32| (u64::from(edge) * u64::from(long) / u64::from(short)).max(1);
            let limit =
                |long: u64| u32::try_from(long).ok().filter(|&l| l <= 65_536).ok_or("an image that is too narrow");
            if width <= height { (limit(long(height, width))?, edge) } else { (edge, limit(long(width, height))?) }
        }
    };
    if (new_width, new_height) == (width, height) {
        return Ok(picture);
    }
    if filter == fir::ResizeAlg::Nearest {
        return Ok(nearest(&picture, new_width, new_height));
    }
    if u64::from(new_width) * u64::from(height) > MAX_PIXELS {
        return Err("an image that is too narrow".into());
    }
    // Width first, then height, with intermediate values rounded to bytes as in Pillow. The resizer's byte arithmetic is
    // less precise than Pillow's 22 bits, so floats are used, for several rows at a time.
    let options = fir::ResizeOptions::new().resize_alg(filter);
    let mut resizer = fir::Resizer::new();
    let mut step = |bytes: &[u8], (old_width, old_height): (u32, u32), (width, height): (u32, u32)| {
        if (old_width, old_height) == (width, height) {
            return Ok(bytes.to_vec());
        }
        let values = bytes.iter().copied().map(f32::from).collect();
        let floats = Rgb32FImage::from_vec(old_width, old_height, values).ok_or("an image of another size")?;
        let mut resized = Rgb32FImage::new(width, height);
        resizer.resize(&floats, &mut resized, &options).map_err(|e| e.to_string())?;
        Ok(resized.into_raw().into_iter().map(|value| (value + 0.5).clamp(0.0, 255.0) as u8).collect())
    };
    let row = 3 * width as usize;
    let mut widened = Vec::with_capacity(3 * new_width as usize * height as usize);
    for rows in picture.as_raw().chunks((STRIP_BYTES / row).max(1) * row) {
        let lines = (rows.len() / row) as u32;
        let made: std::result::Result<Vec<u8>, String> = step(rows, (width, lines), (new_width, lines));
        widened.extend(made?);
    }
    drop(picture);
    let resized = step(&widened, (new_width, height), (new_width, new_height))?;
    RgbImage::from_vec(new_width, new_height, resized).ok_or_else(|| "an image of another size".to_owned())
}

/// Nearest-neighbour resizing with the same accumulated coordinates as in Pillow.
fn nearest(picture: &RgbImage, new_width: u32, new_height: u32) -> RgbImage {
    let coordinates = |whole: u32, parts: u32| -> Vec<u32> {
        let step = f64::from(whole) / f64::from(parts);
        let from = std::iter::successors(Some(step * 0.5), |at| Some(at + step));
        from.take(parts as usize).map(|at| (at as u32).min(whole - 1)).collect()
    };
    let (across, down) = (coordinates(picture.width(), new_width), coordinates(picture.height(), new_height));
    RgbImage::from_fn(new_width, new_height, |x, y| *picture.get_pixel(across[x as usize], down[y as usize]))
}

/// Crops the centre; a smaller image gets black borders.
fn centre_crop(picture: &RgbImage, height: u32, width: u32) -> RgbImage {
    // With an odd difference, the larger part is cut at the right and bottom, as in transformers.
    let start = |whole: u32, part: u32| (i64::from(whole) - i64::from(part)).div_euclid(2);
    let (left, top) = (start(picture.width(), width), start(picture.height(), height));
    let mut out = RgbImage::new(width, height);
    imageops::replace(&mut out, picture, -left, -top);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const BILINEAR: fir::ResizeAlg = fir::ResizeAlg::Convolution(fir::FilterType::Bilinear);

    #[test]
    fn sizes_are_rounded_as_in_python() {
        let picture = RgbImage::from_fn(101, 57, |x, y| image::Rgb([x as u8, y as u8, 0]));
        let resized = resize(picture, ResizeTarget::ShortestEdge(32), BILINEAR).unwrap();
        assert_eq!(resized.dimensions(), (56, 32));
        let cropped = centre_crop(&resized, 31, 31);
        assert_eq!(cropped.get_pixel(0, 0), resized.get_pixel(12, 0));
        let bordered = centre_crop(&cropped, 32, 32);
        assert_eq!((bordered.get_pixel(0, 0).0, bordered.get_pixel(1, 1)), ([0, 0, 0], cropped.get_pixel(0, 0)));
    }

    #[test]
    fn resizing_in_strips_equals_resizing_as_a_whole() {
        let picture = RgbImage::from_fn(1_500, 1_100, |x, y| image::Rgb([(x * y) as u8, x as u8, (x ^ y) as u8]));
        let narrow = |picture: &RgbImage| {
            resize(picture.clone(), ResizeTarget::Exact(picture.height(), 333), BILINEAR).unwrap().into_raw()
        };
        assert!(picture.as_raw().len() > STRIP_BYTES);
        let rows = |from: u32, n: u32| imageops::crop_imm(&picture, 0, from, 1_500, n).to_image();
        assert!(narrow(&picture) == [narrow(&rows(0, 500)), narrow(&rows(500, 600))].concat());
        let needle = resize(RgbImage::new(1, 1 << 20), ResizeTarget::Exact(224, 224), BILINEAR);
        assert!(needle.unwrap_err().contains("too narrow"));
    }

    #[test]
    fn channels_have_the_order_and_layout_of_the_network() {
        let picture = RgbImage::from_fn(2, 1, |x, _| image::Rgb([10 + x as u8, 20, 30]));
        let made = |order, layout| {
            let channels = [(1.0, 0.0), (1.0, 0.5), (2.0, 0.0)];
            let mut out = vec![0.0; 6];
            let steps = Preprocessor { resize: None, crop: None, channels, order };
            steps.apply(picture.clone(), layout, (1, 2), &mut out).unwrap();
            out
        };
        assert_eq!(made([0, 1, 2], PixelLayout::ChannelsFirst), [10.0, 11.0, 20.5, 20.5, 60.0, 60.0]);
        assert_eq!(made([2, 1, 0], PixelLayout::ChannelsFirst), [60.0, 60.0, 20.5, 20.5, 10.0, 11.0]);
        assert_eq!(made([0, 1, 2], PixelLayout::ChannelsLast), [10.0, 20.5, 60.0, 11.0, 20.5, 60.0]);
    }
}
