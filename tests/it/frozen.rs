//! The verbs that need neither libtorch nor ONNX Runtime: tokenize, vocab, inspect, lookup.

use std::fs;

use catalex::artifact::Overwrite;
use catalex::semantic_id::TokenTable;

use super::support::{catalex, clustered, features, hand_made, outcome, succeeds, write_matrix};

#[test]
fn a_frozen_model_tokenizes_and_its_table_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    hand_made(6, &[8, 8, 8]).save(path("model").as_ref(), Overwrite::Refuse).unwrap();
    write_matrix(path("x.npy").as_ref(), &clustered(200, 6));
    features(clustered(200, 6)).write(path("x.parquet").as_ref(), Overwrite::Refuse).unwrap();

    succeeds(&["tokenize", &path("x.npy"), "--model", &path("model"), "--out", &path("a.parquet")]);
    succeeds(&[
        "tokenize",
        &path("x.parquet"),
        "--model",
        &path("model"),
        "--out",
        &path("b.parquet"),
        "--threads",
        "1",
    ]);
    assert_eq!(fs::read(path("a.parquet")).unwrap(), fs::read(path("b.parquet")).unwrap(), "input and threads");

    let table = TokenTable::read(path("a.parquet").as_ref()).unwrap();
    let third = table.semantic_id(3);
    let found = succeeds(&["lookup", &path("a.parquet"), &third]);
    assert_eq!(found, format!("{third}\t3\n"));
    assert_eq!(succeeds(&["lookup", &path("a.parquet"), "--item", "3"]), found);
    let prefix = third.split_inclusive('>').next().unwrap();
    let under: serde_json::Value =
        serde_json::from_str(&succeeds(&["lookup", &path("a.parquet"), prefix, "--json"])).unwrap();
    let expected = table.codes.column(0).iter().filter(|&&c| c == table.codes[[3, 0]]).count();
    assert_eq!(under.as_array().unwrap().len(), expected);

    succeeds(&["vocab", &path("a.parquet"), "--out", &path("vocabulary")]);
    let tokens: Vec<String> = serde_json::from_slice(&fs::read(path("vocabulary/new_tokens.json")).unwrap()).unwrap();
    assert_eq!((tokens.len(), tokens[8].as_str(), tokens[23].as_str()), (24, "<b_0>", "<c_7>"));
    assert_eq!(fs::read_to_string(path("vocabulary/new_tokens.txt")).unwrap(), tokens.join("\n") + "\n");
    let index: serde_json::Value = serde_json::from_slice(&fs::read(path("vocabulary/index.json")).unwrap()).unwrap();
    assert_eq!(index["3"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect::<String>(), third);

    let figures = ["inspect", &path("a.parquet"), "--features", &path("x.npy"), "--model", &path("model"), "--json"];
    let figures: serde_json::Value = serde_json::from_str(&succeeds(&figures)).unwrap();
    assert_eq!((figures["items"].as_u64(), figures["distinct_ids"].as_u64()), (Some(200), Some(200)));
    let moved = table.reassigned.iter().filter(|&&moved| moved).count() as u64;
    assert_eq!(figures["collisions"]["moved"].as_u64(), Some(moved));
    assert!(moved > 0, "the example has collisions to resolve");
    assert!(
        figures["reconstruction"]["after_resolution"].as_f64()
            >= figures["reconstruction"]["before_resolution"].as_f64()
    );
    assert!(succeeds(&["inspect", &path("a.parquet")]).contains("most crowded prefixes"));
    assert!(succeeds(&["inspect", &path("model")]).contains("codebook sizes    8, 8, 8"));
}

