//! In-place conversion of images with 16 or 32 bits per channel to 8-bit RGB.

use image::{ColorType, DynamicImage, ImageBuffer, ImageDecoder, ImageResult, RgbImage};

/// Number of pixels that are converted at once.
const BLOCK: usize = 1 << 16;
const RGB: usize = 3;

/// Whether a pixel of the image takes more memory than an 8-bit RGBA pixel.
pub(super) fn is_deep(decoder: &impl ImageDecoder) -> bool {
    decoder.color_type().bytes_per_pixel() > 4
}

/// Decodes an image for which [`is_deep`] is true. `to_rgb` converts a block of pixels. The conversion is in place,
/// because a second copy of the image would take up to 400 MB. `None` if the number of bytes does not fit into `usize`,
/// or if [`block`] does not support the pixel type.
///
/// # Errors
/// If the image cannot be decoded.
pub(super) fn decode_deep(
    decoder: impl ImageDecoder,
    to_rgb: impl Fn(DynamicImage) -> RgbImage,
) -> ImageResult<Option<RgbImage>> {
    let ((width, height), color) = (decoder.dimensions(), decoder.color_type());
    let size = usize::from(color.bytes_per_pixel());
    let Ok(length) = usize::try_from(decoder.total_bytes()) else { return Ok(None) };
    let mut bytes = vec![0; length];
    decoder.read_image(&mut bytes)?;
    let pixels = length / size;
    for from in (0..pixels).step_by(BLOCK) {
        let to = (from + BLOCK).min(pixels);
        let Some(block) = block(color, &bytes[from * size..to * size], (to - from) as u32) else { return Ok(None) };
        // An RGB pixel takes fewer bytes than a decoded pixel, so this does not overwrite the next block.
        bytes[from * RGB..to * RGB].copy_from_slice(to_rgb(block).as_raw());
    }
    bytes.truncate(pixels * RGB);
    bytes.shrink_to_fit();
    Ok(RgbImage::from_raw(width, height, bytes))
}

/// An image with one row of `width` pixels, from bytes in the byte order of this machine. `None` for pixel types that
/// are not deep.
fn block(color: ColorType, bytes: &[u8], width: u32) -> Option<DynamicImage> {
    let words = || bytes.as_chunks().0.iter().map(|&word| u16::from_ne_bytes(word)).collect::<Vec<_>>();
    let floats = || bytes.as_chunks().0.iter().map(|&float| f32::from_ne_bytes(float)).collect::<Vec<_>>();
    match color {
        ColorType::Rgb16 => ImageBuffer::from_raw(width, 1, words()).map(DynamicImage::ImageRgb16),
        ColorType::Rgba16 => ImageBuffer::from_raw(width, 1, words()).map(DynamicImage::ImageRgba16),
        ColorType::Rgb32F => ImageBuffer::from_raw(width, 1, floats()).map(DynamicImage::ImageRgb32F),
        ColorType::Rgba32F => ImageBuffer::from_raw(width, 1, floats()).map(DynamicImage::ImageRgba32F),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::decode::on_white;
    use image::{ImageFormat, ImageReader};
    use std::io::Cursor;

    #[test]
    fn conversion_in_blocks_equals_conversion_of_the_whole_image() {
        // More pixels than a block, in a sequence that visits many values.
        let (width, height) = (331, 211);
        let word = |i: usize| (i as u64 * 40_503 % 65_536) as u16;
        let count = (width * height) as usize;
        let words = |channels: usize| (0..count * channels).map(word).collect::<Vec<_>>();
        let floats = |channels: usize| words(channels).iter().map(|&w| f32::from(w) / 50_000.0).collect::<Vec<_>>();
        let images = [
            (ImageBuffer::from_raw(width, height, words(3)).map(DynamicImage::ImageRgb16), ImageFormat::Png),
            (ImageBuffer::from_raw(width, height, words(4)).map(DynamicImage::ImageRgba16), ImageFormat::Png),
            (ImageBuffer::from_raw(width, height, words(4)).map(DynamicImage::ImageRgba16), ImageFormat::Tiff),
            (ImageBuffer::from_raw(width, height, floats(3)).map(DynamicImage::ImageRgb32F), ImageFormat::Tiff),
            (ImageBuffer::from_raw(width, height, floats(4)).map(DynamicImage::ImageRgba32F), ImageFormat::Tiff),
        ];
        for (image, format) in images {
            let image = image.unwrap();
            let mut bytes = Vec::new();
            image.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
            let decoder = ImageReader::with_format(Cursor::new(&bytes), format).into_decoder().unwrap();
            assert!(is_deep(&decoder));
            let got = decode_deep(decoder, on_white).unwrap().unwrap();
            assert!(got == on_white(image.clone()), "{:?} in {format:?}", image.color());
        }
    }
}
