//! Settings for reading texts. Every group of settings that names text columns includes them.

use super::{NAME_BOTH, needs};
use crate::catalog::{CatalogSpec, CsvDialect};
use crate::error::Result;

/// Settings for reading texts.
pub(in crate::pipeline) trait ReadsTexts {
    /// The two settings, if given: whether markup is kept, and whether lists in strings are parsed.
    fn text_reading(&self) -> [Option<bool>; 2];

    /// The quote and escape characters of CSV and TSV.
    fn csv(&self) -> CsvDialect;

    /// Refuses the settings if the setting `other`, whose texts they apply to, is not given.
    ///
    /// # Errors
    /// [`crate::Error::Config`] naming the first one.
    fn check_reading(&self, other: &str, has_other: bool) -> Result<()> {
        let ([raw_text, parse_lists], csv) = (self.text_reading(), self.csv());
        let given = [
            ("raw-text", raw_text.is_some()),
            ("parse-lists", parse_lists.is_some()),
            ("csv-quote", csv.quote.is_some()),
            ("csv-escape", csv.escape.is_some()),
        ];
        match given.iter().find(|(_, given)| *given && !has_other) {
            Some((setting, _)) => Err(needs(setting, other, NAME_BOTH)),
            None => Ok(()),
        }
    }

    /// Applies the settings to a catalog.
    fn reading(&self, catalog: CatalogSpec) -> CatalogSpec {
        let [raw_text, parse_lists] = self.text_reading().map(Option::unwrap_or_default);
        CatalogSpec { raw_text, parse_lists, csv: self.csv(), ..catalog }
    }
}

/// Declares a group of settings that names text columns: its own settings, and the settings for reading texts.
macro_rules! text_settings {
    ($(#[$meta:meta])* pub struct $group:ident { $($own:tt)* }) => {
        $crate::settings::settings! {
            $(#[$meta])*
            pub struct $group {
                $($own)*
                /// Disable text cleaning: keep markup and character references.
                raw_text: bool, "BOOL";
                /// Parse cells that contain a list in the notation of Python or JSON, such as "['Pens', 'Ink']", as
                /// lists.
                parse_lists: bool, "BOOL";
                /// Quote character of CSV and TSV files, or none.
                csv_quote: $crate::catalog::CsvCharacter, "CHAR|none", default "\" for CSV, none for TSV";
                /// Escape character before a quote in a quoted cell, such as Spark's backslash.
                csv_escape: $crate::catalog::CsvCharacter, "CHAR|none", default "none: quotes are doubled";
            }
        }

        impl $crate::pipeline::spec::ReadsTexts for $group {
            fn text_reading(&self) -> [Option<bool>; 2] {
                [self.raw_text, self.parse_lists]
            }

            fn csv(&self) -> $crate::catalog::CsvDialect {
                $crate::catalog::CsvDialect { quote: self.csv_quote, escape: self.csv_escape }
            }
        }
    };
}

pub(in crate::pipeline) use text_settings;
