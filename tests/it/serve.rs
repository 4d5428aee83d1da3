//! `catalex serve` with valid and malformed messages, and with an untrusted index.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::{catalex, minilm, outcome, root, succeeds, write_npy};

const PARSE_ERROR: i64 = -32_700;
const INVALID_REQUEST: i64 = -32_600;
const METHOD_NOT_FOUND: i64 = -32_601;
const INVALID_PARAMS: i64 = -32_602;

struct Session {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Session {
    fn start(arguments: &[&str]) -> Self {
        let mut command = catalex(&[&["serve"], arguments, &["--stdio"]].concat());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Session { child, input, output }
    }

    fn send(&mut self, line: &[u8]) {
        let input = self.input.as_mut().unwrap();
        input.write_all(line).and_then(|()| input.write_all(b"\n")).unwrap();
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(line.len() < 100_000, "an answer of {} bytes", line.len());
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line:?}: {e}"))
    }

    fn ask(&mut self, id: Value, method: &str, params: Value) -> Value {
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string().as_bytes());
        let answer = self.answer();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    fn initialize(&mut self) {
        let answer = self.ask(json!("first"), "initialize", client());
        assert!(answer["result"]["serverInfo"].is_object(), "{answer}");
        self.send(br#"{"jsonrpc": "2.0", "method": "notifications/initialized"}"#);
    }

    /// Looks up an item, to show that the session continues.
    fn item(&mut self) -> Value {
        let answer = self.ask(json!(7), "tools/call", json!({"name": "id_by_item", "arguments": {"item_id": "1F415"}}));
        answer["result"]["structuredContent"].clone()
    }

    /// Ends the session, and returns what was written to stderr.
    fn end(mut self) -> String {
        drop(self.input.take());
        let output = self.child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }
}

fn client() -> Value {
    json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}})
}

fn index() -> String {
    root().join("tests/golden/index-0.1").to_string_lossy().into_owned()
}

