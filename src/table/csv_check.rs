//! Quotes and sizes of CSV, checked while it is read.
//!
//! For the CSV parser, a quote that is never closed starts a cell that extends to the end of the file, and text after a
//! closing quote belongs to the cell. Here, both are errors that name the line. The states are those of the parser.

use std::io::{self, Read};

use super::limits::{MAX_CELL_BYTES, MAX_COLUMNS, MAX_ROW_BYTES, mib};
use super::text_check::{LEAST, TextFault, Utf8Check, fill};

/// Position of the next byte in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CsvState {
    /// Before a row.
    RowStart,
    /// Before a cell.
    CellStart,
    /// In a cell without quotes.
    Plain,
    /// Within quotes.
    Quoted,
    /// After the escape character within quotes.
    Escaped,
    /// After a quote that may close the cell.
    Closed,
    /// In white space after the closing quote.
    ClosedSpace,
}

/// Passes on the bytes of a CSV file and checks them.
pub(super) struct CsvCheck<R> {
    inner: R,
    delimiter: u8,
    quote: Option<u8>,
    escape: Option<u8>,
    encoding: Utf8Check,
    state: CsvState,
    /// 1-based line of the next byte.
    line: u64,
    /// Line of the last opening quote.
    opened: u64,
    cell_bytes: usize,
    row_bytes: usize,
    columns: usize,
    /// Bytes so far, while a byte order mark is possible.
    position: usize,
}

/// Advice for a quote that is not closed.
const CLOSE: &str = "close or double that quote, or pass --csv-quote none if quotes are plain characters";

const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

impl<R: Read> CsvCheck<R> {
    pub(super) fn new(inner: R, delimiter: u8, quote: Option<u8>, escape: Option<u8>) -> Self {
        CsvCheck {
            inner,
            delimiter,
            quote,
            escape,
            encoding: Utf8Check::default(),
            state: CsvState::RowStart,
            line: 1,
            opened: 0,
            cell_bytes: 0,
            row_bytes: 0,
            columns: 0,
            position: 0,
        }
    }

    fn check(&mut self, bytes: &[u8]) -> Result<(), TextFault> {
        self.encoding.check(bytes)?;
        for &byte in bytes {
            if self.position < BYTE_ORDER_MARK.len() {
                self.position += 1;
                if byte == BYTE_ORDER_MARK[self.position - 1] {
                    continue;
                }
                self.position = BYTE_ORDER_MARK.len();
            }
            self.step(byte)?;
            if byte == b'\n' {
                self.line += 1;
            }
        }
        Ok(())
    }

    fn step(&mut self, byte: u8) -> Result<(), TextFault> {
        let ends_row = byte == b'\n' || byte == b'\r';
        self.state = match self.state {
            CsvState::RowStart if ends_row => CsvState::RowStart,
            CsvState::RowStart | CsvState::CellStart if Some(byte) == self.quote => {
                self.opened = self.line;
                CsvState::Quoted
            }
            CsvState::Quoted if Some(byte) == self.quote => CsvState::Closed,
            CsvState::Quoted if Some(byte) == self.escape => CsvState::Escaped,
            CsvState::Quoted | CsvState::Escaped => CsvState::Quoted,
            CsvState::Closed if Some(byte) == self.quote => CsvState::Quoted,
            _ if byte == self.delimiter => return self.end_cell(),
            _ if ends_row => {
                (self.cell_bytes, self.row_bytes, self.columns) = (0, 0, 0);
                CsvState::RowStart
            }
            CsvState::Closed | CsvState::ClosedSpace if byte == b' ' || byte == b'\t' => CsvState::ClosedSpace,
            CsvState::Closed | CsvState::ClosedSpace => return Err(self.after_quote()),
            CsvState::RowStart | CsvState::CellStart | CsvState::Plain => CsvState::Plain,
        };
        self.cell_bytes += 1;
        self.row_bytes += 1;
        if self.cell_bytes > MAX_CELL_BYTES || self.row_bytes > MAX_ROW_BYTES {
            return Err(self.too_long());
        }
        Ok(())
    }

    fn end_cell(&mut self) -> Result<(), TextFault> {
        self.state = CsvState::CellStart;
        self.cell_bytes = 0;
        self.row_bytes += 1;
        self.columns += 1;
        if self.columns >= MAX_COLUMNS {
            let got = format!("more in line {}", self.line);
            let help = "remove columns that are not needed, or write the table as Parquet";
            return Err(TextFault { expected: format!("at most {MAX_COLUMNS} columns"), got, help: help.into() });
        }
        Ok(())
    }

