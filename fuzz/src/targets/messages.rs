//! Messages to the server of the Model Context Protocol.

use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex, OnceLock};

use catalex::explore::McpServer;

use super::answers::explorer;
use super::{Target, shown, target};
use crate::home::Home;
use crate::mutate::Form;

pub(super) const TARGETS: &[Target] = &[
    target("messages", Form::JsonLines, seeds, |home, _, input| serve(home, &[START.as_bytes(), b"\n", input])),
    target("first-messages", Form::JsonLines, seeds, |home, _, input| {
        serve(home, &[input, b"\n", START.as_bytes(), b"\n"]);
    }),
];

const START: &str = r#"{"jsonrpc":"2.0","id":"start","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"fuzz","version":"1"}}}
{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
const MESSAGES: &str = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}
{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"expand_prefix","arguments":{"prefix":"<a_1>","limit":5}}}
{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"similar_items","arguments":{"item_id":"5","limit":50}}}
{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"id_by_item","arguments":{"item_id":"5"},"_meta":{"progressToken":1}}}
{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"item_by_id","arguments":{"semantic_id":"<a_1><b_2><c_3>"}}}
{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"name":"search_items","arguments":{"query":"a pen"}}}
{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3,"reason":"x"}}
{"jsonrpc":"2.0","id":7,"method":"ping"}
{"jsonrpc":"2.0","id":8,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"x"},"argument":{"name":"a","value":"b"}}}
{"jsonrpc":"2.0","id":9,"method":"logging/setLevel","params":{"level":"debug"}}
{"jsonrpc":"2.0","id":10,"method":"resources/list","params":{"cursor":"x"}}
{"jsonrpc":"2.0","id":11,"result":{}}
{"jsonrpc":"2.0","id":12,"error":{"code":1,"message":"x"}}
[{"jsonrpc":"2.0","id":13,"method":"ping"}]
"#;
/// The last request. It must be answered after any messages.
const LAST: &str = r#"{"jsonrpc":"2.0","id":"last","method":"tools/call","params":{"name":"expand_prefix","arguments":{"prefix":""}}}"#;
/// The server's answer if a tool panicked.
const FAILED: &str = "the tool failed on this request";

fn seeds(_: &Home) -> Vec<Vec<u8>> {
    let all = MESSAGES.as_bytes().to_vec();
    MESSAGES.lines().map(|line| format!("{line}\n").into_bytes()).chain([all]).collect()
}

/// The output of the server.
#[derive(Clone, Default)]
struct Answers(Arc<Mutex<Vec<u8>>>);

impl Write for Answers {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Ok(mut answers) = self.0.lock() {
            answers.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs a session with these messages. The last request must be answered, every answer must be JSON, and no tool may
/// panic.
fn serve(home: &Home, parts: &[&[u8]]) {
    static SERVER: OnceLock<McpServer> = OnceLock::new();
    let server = SERVER.get_or_init(|| McpServer::new(explorer(home), None)).clone();
    let (input, answers) = ([parts, &[b"\n", LAST.as_bytes(), b"\n"]].concat().concat(), Answers::default());
    let _ = shown(server.serve_lines(Cursor::new(input), answers.clone()));
    let written = answers.0.lock().map(|answers| answers.clone()).unwrap_or_default();
    let written = String::from_utf8(written).unwrap_or_else(|e| panic!("answers: {e}"));
    let mut answered = false;
    for line in written.lines() {
        let answer: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        answered |= answer["id"] == "last" && answer.get("result").is_some();
    }
    assert!(answered, "the last request was not answered");
    assert!(!written.contains(FAILED), "a tool panicked");
}
