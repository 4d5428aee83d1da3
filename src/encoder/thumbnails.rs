//! Thumbnails for the report: square tiles on JPEG sheets.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, Rgb, RgbImage, imageops};

use super::decode::with_image;
use crate::catalog::ImageSource;
use crate::error::{Error, Result};

/// Edge of a tile in pixels; a multiple of 16, so that JPEG blocks do not span two tiles.
pub const TILE: u32 = 48;
/// Tiles per row of a sheet, and maximum number of rows.
pub const ACROSS: u32 = 16;

const QUALITY: u8 = 72;
const WHITE: Rgb<u8> = Rgb([255; 3]);

/// An image as a tile: uncropped, centred on a white square.
#[derive(Debug, Clone)]
pub struct Thumbnail(RgbImage);

impl Thumbnail {
    /// Scales an image down to a tile; smaller images are not enlarged. `None` where it cannot be read.
    pub fn of(source: &ImageSource) -> Option<Self> {
        with_image(source, |picture| Ok(Thumbnail::of_pixels(picture))).ok()
    }

    fn of_pixels(picture: RgbImage) -> Self {
        let (width, height) = picture.dimensions();
        let longest = width.max(height);
        let picture = if longest > TILE {
            let side = |side: u32| ((u64::from(side) * u64::from(TILE)).div_ceil(u64::from(longest)) as u32).max(1);
            imageops::thumbnail(&picture, side(width), side(height))
        } else {
            picture
        };
        let mut tile = RgbImage::from_pixel(TILE, TILE, WHITE);
        let middle = |side: u32| i64::from((TILE - side) / 2);
        imageops::replace(&mut tile, &picture, middle(picture.width()), middle(picture.height()));
        Thumbnail(tile)
    }

    /// A JPEG sheet of at most `ACROSS` x `ACROSS` tiles, row by row, as high as needed.
    ///
    /// # Errors
    /// [`Error::Data`] for no tiles or too many.
    pub fn sheet(tiles: &[Thumbnail]) -> Result<Vec<u8>> {
        let most = (ACROSS * ACROSS) as usize;
        if tiles.is_empty() || tiles.len() > most {
            return Err(Error::data("a sheet of images", format!("1 to {most}"), tiles.len(), "check the call"));
        }
        let lines = (tiles.len() as u32).div_ceil(ACROSS);
        let mut sheet = RgbImage::from_pixel(ACROSS * TILE, lines * TILE, WHITE);
        for (at, tile) in (0u32..).zip(tiles) {
            imageops::replace(&mut sheet, &tile.0, i64::from(at % ACROSS * TILE), i64::from(at / ACROSS * TILE));
        }
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(Cursor::new(&mut bytes), QUALITY)
            .encode(&sheet, sheet.width(), sheet.height(), ExtendedColorType::Rgb8)
            .map_err(|e| Error::data("a sheet of images", "pixels that JPEG can encode", e, "please report this"))?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::ImageFormat;

    fn png(width: u32, height: u32) -> ImageSource {
        let mut bytes = Cursor::new(Vec::new());
        RgbImage::from_pixel(width, height, Rgb([200, 0, 0])).write_to(&mut bytes, ImageFormat::Png).unwrap();
        ImageSource::Bytes(bytes.into_inner())
    }

    #[test]
    fn images_are_centred_and_uncropped_in_their_tiles() {
        let wide = Thumbnail::of(&png(480, 10)).unwrap().0;
        assert_eq!((wide.dimensions(), wide.get_pixel(0, 0), wide.get_pixel(0, 23).0), ((48, 48), &WHITE, [200, 0, 0]));
        let small = Thumbnail::of(&png(2, 2)).unwrap().0;
        assert_eq!((small.get_pixel(22, 22), small.get_pixel(23, 24).0), (&WHITE, [200, 0, 0]));
        assert!(Thumbnail::of(&ImageSource::Bytes(vec![1, 2, 3])).is_none());
    }

    #[test]
    fn tiles_are_placed_row_by_row() {
        let (red, white) = (Thumbnail::of(&png(48, 48)).unwrap(), Thumbnail(RgbImage::from_pixel(TILE, TILE, WHITE)));
        let mut tiles = vec![white; 17];
        tiles[16] = red;
        let sheet = image::load_from_memory(&Thumbnail::sheet(&tiles).unwrap()).unwrap().into_rgb8();
        assert_eq!(sheet.dimensions(), (16 * TILE, 2 * TILE));
        assert!(sheet.get_pixel(20, 70).0[1] < 40 && sheet.get_pixel(70, 70).0[1] > 215);
        assert!(Thumbnail::sheet(&[]).is_err() && Thumbnail::sheet(&vec![tiles[0].clone(); 257]).is_err());
    }
}
