// Starts the page. Tree, details and map show the same selected prefix.

const start = async () => {
  const catalog = await Catalog.read();
  const gist = new Gist(catalog);
  let chosen = null;
  let chart = null;

  const show = (prefix) => {
    chosen = prefix;
    details.show(prefix);
    chart?.mark(prefix);
    // The URL contains the selection, for bookmarks and links.
    history.replaceState(null, "", prefix.depth ? `#id=${prefix.key}` : "#explore");
  };
  /** Selects a prefix from outside the tree. */
  const go = (prefix) => {
    if (prefix.depth) tree.show(prefix, { focus: true });
    show(prefix);
    byId("browser").scrollIntoView({ block: "nearest" });
  };
  const details = new Details(byId("details"), catalog, gist, go);
  const tree = new Tree(byId("tree"), catalog, gist, show);
  new Search(catalog, go);
  byId("search").hidden = byId("browser").hidden = false;
  byId("tree-order").addEventListener("change", (event) => tree.sort(event.target.value, chosen));
  if (catalog.data.points) chart = new Chart(catalog, go);

  const asked = /^#id=([\d-]+)$/.exec(location.hash);
  const remembered = asked && catalog.find(asked[1].split("-").map(Number));
  const fullest = catalog.children(catalog.root).reduce((a, b) => (b.to - b.from > a.to - a.from ? b : a));
  const first = remembered ?? fullest;
  tree.show(first);
  chosen = first;
  details.show(first);
  if (remembered) {
    chart?.mark(first);
    byId("explore").scrollIntoView();
  }
};

const wait = byId("wait");
wait.textContent = "Loading the catalog …";
start().then(
  () => (wait.textContent = ""),
  (error) => (wait.textContent = `The catalog could not be decompressed (${error.message}). Use a current browser.`),
);
