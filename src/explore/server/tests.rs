//! The server over pipes in one process, with a tool that panics.

use std::io::{BufRead, BufReader};

use super::*;
use crate::item_ids::ItemIds;
use crate::semantic_id::{Collisions, TableMetadata, TokenFormat, TokenTable};
use rmcp::handler::server::router::tool::ToolRoute;
use serde_json::{Value, json};

fn server() -> McpServer {
    let table = TokenTable {
        item_ids: ItemIds::Strings(vec!["a".into(), "b".into()]),
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
    McpServer::new(Explorer::new(table, Vec::new(), None).unwrap(), None)
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
