//! The server over pipes in one process, with a tool that panics.

use std::io::{BufRead, BufReader};

use super::*;
use crate::item_ids::ItemIds;
use crate::semantic_id::{Collisions, TableMetadata, TokenFormat, TokenTable};
use rmcp::handler::server::router::tool::ToolRoute;
use serde_json::{Value, json};

/// An id with an escape sequence, a line break and marks that reverse the direction of text.
const HOSTILE: &str = "\u{1b}[31ma\u{9b}2J\n\u{202e}";

fn server() -> McpServer {
    let table = TokenTable {
        members: None,
        item_ids: ItemIds::Strings(vec![HOSTILE.into(), "b".into()]),
        codes: ndarray::array![[0u16, 1], [1, 0]],
        residual_error: vec![0.0; 2],
        reassigned: vec![false; 2],
        metadata: TableMetadata {
            model_hash: "0".repeat(64),
            codebook_sizes: vec![4; 2],
            token_format: TokenFormat::default(),
            policy: Collisions::Keep,
            collisions: None,
        },
    };
    let texts = vec!["\u{85}\u{2066}".to_owned(), String::new()];
    McpServer::new(Explorer::new(table, texts, None).unwrap(), None)
}

#[test]
fn a_tool_that_panics_answers_with_an_error_and_the_next_call_works() {
    let mut server = server();
    let mut broken = McpServer::tools().get("id_by_item").unwrap().clone();
    broken.name = "broken".into();
    server.tools.add_route(ToolRoute::new_dyn(broken, |_| Box::pin(async { panic!("a fault of the tool") })));
    let (input, mut ask) = std::io::pipe().unwrap();
    let (answers, output) = std::io::pipe().unwrap();
    let served = std::thread::spawn(move || server.serve_lines(input, output));
    let mut answers = BufReader::new(answers);
    let mut call = |id: u32, method: &str, params: Value| {
        writeln!(ask, "{}", json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).unwrap();
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["id"], id);
        answer["result"].clone()
    };
    let client =
        json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}});
    call(1, "initialize", client);
    for round in 0..3 {
        let failed = call(10 * round + 2, "tools/call", json!({"name": "broken", "arguments": {}}));
        assert_eq!(failed["isError"], true, "{failed}");
        assert!(failed["content"][0]["text"].as_str().unwrap().contains("the tool failed"), "{failed}");
        let found = call(10 * round + 3, "tools/call", json!({"name": "id_by_item", "arguments": {"item_id": "b"}}));
        assert_eq!(found["structuredContent"]["semantic_id"], "<a_1><b_0>", "{found}");
    }
    drop(ask);
    served.join().unwrap().unwrap();
}

#[test]
fn answers_escape_control_characters() {
    let (input, mut ask) = std::io::pipe().unwrap();
    let (answers, output) = std::io::pipe().unwrap();
    let served = std::thread::spawn(move || server().serve_lines(input, output));
    let client =
        json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}});
    let call = |name: &str, arguments: Value| json!({"name": name, "arguments": arguments});
    let asked = [
        ("initialize", client),
        ("tools/call", call("id_by_item", json!({"item_id": HOSTILE}))),
        ("tools/call", call("id_by_item", json!({"item_id": format!("not {HOSTILE}")}))),
        ("tools/call", call(HOSTILE, json!({}))),
        (HOSTILE, json!({})),
    ];
    for (id, (method, params)) in asked.into_iter().enumerate() {
        writeln!(ask, "{}", json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).unwrap();
    }
    drop(ask);
    let lines: Vec<String> = BufReader::new(answers).lines().map(Result::unwrap).collect();
    served.join().unwrap().unwrap();
    assert_eq!(lines.len(), 5);
    let of = |at: usize| -> Value {
        let is_of = |answer: &Value| answer["id"] == at;
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).find(is_of).unwrap()
    };
    for line in &lines {
        assert_eq!(crate::printable::printable(line), line.as_str());
    }
    let found = &of(1)["result"];
    assert_eq!(found["structuredContent"]["item_id"], HOSTILE);
    let shown = found["content"][0]["text"].as_str().unwrap();
    assert_eq!(crate::printable::printable(shown), shown);
    assert_eq!(serde_json::from_str::<Value>(shown).unwrap(), found["structuredContent"]);
    for (answer, message) in [(of(2), "/result/content/0/text"), (of(3), "/error/message"), (of(4), "/error/message")] {
        let text = answer.pointer(message).and_then(Value::as_str).unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(crate::printable::printable(text), text);
    }
}
