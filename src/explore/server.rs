//! A Model Context Protocol server with tools that search and look up items. All tools only read.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::stdio::LineTransport;
use super::{Explorer, FoundItem, MAX_RESULTS, PrefixContents, SearchHit};
use crate::encoder::TextEncoder;
use crate::error::Error;
use crate::features::TEXT;
use crate::progress::Silent;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::tool::ToolCallContext;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, Implementation,
    ServerCapabilities, ServerConfig,
};
use rmcp::service::{RequestContext, ServerInitializeError};
use rmcp::{Json, RoleServer, ServerHandler, ServiceExt, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Maximum length of a query in characters.
const MAX_QUERY: usize = 4_000;
/// Default number of items in an answer.
const DEFAULT_LIMIT: usize = 10;

/// The encoder of queries.
#[derive(Debug)]
struct QueryEncoder(Mutex<TextEncoder>);

/// The server of an index.
#[derive(Debug, Clone)]
pub struct McpServer {
    explorer: Arc<Explorer>,
    searcher: Option<Arc<QueryEncoder>>,
    tools: ToolRouter<Self>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SearchRequest {
    /// A description in words of the items to find.
    query: String,
    /// Number of items, 1 to 50; 10 by default.
    limit: Option<usize>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SimilarRequest {
    /// The item's id in the catalog.
    item_id: String,
    /// Number of items, 1 to 50; 10 by default.
    limit: Option<usize>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ItemRequest {
    /// The item's id in the catalog.
    item_id: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SemanticIdRequest {
    /// A complete semantic ID, such as `<a_12><b_203><c_7><d_91>`.
    semantic_id: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PrefixRequest {
    /// The first tokens of semantic IDs, such as `<a_12><b_203>`; empty for all items.
    prefix: String,
    /// Number of example items, 1 to 50; 10 by default.
    limit: Option<usize>,
}

/// Items, the nearest first.
#[derive(Debug, Serialize, JsonSchema)]
struct SearchHits {
    items: Vec<SearchHit>,
}

/// Items.
#[derive(Debug, Serialize, JsonSchema)]
struct FoundItems {
    items: Vec<FoundItem>,
}

// Outputs are spelled out: the macro reads schemas from their types' names.
#[tool_router(router = tools)]
impl McpServer {
    /// Creates a server for these items. Without a text encoder, it offers no text search.
    pub fn new(explorer: Explorer, encoder: Option<TextEncoder>) -> Self {
        let mut tools = Self::tools();
        if encoder.is_none() {
            tools.remove_route("search_items");
        }
        let searcher = encoder.map(|encoder| Arc::new(QueryEncoder(Mutex::new(encoder))));
        McpServer { explorer: Arc::new(explorer), searcher, tools }
    }

    /// Serves on stdin and stdout until stdin ends.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the connection fails.
    pub fn serve_stdio(self) -> Result<(), Error> {
        self.serve_lines(std::io::stdin(), std::io::stdout())
    }

    /// Serves messages in lines until the input ends.
    ///
    /// # Errors
    /// As [`McpServer::serve_stdio`].
    pub fn serve_lines(
        self,
        input: impl Read + Send + 'static,
        output: impl Write + Send + 'static,
    ) -> Result<(), Error> {
        let failed = |reason: String| Error::Unavailable {
            what: "the connection on stdin and stdout".into(),
            reason,
            help: "start the server from a client of the Model Context Protocol".into(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (transport, writer) = LineTransport::open(input, output);
        runtime.map_err(|e| failed(e.to_string()))?.block_on(async {
            match ServiceExt::serve(self, transport).await {
                // A client can disconnect before it initializes the session.
                Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
                Err(error) => Err(failed(error.to_string())),
                Ok(running) => running.waiting().await.map(drop).map_err(|e| failed(e.to_string())),
            }
        })?;
        writer.join().map_err(|_| failed("its writer failed".into()))
    }

    /// Find items of the catalog by a description in words.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn search_items(&self, Parameters(asked): Parameters<SearchRequest>) -> Result<Json<SearchHits>, String> {
        let searcher = self.searcher.as_ref().ok_or("this server has no text encoder")?;
        let characters = asked.query.chars().count();
        if asked.query.trim().is_empty() || characters > MAX_QUERY {
            return Err(format!("query: expected 1 to {MAX_QUERY} characters, got {characters}"));
        }
        let limit = limit(asked.limit)?;
        // The encoder has no state between queries, so it can be used after a query that panicked.
        let mut encoder = searcher.0.lock().unwrap_or_else(PoisonError::into_inner);
        let vector = encoder.encode(&[asked.query], &Silent).map_err(|e| e.to_string())?;
        let items = self.explorer.nearest(TEXT, vector.row(0), limit).map_err(|e| e.to_string())?;
        Ok(Json(SearchHits { items }))
    }

    /// Find the items most similar to a given item: first by the length of the common prefix of their semantic IDs,
    /// then by the similarity of their vectors.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn similar_items(&self, Parameters(asked): Parameters<SimilarRequest>) -> Result<Json<SearchHits>, String> {
        let items = self.explorer.similar(&asked.item_id, limit(asked.limit)?).map_err(|e| e.to_string())?;
        Ok(Json(SearchHits { items }))
    }

    /// Look up an item by its id in the catalog: its semantic ID and its text.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn id_by_item(&self, Parameters(asked): Parameters<ItemRequest>) -> Result<Json<FoundItem>, String> {
        self.explorer.item(&asked.item_id).map(Json).map_err(|e| e.to_string())
    }

    /// Look up the item with a complete semantic ID.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn item_by_id(&self, Parameters(asked): Parameters<SemanticIdRequest>) -> Result<Json<FoundItems>, String> {
        let items = self.explorer.by_semantic_id(&asked.semantic_id).map_err(|e| e.to_string())?;
        Ok(Json(FoundItems { items }))
    }

    /// List the items whose semantic IDs start with some tokens: their number, the next tokens with their counts, and
    /// some of the items. Items that share a prefix are similar.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn expand_prefix(&self, Parameters(asked): Parameters<PrefixRequest>) -> Result<Json<PrefixContents>, String> {
        self.explorer.expand(&asked.prefix, limit(asked.limit)?).map(Json).map_err(|e| e.to_string())
    }
}

#[tool_handler(router = self.tools)]
impl ServerHandler for McpServer {
    fn get_info(&self) -> ServerConfig {
        let about = format!(
            "A catalog of {} items. Each item has a semantic ID, a short sequence of tokens from coarse to fine: similar items \
             share the first tokens. All tools are read-only.",
            self.explorer.len()
        );
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("catalex", env!("CARGO_PKG_VERSION")))
            .with_instructions(about)
    }

    /// Calls a tool in its own task. If the tool panics, the answer is an error.
    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let server = self.clone();
        let task =
            tokio::spawn(async move { server.tools.call(ToolCallContext::new(&server, request, context)).await });
        task.await.unwrap_or_else(|_| {
            let text = "the tool failed because of a bug in catalex; other requests still work";
            Ok(CallToolResult::error(vec![ContentBlock::text(text)]).into())
        })
    }
}

fn limit(asked: Option<usize>) -> Result<usize, String> {
    match asked.unwrap_or(DEFAULT_LIMIT) {
        limit if (1..=MAX_RESULTS).contains(&limit) => Ok(limit),
        limit => Err(format!("limit: expected 1 to {MAX_RESULTS}, got {limit}")),
    }
}

#[cfg(test)]
mod tests;
