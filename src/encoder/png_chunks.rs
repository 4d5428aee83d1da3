//! Limits the number of chunks of a PNG file. The decoder spends a minimum of time and memory on each, however short it
//! is.

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// Size in bytes of a chunk without its data: the length and the type before the data, and the checksum after it.
const AROUND: usize = 12;
/// Maximum number of chunks of a PNG file. One more is allowed per KiB of the file.
const MAX_CHUNKS: usize = 10_000;

/// Checks the number of chunks of a PNG file. Encoders write image data in chunks of at least 4 KiB.
///
/// # Errors
/// If there are too many chunks, a description of the file.
pub(super) fn check_png_chunks(bytes: &[u8]) -> Result<(), String> {
    let most = MAX_CHUNKS + bytes.len() / 1024;
    let mut rest = bytes.strip_prefix(SIGNATURE).unwrap_or_default();
    let mut count = 0;
    while let Some(&length) = rest.first_chunk() {
        count += 1;
        if count > most {
            return Err(format!("a PNG with more than {most} chunks in {} bytes", bytes.len()));
        }
        let length = AROUND.saturating_add(u32::from_be_bytes(length) as usize);
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_png_with_too_many_short_chunks_is_refused() {
        let chunk = |data: &[u8]| [&(data.len() as u32).to_be_bytes(), &b"IDAT"[..], data, &[0; 4]].concat();
        let png = |data: &[u8], count: usize| [SIGNATURE, &chunk(data).repeat(count)].concat();
        let says = |bytes: &[u8]| check_png_chunks(bytes).err();
        assert_eq!(says(&png(b"", 10_000)), None);
        assert!(says(&png(b"", 11_000)).unwrap().contains("chunks in 132008 bytes"));
        assert!(says(&png(b"a", 11_000)).is_some());
        assert_eq!(says(&png(&[0; 2048], 11_000)), None);
        // A length beyond the end of the file, a truncated file, and a file of another format.
        assert_eq!(says(&[SIGNATURE, &[0xFF; 9]].concat()), None);
        assert_eq!(says(&png(b"ab", 3)[..30]), None);
        assert_eq!(says(&chunk(b"").repeat(11_000)), None);
    }
}
