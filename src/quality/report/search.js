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
    this.#haystack ??= Array.from({ length: this.#catalog.carried }, (_, item) =>
      `${this.#catalog.id(item)} ${this.#catalog.text(item)}`.toLowerCase(),
    );
    const found = [];
    let number = 0;
    if (words.length) {
      this.#haystack.forEach((text, item) => {
        const has = (word) => text.includes(word) || this.#catalog.tokens(this.#catalog.codes(item)).includes(word);
        if (!words.every(has)) return;
        number += 1;
        if (found.length < RESULTS) found.push(item);
      });
    }
    this.#results.replaceChildren(...found.map((item) => this.#result(item)));
    const more = number > found.length ? `, the first ${found.length} are shown` : "";
    this.#status.textContent = words.length ? `${counted(number, "item")} found${more}` : "";
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
