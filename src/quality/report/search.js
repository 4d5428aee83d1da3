// Search for items by text, id or codes.

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
    const more = found.length > RESULTS ? `, the first ${RESULTS} shown` : "";
    this.#status.textContent = words.length ? `${counted(found.length, "item")} found${more}` : "";
  }

  /** Items that contain all search words; first those in which they start a word, sorted by position. */
  #find(words) {
    const { shown } = this.#catalog;
    this.#haystack ??= Array.from({ length: shown }, (_, item) =>
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
