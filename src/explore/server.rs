//! A Model Context Protocol server with tools that search and look up items. All tools only read.

use std::sync::{Arc, Mutex};

use super::{Explorer, FoundItem, MAX_RESULTS, PrefixContents, SearchHit};
use crate::encoder::TextEncoder;
use crate::error::Error;
use crate::features::TEXT;
use crate::progress::Silent;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{Implementation, ServerCapabilities, ServerConfig};
use rmcp::service::ServerInitializeError;
use rmcp::{Json, ServerHandler, ServiceExt, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest text that is searched for, in characters.
const MOST_QUERY: usize = 4_000;
/// Items of an answer where no number is named.
const FEW: usize = 10;

/// The encoder of queries.
#[derive(Debug)]
struct Searcher(Mutex<TextEncoder>);

/// The server of an index.
#[derive(Debug, Clone)]
pub struct McpServer {
    explorer: Arc<Explorer>,
    searcher: Option<Arc<Searcher>>,
    tools: ToolRouter<Self>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Search {
    /// What to look for, in words.
    query: String,
    /// How many items, 1 to 50; 10 if left out.
    limit: Option<usize>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Similar {
    /// The item's id in the catalog.
    item_id: String,
    /// How many items, 1 to 50; 10 if left out.
    limit: Option<usize>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ById {
    /// The item's id in the catalog.
    item_id: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BySemanticId {
    /// A whole semantic ID, such as `<a_12><b_203><c_7><d_91>`.
    semantic_id: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Expand {
    /// The first tokens of semantic IDs, such as `<a_12><b_203>`; empty for all items.
    prefix: String,
    /// How many items to show, 1 to 50; 10 if left out.
    limit: Option<usize>,
}

/// Items, the nearest first.
#[derive(Debug, Serialize, JsonSchema)]
struct Hits {
    items: Vec<SearchHit>,
}

/// Items.
#[derive(Debug, Serialize, JsonSchema)]
struct Items {
    items: Vec<FoundItem>,
}

// Outputs are spelled out: the macro reads schemas from their types' names.
#[tool_router(router = tools)]
impl McpServer {
    /// A server of these items; without a text encoder it has no search by text.
    pub fn new(explorer: Explorer, encoder: Option<TextEncoder>) -> Self {
        let mut tools = Self::tools();
        if encoder.is_none() {
            tools.remove_route("search_items");
        }
        let searcher = encoder.map(|encoder| Arc::new(Searcher(Mutex::new(encoder))));
        McpServer { explorer: Arc::new(explorer), searcher, tools }
    }

    /// Answers on stdin and stdout until stdin ends.
    ///
    /// # Errors
    /// [`Error::Unavailable`] for a connection that fails.
    pub fn serve_stdio(self) -> Result<(), Error> {
        let failed = |reason: String| Error::Unavailable {
            what: "the connection on stdin and stdout".into(),
            reason,
            help: "start the server from a client of the Model Context Protocol".into(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|e| failed(e.to_string()))?.block_on(async {
            match ServiceExt::serve(self, rmcp::transport::stdio()).await {
                // A client that leaves before it has sent anything is no error.
                Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
                Err(error) => Err(failed(error.to_string())),
                Ok(running) => running.waiting().await.map(drop).map_err(|e| failed(e.to_string())),
            }
        })
    }

    /// Find items of the catalog by what they are, described in words.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn search_items(&self, Parameters(asked): Parameters<Search>) -> Result<Json<Hits>, String> {
        let searcher = self.searcher.as_ref().ok_or("this server has no text encoder")?;
        let characters = asked.query.chars().count();
        if asked.query.trim().is_empty() || characters > MOST_QUERY {
            return Err(format!("query: expected 1 to {MOST_QUERY} characters, got {characters}"));
        }
        let limit = limit(asked.limit)?;
        let mut encoder = searcher.0.lock().map_err(|_| "the text encoder failed before; start the server anew")?;
        let vector = encoder.encode(&[asked.query], &Silent).map_err(|e| e.to_string())?;
        let items = self.explorer.nearest(TEXT, vector.row(0), limit).map_err(|e| e.to_string())?;
        Ok(Json(Hits { items }))
    }

    /// Find the items most like one: those whose semantic IDs share the longest prefix with its own, of these the ones
    /// with the nearest vectors.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn similar_items(&self, Parameters(asked): Parameters<Similar>) -> Result<Json<Hits>, String> {
        let items = self.explorer.similar(&asked.item_id, limit(asked.limit)?).map_err(|e| e.to_string())?;
        Ok(Json(Hits { items }))
    }

    /// Look up an item by its id in the catalog: its semantic ID and its text.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn id_by_item(&self, Parameters(asked): Parameters<ById>) -> Result<Json<FoundItem>, String> {
        self.explorer.item(&asked.item_id).map(Json).map_err(|e| e.to_string())
    }

    /// Look up the item of a whole semantic ID.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn item_by_id(&self, Parameters(asked): Parameters<BySemanticId>) -> Result<Json<Items>, String> {
        let items = self.explorer.by_semantic_id(&asked.semantic_id).map_err(|e| e.to_string())?;
        Ok(Json(Items { items }))
    }

    /// See what stands under the first tokens of semantic IDs: how many items, the next tokens with their counts, and
    /// some of the items. Items that share a prefix are alike.
    #[tool(annotations(read_only_hint = true, open_world_hint = false))]
    fn expand_prefix(&self, Parameters(asked): Parameters<Expand>) -> Result<Json<PrefixContents>, String> {
        self.explorer.expand(&asked.prefix, limit(asked.limit)?).map(Json).map_err(|e| e.to_string())
    }
}

#[tool_handler(router = self.tools)]
impl ServerHandler for McpServer {
    fn get_info(&self) -> ServerConfig {
        let about = format!(
            "A catalog of {} items. Each has a semantic ID, a short code of tokens from the general to the particular: items \
             that are alike share its first tokens. All tools only read.",
            self.explorer.len()
        );
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("catalex", env!("CARGO_PKG_VERSION")))
            .with_instructions(about)
    }
}

fn limit(asked: Option<usize>) -> Result<usize, String> {
    match asked.unwrap_or(FEW) {
        limit if (1..=MAX_RESULTS).contains(&limit) => Ok(limit),
        limit => Err(format!("limit: expected 1 to {MAX_RESULTS}, got {limit}")),
    }
}
