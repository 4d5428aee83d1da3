// Finding an item by its text, its id or its codes.

const RESULTS = 20;

class Search {
  #catalog;
  #choose;
  #haystack = null;
  #input = byId("search-text");
  #results = byId("search-results");
  #status = byId("search-status");

  constructor(catalog, choose) {
    this.#catalog = catalog;
    this.#choose = choose;
    this.#input.addEventListener("input", () => this.#look());
    byId("search").addEventListener("keydown", (event) => this.#key(event));
  }

  #look() {
    const words = this.#input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = words.length ? this.#find(words) : [];
    this.#results.replaceChildren(...found.slice(0, RESULTS).map((item) => this.#result(item)));
    const more = found.length > RESULTS ? `, ${RESULTS} of them shown` : "";
    this.#status.textContent = words.length ? `${counted(found.length, "item")} found${more}` : "";
  }

  /** Items that have all the words; first those in which they begin a word, and the earlier the better. */
  #find(words) {
    const { carried } = this.#catalog;
    this.#haystack ??= Array.from({ length: carried }, (_, item) =>
      ` ${this.#catalog.text(item)} ${this.#catalog.id(item)}`.toLowerCase(),
    );
    const isCode = words.some((word) => /\d/.test(word));
    const found = [];
    this.#haystack.forEach((text, item) => {
      const codes = isCode ? this.#catalog.tokens(this.#catalog.codes(item)) : "";
      let cost = 0;
      for (const word of words) {
        const at = text.indexOf(` ${word}`);
        if (at < 0 && !text.includes(word) && !codes.includes(word)) return;
        cost += at < 0 ? 10_000 : at;
      }
      found.push([item, cost]);
    });
    return found.sort(([, a], [, b]) => a - b).map(([item]) => item);
  }

  #result(item) {
    const choose = () => this.#choose(this.#catalog.find(this.#catalog.codes(item)));
    const name = el("span", {}, el("span", {}, this.#catalog.name(item)));
    return el("li", {}, el("button", { type: "button", onclick: choose }, this.#catalog.picture(item), name));
  }

  #key(event) {
    if (event.key === "Escape") {
      this.#input.value = "";
      this.#look();
      this.#input.focus();
    }
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const stops = [this.#input, ...this.#results.querySelectorAll("button")];
    const next = stops[stops.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1)];
    if (next) {
      event.preventDefault();
      next.focus();
    }
  }
}
