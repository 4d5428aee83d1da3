// What a prefix is about: the words its items have more often than the catalog has.

const MOST_READ = 20_000;
const MOST_READ_OF_A_PREFIX = 300;

class Gist {
  #catalog;
  #found = new Map();
  /** Word to the number of items that have it, among those read. */
  #common = null;
  #read = 0;

  constructor(catalog) {
    this.#catalog = catalog;
  }

  /** Up to three words, or the item itself where there is only one. */
  of(prefix) {
    if (prefix.to - prefix.from === 1) return this.#catalog.name(prefix.from);
    if (!this.#found.has(prefix.key)) this.#found.set(prefix.key, this.#words(prefix).join(" · "));
    return this.#found.get(prefix.key);
  }

  #words(prefix) {
    if (this.#catalog.data.texts.length === 0) return [];
    this.#common ??= this.#count(this.#catalog.root, MOST_READ, (read) => (this.#read = read));
    let read = 0;
    const here = this.#count(prefix, MOST_READ_OF_A_PREFIX, (number) => (read = number));
    const scores = [];
    for (const [word, count] of here) {
      // A word of one item says little of the others.
      if (count > 1) scores.push([word, (count / read) * Math.log((1.5 * this.#read) / (this.#common.get(word) ?? 1))]);
    }
    scores.sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
    const chosen = [];
    for (const [word, score] of scores) {
      if (chosen.length === 3 || score <= 0) break;
      // "cat" adds nothing to "cats".
      if (!chosen.some((other) => other.startsWith(word) || word.startsWith(other))) chosen.push(word);
    }
    return chosen;
  }

  #count({ from, to }, most, tell) {
    const counts = new Map();
    const step = Math.max(1, Math.ceil((to - from) / most));
    let read = 0;
    for (let item = from; item < to; item += step, read += 1) {
      const words = this.#catalog.text(item).toLowerCase().match(/\p{L}[\p{L}\p{M}’'-]+/gu) ?? [];
      for (const word of new Set(words)) counts.set(word, (counts.get(word) ?? 0) + 1);
    }
    tell(read);
    return counts;
  }
}
