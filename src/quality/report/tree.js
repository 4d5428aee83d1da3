// The tree of prefixes, with mouse, touch and keyboard control (the ARIA tree view pattern).

const ROWS_AT_ONCE = 300;

class Tree {
  #root;
  #catalog;
  #gist;
  #choose;
  #order = "items";
  #prefixes = new WeakMap();
  #typed = { text: "", at: 0 };

  constructor(root, catalog, gist, choose) {
    this.#root = root;
    this.#catalog = catalog;
    this.#gist = gist;
    this.#choose = choose;
    this.#fill(root, catalog.root);
    root.addEventListener("click", (event) => this.#click(event));
    root.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Rebuilds the tree in another order and opens the selected prefix again. */
  sort(order, chosen) {
    this.#order = order;
    this.#root.replaceChildren();
    this.#fill(this.#root, this.#catalog.root);
    if (chosen) this.show(chosen);
  }

  /** Opens the path to a prefix and selects it. */
  show(prefix, { focus = false } = {}) {
    let list = this.#root;
    let item = null;
    for (let depth = 1; depth <= prefix.depth && list; depth += 1) {
      const found = this.#rowOf(list, prefix);
      if (!found) break;
      item = found;
      if (this.#prefixes.get(item).depth >= prefix.depth) break;
      list = this.#open(item);
    }
    if (item) this.#mark(item, focus);
  }

  #rowOf(list, prefix) {
    for (;;) {
      const row = [...list.children].find((item) => this.#prefixes.get(item)?.covers(prefix.from));
      const rest = list.lastElementChild;
      if (row || !rest?.dataset.from) return row ?? null;
      this.#more(rest);
    }
  }

  #fill(list, parent, from = 0) {
    const children = this.#catalog.children(parent);
    // The sort is stable: ties stay in the order of the codes.
    if (this.#order === "items") children.sort((a, b) => b.to - b.from - (a.to - a.from));
    const fullest = children.reduce((most, child) => Math.max(most, child.to - child.from), 1);
    const shown = children.slice(from, from + ROWS_AT_ONCE);
    shown.forEach((child, at) => list.append(this.#row(child, parent, fullest, from + at + 1, children.length)));
    if (from + shown.length < children.length) {
      const left = children.length - from - shown.length;
      const more = el("li", { role: "treeitem", tabindex: "-1", "aria-level": parent.depth + 1 });
      more.dataset.from = from + shown.length;
      more.append(el("div", { class: "row" }, el("span"), el("span", { class: "gist" }, `${grouped(left)} more …`)));
      this.#prefixes.set(more, null);
      more.parent = parent;
      list.append(more);
    }
    if (!this.#root.querySelector('[tabindex="0"]')) this.#root.firstElementChild?.setAttribute("tabindex", "0");
  }

  #row(prefix, parent, fullest, place, of) {
    const items = this.#catalog.count(prefix);
    const single = prefix.to - prefix.from === 1 && this.#catalog.data.every === 1;
    const isLeaf = prefix.depth === this.#catalog.levels;
    const tokens = this.#catalog.tokens(prefix.codes.slice(parent.depth), parent.depth);
    const gist = this.#gist.of(prefix);
    const size = el("span", { class: "size" });
    if (!single) {
      const bar = el("i");
      bar.style.width = `${Math.max(2, (100 * (prefix.to - prefix.from)) / fullest)}%`;
      size.append(grouped(items), bar);
    }
    const token = el("code", {}, tokens);
    if (parent.depth === 0) {
      const swatch = el("span", { class: "swatch" });
      swatch.style.background = colour(prefix.codes[0]);
      token.prepend(swatch);
    }
    const row = el("div", { class: "row" }, token, el("span", { class: "gist" }, gist), single ? this.#catalog.picture(prefix.from) ?? size : size);
    const item = el("li", {
      role: "treeitem",
      tabindex: "-1",
      "aria-level": parent.depth + 1,
      "aria-posinset": place,
      "aria-setsize": of,
      "aria-selected": "false",
      "aria-expanded": isLeaf ? null : "false",
      "aria-label": `${tokens}, ${single ? gist : `${counted(items, "item")}${gist ? `: ${gist}` : ""}`}`,
    });
    item.append(row);
    this.#prefixes.set(item, prefix);
    return item;
  }

  #open(item) {
    const state = item.getAttribute("aria-expanded");
    if (state === null) return null;
    item.setAttribute("aria-expanded", "true");
    let group = item.querySelector(':scope > [role="group"]');
    if (!group) {
      group = el("ul", { role: "group" });
      item.append(group);
      this.#fill(group, this.#prefixes.get(item));
    }
    group.hidden = false;
    return group;
  }

  #close(item) {
    item.setAttribute("aria-expanded", "false");
    const group = item.querySelector(':scope > [role="group"]');
    if (group) group.hidden = true;
  }

  #more(item) {
    const list = item.parentElement;
    const { parent } = item;
    const from = Number(item.dataset.from);
    const hadFocus = document.activeElement === item;
    item.remove();
    this.#fill(list, parent, from);
    if (hadFocus) this.#focus(list.children[from]);
  }

  #mark(item, focus) {
    this.#root.querySelector('[aria-selected="true"]')?.setAttribute("aria-selected", "false");
    item.setAttribute("aria-selected", "true");
    this.#stop(item);
    // Scrolls the tree, not the page.
    const row = item.firstElementChild.getBoundingClientRect();
    const view = this.#root.getBoundingClientRect();
    if (row.top < view.top || row.bottom > view.bottom) this.#root.scrollTop += row.top - view.top - view.height / 3;
    if (focus) item.focus({ preventScroll: true });
  }

  /** Makes an item the tab stop of the tree. */
  #stop(item) {
    this.#root.querySelectorAll('[tabindex="0"]').forEach((other) => other.setAttribute("tabindex", "-1"));
    item.setAttribute("tabindex", "0");
  }

  #select(item) {
    const prefix = this.#prefixes.get(item);
    this.#mark(item, true);
    if (prefix) this.#choose(prefix);
  }

