//! Realistic catalogs, encoded with the real encoders.

use std::fs;
use std::path::{Path, PathBuf};

use catalex::catalog::{CatalogSpec, TextSpec};
use catalex::encoder::{Embedded, ImageEncoder, OnBadImage, TextEncoder, TextOptions, embed};
use catalex::features::Features;
use catalex::item_ids::ItemIds;
use catalex::progress::Silent;

use super::support::{catalex, minilm, mobilenet, outcome, root, runtime, succeeds};

fn by_text(path: &Path, text: TextSpec) -> Features {
    let spec = CatalogSpec { path: path.into(), text, ..CatalogSpec::default() };
    let mut encoder = TextEncoder::load(&minilm(), &TextOptions::default(), &runtime()).unwrap();
    embed(&spec, Some(&mut encoder), None, Vec::new(), OnBadImage::Error, &Silent).unwrap().features
}

fn by_image(path: &Path, on_bad_image: OnBadImage) -> Embedded {
    let spec = CatalogSpec { path: path.into(), images: vec!["image".into()], ..CatalogSpec::default() };
    let mut encoder = ImageEncoder::load(&mobilenet(), None, &runtime()).unwrap();
    embed(&spec, None, Some(&mut encoder), Vec::new(), on_bad_image, &Silent).unwrap()
}

fn near(a: ndarray::ArrayView1<f32>, b: ndarray::ArrayView1<f32>) -> bool {
    (&a - &b).iter().all(|d| d.abs() < 1e-4)
}

#[test]
fn fields_are_encoded_one_by_one_or_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    fs::write(&path, "id,title,brand\n1,Blue pen,Bic\n2,Blue pen,\n3,Bic,\n").unwrap();
    let names = vec!["title".to_owned(), "brand".into()];
    let separate = by_text(&path, TextSpec::Separate(names.clone())).concatenated();
    // The first item's fields are the whole texts of the other two.
    let mean = (&separate.row(1) + &separate.row(2)) / 2.0;
    assert!(near(separate.row(0), mean.view()));
    let joined = by_text(&path, TextSpec::Joined(names)).concatenated();
    let form = by_text(&path, TextSpec::Template("{title}. {brand}".parse().unwrap())).concatenated();
    assert!(near(joined.row(0), form.row(0)) && !near(joined.row(0), mean.view()));
}

#[test]
fn several_images_are_averaged_and_unreadable_ones_listed() {
    let folder = tempfile::tempdir().unwrap();
    let emoji = |name: &str| root().join("fixtures/emoji/images").join(name).display().to_string();
    let (smile, dog) = (emoji("1F600.png"), emoji("1F436.png"));
    fs::write(folder.path().join("bad.png"), "no picture").unwrap();
    let path = folder.path().join("a.jsonl");
    let lines = [
        serde_json::json!({"id": "both", "image": [smile, dog]}),
        serde_json::json!({"id": "smile", "image": smile}),
        serde_json::json!({"id": "dog", "image": [dog, "bad.png"]}),
        serde_json::json!({"id": "none", "image": ["bad.png"]}),
    ];
    fs::write(&path, lines.map(|line| line.to_string() + "\n").concat()).unwrap();
    let embedded = by_image(&path, OnBadImage::Missing);
    let (features, vectors) = (&embedded.features, embedded.features.concatenated());
    assert_eq!(features.item_ids(), &ItemIds::Strings(vec!["both".into(), "smile".into(), "dog".into()]));
    let mean = (&vectors.row(1) + &vectors.row(2)) / 2.0;
    assert!(near(vectors.row(0), mean.view()));
    let listed: Vec<_> = embedded.bad_images.iter().map(|bad| (bad.item_id.as_str(), bad.left_out)).collect();
    assert_eq!(listed, [("dog", false), ("none", true)]);
    // The command lists them next to its output. Without the flag, it stops at the first one.
    let out = folder.path().join("features.parquet");
    let (encoder, text) = (mobilenet().display().to_string(), |path: &PathBuf| path.display().to_string());
    let arguments = ["embed", &text(&path), "--image", "image", "--image-encoder", &encoder, "--out", &text(&out)];
    let (code, message) = outcome(&catalex(&arguments).output().unwrap());
    assert!(code == 1 && message.contains("item dog") && message.contains("--on-bad-image missing"), "{message}");
    let printed = succeeds(&[&arguments[..], &["--on-bad-image", "missing"]].concat());
    assert!(printed.contains("items              3") && printed.contains("items left out     1"), "{printed}");
    let list = fs::read_to_string(folder.path().join("features.parquet.bad-images.jsonl")).unwrap();
    let last: serde_json::Value = serde_json::from_str(list.lines().last().unwrap()).unwrap();
    assert_eq!((&last["item_id"], &last["left_out"]), (&"none".into(), &true.into()));
}

#[test]
fn parts_and_compressed_files_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<String> = (0..9).map(|row| format!("{row},thing number {}\n", row * row)).collect();
    let whole = folder.path().join("whole.csv");
    fs::write(&whole, format!("id,t\n{}", rows.concat())).unwrap();
    let parts = folder.path().join("parts");
    fs::create_dir(&parts).unwrap();
    fs::write(
        parts.join("0.csv.zst"),
        zstd::encode_all(format!("id,t\n{}", rows[..5].concat()).as_bytes(), 1).unwrap(),
    )
    .unwrap();
    fs::write(parts.join("1.csv"), format!("id,t\n{}", rows[5..].concat())).unwrap();
    let encoder = minilm().display().to_string();
    let outputs =
        [whole.display().to_string(), parts.display().to_string(), parts.join("*.csv*").display().to_string()].map(
            |catalog| {
                let out = folder.path().join("out.parquet").display().to_string();
                succeeds(&["embed", &catalog, "--text", "t", "--text-encoder", &encoder, "--out", &out, "--force"]);
                fs::read(out).unwrap()
            },
        );
    assert!(outputs[0] == outputs[1] && outputs[0] == outputs[2]);
}
