//! The connection of the server: one message per line, with one thread for reading and one for writing. Memory is
//! bounded: a line has at most [`MAX_MESSAGE`](super::messages::MAX_MESSAGE) bytes, one request is answered at a time,
//! and no more requests are read while the client does not read the answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rmcp::RoleServer;
use rmcp::model::JsonRpcMessage;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use tokio::sync::{Semaphore, mpsc};

use super::messages::{CheckedMessage, MAX_MESSAGE, MessageCheck, line, too_long};

/// Maximum number of answers that wait to be written.
const WAITING: usize = 4;

/// The server's side of the connection.
pub(super) struct LineTransport {
    requests: mpsc::Receiver<RxJsonRpcMessage<RoleServer>>,
    answers: mpsc::Sender<String>,
    /// The current request holds its only permit.
    idle: Arc<Semaphore>,
}

/// The client has closed the connection.
#[derive(Debug, thiserror::Error)]
#[error("the client closed the connection")]
pub(super) struct ClientGone;

impl LineTransport {
    /// Starts the threads that read and write. The returned thread ends when all answers are written.
    pub(super) fn open(
        input: impl Read + Send + 'static,
        output: impl Write + Send + 'static,
    ) -> (Self, JoinHandle<()>) {
        let (to_server, requests) = mpsc::channel(1);
        let (answers, waiting) = mpsc::channel(WAITING);
        let refusals = answers.clone();
        thread::spawn(move || read_lines(BufReader::new(input), &refusals, &to_server));
        let writer = thread::spawn(move || write_lines(output, waiting));
        (LineTransport { requests, answers, idle: Arc::new(Semaphore::new(1)) }, writer)
    }
}

impl Transport<RoleServer> for LineTransport {
    type Error = ClientGone;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), ClientGone>> + Send + 'static {
        let (answers, idle) = (self.answers.clone(), self.idle.clone());
        async move {
            let is_answer = matches!(message, JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_));
            let sent = answers.send(line(serde_json::to_value(&message).unwrap_or_default())).await;
            if is_answer {
                idle.add_permits(1);
            }
            sent.map_err(|_| ClientGone)
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        // No message is lost if this future is dropped, because it has not received one yet.
        let turn = self.idle.acquire().await.ok()?;
        let request = self.requests.recv().await?;
        turn.forget();
        Some(request)
    }

    async fn close(&mut self) -> Result<(), ClientGone> {
        self.requests.close();
        // The writer thread ends when the last sender is dropped.
        self.answers = mpsc::channel(1).0;
        Ok(())
    }
}

/// Reads messages until the input ends or the receiver is dropped.
fn read_lines(
    mut input: impl BufRead,
    refusals: &mpsc::Sender<String>,
    requests: &mpsc::Sender<RxJsonRpcMessage<RoleServer>>,
) {
    let mut check = MessageCheck::default();
    let mut line = Vec::new();
    while let Ok(Some(is_whole)) = next_line(&mut input, &mut line) {
        let checked = if is_whole { check.check(&line) } else { CheckedMessage::Refused(too_long()) };
        let is_open = match checked {
            CheckedMessage::Ignored => true,
            CheckedMessage::Refused(answer) => refusals.blocking_send(answer).is_ok(),
            CheckedMessage::Request(request) => requests.blocking_send(*request).is_ok(),
        };
        if !is_open {
            return;
        }
    }
}

/// Reads the next line and returns whether its length is allowed. `None` at the end of the input.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<Option<bool>> {
    line.clear();
    line.shrink_to(1 << 16);
    if input.by_ref().take(MAX_MESSAGE as u64 + 1).read_until(b'\n', line)? == 0 {
        return Ok(None);
    }
    if line.len() <= MAX_MESSAGE || line.ends_with(b"\n") {
        return Ok(Some(true));
    }
    loop {
        let more = match input.fill_buf() {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            more => more?,
        };
        let end = more.iter().position(|&byte| byte == b'\n');
        let (read, is_end) = (end.map_or(more.len(), |at| at + 1), end.is_some() || more.is_empty());
        input.consume(read);
        if is_end {
            return Ok(Some(false));
        }
    }
}

/// Writes answers until there are no more or the client disconnects.
fn write_lines(mut output: impl Write, mut answers: mpsc::Receiver<String>) {
    while let Some(answer) = answers.blocking_recv() {
        if output
            .write_all(answer.as_bytes())
            .and_then(|()| output.write_all(b"\n"))
            .and_then(|()| output.flush())
            .is_err()
        {
            return;
        }
    }
}