  #focus(item) {
    if (!item) return;
    if (this.#prefixes.get(item)) this.#select(item);
    else {
      this.#stop(item);
      item.focus();
    }
  }

  #click(event) {
    const item = event.target.closest('[role="treeitem"]');
    if (!item) return;
    if (item.dataset.from) return this.#more(item);
    const wasChosen = item.getAttribute("aria-selected") === "true";
    const isOpen = item.getAttribute("aria-expanded") === "true";
    this.#select(item);
    if (wasChosen && isOpen) this.#close(item);
    else this.#open(item);
  }

  #visible() {
    return [...this.#root.querySelectorAll('[role="treeitem"]')].filter((item) => !item.closest('[role="group"][hidden]'));
  }

  #key(event) {
    const item = event.target.closest('[role="treeitem"]');
    if (!item || event.ctrlKey || event.metaKey || event.altKey) return;
    const expanded = item.getAttribute("aria-expanded");
    const step = (by) => {
      const items = this.#visible();
      return items[items.indexOf(item) + by];
    };
    const actions = {
      ArrowDown: () => this.#focus(step(1)),
      ArrowUp: () => this.#focus(step(-1)),
      Home: () => this.#focus(this.#root.firstElementChild),
      End: () => this.#focus(this.#visible().at(-1)),
      ArrowRight: () => (expanded === "true" ? this.#focus(step(1)) : this.#open(item)),
      ArrowLeft: () => (expanded === "true" ? this.#close(item) : this.#focus(item.parentElement.closest('[role="treeitem"]'))),
      Enter: () => this.#toggle(item),
      " ": () => this.#toggle(item),
    };
    if (actions[event.key]) {
      event.preventDefault();
      actions[event.key]();
    } else if (event.key.length === 1) {
      this.#type(event.key, item);
    }
  }

  #toggle(item) {
    if (item.dataset.from) return this.#more(item);
    if (item.getAttribute("aria-expanded") === "true") this.#close(item);
    else this.#open(item);
    this.#select(item);
  }

  /** Typed digits select the sibling with that code. */
  #type(key, item) {
    const now = Date.now();
    this.#typed = { text: (now - this.#typed.at < 900 ? this.#typed.text : "") + key, at: now };
    if (!/^\d+$/.test(this.#typed.text)) return;
    const code = Number(this.#typed.text);
    const siblings = [...item.parentElement.children];
    const level = Number(item.getAttribute("aria-level")) - 1;
    this.#focus(siblings.find((other) => this.#prefixes.get(other)?.codes[level] === code));
  }
}
