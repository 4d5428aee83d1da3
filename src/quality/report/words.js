// Labels for prefixes: words that are more frequent in their items than in the catalog.

const MOST_READ = 20_000;
const MOST_READ_OF_A_PREFIX = 300;
/** Minimum ratio of the word's frequency in the prefix to that in the catalog, and minimum score. */
const LEAST_LIFT = 1.5;
const LEAST_SCORE = 0.08;

class Gist {
  #catalog;
  #found = new Map();
  /** Number of items with each word, among those read. */
  #common = null;
  #read = 0;

  constructor(catalog) {
    this.#catalog = catalog;
  }

  /** Up to three words, or the name of the item if there is only one. */
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
      const share = count / read;
      const lift = share / ((this.#common.get(word) ?? 1) / this.#read);
      // A word of a single item does not describe the others.
      if (count > 1 && lift > LEAST_LIFT) scores.push([word, share * Math.log(lift)]);
    }
    scores.sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
    const chosen = [];
    for (const [word, score] of scores) {
      if (chosen.length === 3 || score < LEAST_SCORE) break;
      // Skips "cat" after "cats".
      if (!chosen.some((other) => other.startsWith(word) || word.startsWith(other))) chosen.push(word);
    }
    return chosen;
  }

  #count({ from, to }, most, setRead) {
    const counts = new Map();
    const step = Math.max(1, Math.ceil((to - from) / most));
    let read = 0;
    for (let item = from; item < to; item += step, read += 1) {
      const words = this.#catalog.text(item).toLowerCase().match(/\p{L}[\p{L}\p{M}’'-]+/gu) ?? [];
      for (const word of new Set(words)) counts.set(word, (counts.get(word) ?? 0) + 1);
    }
    setRead(read);
    return counts;
  }
}