#[test]
fn collisions_can_be_kept_or_numbered() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    hand_made(6, &[8, 8, 8]).save(path("model").as_ref(), Overwrite::Refuse).unwrap();
    write_matrix(path("x.npy").as_ref(), &clustered(200, 6));
    let table = |policy: &str| {
        let out = path(&format!("{policy}.parquet"));
        let (x, model) = (path("x.npy"), path("model"));
        succeeds(&["tokenize", &x, "--model", &model, "--out", &out, "--collisions", policy]);
        succeeds(&["vocab", &out, "--out", &path(&format!("{policy}-vocabulary"))]);
        (TokenTable::read(out.as_ref()).unwrap(), succeeds(&["inspect", &out, "--features", &x, "--model", &model]))
    };
    let ((resolved, _), (kept, of_kept), (suffixed, of_suffixed)) = (table("resolve"), table("keep"), table("suffix"));
    let (rows, levels) = resolved.codes.dim();
    // All three tables agree on items that were not moved. For moved items, the other two have the quantizer's code.
    for row in (0..rows).filter(|&row| !resolved.reassigned[row]) {
        assert_eq!(resolved.codes.row(row), kept.codes.row(row));
    }
    assert_eq!(suffixed.codes.dim(), (rows, levels + 1));
    assert_eq!(suffixed.quantized(), kept.codes);
    assert_eq!(suffixed.residual_error, kept.residual_error);

    // The items of one code: all of them are found under it, and the suffix counts them by their ids.
    let shared = kept.metadata.collisions.as_ref().unwrap();
    assert!(shared.distinct_before < rows && shared.moved == 0);
    let most = shared.largest_group;
    assert_eq!(suffixed.metadata.codebook_sizes, [8, 8, 8, most.max(2)]);
    let first = (0..rows).find(|&row| usize::from(suffixed.codes[[row, levels]]) + 1 == most).unwrap();
    let found = succeeds(&["lookup", &path("keep.parquet"), &kept.semantic_id(first)]);
    assert_eq!(found.lines().count(), most);
    assert_eq!(succeeds(&["lookup", &path("suffix.parquet"), &kept.semantic_id(first)]).lines().count(), most);
    assert_eq!(succeeds(&["lookup", &path("suffix.parquet"), &suffixed.semantic_id(first)]).lines().count(), 1);

    assert!(of_kept.contains(", kept") && of_kept.contains(&format!("distinct IDs       {}", shared.distinct_before)));
    assert!(of_suffixed.contains("before the suffix") && of_suffixed.contains("distinct IDs       200"));
    let tokens = fs::read_to_string(path("suffix-vocabulary/new_tokens.txt")).unwrap();
    assert_eq!(tokens.lines().count(), 24 + most.max(2));
}

#[test]
fn a_report_and_labels_come_from_the_catalog() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    hand_made(6, &[8, 8, 8]).save(path("model").as_ref(), Overwrite::Refuse).unwrap();
    write_matrix(path("x.npy").as_ref(), &clustered(200, 6));
    // Items that share one of the 20 centres have one kind; every tenth has none.
    let kind = |i: usize| if i % 10 == 9 { String::new() } else { format!("kind {}", i % 20) };
    let lines = (0..200).map(|i| format!("{i},\"thing {i}, blue\",{}\n", kind(i)));
    fs::write(path("things.csv"), "item_id,title,kind\n".to_owned() + &lines.collect::<String>()).unwrap();
    fs::write(path("others.csv"), "item_id,title,kind\nx,x,x\n").unwrap();
    let (model, x) = (path("model"), path("x.npy"));
    let inspect = |more: &[&str]| {
        let arguments = [&["inspect", &model, "--features", &x], more].concat();
        catalex(&arguments).output().unwrap()
    };
    let (things, others, report) = (path("things.csv"), path("others.csv"), path("report.html"));
    let wanted = ["--catalog", &things, "--text", "title", "--label", "kind", "--report", &report, "--json"];
    let output = inspect(&wanted);
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((figures["labels"]["labels"].as_u64(), figures["labels"]["labelled"].as_u64()), (Some(18), Some(180)));
    // A hierarchy of clusters knows more of the kinds than chance does, and of neighbours too.
    assert!(figures["labels"]["by_depth"][0]["purity"].as_f64() > figures["labels"]["largest_share"].as_f64());
    assert!(figures["neighbours"]["recall"].as_f64() > figures["neighbours"]["recall_by_chance"].as_f64());
    let html = fs::read_to_string(&report).unwrap();
    assert!(html.contains("<h1>things</h1>") && html.contains("<q>kind</q>") && html.contains("id=\"map\""));
    let (code, message) = outcome(&inspect(&wanted));
    assert!(code == 1 && message.contains("report.html already exists"), "{message}");
    inspect(&[&wanted[..], &["--force"]].concat());
    assert_eq!(html, fs::read_to_string(&report).unwrap(), "the same input gives the same bytes");

    let refused = [
        (vec!["--catalog", &others, "--label", "kind"], 1, "none of them"),
        (vec!["--catalog", &things, "--label", "colour"], 1, "one of: item_id, title, kind"),
        (vec!["--label", "kind"], 2, "--catalog"),
        (vec!["--catalog", &things, "--text", "title"], 2, "--report"),
    ];
    for (arguments, expected, says) in refused {
        let (code, message) = outcome(&inspect(&arguments));
        assert!(code == expected && message.contains(says), "{arguments:?}: {message}");
    }
}

