//! Catalogs, interactions, and the content of their cells.

use std::path::Path;

use catalex::behaviour::Histories;
use catalex::catalog::{CatalogReader, InteractionSpec, Interactions, TextTemplate};
use catalex::pipeline::EncodeSettings;
use serde_json::{Value, json};

use super::{Target, put, shown, target};
use crate::home::{Home, spec};
use crate::mutate::Form;
use crate::seeds;

pub(super) const TARGETS: &[Target] = &[
    target("parquet", Form::Bytes, seeds::parquet, |_, folder, input| table(&put(folder, "x.parquet", input))),
    target("arrow", Form::Bytes, seeds::arrow, |_, folder, input| table(&put(folder, "x.arrow", input))),
    target("csv", Form::Text, seeds::csv, |_, folder, input| table(&put(folder, "x.csv", input))),
    target("tsv", Form::Text, seeds::tsv, |_, folder, input| table(&put(folder, "x.tsv", input))),
    target("json-lines", Form::JsonLines, seeds::json_lines, |_, folder, input| table(&put(folder, "x.jsonl", input))),
    target("gzip", Form::Bytes, seeds::gzip, |_, folder, input| table(&put(folder, "x.csv.gz", input))),
    target("zstd", Form::Bytes, seeds::zstd, |_, folder, input| table(&put(folder, "x.jsonl.zst", input))),
    target("events-csv", Form::Text, seeds::csv, |_, folder, input| events(&put(folder, "x.csv", input))),
    target("events-parquet", Form::Bytes, seeds::parquet, |_, folder, input| events(&put(folder, "x.parquet", input))),
    target("events-json", Form::JsonLines, seeds::json_lines, |_, folder, input| {
        events(&put(folder, "x.jsonl", input));
    }),
    target("sequences", Form::Text, seeds::sequences, |_, folder, input| {
        events(&put(folder, "x.txt", input));
        events(&put(folder, "u.data", input));
    }),
    target("cleaning", Form::Text, texts, cleaning),
    target("template", Form::Text, |_| vec![b"{title}: {description} {{x}}".to_vec()], template),
];

/// Reads a catalog with some columns or, if they do not exist, without columns.
fn table(path: &Path) {
    for settings in [
        json!({"text": ["title", "description"], "image": ["image"]}),
        json!({"text": ["title", "description"]}),
        json!({"id": "price", "text": ["kind"]}),
        json!({"text": ["title"], "raw-text": true}),
        json!({}),
    ] {
        items(path, settings);
    }
}

fn items(path: &Path, settings: Value) {
    let Some(catalog) = shown(spec::<EncodeSettings>(settings).catalog_spec(path)) else { return };
    let Some(reader) = shown(CatalogReader::open(&catalog)) else { return };
    for batch in reader {
        if shown(batch).is_none() {
            break;
        }
    }
}

fn events(path: &Path) {
    let spec = |rated: bool, time: Option<&str>| InteractionSpec {
        path: path.to_path_buf(),
        rated,
        time: time.map(str::to_owned),
        ..InteractionSpec::default()
    };
    for spec in [spec(true, None), spec(false, Some("price"))] {
        let Some(read) = shown(Interactions::read(&spec, &catalex::progress::Silent)) else { continue };
        let items = catalex::ItemIds::row_numbers(10);
        let split = "leave-one-out".parse().unwrap_or_else(|e| panic!("{e}"));
        let _ = shown(Histories::new(&read, &items, split, 1));
    }
}

fn texts(_: &Home) -> Vec<Vec<u8>> {
    let texts = [
        "A <b>red</b> pen &amp; ink<br/>&#233; List<String> <!-- x --> <![CDATA[ y ]]>",
        "<script>a < b</script><style>c</style><p title=\"a>b\">d</p>",
        "&lt;p&gt; &notit; &#x1F600; &#1114112;",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

/// The input is one cell.
fn cleaning(_: &Home, folder: &Path, input: &[u8]) {
    let line = json!({"id": 1, "title": String::from_utf8_lossy(input)});
    let path = put(folder, "x.jsonl", format!("{line}\n").as_bytes());
    items(&path, json!({"text": ["title"]}));
}

fn template(home: &Home, _: &Path, input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Some(template) = shown(text.parse::<TextTemplate>()) {
        assert_eq!(template.columns().count(), template.columns().count());
        std::hint::black_box(template.to_string());
        items(&home.path("catalog.csv"), json!({"template": text}));
    }
}
