//! How texts are read, in every group of settings that names columns of texts.

use crate::catalog::{CatalogSpec, CsvDialect};

/// Settings of how texts are read.
pub(in crate::pipeline) trait ReadsTexts {
    /// The two settings, where they are given: whether markup stays, and whether lists in strings are lists.
    fn text_reading(&self) -> [Option<bool>; 2];

    /// How cells of CSV and TSV are quoted.
    fn csv(&self) -> CsvDialect;

    /// A catalog that is read as the settings say.
    fn reading(&self, catalog: CatalogSpec) -> CatalogSpec {
        let [raw_text, parse_lists] = self.text_reading().map(Option::unwrap_or_default);
        CatalogSpec { raw_text, parse_lists, csv: self.csv(), ..catalog }
    }
}

/// Declares a group of settings that names columns of texts: its own settings, and those of how texts are read.
macro_rules! text_settings {
    ($(#[$meta:meta])* pub struct $group:ident { $($own:tt)* }) => {
        $crate::settings::settings! {
            $(#[$meta])*
            pub struct $group {
                $($own)*
                /// Do not remove markup and entities from texts.
                raw_text: bool, "BOOL";
                /// Read text that is a list in Python's or JSON's notation, such as "['Pens', 'Ink']", as a list.
                parse_lists: bool, "BOOL";
                /// Character around cells of CSV and TSV files, or none.
                csv_quote: $crate::catalog::CsvCharacter, "CHAR|none", default "\" in CSV, none in TSV";
                /// Character before a quote within a quoted cell, such as the backslash of Spark.
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
