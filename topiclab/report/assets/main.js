// The page: what is chosen, and what the pointer, the keys and the panel do with it.

async function open() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const map = await loadMap();
  const stage = document.getElementById("stage"), points = document.getElementById("points");
  const state = { topic: -1, row: -1, hover: -1, label: -1, query: "", found: null, colour: "topic" };
  const scatter = new Scatter(points, map);
  const names = new Names(document.getElementById("names"), map);
  let frame = 0, style = readStyle(), ratio = 1;

  const view = new View(map.home, () => redraw());
  const panel = new Panel(map, {
    topic: (topic) => choose(topic, -1, true),
    document: (row) => choose(map.topic[row], row, true),
    back: () => { state.topic = state.row = -1; refresh(); },
    search: (query) => { document.getElementById("query").value = query; search(query); },
  });
  const finder = new Search(map);

  function redraw() {
    if (!frame) frame = requestAnimationFrame(() => { frame = 0; paint(); });
  }

  function paint() {
    scatter.draw(view, ratio, style.dim);
    const rings = [...new Set([state.row, state.hover])].filter((row) => row >= 0);
    names.draw(view, ratio, style, state.topic, rings, scatter.size(view) / 2);
  }

  function refresh() {
    const { topic, label, found } = state;
    if (topic >= 0) scatter.emphasise((row) => map.topic[row] === topic);
    else if (found) {
      const rows = new Set(found.rows);
      scatter.emphasise((row) => rows.has(row));
    } else if (label >= 0) scatter.emphasise((row) => map.label[row] === label);
    else scatter.emphasise(null);
    if (topic >= 0) panel.topic(topic, state.row);
    else if (found) panel.found(found);
    else panel.overview();
    const back = document.getElementById("back");
    if (back && found) back.textContent = "← Results";
    for (const button of document.querySelectorAll("#legend button")) button.setAttribute("aria-pressed", String(Number(button.dataset.label) === label));
    remember(state);
    redraw();
  }

  // Choose a topic and perhaps a document of it; isFlying: go where they are.
  function choose(topic, row = -1, isFlying = false) {
    Object.assign(state, { topic, row });
    refresh();
    if (!isFlying) return;
    const most = row >= 0 ? 6 * view.home.scale : 4 * view.home.scale;
    if (row >= 0) {
      const [x, y] = [map.places[2 * row] / SPAN, map.places[2 * row + 1] / SPAN];
      view.fly({ x, y, scale: Math.max(view.scale, most) });
    } else if (map.topics[topic].box) view.fly(view.fit(map.topics[topic].box, most));
  }

  function search(query) {
    state.query = query.trim();
    state.found = state.query ? finder.find(state.query) : null;
    state.topic = state.row = -1;
    refresh();
    const { found } = state;
    document.getElementById("said").textContent = found ? `${found.topics.length} topics, ${found.rows.length} documents` : "";
  }

  function colourBy(kind) {
    state.colour = kind;
    if (kind === "topic") state.label = -1;
    if (kind === "topic") scatter.paint(map.topic, map.topics.map((topic) => topic.colour));
    else scatter.paint(map.label, map.label_colours);
    for (const button of document.querySelectorAll("#colour button")) button.setAttribute("aria-pressed", String(button.dataset.colour === kind));
    showLegend(map, state, kind === "label", (label) => { state.label = state.label === label ? -1 : label; state.topic = state.row = -1; refresh(); });
    names.keepClear(stage);
    refresh();
  }

  function resize() {
    ratio = Math.min(devicePixelRatio || 1, 2);
    const { clientWidth: width, clientHeight: height } = stage;
    for (const canvas of [points, names.canvas]) [canvas.width, canvas.height] = [width * ratio, height * ratio];
    names.keepClear(stage);
    view.resize(width, height);
  }

  listenToPointer(points, view, {
    hover: (left, top) => {
      const row = left === null ? -1 : scatter.pick(view, left, top);
      points.classList.toggle("pointing", row >= 0 || (left !== null && names.at(left, top) >= 0));
      showTooltip(map, row, left, top, view);
      if (row !== state.hover) { state.hover = row; redraw(); }
    },
    click: (left, top) => {
      const topic = names.at(left, top), row = scatter.pick(view, left, top);
      if (topic >= 0) choose(topic, -1, true);
      else if (row >= 0) choose(map.topic[row], row);
      else if (state.topic >= 0) { state.topic = state.row = -1; refresh(); }
    },
  });
  listenToKeys(points, view, () => {
    if (state.topic >= 0) { state.topic = state.row = -1; refresh(); }
    else if (state.query) { document.getElementById("query").value = ""; search(""); }
  });
  listenToTools(view, colourBy, search, () => state.found && choose(...(state.found.rows.length
    ? [map.topic[state.found.rows[0]], state.found.rows[0], true] : [state.found.topics[0] ?? -1, -1, state.found.topics.length > 0])));
  points.addEventListener("webglcontextlost", (event) => event.preventDefault());
  points.addEventListener("webglcontextrestored", () => { scatter.build(); colourBy(state.colour); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { style = readStyle(); redraw(); });

  document.getElementById("facts").textContent = factsOf(map);
  document.getElementById("colour").hidden = map.label_names.length === 0;
  if (!scatter.gl) notice("This browser draws no WebGL2, so the map stays empty. Topics, documents and search work.");
  new ResizeObserver(resize).observe(stage);
  resize();
  colourBy("topic");
  const topic = Number.parseInt(asked.get("topic"), 10);
  if (topic >= 0 && topic < map.topics.length) choose(topic, -1, true);
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  await loadTexts(map);
  if (asked.get("q")) { document.getElementById("query").value = asked.get("q"); search(asked.get("q")); }
  else if (state.query) search(state.query);
  window.topicMap = { // for scripts that steer the page
    map, state, view, choose, search, colourBy, draw: paint,
    screenOf: (row) => view.toScreen(map.places[2 * row] / SPAN, map.places[2 * row + 1] / SPAN),
  };
  document.documentElement.dataset.ready = "true";
}

open().catch((error) => {
  notice(`The map could not be opened: ${error.message}`);
  throw error;
});
