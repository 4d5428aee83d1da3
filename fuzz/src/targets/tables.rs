//! Catalogs, interactions, and the content of their cells.

use std::path::Path;

use catalex::behaviour::Histories;
use catalex::catalog::{CatalogReader, ImageSource, InteractionSpec, Interactions, TextTemplate};
use catalex::encoder::Thumbnail;
use catalex::pipeline::{self, EncodeSettings};
use serde_json::{Value, json};

use super::{Target, named, put, shown, target};
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
    target("zstd", Form::Bytes, seeds::zstd, |_, folder, input| table(&put(folder, "x.csv.zst", input))),
    target("events-csv", Form::Text, seeds::csv, |_, folder, input| events(&put(folder, "x.csv", input))),
    target("events-parquet", Form::Bytes, seeds::parquet, |_, folder, input| events(&put(folder, "x.parquet", input))),
    target("events-json", Form::JsonLines, seeds::json_lines, |_, folder, input| {
        events(&put(folder, "x.jsonl", input));
    }),
    target("sequences", Form::Text, seeds::sequences, |_, folder, input| {
        events(&put(folder, "x.txt", input));
    }),
    target("csv-dialect", Form::Text, seeds::quoted, |_, folder, input| {
        for (name, quote, escape) in
            [("x.csv", "'", "\\"), ("x.csv", "\"", "\\"), ("x.csv", "none", "none"), ("x.tsv", "\"", "none")]
        {
            items(&put(folder, name, input), json!({"text": ["title"], "csv-quote": quote, "csv-escape": escape}));
        }
    }),
    target("text-encoding", Form::Bytes, seeds::encodings, |_, folder, input| {
        table(&put(folder, "x.csv", input));
        table(&put(folder, "x.jsonl", input));
    }),
    target("check", Form::Text, seeds::csv, |_, folder, input| check(&put(folder, "x.csv", input))),
    target("check-json", Form::JsonLines, seeds::json_lines, |_, folder, input| {
        check(&put(folder, "x.jsonl", input));
    }),
    target("times", Form::Text, |_| TIMES.map(|times| times.as_bytes().to_vec()).into(), times),
    target("folder-names", Form::Text, |_| FOLDERS.map(|names| names.as_bytes().to_vec()).into(), folder_names),
    target("image-cell", Form::Text, image_cells, image_cell),
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
        let _ = shown(Histories::new(&read, &items, split, 3));
    }
}

fn texts(_: &Home) -> Vec<Vec<u8>> {
    let texts = [
        "A <b>red</b> pen &amp; ink<br/>&#233; List<String> <!-- x --> <![CDATA[ y ]]>",
        "<script>a < b</script><style>c</style><p title=\"a>b\">d</p>",
        "&lt;p&gt; &notit; &#x1F600; &#1114112;",
        "['Pens', \"Ink\", ['a', 'b\\'c'], None, 1.5, True]",
        "[\"Pens\", [\"a\", null, 1e3], {\"b\": \"c\"}]",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

/// The input is one cell.
fn cleaning(_: &Home, folder: &Path, input: &[u8]) {
    let line = json!({"id": 1, "title": String::from_utf8_lossy(input)});
    let path = put(folder, "x.jsonl", format!("{line}\n").as_bytes());
    items(&path, json!({"text": ["title"]}));
    items(&path, json!({"text": ["title"], "parse-lists": true}));
}

fn check(path: &Path) {
    for settings in [json!({}), json!({"parse-lists": true, "raw-text": true, "image": ["image"]})] {
        let _ =
            shown(pipeline::check(&spec(json!({"catalog": path, "settings": settings})), &catalex::progress::Silent));
    }
}

const TIMES: [&str; 6] = [
    "2020-01-01T00:00:00Z\n2020-01-01 10:00:00.5+02:00\n1969-12-31T23:59:59.999999999-11:30\n",
    "2020-01-01\n2020-02-29\n9999-12-31\n",
    "2020-01-01T10:00:00\n2020-01-01 10:00:00.25\n2020-01-02 10:00:01\n",
    "881250949\n1577836800\n2.5e9\n",
    "1577836800000\n1577836800001\n1577836800002\n",
    "-5\n0\n12\n",
];

/// Reads the lines as times of events: as texts, and those that are numbers also as numbers.
fn times(_: &Home, folder: &Path, input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let event = |(at, time): (usize, Value)| format!("{}\n", json!({"user": "u", "item": at, "time": time}));
    let lines = || text.lines().take(200);
    let texts: String = lines().map(Value::from).enumerate().map(event).collect();
    events(&put(folder, "x.jsonl", texts.as_bytes()));
    let numbers = lines().filter_map(|line| serde_json::from_str::<serde_json::Number>(line).ok());
    let numbers: String = numbers.map(Value::Number).enumerate().map(event).collect();
    if !numbers.is_empty() {
        events(&put(folder, "x.jsonl", numbers.as_bytes()));
    }
}

const FOLDERS: [&str; 2] =
    ["year=2024/month=01\nyear=2025/month=__HIVE_DEFAULT_PARTITION__\n", "title=a%20b%2Fc\n=x\n"];

/// Reads a table in parts, with the lines as the names of its folders.
fn folder_names(_: &Home, folder: &Path, input: &[u8]) {
    let root = folder.join("table");
    for (at, line) in String::from_utf8_lossy(input).lines().take(8).enumerate() {
        put(&root, &format!("{}/part-{at}.csv", named(line)), format!("id,title\n{at},x\n").as_bytes());
    }
    for settings in [json!({"text": ["title"]}), json!({"text": ["year", "month"]})] {
        items(&root, settings);
    }
}

fn image_cells(_: &Home) -> Vec<Vec<u8>> {
    let cells = [
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=",
        "data:image/svg+xml,%3Csvg%20xmlns='x'/%3E",
        "https://example.com/a.png",
        "file:///a.png",
        "../a b.png",
    ];
    cells.map(|cell| cell.as_bytes().to_vec()).into()
}

/// Reads the input as a cell of an image column, and as an element of a list of images.
fn image_cell(_: &Home, folder: &Path, input: &[u8]) {
    let cell = String::from_utf8_lossy(input);
    let lines = json!({"id": 1, "image": cell}).to_string() + "\n" + &json!({"id": 2, "image": [cell]}).to_string();
    let path = put(folder, "x.jsonl", lines.as_bytes());
    let Some(catalog) = shown(spec::<EncodeSettings>(json!({"image": ["image"]})).catalog_spec(&path)) else { return };
    let Some(reader) = shown(CatalogReader::open(&catalog)) else { return };
    for batch in reader.filter_map(shown) {
        let in_table = |image: &&ImageSource| !matches!(image, ImageSource::Path(_));
        batch.images.iter().flatten().filter(in_table).for_each(|image| drop(Thumbnail::of(image)));
    }
}

fn template(home: &Home, _: &Path, input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Some(template) = shown(text.parse::<TextTemplate>()) {
        assert_eq!(template.columns().count(), template.columns().count());
        std::hint::black_box(template.to_string());
        items(&home.path("catalog.csv"), json!({"template": text}));
    }
}