#[test]
fn the_verbs_are_as_documented() {
    insta::assert_snapshot!(succeeds(&["help"]));
    let (code, message) = outcome(&catalex(&["tokenise"]).output().unwrap());
    assert_eq!(code, 2);
    assert!(message.contains("tokenize"), "{message}");
}

#[test]
fn precomputed_vectors_are_joined_by_row_and_by_id() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let catalog: String = (0..30).map(|row| format!("{},pen\n", 100 + row)).collect();
    fs::write(path("c.csv"), format!("sku,t\n{catalog}")).unwrap();
    write_matrix(path("llama.npy").as_ref(), &clustered(30, 5));
    // In another order, with one additional item, and without the first two.
    let rows: Vec<usize> = (2..31).rev().collect();
    let ids = catalex::ItemIds::Integers(rows.iter().map(|&row| 100 + row as i64).collect());
    let (all, order) = (clustered(31, 4), ndarray::Axis(0));
    let qwen = catalex::features::Modality {
        name: "v".into(),
        vectors: all.select(order, &rows),
        present: rows.iter().map(|&row| row != 7).collect(),
    };
    let other =
        catalex::features::Modality { name: "w".into(), vectors: all.select(order, &rows), present: vec![true; 29] };
    catalex::features::Features::new(ids, vec![qwen, other])
        .unwrap()
        .write(path("qwen.parquet").as_ref(), Overwrite::Refuse)
        .unwrap();
    let (llama, qwen) = (format!("llama={}", path("llama.npy")), format!("qwen={}:v", path("qwen.parquet")));
    let embed = ["embed", &path("c.csv"), "--id", "sku", "--embedding", &llama, "--embedding", &qwen];
    let output = catalex(&[&embed[..], &["--out", &path("x.parquet")]].concat()).output().unwrap();
    let (code, warnings) = outcome(&output);
    assert_eq!(code, 0, "{warnings}");
    assert!(warnings.contains("ignored 1 rows") && warnings.contains("\"130\""), "{warnings}");
    assert!(super::support::text(&output.stdout).contains("missing for 3 items"));
    let read = catalex::features::Features::read(path("x.parquet").as_ref()).unwrap();
    let [llama, qwen] = read.modalities() else { panic!("two modalities") };
    assert_eq!((llama.name.as_str(), qwen.name.as_str()), ("llama", "qwen"));
    assert_eq!(llama.vectors, clustered(30, 5));
    assert!((0..30).all(|row| qwen.present[row] == (row > 1 && row != 7)));
    assert!((2..30).filter(|&row| row != 7).all(|row| qwen.vectors.row(row) == all.row(row)));
    // From a file of settings.
    fs::write(path("e.toml"), format!("id = \"sku\"\nembedding = [\"llama={}\"]\n", path("llama.npy"))).unwrap();
    succeeds(&["embed", &path("c.csv"), "--config", &path("e.toml"), "--out", &path("y.parquet")]);
    assert_eq!(catalex::features::Features::read(path("y.parquet").as_ref()).unwrap().dims(), [5]);
}
