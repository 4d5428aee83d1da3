"""`catalex serve --stdio` with the official client of the Model Context Protocol."""

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import ROOT, QuickStart
from made import catalex, random_codes, write_table

mcp = pytest.importorskip("mcp")
TOOLS = {"search_items", "similar_items", "id_by_item", "item_by_id", "expand_prefix"}
Use = Callable[[Any], Awaitable[None]]


def drive(folder: Path, arguments: list[str | Path], use: Use) -> None:
    """Starts the server, runs a client, and checks that the server ends."""
    program = Path(os.environ["CARGO_TARGET_DIR"]) / "release" / "catalex"
    server = mcp.StdioServerParameters(
        command=str(program), args=["serve", *map(str, arguments), "--stdio"], env=dict(os.environ), cwd=str(folder)
    )

    async def run() -> None:
        async with mcp.Client(server) as client:
            await use(client)

    asyncio.run(asyncio.wait_for(run(), 120))


async def call(client: Any, tool: str, **arguments: Any) -> Any:
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer.content
    return answer.structured_content


async def refused(client: Any, tool: str, **arguments: Any) -> str:
    """Answers to invalid inputs of tools. The server continues."""
    try:
        answer = await client.call_tool(tool, arguments)
    except mcp.MCPError as error:
        return str(error)
    assert answer.is_error
    return str(answer.content[0].text)


def test_an_agent_uses_all_tools_on_an_index(quick_start: QuickStart, index: Path) -> None:
    table = pq.read_table(index / "tokens.parquet").to_pydict()
    ids = dict(zip(table["item_id"], table["semantic_id"], strict=True))
    labels = pq.read_table(ROOT / "fixtures" / "emoji" / "catalog.parquet").to_pydict()
    label = dict(zip(labels["id"], labels["label"], strict=True))
    (cat,) = (one for one, text in label.items() if text == "cat face")

    async def use(client: Any) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == TOOLS
        for tool in tools.values():
            assert tool.description
            assert tool.annotations.read_only_hint
            assert all("description" in field for field in tool.input_schema["properties"].values())
            assert tool.output_schema["type"] == "object"

        found = (await call(client, "search_items", query="a smiling cat", limit=5))["items"]
        assert len(found) == 5
        assert sum("cat" in label[hit["item_id"]] for hit in found) >= 4
        assert [hit["cosine"] for hit in found] == sorted((hit["cosine"] for hit in found), reverse=True)
        assert label[found[0]["item_id"]] in found[0]["text"]

        item = await call(client, "id_by_item", item_id=cat)
        assert item["semantic_id"] == ids[cat]
        assert (await call(client, "item_by_id", semantic_id=item["semantic_id"]))["items"] == [item]

        alike = (await call(client, "similar_items", item_id=cat))["items"]
        assert len(alike) == 10
        assert all(hit["item_id"] != cat and hit["semantic_id"] == ids[hit["item_id"]] for hit in alike)
        assert [hit["shared_tokens"] for hit in alike] == sorted((hit["shared_tokens"] for hit in alike), reverse=True)
        assert sum("cat" in label[hit["item_id"]] for hit in alike) >= 3

        prefix = item["semantic_id"].split(">")[0] + ">"
        under = await call(client, "expand_prefix", prefix=prefix, limit=50)
        assert under["items"] == sum(one.startswith(prefix) for one in ids.values())
        assert sum(items for _, items in under["branches"]) == under["items"]
        everything = await call(client, "expand_prefix", prefix="")
        assert (everything["items"], len(everything["examples"])) == (len(ids), 10)

        # Limits, and errors with advice.
        assert "1 to 50" in await refused(client, "search_items", query="cat", limit=51)
        assert "characters" in await refused(client, "search_items", query="x" * 4_001)
        assert "nobody" in await refused(client, "id_by_item", item_id="nobody")
        assert "all 4 tokens" in await refused(client, "item_by_id", semantic_id=prefix)
        assert "semantic ID" in await refused(client, "expand_prefix", prefix="<z_1>")
        assert "item_id" in await refused(client, "id_by_item")
        assert (await call(client, "id_by_item", item_id=cat)) == item

    # The paths of the build are relative to its working folder.
    drive(quick_start.folder, [index, "--trust-index"], use)


def test_a_table_has_ids_and_no_vectors(tmp_path: Path) -> None:
    sizes = [8, 16, 16]
    write_table(tmp_path / "t.parquet", random_codes(100, sizes), sizes, [f"item-{row}" for row in range(100)])

    async def use(client: Any) -> None:
        assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS - {"search_items"}
        alike = (await call(client, "similar_items", item_id="item-3", limit=3))["items"]
        assert [hit["cosine"] for hit in alike] == [None] * 3
        assert alike[0]["text"] is None

    drive(tmp_path, ["t.parquet"], use)


def test_invalid_inputs_of_serve_are_refused(tmp_path: Path) -> None:
    run = catalex("serve", tmp_path / "none.parquet", "--stdio")
    assert (run.returncode, run.stdout) == (1, "")
    assert "none.parquet" in run.stderr
    assert catalex("serve", tmp_path).returncode == 2
    # A client may disconnect immediately.
    sizes = [4, 4]
    write_table(tmp_path / "t.parquet", random_codes(8, sizes), sizes)
    program = Path(os.environ["CARGO_TARGET_DIR"]) / "release" / "catalex"
    gone = subprocess.run(
        [program, "serve", tmp_path / "t.parquet", "--stdio"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert gone.returncode == 0, gone.stderr


def test_the_documented_catalog_of_agents_is_served(quick_start: QuickStart) -> None:
    text = (ROOT / "docs" / "agents.md").read_text(encoding="utf-8")
    code = text.split("<!-- tested -->\n```sh\n")[1].split("```")[0]
    path = os.pathsep.join([str(Path(os.environ["CARGO_TARGET_DIR"]) / "release"), os.environ["PATH"]])
    built = subprocess.run(
        ["bash", "-c", code],
        cwd=quick_start.folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr

    async def use(client: Any) -> None:
        found = (await call(client, "search_items", query="somebody to help me learn Spanish", limit=3))["items"]
        assert found[0]["item_id"] == "language-partner"

    drive(quick_start.folder, ["target/agents", "--trust-index"], use)
