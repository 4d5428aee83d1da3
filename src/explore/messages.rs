//! Checks the messages of a client before the server processes them. Every invalid message gets an error, and no
//! message ends the session.

use rmcp::RoleServer;
use rmcp::model::{ClientRequest, JsonRpcMessage};
use rmcp::service::RxJsonRpcMessage;
use serde_json::{Map, Value, json};

use crate::printable::{printable, printable_json};

/// Maximum length of a message in bytes.
pub(super) const MAX_MESSAGE: usize = 1 << 20;
/// Maximum length of a request id, a method name or a tool name in bytes.
const MAX_NAME: usize = 256;
/// Maximum length of a text in an error, in characters. The text can quote the client's message.
const MAX_ERROR: usize = 600;

const PARSE_ERROR: i32 = -32_700;
const INVALID_REQUEST: i32 = -32_600;
const METHOD_NOT_FOUND: i32 = -32_601;
const INVALID_PARAMS: i32 = -32_602;

/// The supported methods. Each request gets one answer.
const METHODS: [&str; 10] = [
    "initialize",
    "ping",
    "tools/list",
    "tools/call",
    "server/discover",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "completion/complete",
    "logging/setLevel",
];

/// How to handle a line.
#[derive(Debug)]
pub(super) enum CheckedMessage {
    /// Ignore it: the message needs no answer.
    Ignored,
    /// Write this error.
    Refused(String),
    /// Pass it on.
    Request(Box<RxJsonRpcMessage<RoleServer>>),
}

/// Checks the messages of a session.
#[derive(Debug, Default)]
pub(super) struct MessageCheck {
    initialized: bool,
}

/// The answer to a line that is longer than [`MAX_MESSAGE`].
pub(super) fn too_long() -> String {
    error(&Value::Null, PARSE_ERROR, &format!("expected a message of at most {MAX_MESSAGE} bytes in one line"))
}

impl MessageCheck {
    /// Checks a line.
    pub(super) fn check(&mut self, line: &[u8]) -> CheckedMessage {
        if line.iter().all(u8::is_ascii_whitespace) {
            return CheckedMessage::Ignored;
        }
        let message = match serde_json::from_slice(line) {
            Ok(Value::Object(message)) => message,
            Ok(Value::Array(_)) => {
                return refused(&Value::Null, INVALID_REQUEST, "batches are not supported: send one message per line");
            }
            Ok(_) => return refused(&Value::Null, INVALID_REQUEST, "expected an object"),
            Err(e) => {
                return refused(&Value::Null, PARSE_ERROR, &format!("expected a JSON object in one line, got {e}"));
            }
        };
        match self.request(message) {
            Ok(checked) => checked,
            Err((id, code, what)) => refused(&id, code, &what),
        }
    }

    fn request(&mut self, message: Map<String, Value>) -> Result<CheckedMessage, (Value, i32, String)> {
        // An invalid id is not repeated in the answer.
        let id = message.get("id").filter(|id| is_id(id)).cloned().unwrap_or(Value::Null);
        let wrong = |code: i32, what: &str| Err((id.clone(), code, what.to_owned()));
        if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return wrong(INVALID_REQUEST, "jsonrpc: expected \"2.0\"");
        }
        let method = match message.get("method") {
            Some(Value::String(method)) if method.len() <= MAX_NAME => method.as_str(),
            Some(Value::String(_)) => return wrong(METHOD_NOT_FOUND, "method: expected a shorter name"),
            Some(_) => return wrong(INVALID_REQUEST, "method: expected a string"),
            // The server sends no requests, so answers of the client are ignored.
            None if message.contains_key("result") || message.contains_key("error") => {
                return Ok(CheckedMessage::Ignored);
            }
            None => return wrong(INVALID_REQUEST, "method: expected a string, got none"),
        };
        match message.get("id") {
            // Notifications get no answer, and none of them affects the tools.
            None => return Ok(CheckedMessage::Ignored),
            Some(id) if is_id(id) => {}
            Some(_) => {
                let what = format!("id: expected an integer, or a string of at most {MAX_NAME} bytes");
                return wrong(INVALID_REQUEST, &what);
            }
        }
        if !METHODS.contains(&method) {
            return wrong(METHOD_NOT_FOUND, &format!("{method:?} is not a method of this server"));
        }
        let params = match message.get("params") {
            None => &Value::Null,
            Some(params @ Value::Object(_)) => params,
            Some(_) => return wrong(INVALID_PARAMS, "params: expected an object"),
        };
        let is_initialize = method == "initialize";
        if is_initialize && self.initialized {
            return wrong(INVALID_REQUEST, "this session is already initialized");
        }
        if method == "tools/call" && params["name"].as_str().is_none_or(|name| name.len() > MAX_NAME) {
            return wrong(
                INVALID_PARAMS,
                &format!("name: expected the name of a tool, a string of at most {MAX_NAME} bytes"),
            );
        }
        let invalid = format!("params: expected the parameters of {method}");
        match serde_json::from_value(Value::Object(message)) {
            // A supported method with invalid parameters.
            Ok(JsonRpcMessage::Request(request)) if matches!(request.request, ClientRequest::CustomRequest(_)) => {
                wrong(INVALID_PARAMS, &invalid)
            }
            Ok(passed @ JsonRpcMessage::Request(_)) => {
                self.initialized |= is_initialize;
                Ok(CheckedMessage::Request(Box::new(passed)))
            }
            Ok(_) => wrong(INVALID_REQUEST, "expected a request"),
            Err(_) => wrong(INVALID_PARAMS, &invalid),
        }
    }
}

/// Whether an id is valid.
fn is_id(id: &Value) -> bool {
    id.is_i64() || id.as_str().is_some_and(|id| id.len() <= MAX_NAME)
}

fn refused(id: &Value, code: i32, message: &str) -> CheckedMessage {
    CheckedMessage::Refused(error(id, code, message))
}

fn error(id: &Value, code: i32, message: &str) -> String {
    line(json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } }))
}

/// Serialises an answer as one line. Texts of errors are truncated. Control characters are escaped in the line and in
/// texts that a client may print unchanged. The values of structured content do not change.
pub(super) fn line(mut answer: Value) -> String {
    if let Some(error) = answer.get_mut("error").and_then(Value::as_object_mut) {
        error.entry("message").and_modify(|message| *message = cut(message.as_str().unwrap_or_default()).into());
        // The data can repeat the request.
        error.retain(|key, value| key != "data" || value.to_string().len() <= MAX_ERROR);
    }
    let is_error = answer["result"]["isError"] == true;
    for part in answer["result"]["content"].as_array_mut().into_iter().flatten() {
        if let Some(text) = part["text"].as_str() {
            part["text"] = if is_error { cut(text) } else { printable_json(text).into_owned() }.into();
        }
    }
    printable_json(&answer.to_string()).into_owned()
}

fn cut(text: &str) -> String {
    let text = &*printable(text);
    match text.char_indices().nth(MAX_ERROR) {
        // The advice is at the end.
        Some((at, _)) => {
            let tail = text.char_indices().rev().nth(MAX_ERROR / 3).map_or(0, |(at, _)| at);
            let head = text.char_indices().nth(MAX_ERROR / 2).map_or(at, |(at, _)| at);
            format!("{} … {}", &text[..head], &text[tail..])
        }
        None => text.to_owned(),
    }
}
