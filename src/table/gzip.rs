//! Gzip files of one or more members, with zeros after them.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// Decompresses all members of a gzip file. Zero bytes after the last member, with which tape and block devices fill
/// their blocks, are skipped, as in gzip itself.
pub(super) struct GzipReader<R> {
    state: GzipState<R>,
}

enum GzipState<R> {
    Member(GzDecoder<R>),
    Between(R),
    Ended,
}

impl<R: BufRead> GzipReader<R> {
    pub(super) fn new(inner: R) -> Self {
        GzipReader { state: GzipState::Member(GzDecoder::new(inner)) }
    }
}

impl<R: BufRead> Read for GzipReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            self.state = match std::mem::replace(&mut self.state, GzipState::Ended) {
                GzipState::Member(mut member) => {
                    let read = member.read(buffer)?;
                    if read > 0 {
                        self.state = GzipState::Member(member);
                        return Ok(read);
                    }
                    GzipState::Between(member.into_inner())
                }
                GzipState::Between(mut inner) => match next_byte(&mut inner)? {
                    None => GzipState::Ended,
                    Some(0x1F) => GzipState::Member(GzDecoder::new(inner)),
                    Some(_) => {
                        return Err(io::Error::new(io::ErrorKind::InvalidData, "other bytes after the gzip data"));
                    }
                },
                GzipState::Ended => return Ok(0),
            };
        }
    }
}

/// The next byte that is not zero; it is not consumed.
fn next_byte(inner: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        let bytes = inner.fill_buf()?;
        if bytes.is_empty() {
            return Ok(None);
        }
        match bytes.iter().position(|&byte| byte != 0) {
            Some(at) => {
                let byte = bytes[at];
                inner.consume(at);
                return Ok(Some(byte));
            }
            None => {
                let zeros = bytes.len();
                inner.consume(zeros);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn member(text: &str) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(text.as_bytes()).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn members_and_padding_are_read_and_other_bytes_refused() {
        let read = |bytes: Vec<u8>| io::read_to_string(GzipReader::new(&bytes[..])).map_err(|e| e.to_string());
        let zeros = || vec![0; 512];
        assert_eq!(read(member("a")).unwrap(), "a");
        assert_eq!(read([member("a"), zeros()].concat()).unwrap(), "a");
        assert_eq!(read([member("a"), member(""), zeros(), member("b"), zeros()].concat()).unwrap(), "ab");
        assert!(read([member("a"), b"junk".to_vec()].concat()).unwrap_err().contains("other bytes after"));
        let cut = member("some text that is cut");
        assert!(read(cut[..cut.len() - 3].to_vec()).is_err());
        assert!(read([member("a"), cut[..12].to_vec()].concat()).is_err());
    }
}
