//! Detects truncated images whose decoders would fill the missing part.

/// Checks that the data of a JPEG extends to its end-of-image marker. Decoders fill the missing part with grey, but
/// Pillow refuses such a file, and so does this function. Data after the marker is ignored. As in Pillow, the marker is
/// accepted anywhere, even if data before it is missing, and a second start-of-image marker before it is an error.
///
/// # Errors
/// A description of the actual content.
pub(super) fn check_jpeg_end(bytes: &[u8]) -> Result<(), String> {
    let cut = || "a truncated JPEG, which ends before its end-of-image marker".to_owned();
    let mut rest = bytes.get(2..).unwrap_or_default();
    loop {
        // Skips compressed data, in which FF is followed by 00, and garbage between segments.
        let at = rest.iter().position(|&byte| byte == 0xFF).ok_or_else(cut)?;
        let after = &rest[at..];
        let fill = after.iter().position(|&byte| byte != 0xFF).ok_or_else(cut)?;
        rest = &after[fill + 1..];
        match after[fill] {
            // End of image.
            0xD9 => return Ok(()),
            // Stuffing, markers without a segment, restarts.
            0x00 | 0x01 | 0xD0..=0xD7 => {}
            0xD8 => return Err("a truncated JPEG: another image starts before its end-of-image marker".to_owned()),
            reserved @ 0x02..=0xBF => {
                return Err(format!("a JPEG with damaged data, which contains the marker {reserved:02X}"));
            }
            _ => {
                let length = rest.first_chunk().map(|&length| usize::from(u16::from_be_bytes(length)));
                rest = length.filter(|&length| length >= 2).and_then(|length| rest.get(length..)).ok_or_else(cut)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::ImageSource;
    use crate::encoder::decode::decode;
    use std::path::PathBuf;

    /// The images of all formats that the decoder tests compare with Pillow.
    fn pictures() -> Vec<(PathBuf, Vec<u8>)> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/encoder/formats");
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut paths: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|e| e != "rgb")).collect();
        paths.sort();
        paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    }

    /// A truncated image is refused, wherever it is cut. Only data that the decoder does not need (a checksum, later
    /// frames) can be missing, and then the pixels equal those of the complete image.
    #[test]
    fn a_truncated_image_is_refused() {
        for (path, bytes) in pictures() {
            let name = path.display();
            let pixels = |bytes: Vec<u8>| decode(&ImageSource::Bytes(bytes)).ok();
            let whole = pixels(bytes.clone());
            assert!(whole.is_some(), "{name}");
            let is_jpeg = path.extension().is_some_and(|extension| extension == "jpg");
            for cut in 0..bytes.len() {
                let got = pixels(bytes[..cut].to_vec());
                assert!(got.is_none() || (got == whole && !is_jpeg), "{name} cut after {cut} bytes");
            }
            // Garbage at the end does not make a truncated image valid, nor a complete image invalid.
            for tail in [vec![0; 3_000], vec![0x55; 3_000], b"<html>404</html>\xFF".repeat(40), vec![0xFF; 3_000]] {
                let with = |bytes: &[u8]| pixels([bytes, &tail].concat());
                assert!(with(&bytes) == whole, "{name} with {} bytes after its end", tail.len());
                for cut in (0..bytes.len()).step_by(7).filter(|_| is_jpeg) {
                    assert!(with(&bytes[..cut]).is_none(), "{name} cut after {cut} bytes, then garbage");
                }
            }
            // Within the data of the last scan.
            let scan = bytes.windows(2).rposition(|window| window == b"\xFF\xDA").map_or(0, |at| at + 14);
            for cut in (scan..bytes.len() - 2).step_by(7).filter(|_| is_jpeg) {
                let with_another = [&bytes[..cut], &bytes].concat();
                assert!(pixels(with_another).is_none(), "{name} cut after {cut} bytes, then another image");
            }
        }
    }

    #[test]
    fn markers_inside_segments_do_not_end_a_jpeg() {
        let says = |bytes: &[u8]| check_jpeg_end(bytes).err();
        // The end of a thumbnail within an APP1 segment, then entropy-coded data with stuffing and a restart.
        assert_eq!(says(b"\xFF\xD8\xFF\xE1\x00\x04\xFF\xD9\xFF\xDA\x00\x02ab\xFF\x00\xFF\xD0c\xFF\xD9"), None);
        assert!(
            says(b"\xFF\xD8\xFF\xE1\x00\x04\xFF\xD9\xFF\xDA\x00\x02ab\xFF\x00\xFF\xD0c").unwrap().contains("truncated")
        );
        assert!(says(b"\xFF\xD8\xFF\xE1\x00\x09\xFF\xD9").unwrap().contains("truncated"));
        assert!(says(b"\xFF\xD8\xFF\x37\xFF\xD9").unwrap().contains("marker 37"));
        assert!(says(b"\xFF\xD8\xFF\xDA\x00\x02ab\xFF\xD8\xFF\xD9").unwrap().contains("another image starts"));
        // Missing data before the end marker is not detected, neither here nor in Pillow.
        assert_eq!(says(b"\xFF\xD8\xFF\xDA\x00\x02abUUUU\xFF\xD9"), None);
        assert!(says(b"").unwrap().contains("truncated"));
    }
}
