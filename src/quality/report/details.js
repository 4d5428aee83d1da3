// The pane with the items of the selected prefix.

const ITEMS_AT_ONCE = 48;
const CHIPS = 12;

class Details {
  #pane;
  #catalog;
  #gist;
  #choose;
  #averages;

  constructor(pane, catalog, gist, choose) {
    this.#pane = pane;
    this.#catalog = catalog;
    this.#gist = gist;
    this.#choose = choose;
    this.#averages = this.#averageItems();
  }

  show(prefix) {
    const tokens = this.#catalog.tokens(prefix.codes);
    this.#pane.replaceChildren(
      this.#path(prefix),
      el("h3", { "aria-live": "polite" }, prefix.depth ? el("code", {}, tokens) : "All items"),
      el("p", {}, this.#crowding(prefix)),
      ...this.#children(prefix),
      el("h4", {}, "Items"),
      ...this.#items(prefix),
    );
    this.#pane.scrollTop = 0;
  }

  /** The path to the prefix, with a button per code. */
  #path(prefix) {
    const path = el("nav", { class: "path", "aria-label": "Path" });
    for (let depth = 0; depth < prefix.depth; depth += 1) {
      const codes = prefix.codes.slice(0, depth);
      const name = depth ? el("code", {}, this.#catalog.token(depth - 1, codes[depth - 1])) : "All items";
      path.append(el("button", { type: "button", onclick: () => this.#choose(this.#catalog.find(codes)) }, name), "›");
    }
    if (prefix.depth) path.append(el("code", {}, this.#catalog.token(prefix.depth - 1, prefix.codes.at(-1))));
    return path;
  }

  #crowding(prefix) {
    const { levels, data } = this.#catalog;
    const items = this.#catalog.count(prefix);
    if (prefix.depth === 0) return `${counted(items, "item")} with ${grouped(this.#catalog.children(prefix).length)} first codes.`;
    if (prefix.depth === levels && items === 1) return "Exactly one item has this ID.";
    const share = `${percent(items / data.items)} of the catalog`;
    const about = data.every > 1 ? "About " : "";
    const average = this.#averages[prefix.depth];
    const times = items / average;
    let crowd = "";
    if (data.every === 1 && average > 1) {
      if (times >= 2) crowd = `, ${times.toFixed(times < 10 ? 1 : 0)} times the average of ${average.toFixed(1)} items`;
      else if (times <= 0.5) crowd = `, below the average of ${average.toFixed(1)} items`;
      else crowd = `, close to the average of ${average.toFixed(1)} items`;
    }
    const begin = prefix.depth === 1 ? "this code" : `these ${prefix.depth} codes`;
    return `${about}${counted(items, "item")} ${items === 1 ? "begins" : "begin"} with ${begin}: ${share}${crowd}.`;
  }

  #children(prefix) {
    const children = this.#catalog.children(prefix);
    const size = this.#catalog.data.sizes[prefix.depth];
    if (prefix.depth === this.#catalog.levels || prefix.to - prefix.from === 1) return [];
    const fullest = [...children].sort((a, b) => b.to - b.from - (a.to - a.from));
    const chips = fullest.slice(0, CHIPS).map((child) => {
      const token = this.#catalog.token(prefix.depth, child.codes[prefix.depth]);
      const items = this.#catalog.count(child);
      const what = [el("code", {}, token), el("span", { class: "gist" }, this.#gist.of(child)), el("span", {}, grouped(items))];
      const label = `${token}, ${counted(items, "item")}: ${this.#gist.of(child)}`;
      return el("button", { type: "button", "aria-label": label, onclick: () => this.#choose(child) }, ...what);
    });
    const words = prefix.depth ? this.#gist.of(prefix) : "";
    const left = children.length - chips.length;
    return [
      words ? el("p", { class: "words" }, `Typical words: ${words.replaceAll(" · ", ", ")}.`) : null,
      el("h4", {}, `Next codes: ${this.#catalog.data.every > 1 ? "at least " : ""}${grouped(children.length)} of ${grouped(size)} in use`),
      el("div", { class: "chips" }, ...chips),
      left > 0 ? el("p", { class: "note" }, `and ${grouped(left)} more in the tree`) : null,
    ].filter(Boolean);
  }

  #items(prefix) {
    const list = el("ul", { class: "items" });
    const items = Array.from({ length: prefix.to - prefix.from }, (_, at) => prefix.from + at);
    // Items with pictures first.
    items.sort((a, b) => this.#catalog.tiles.has(b) - this.#catalog.tiles.has(a));
    const more = el("button", { type: "button", class: "more" });
    const add = () => {
      const from = list.children.length;
      list.append(...items.slice(from, from + ITEMS_AT_ONCE).map((item) => this.#catalog.card(item)));
      const left = items.length - list.children.length;
      more.textContent = `Show ${grouped(Math.min(ITEMS_AT_ONCE, left))} more of ${grouped(left)}`;
      more.hidden = left === 0;
    };
    more.addEventListener("click", add);
    add();
    return [list, more];
  }

  /** Mean number of items per prefix, by depth. */
  #averageItems() {
    const { levels, shown, data } = this.#catalog;
    const begins = new Uint8Array(shown);
    const averages = [data.items];
    for (let level = 0; level < levels; level += 1) {
      const column = data.codes[level];
      let prefixes = 0;
      for (let item = 0; item < shown; item += 1) {
        if (item === 0 || column[item] !== column[item - 1]) begins[item] = 1;
        prefixes += begins[item];
      }
      averages.push(shown / prefixes);
    }
    return averages;
  }
}
