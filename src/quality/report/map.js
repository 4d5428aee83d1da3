// The map: items as points, coloured by their first code; as pictures when few are visible.

const LARGEST = 40;
const PICTURES_WHEN = 120;

class Chart {
  #catalog;
  #choose;
  #canvas = byId("map-canvas");
  #points = [];
  #sheets = [];
  #chosen = null;
  #current = null;
  /** Scale and centre of the view, from 0 to 1. */
  #view = { scale: 1, x: 0.5, y: 0.5 };
  #asked = false;
  /** Width and height of the bounding box of all points. */
  #size = [1, 1];

  constructor(catalog, choose) {
    this.#catalog = catalog;
    this.#choose = choose;
    const { steps, x, y, extent } = catalog.data.points;
    let item = 0;
    steps.forEach((step, at) => {
      item += step;
      this.#points.push({ item, x: x[at] / extent, y: y[at] / extent, code: catalog.data.codes[0][item] });
    });
    const ends = (axis) => this.#points.reduce(([low, high], p) => [Math.min(low, p[axis]), Math.max(high, p[axis])], [1, 0]);
    const [[left, right], [top, bottom]] = [ends("x"), ends("y")];
    this.#size = [Math.max(0.05, right - left), Math.max(0.05, bottom - top)];
    // Drawing is faster if points of one colour follow each other.
    this.#points.sort((a, b) => a.code - b.code);
    byId("map").hidden = false;
    this.#listen();
    this.#draw();
  }

  /** Highlights the items of a prefix. */
  mark(prefix) {
    this.#chosen = prefix.depth ? prefix : null;
    this.#draw();
  }

  #listen() {
    const canvas = this.#canvas;
    new ResizeObserver(() => this.#draw()).observe(canvas);
    dark.addEventListener("change", () => this.#draw());
    byId("map-in").addEventListener("click", () => this.#zoom(1.6));
    byId("map-out").addEventListener("click", () => this.#zoom(1 / 1.6));
    byId("map-whole").addEventListener("click", () => this.#zoom(0));
    let held = null;
    canvas.addEventListener("pointerdown", (event) => {
      held = { x: event.clientX, y: event.clientY, view: { ...this.#view }, moved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!held) return event.pointerType === "mouse" && this.#show(this.#nearest(event));
      const [dx, dy] = [event.clientX - held.x, event.clientY - held.y];
      held.moved ||= Math.hypot(dx, dy) > 6;
      if (!held.moved || this.#view.scale === 1) return;
      const { side } = this.#frame();
      this.#look({ ...held.view, x: held.view.x - dx / side, y: held.view.y - dy / side });
    });
    canvas.addEventListener("pointerup", (event) => {
      if (held && !held.moved) this.#show(this.#nearest(event));
      held = null;
    });
    canvas.addEventListener("pointercancel", () => (held = null));
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Position of the unit square on the canvas, in CSS pixels. */
  #frame() {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const side = Math.min((width - 40) / this.#size[0], (height - 40) / this.#size[1]) * this.#view.scale;
    return { width, height, side, left: width / 2 - this.#view.x * side, top: height / 2 - this.#view.y * side };
  }

  #place(point, { left, top, side }) {
    return [left + point.x * side, top + point.y * side];
  }

  #look(view) {
    const middle = (value) => Math.min(1, Math.max(0, value));
    this.#view = { scale: view.scale, x: middle(view.x), y: middle(view.y) };
    this.#draw();
  }

  /** Zooms by a factor around the current item; 0 shows the whole map. */
  #zoom(factor) {
    const scale = Math.min(LARGEST, this.#view.scale * factor);
    if (scale <= 1.05) return this.#look({ scale: 1, x: 0.5, y: 0.5 });
    const { x, y } = this.#current ?? this.#view;
    this.#look({ scale, x, y });
  }

  #draw() {
    // Draws at most once per frame.
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      this.#paint();
    });
  }

  #paint() {
    const frame = this.#frame();
    const sharpness = devicePixelRatio || 1;
    this.#canvas.width = frame.width * sharpness;
    this.#canvas.height = frame.height * sharpness;
    const context = this.#canvas.getContext("2d");
    context.scale(sharpness, sharpness);
    const seen = this.#points.filter((point) => {
      const [x, y] = this.#place(point, frame);
      return x > -20 && y > -20 && x < frame.width + 20 && y < frame.height + 20;
    });
    const radius = Math.max(1.2, Math.min(5, 0.28 * Math.sqrt((frame.width * frame.height) / (seen.length + 1)) / 2));
    const ink = getComputedStyle(this.#canvas).color;
    const withPictures = seen.length <= PICTURES_WHEN && this.#ready();
    const dot = (point, size, outlined) => {
      const [x, y] = this.#place(point, frame);
      context.beginPath();
      context.arc(x, y, size, 0, 7);
      context.fillStyle = colour(point.code);
      context.fill();
      if (!outlined) return;
      context.lineWidth = 1.5;
      context.strokeStyle = ink;
      context.stroke();
    };
    context.globalAlpha = this.#chosen ? 0.45 : 0.85;
    const standsOut = (point) => this.#chosen?.covers(point.item);
    for (const point of seen) if (!standsOut(point)) dot(point, radius, false);
    context.globalAlpha = 1;
    for (const point of seen) if (standsOut(point)) dot(point, radius + 1.5, true);
    if (withPictures) for (const point of seen) this.#drawPicture(context, point, frame);
    if (this.#current) {
      const [x, y] = this.#place(this.#current, frame);
      context.beginPath();
      context.arc(x, y, radius + (withPictures ? 22 : 6), 0, 7);
      context.lineWidth = 2.5;
      context.strokeStyle = ink;
      context.stroke();
    }
  }

  /** Whether the sheets of pictures are loaded; the first call loads them. */
  #ready() {
    const tiling = this.#catalog.tiling;
    if (!tiling) return false;
    const number = Math.ceil(tiling.items.length / tiling.across ** 2);
    while (this.#sheets.length < number) {
      // Their data is in the style sheet.
      const probe = el("span", { class: `sheet-${this.#sheets.length}`, hidden: true });
      document.body.append(probe);
      const address = getComputedStyle(probe).backgroundImage.replace(/^url\("?|"?\)$/g, "");
      probe.remove();
      const sheet = new Image();
      sheet.addEventListener("load", () => this.#draw());
      sheet.src = address;
      this.#sheets.push(sheet);
    }
    return this.#sheets.every((sheet) => sheet.complete);
  }

  #drawPicture(context, point, frame) {
    const tile = this.#catalog.tiles.get(point.item);
    if (tile === undefined) return;
    const { across, size } = this.#catalog.tiling;
    const sheet = this.#sheets[Math.floor(tile / across ** 2)];
    const place = tile % across ** 2;
    const [x, y] = this.#place(point, frame);
    const side = 30;
    context.save();
    context.beginPath();
    context.roundRect(x - side / 2, y - side / 2, side, side, 6);
    context.lineWidth = 3;
    context.strokeStyle = colour(point.code);
    context.stroke();
    context.clip();
    context.drawImage(sheet, (place % across) * size, Math.floor(place / across) * size, size, size, x - side / 2, y - side / 2, side, side);
    context.restore();
  }

