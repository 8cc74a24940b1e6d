// The page: what is chosen, and what the pointer, the keys and the panel do with it.

class Page {
  constructor(map) {
    this.map = map;
    this.state = { topic: -1, row: -1, hover: -1, label: -1, query: "", found: null, colour: "topic" };
    this.stage = document.getElementById("stage");
    this.points = document.getElementById("points");
    this.scatter = new Scatter(this.points, map);
    this.names = new Names(document.getElementById("names"), map);
    this.search = new Search(map);
    this.view = new View(map.home, () => this.redraw());
    this.panel = new Panel(map, {
      topic: (topic) => this.choose(topic, -1, true),
      document: (row) => this.choose(map.topic[row], row, true),
      back: () => this.choose(-1),
      search: (query) => this.ask(query, true),
    });
    this.gallery = new Gallery(map);
    this.style = readStyle();
    this.frame = 0;
    this.ratio = 1;
  }

  redraw() {
    this.frame ||= requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.frame = 0;
    const { scatter, view, ratio, style, state } = this;
    scatter.draw(view, ratio, style.dim);
    const rings = [...new Set([state.row, state.hover])].filter((row) => row >= 0);
    this.names.draw(view, ratio, style, state.topic, rings, scatter.size(view) / 2);
  }

  // The map and the panel as the state says.
  refresh() {
    const { map, state, panel } = this, { topic, label, found } = state;
    if (topic >= 0) panel.topic(topic, state.row, say(found ? "Results" : "All topics"));
    else if (found) panel.found(found);
    else panel.overview();
    const rows = new Set(found?.rows);
    if (topic >= 0) this.scatter.emphasise((row) => map.topic[row] === topic);
    else if (found) this.scatter.emphasise((row) => rows.has(row));
    else if (label >= 0) this.scatter.emphasise((row) => map.label[row] === label);
    else this.scatter.emphasise(null);
    press("#legend button", (button) => Number(button.dataset.label) === label);
    remember(state);
    this.redraw();
  }

  // Choose a topic, -1 for none, and perhaps a document of it; isFlying: go where they are.
  choose(topic, row = -1, isFlying = false) {
    Object.assign(this.state, { topic, row });
    this.refresh();
    if (!isFlying || topic < 0) return;
    const { view, map } = this;
    if (row >= 0) {
      const [x, y] = [map.places[2 * row] / SPAN, map.places[2 * row + 1] / SPAN];
      view.fly({ x, y, scale: Math.max(view.scale, 6 * view.home.scale) });
    } else if (map.topics[topic].box) view.fly(view.fit(map.topics[topic].box, 4 * view.home.scale));
  }

  // Search; isTold: write the query into the box too.
  ask(query, isTold = false) {
    if (isTold) document.getElementById("query").value = query;
    const asked = query.trim(), found = asked ? this.search.find(asked) : null;
    Object.assign(this.state, { query: asked, found, topic: -1, row: -1 });
    this.refresh();
    const said = found ? joined(counted(found.topics.length, "topic"), counted(found.rows.length, "document")) : "";
    document.getElementById("said").textContent = said;
  }

  takeFirst() {
    const { found } = this.state;
    if (found?.rows.length) this.choose(this.map.topic[found.rows[0]], found.rows[0], true);
    else if (found?.topics.length) this.choose(found.topics[0], -1, true);
  }

  colourBy(kind) {
    const { map, state, scatter } = this;
    Object.assign(state, { colour: kind, label: kind === "label" ? state.label : -1 });
    if (kind === "topic") scatter.paint(map.topic, map.topics.map((topic) => topic.colour));
    else scatter.paint(map.label, map.label_colours);
    press("#colour button", (button) => button.dataset.colour === kind);
    showLegend(map, kind === "label", (label) => {
      Object.assign(state, { label: state.label === label ? -1 : label, topic: -1, row: -1 });
      this.refresh();
    });
    this.names.keepClear(this.stage);
    this.refresh();
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    this.ratio = Math.min(devicePixelRatio || 1, 2);
    for (const canvas of [this.points, this.names.canvas]) {
      [canvas.width, canvas.height] = [Math.round(width * this.ratio), Math.round(height * this.ratio)];
    }
    this.names.keepClear(this.stage);
    this.view.resize(width, height);
  }

  hover(left, top) {
    const row = left === null ? -1 : this.scatter.pick(this.view, left, top);
    const isName = left !== null && this.names.at(left, top) >= 0;
    this.points.classList.toggle("pointing", row >= 0 || isName);
    showTooltip(this.map, row, left, top, this.view);
    if (row === this.state.hover) return;
    this.state.hover = row;
    this.redraw();
  }

  click(left, top) {
    const topic = this.names.at(left, top), row = this.scatter.pick(this.view, left, top);
    if (topic >= 0) this.choose(topic, -1, true);
    else if (row >= 0) this.choose(this.map.topic[row], row);
    else if (this.state.topic >= 0) this.choose(-1);
  }

  // One step back: from the charts, then from a topic, then from a search.
  leave() {
    if (this.gallery.isOpen) this.gallery.show(false);
    else if (this.state.topic >= 0) this.choose(-1);
    else if (this.state.query) this.ask("", true);
  }

  listen() {
    listenToPointer(this.points, this.view, this);
    listenToKeys(this.points, this.view, () => this.leave());
    listenToTools(this);
    this.points.addEventListener("webglcontextlost", (event) => event.preventDefault());
    this.points.addEventListener("webglcontextrestored", () => {
      this.scatter.build();
      this.colourBy(this.state.colour);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.style = readStyle();
      this.redraw();
    });
    new ResizeObserver(() => this.resize()).observe(this.stage);
  }

  screenOf(row) {
    return this.view.toScreen(this.map.places[2 * row] / SPAN, this.map.places[2 * row + 1] / SPAN);
  }
}

async function open() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const map = await loadMap(), page = new Page(map);
  document.getElementById("facts").textContent = factsOf(map);
  document.getElementById("colour").hidden = map.label_names.length === 0;
  if (!page.scatter.gl) notice(say("This browser draws no WebGL2: the map stays empty, topics and search work."));
  page.listen();
  page.resize();
  page.colourBy("topic");
  const topic = Number.parseInt(asked.get("topic"), 10);
  if (topic >= 0 && topic < map.topics.length) page.choose(topic, -1, true);
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done))); // the picture first, then the texts
  await loadTexts(map);
  const { topic: chosen, row } = page.state;
  const query = page.state.query || asked.get("q");
  if (query) page.ask(query, !page.state.query);
  if (chosen >= 0) page.choose(chosen, row);
  window.topicMap = page; // for scripts that steer the page
  document.documentElement.dataset.ready = "true";
}

open().catch((error) => {
  notice(say("The map could not be opened: {reason}", { reason: error.message }));
  throw error;
});