/// Lines that are not valid messages, with the error code of their answer. `None` means no answer.
fn malformed() -> Vec<(Vec<u8>, Option<i64>)> {
    let long = "x".repeat(100_000);
    let line = |text: &str, code: i64| (text.as_bytes().to_vec(), Some(code));
    let silent = |text: &str| (text.as_bytes().to_vec(), None);
    let call = |name: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{name}}}"#);
    let id = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
    vec![
        (b"\xff\xfe{}".to_vec(), Some(PARSE_ERROR)),
        (b"{\"jsonrpc\":\"2.0\",\"id\":\"\xc3\",\"method\":\"ping\"}".to_vec(), Some(PARSE_ERROR)),
        (b"\0\0\0".to_vec(), Some(PARSE_ERROR)),
        line("hello", PARSE_ERROR),
        line("{", PARSE_ERROR),
        line("{}}", PARSE_ERROR),
        line(r#"{"jsonrpc":"2.0","id":1,"method":"ping"} {}"#, PARSE_ERROR),
        line("Content-Length: 40", PARSE_ERROR),
        line(r#"{"jsonrpc":"2.0","id":1,"method":"\ud800"}"#, PARSE_ERROR),
        line(r#"{"jsonrpc":"2.0","id":NaN,"method":"ping"}"#, PARSE_ERROR),
        line(&("[".repeat(10_000) + &"]".repeat(10_000)), PARSE_ERROR),
        line(&(r#"{"a":"#.repeat(10_000) + "1" + &"}".repeat(10_000)), PARSE_ERROR),
        line(&"a".repeat(3 << 20), PARSE_ERROR),
        line(&id(&format!("\"{}\"", "y".repeat(2 << 20))), PARSE_ERROR),
        line("\u{1b}[2J\u{1b}]0;title\u{7}", PARSE_ERROR),
        line("null", INVALID_REQUEST),
        line("17", INVALID_REQUEST),
        line("\"text\"", INVALID_REQUEST),
        line("[]", INVALID_REQUEST),
        line(r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, INVALID_REQUEST),
        line("{}", INVALID_REQUEST),
        line(r#"{"id":1,"method":"ping"}"#, INVALID_REQUEST),
        line(r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, INVALID_REQUEST),
        line(r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, INVALID_REQUEST),
        line(r#"{"jsonrpc":"2.0","id":1}"#, INVALID_REQUEST),
        line(r#"{"jsonrpc":"2.0","id":1,"method":5}"#, INVALID_REQUEST),
        line(r#"{"jsonrpc":"2.0","id":1,"method":null}"#, INVALID_REQUEST),
        line(&id("null"), INVALID_REQUEST),
        line(&id("1.5"), INVALID_REQUEST),
        line(&id("true"), INVALID_REQUEST),
        line(&id("[1]"), INVALID_REQUEST),
        line(&id("{}"), INVALID_REQUEST),
        line(&id("1e400"), PARSE_ERROR),
        line(&id("123456789012345678901234567890"), INVALID_REQUEST),
        line(&id(&format!("\"{long}\"")), INVALID_REQUEST),
        line(r#"{"jsonrpc":"2.0","id":1,"method":""}"#, METHOD_NOT_FOUND),
        line(r#"{"jsonrpc":"2.0","id":1,"method":"tools/steal"}"#, METHOD_NOT_FOUND),
        line(r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{}}"#, METHOD_NOT_FOUND),
        line(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{long}"}}"#), METHOD_NOT_FOUND),
        line(r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}"#, INVALID_PARAMS),
        line(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":"all"}"#, INVALID_PARAMS),
        line(&call("{}"), INVALID_PARAMS),
        line(&call("null"), INVALID_PARAMS),
        line(&call(r#"{"name":5}"#), INVALID_PARAMS),
        line(&call(&format!(r#"{{"name":"{long}"}}"#)), INVALID_PARAMS),
        line(&call(r#"{"name":"id_by_item","arguments":[1]}"#), INVALID_PARAMS),
        silent(""),
        silent("   \t"),
        silent(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}"#),
        silent(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":5}"#),
        silent(r#"{"jsonrpc":"2.0","method":"no/such/notification"}"#),
        silent(r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#),
        silent(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
        silent(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}"#),
        silent(r#"{"jsonrpc":"2.0","result":5}"#),
    ]
}

#[test]
fn every_malformed_message_is_answered_before_and_after_initialization() {
    let mut session = Session::start(&[&index()]);
    for is_initialized in [false, true] {
        if is_initialized {
            session.initialize();
        }
        for (line, expected) in malformed() {
            let shown = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
            session.send(&line);
            if let Some(code) = expected {
                let answer = session.answer();
                assert_eq!(answer["error"]["code"], code, "{shown}: {answer}");
                assert!(answer["error"]["message"].as_str().unwrap().len() < 2_000, "{shown}");
                assert!(answer["id"].is_null() || answer["id"] == 1, "{shown}: {answer}");
            }
            let ping = session.ask(json!("p"), "ping", json!({}));
            assert!(ping["result"].is_object(), "{shown}: {ping}");
        }
    }
    let again = session.ask(json!(1), "initialize", client());
    assert_eq!(again["error"]["code"], INVALID_REQUEST, "{again}");
    // Ids can be reused, and can be integers or strings.
    for id in [json!(3), json!(3), json!("3"), json!(i64::MIN), json!("é".repeat(100))] {
        assert!(session.ask(id, "tools/list", json!({}))["result"]["tools"].is_array());
    }
    assert!(session.item()["semantic_id"].is_string());
    let stderr = session.end();
    assert!(!stderr.contains('\u{1b}') && !stderr.contains("panicked"), "{stderr:?}");
}

#[test]
fn wrong_calls_before_and_after_initialization_have_short_answers() {
    let mut session = Session::start(&[&index()]);
    let before = session.ask(json!(1), "tools/call", json!({"name": "id_by_item", "arguments": {"item_id": "1F415"}}));
    assert!(before["error"]["code"].is_i64(), "{before}");
    let version = session.ask(json!(1), "initialize", json!({"protocolVersion": 5}));
    assert_eq!(version["error"]["code"], INVALID_PARAMS, "{version}");
    session.initialize();
    let long = "long ".repeat(100_000);
    let calls = [
        json!({"name": "no_such_tool", "arguments": {}}),
        json!({"name": "id_by_item", "arguments": {}}),
        json!({"name": "id_by_item"}),
        json!({"name": "id_by_item", "arguments": {"item_id": 5}}),
        json!({"name": "id_by_item", "arguments": {"item_id": long}}),
        json!({"name": "id_by_item", "arguments": {"item_id": "1F415", "more": 1}}),
        json!({"name": "similar_items", "arguments": {"item_id": "1F415", "limit": long}}),
        json!({"name": "similar_items", "arguments": {"item_id": "1F415", "limit": -1}}),
        json!({"name": "similar_items", "arguments": {"item_id": "1F415", "limit": 1e30}}),
        json!({"name": "similar_items", "arguments": {"item_id": "1F415", long.clone(): 1}}),
        json!({"name": "item_by_id", "arguments": {"semantic_id": long}}),
        json!({"name": "expand_prefix", "arguments": {"prefix": "<".repeat(400_000)}}),
        json!({"name": "expand_prefix", "arguments": {"prefix": "<a_99999999999999999999>"}}),
    ];
    for call in calls {
        let shown: String = call.to_string().chars().take(80).collect();
        let answer = session.ask(json!(2), "tools/call", call);
        assert!(answer["error"].is_object() || answer["result"]["isError"] == true, "{shown}: {answer}");
        assert!(answer.to_string().len() < 4_000, "{shown}: {} bytes", answer.to_string().len());
    }
    assert!(session.item()["semantic_id"].is_string());
    session.end();
}

/// The resident memory of a process in bytes.
#[cfg(target_os = "linux")]
fn memory(process: u32) -> usize {
    let pages = fs::read_to_string(format!("/proc/{process}/statm")).unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

#[cfg(target_os = "linux")]
#[test]
fn the_server_stops_reading_while_the_client_does_not_read() {
    const REQUESTS: usize = 20_000;
    let mut session = Session::start(&[&index()]);
    session.initialize();
    let before = memory(session.child.id());
    let sent = Arc::new(AtomicUsize::new(0));
    let mut input = session.input.take().unwrap();
    let counter = sent.clone();
    let client = std::thread::spawn(move || {
        let ask = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params":
            {"name": "expand_prefix", "arguments": {"prefix": "", "limit": 50}}});
        for _ in 0..REQUESTS {
            writeln!(input, "{ask}").unwrap();
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    // Until the server stops reading.
    let (mut last, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_secs(2) {
        std::thread::sleep(Duration::from_millis(50));
        let now = sent.load(Ordering::Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    assert!(last < REQUESTS / 2, "{last} requests were taken");
    let grown = memory(session.child.id()).saturating_sub(before);
    assert!(grown < 50 << 20, "grown by {grown} bytes");
    for _ in 0..REQUESTS {
        assert_eq!(session.answer()["result"]["structuredContent"]["items"], 48);
    }
    client.join().unwrap();
    session.end();
}

/// An index whose manifest names this catalog and this encoder.
fn index_naming(folder: &Path, catalog: &str, encoder: &str) -> String {
    let copy = folder.join("index");
    for entry in ["", "model", "vocabulary"] {
        fs::create_dir_all(copy.join(entry)).unwrap();
        for file in fs::read_dir(Path::new(&index()).join(entry)).unwrap().map(|file| file.unwrap().path()) {
            if file.is_file() {
                fs::copy(&file, copy.join(entry).join(file.file_name().unwrap())).unwrap();
            }
        }
    }
    let manifest = fs::read_to_string(copy.join("manifest.json")).unwrap();
    let mut manifest: Value = serde_json::from_str(&manifest).unwrap();
    manifest["settings"]["catalog"] = catalog.into();
    manifest["settings"]["encode"]["text-encoder"] = encoder.into();
    fs::write(copy.join("manifest.json"), manifest.to_string()).unwrap();
    copy.to_string_lossy().into_owned()
}

#[test]
fn paths_in_an_index_are_used_only_if_the_user_trusts_it() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = root().join("tests/golden/index-0.1-catalog.jsonl").to_string_lossy().into_owned();
    let tools = |session: &mut Session| {
        let listed = session.ask(json!(1), "tools/list", json!({}));
        listed["result"]["tools"].as_array().unwrap().len()
    };
    // Otherwise, the server would request this name from the Hub with the user's token.
    let index = index_naming(folder.path(), &catalog, "stranger/encoder\u{1b}[2J");
    let mut session = Session::start(&[&index]);
    session.initialize();
    assert_eq!((tools(&mut session), session.item()["text"].is_null()), (4, true));
    let stderr = session.end();
    for said in ["--catalog", "--text-encoder", "--trust-index", "stranger/encoder", "index-0.1-catalog.jsonl"] {
        assert!(stderr.contains(said), "{said}: {stderr}");
    }
    assert!(!stderr.contains('\u{1b}'), "{stderr:?}");
    let mut session = Session::start(&[&index, "--catalog", &catalog]);
    session.initialize();
    assert_eq!((tools(&mut session), session.item()["text"].is_string()), (4, true));
    session.end();
    let encoder = minilm().to_string_lossy().into_owned();
    let index = index_naming(folder.path(), &catalog, &encoder);
    let mut session = Session::start(&[&index, "--trust-index"]);
    session.initialize();
    assert_eq!((tools(&mut session), session.item()["text"].is_string()), (5, true));
    session.end();
}

#[test]
fn item_texts_come_from_the_title_and_show_columns_of_the_build() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let row = |n: usize| format!("{{\"id\":\"i{n}\",\"title\":\"Pen {n}\",\"brand\":\"Acme\"}}\n");
    fs::write(at("c.jsonl"), (0..12).map(row).collect::<String>()).unwrap();
    let vectors = (0..24).flat_map(|n: usize| ((n * n % 7) as f32).to_le_bytes()).collect::<Vec<u8>>();
    write_npy(Path::new(&at("v.npy")), "<f4", &[12, 2], &vectors);
    let (catalog, embedding, index) = (at("c.jsonl"), format!("v={}", at("v.npy")), at("index"));
    let train = ["--levels", "2", "--codebook-size", "8", "--epochs", "0", "--title", "title", "--show", "brand"];
    succeeds(&[&["build", &catalog, "--embedding", &embedding, "--out", &index][..], &train].concat());
    let text = |arguments: &[&str]| {
        let mut session = Session::start(&[&[index.as_str()], arguments].concat());
        session.initialize();
        let call = json!({"name": "id_by_item", "arguments": {"item_id": "i3"}});
        let answer = session.ask(json!(9), "tools/call", call);
        session.end();
        answer["result"]["structuredContent"]["text"].clone()
    };
    assert_eq!(text(&["--catalog", &catalog]), "Pen 3. Acme");
    assert_eq!(text(&["--trust-index"]), "Pen 3. Acme");
    assert_eq!(text(&["--catalog", &catalog, "--text", "brand"]), "Acme");
    assert!(text(&[]).is_null());
    let table = format!("{index}/tokens.parquet");
    let (code, message) = outcome(&catalex(&["serve", &table, "--catalog", &catalog, "--stdio"]).output().unwrap());
    assert!(code == 2 && message.contains("--text"), "{message}");
}