  #nearest(event) {
    const box = this.#canvas.getBoundingClientRect();
    const frame = this.#frame();
    return this.#best((point) => {
      const [x, y] = this.#place(point, frame);
      const far = Math.hypot(x - (event.clientX - box.left), y - (event.clientY - box.top));
      return far < 30 ? far : Infinity;
    });
  }

  /** The point with the lowest cost, or null if all are infinite. */
  #best(cost) {
    let [best, least] = [null, Infinity];
    for (const point of this.#points) {
      const costs = cost(point);
      if (costs < least) [best, least] = [point, costs];
    }
    return best;
  }

  #show(point) {
    if (!point || point === this.#current) return;
    this.#current = point;
    const prefix = this.#catalog.find([point.code]);
    const swatch = el("span", { class: "swatch" });
    swatch.style.background = colour(point.code);
    byId("map-item").replaceChildren(
      this.#catalog.card(point.item, "div"),
      el("button", { type: "button", onclick: () => this.#open() }, swatch, `Open its first code, ${counted(this.#catalog.count(prefix), "item")}`),
    );
    this.#draw();
  }

  #open() {
    this.#choose(this.#catalog.find([this.#current.code]));
  }

  #key(event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const way = ways[event.key];
    if (way) this.#step(...way);
    else if (event.key === "+" || event.key === "=") this.#zoom(1.6);
    else if (event.key === "-") this.#zoom(1 / 1.6);
    else if (event.key === "0") this.#zoom(0);
    else if (event.key === "Enter" && this.#current) this.#open();
    else return;
    event.preventDefault();
  }

  /** Moves to the nearest item in a direction. */
  #step(dx, dy) {
    const from = this.#current ?? { x: 0.5, y: 0.5 };
    const next = this.#best((point) => {
      const along = (point.x - from.x) * dx + (point.y - from.y) * dy;
      const across = Math.abs((point.x - from.x) * dy) + Math.abs((point.y - from.y) * dx);
      return along > 0 && across <= along ? along + 2 * across : Infinity;
    });
    this.#show(next);
    if (next && this.#view.scale > 1) this.#look({ ...this.#view, x: next.x, y: next.y });
  }
}