    fn end(&self) -> Result<(), TextFault> {
        self.encoding.end()?;
        match self.state {
            CsvState::Quoted | CsvState::Escaped => Err(TextFault {
                expected: format!("a closing quote for the quote in line {}, which is never closed", self.opened),
                got: "the end of the file".into(),
                help: CLOSE.into(),
            }),
            _ => Ok(()),
        }
    }

    fn too_long(&self) -> TextFault {
        let most = mib(if self.cell_bytes > MAX_CELL_BYTES { MAX_CELL_BYTES } else { MAX_ROW_BYTES });
        match self.state {
            CsvState::Quoted | CsvState::Escaped => TextFault {
                expected: format!("a closing quote within {most} after the quote in line {}", self.opened),
                got: "a longer cell".into(),
                help: CLOSE.into(),
            },
            _ => TextFault {
                expected: format!(
                    "rows of at most {} with cells of at most {}",
                    mib(MAX_ROW_BYTES),
                    mib(MAX_CELL_BYTES)
                ),
                got: format!("more than {most} in line {}", self.line),
                help: "check the delimiter and the line breaks of the file".into(),
            },
        }
    }

    fn after_quote(&self) -> TextFault {
        let mut got = format!("text after the closing quote in line {}", self.line);
        if self.opened < self.line {
            got += &format!(", opened in line {}", self.opened);
        }
        let help = "double the quotes within a cell; if the file escapes them with a backslash, as Spark does, pass \
                    --csv-escape '\\'; if quotes are plain characters, pass --csv-quote none";
        TextFault { expected: "a delimiter or the end of the line".into(), got, help: help.into() }
    }
}

impl<R: Read> Read for CsvCheck<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = fill(&mut self.inner, buffer, LEAST)?;
        let checked = if read == 0 { self.end() } else { self.check(&buffer[..read]) };
        checked.map_err(TextFault::into_io)?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, quote: Option<u8>, escape: Option<u8>) -> Result<(), String> {
        let mut reader = io::BufReader::with_capacity(7, CsvCheck::new(text.as_bytes(), b',', quote, escape));
        io::copy(&mut reader, &mut io::sink()).map(|_| ()).map_err(|e| e.to_string())
    }

    #[test]
    fn valid_quotes_are_accepted() {
        let quoted = "\u{feff}\"id\",t\r\n1,\"a, \"\"b\"\"\r\n\"\r\n\r\n2,5\" disk\n3,\"\"\n4,\"x\" ,\n5,\"end\"";
        assert_eq!(read(quoted, Some(b'"'), None), Ok(()));
        assert_eq!(read("id,t\n1,\"open\n2,\"x\"y\n", None, None), Ok(()));
        assert_eq!(read("id,t\n1,\"a \\\"b\\\", c\"\n", Some(b'"'), Some(b'\\')), Ok(()));
    }

    #[test]
    fn faults_name_their_line() {
        let cases = [
            ("id,t\n1,x\n2,\"shoe\n3,y\n4,z\n", "the quote in line 3, which is never closed, got the end of the file"),
            ("id,t\n1,\"a \\\"b\\\" c\"\n", "text after the closing quote in line 2; double the quotes within a cell"),
            ("id,t\n1,\"a\n\nb\"c\n", "in line 4, opened in line 2"),
            ("id,t\n1,\"\"\"", "the quote in line 2"),
        ];
        for (text, says) in cases {
            let error = read(text, Some(b'"'), None).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let escaped = read("id,t\n1,\"a\\\"\n", Some(b'"'), Some(b'\\')).unwrap_err();
        assert!(escaped.contains("never closed"), "{escaped}");
    }

    #[test]
    fn cells_and_columns_have_a_limit() {
        let mut check = CsvCheck::new(io::repeat(b'x').take(3 << 30), b',', Some(b'"'), None);
        let error = io::copy(&mut check, &mut io::sink()).unwrap_err().to_string();
        assert!(error.contains("more than 64 MiB in line 1"), "{error}");
        let quote = io::Read::chain(&b"a\n\""[..], io::repeat(b'x'));
        let error =
            io::copy(&mut CsvCheck::new(quote, b',', Some(b'"'), None), &mut io::sink()).unwrap_err().to_string();
        assert!(error.contains("a closing quote within 64 MiB after the quote in line 2"), "{error}");
        let error = io::copy(&mut CsvCheck::new(io::repeat(b','), b',', None, None), &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("at most 100000 columns, got more in line 1"), "{error}");
    }
}
