// The page's data: items in the order of their codes, so that the items of a prefix are a range.

/** Creates an element. Texts are set as text, never as markup. */
const el = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
};

const byId = (id) => document.getElementById(id);
const grouped = (number) => Math.round(number).toLocaleString("en-US");
const counted = (number, noun) => `${grouped(number)} ${noun}${number === 1 ? "" : "s"}`;
const percent = (share) => `${(100 * share).toFixed(share < 0.001 ? 2 : 1).replace(/\.0$/, "")}%`;
const dark = matchMedia("(prefers-color-scheme: dark)");

const inflate = async (base64) => {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
};

/** Items `from` to `to` (not included) share the first `codes.length` codes. */
class Prefix {
  constructor(codes, from, to) {
    Object.assign(this, { codes, from, to });
  }

  get depth() {
    return this.codes.length;
  }

  get key() {
    return this.codes.join("-");
  }

  covers(item) {
    return this.from <= item && item < this.to;
  }
}

class Catalog {
  constructor(data, tiles) {
    this.data = data;
    this.levels = data.sizes.length;
    this.shown = data.ids.length;
    this.moved = new Set(data.moved);
    this.tiles = new Map();
    this.tiling = tiles;
    tiles?.items.forEach((item, tile) => item !== null && this.tiles.set(item, tile));
    this.root = new Prefix([], 0, this.shown);
  }

  static async read() {
    const data = await inflate(byId("data").textContent);
    return new Catalog(data, JSON.parse(byId("tiles").textContent));
  }

  token(level, code) {
    const values = { level: "abcdefgh"[level], index: level, code };
    return this.data.token_format.replace(/\{(level|index|code)\}/g, (_, name) => values[name]);
  }

  /** Codes as tokens; `first` is the level of the first of them. */
  tokens(codes, first = 0) {
    return codes.map((code, at) => this.token(first + at, code)).join("");
  }

  codes(item) {
    return this.data.codes.map((column) => column[item]);
  }

  text(item) {
    return this.data.texts[item] ?? "";
  }

  id(item) {
    return this.data.ids[item];
  }

  /** The name of an item in one line. */
  name(item) {
    return this.text(item) || this.id(item);
  }

  /** Number of items of a prefix in the catalog; an estimate if the page has a sample of the items. */
  count(prefix) {
    // A whole ID has one item.
    const every = prefix.depth === this.levels ? 1 : this.data.every;
    return Math.min(this.data.items, (prefix.to - prefix.from) * every);
  }

  /** The prefix with these codes; null if no item has them. */
  find(codes) {
    let { from, to } = this.root;
    for (const [level, code] of codes.entries()) {
      const column = this.data.codes[level];
      if (!column) return null;
      from = this.#firstNotBelow(column, code, from, to);
      to = this.#firstNotBelow(column, code + 1, from, to);
    }
    return from < to ? new Prefix(codes, from, to) : null;
  }

  /** The prefixes with one more code. A prefix with one item is extended to the whole ID. */
  children(prefix) {
    const children = [];
    const column = this.data.codes[prefix.depth];
    if (!column) return children;
    for (let from = prefix.from; from < prefix.to; ) {
      const to = this.#firstNotBelow(column, column[from] + 1, from, prefix.to);
      const codes = to - from === 1 && this.data.every === 1 ? this.codes(from) : [...prefix.codes, column[from]];
      children.push(new Prefix(codes, from, to));
      from = to;
    }
    return children;
  }

  /** An item's picture as an element, or null. */
  picture(item) {
    const tile = this.tiles.get(item);
    if (tile === undefined) return null;
    const { across } = this.tiling;
    const place = tile % (across * across);
    const picture = el("span", { class: `picture sheet-${Math.floor(tile / (across * across))}`, "aria-hidden": "true" });
    picture.style.setProperty("--across", across);
    picture.style.setProperty("--column", place % across);
    picture.style.setProperty("--line", Math.floor(place / across));
    return picture;
  }

  /** An item as an element of lists. */
  card(item, tag = "li") {
    const codes = this.codes(item);
    const id = el("small", {}, this.text(item) ? `${this.id(item)} · ` : "", el("code", {}, this.tokens(codes)));
    const moved = this.moved.has(item)
      ? el("small", { class: "moved", title: "Another item has the codes that the quantizer assigned" }, "moved to be unique")
      : null;
    return el(tag, { class: "item" }, this.picture(item), el("span", { class: "item-text" }, el("b", {}, this.name(item)), id, moved));
  }

  #firstNotBelow(column, code, from, to) {
    while (from < to) {
      const middle = (from + to) >> 1;
      if (column[middle] < code) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}

/** The colour of a first code. Consecutive codes have different colours. */
const colour = (code) => `hsl(${(code * 137.508) % 360} ${[58, 72, 46][code % 3]}% ${[46, 40, 54][code % 3] + (dark.matches ? 10 : 0)}%)`;
