// Controls: pointer, wheel, pinch and keys on the stage, the buttons, the legend, the tooltip.

function listenToPointer(canvas, view, page) {
  const held = new Map(); // pointers that are down
  let moved = 0, asked = 0;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const later = (left, top) => {
    cancelAnimationFrame(asked);
    asked = requestAnimationFrame(() => page.hover(left, top));
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, place(event));
    if (held.size === 1) moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = place(event), before = held.get(event.pointerId);
    if (!before) return later(...now);
    held.set(event.pointerId, now);
    const other = [...held].find(([id]) => id !== event.pointerId)?.[1];
    moved += Math.hypot(now[0] - before[0], now[1] - before[1]) + (other ? 10 : 0);
    if (moved < 4) return undefined;
    later(null, null);
    canvas.classList.add("dragging");
    if (other) {
      const apart = (one) => Math.max(Math.hypot(one[0] - other[0], one[1] - other[1]), 1);
      view.zoomBy(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
      return view.move((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    }
    return view.move(now[0] - before[0], now[1] - before[1]);
  });
  const release = (event) => {
    const isOnly = held.size === 1 && held.has(event.pointerId);
    held.delete(event.pointerId);
    canvas.classList.remove("dragging");
    if (isOnly && event.type === "pointerup" && moved < 4) page.click(...place(event));
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => later(null, null));
  canvas.addEventListener("dblclick", (event) => view.zoomBy(2, ...place(event)));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const pixels = event.deltaY * [1, 16, 400][event.deltaMode];
    const speed = event.ctrlKey ? 0.01 : 0.0022; // a pinch on a touchpad comes as ctrl and small steps
    view.zoomBy(Math.exp(-Math.max(-160, Math.min(160, pixels)) * speed), ...place(event));
    later(...place(event));
  }, { passive: false });
}

function listenToKeys(canvas, view, leave) {
  const moves = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (moves[event.key]) view.move(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") view.zoomBy(1.4);
    else if (event.key === "-") view.zoomBy(1 / 1.4);
    else if (event.key === "0") view.fly(view.home);
    else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    const query = document.getElementById("query");
    if (event.key === "Escape") leave();
    else if (event.key === "/" && !/^(INPUT|SELECT)$/.test(event.target.tagName)) {
      event.preventDefault();
      query.focus();
      query.select();
    }
  });
}

function listenToTools(page) {
  const { view } = page;
  const by = (id) => document.getElementById(id);
  by("nearer").addEventListener("click", () => view.flyBy(1.7));
  by("farther").addEventListener("click", () => view.flyBy(1 / 1.7));
  by("home").addEventListener("click", () => view.fly(view.home));
  by("colour").addEventListener("click", (event) => {
    if (event.target.dataset.colour) page.colourBy(event.target.dataset.colour);
  });
  let wait = 0;
  by("query").addEventListener("input", () => {
    clearTimeout(wait);
    wait = setTimeout(() => page.ask(by("query").value), 90);
  });
  by("query").addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown") return;
    event.preventDefault();
    document.querySelector("#content button")?.focus();
  });
  by("find").addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(wait);
    page.ask(by("query").value);
    page.takeFirst();
  });
  by("content").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || event.target.tagName !== "BUTTON") return;
    event.preventDefault();
    const buttons = [...by("content").querySelectorAll("button:not([disabled]):not([hidden])")];
    buttons[buttons.indexOf(event.target) + step]?.focus();
  });
}

function showTooltip(map, row, left, top, view) {
  const tip = document.getElementById("tooltip");
  tip.hidden = row < 0;
  if (row < 0) return;
  const topic = map.topics[map.topic[row]];
  const facts = joined(map.label_names[map.label[row]], dateOf(map.days[row]));
  tip.replaceChildren(make("strong", { dir: "auto" }, map.titles?.[row] || map.ids?.[row] || "…"),
    make("p", {}, dot(topic.colour), make("span", { dir: "auto" }, topic.keyword)),
    ...(facts ? [make("small", {}, facts)] : []));
  const { offsetWidth: wide, offsetHeight: tall } = tip;
  tip.style.left = `${Math.max(8, Math.min(left + 16, view.width - wide - 8))}px`;
  tip.style.top = `${top + 18 + tall > view.height ? Math.max(8, top - tall - 14) : top + 18}px`;
}

function showLegend(map, isShown, choose) {
  const legend = document.getElementById("legend");
  legend.hidden = !isShown;
  if (!isShown) return;
  const lines = map.label_names.map((name, label) => make("li", {},
    button({ "data-label": label, "aria-pressed": "false", onclick: () => choose(label) },
      dot(map.label_colours[label] ?? REST),
      make("span", { dir: "auto" }, name),
      make("small", {}, thousands.format(map.labelCounts[label])))));
  legend.firstElementChild.replaceChildren(...lines);
}

function factsOf(map) {
  const shown = map.num_shown < map.num_docs ? say("{num} of ", { num: thousands.format(map.num_shown) }) : "";
  const periods = map.time?.periods ?? [];
  const time = periods.length ? say("{first} to {last}", { first: periods[0], last: periods.at(-1) }) : "";
  const beyond = map.num_beyond ? say("{num} beyond the view", { num: thousands.format(map.num_beyond) }) : "";
  return joined(shown + counted(map.num_docs, "document"), counted(map.topics.length, "topic"), time, beyond);
}

function press(selector, isPressed) {
  for (const one of document.querySelectorAll(selector)) one.setAttribute("aria-pressed", String(isPressed(one)));
}

function notice(text) {
  const box = document.getElementById("notice");
  box.textContent = text;
  box.hidden = false;
}

function readStyle() {
  const style = getComputedStyle(document.documentElement);
  const names = ["paper", "ink", "soft", "dim"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

// The choice goes into the address, so that a page can be opened at a topic or a search.
function remember(state) {
  const kept = new URLSearchParams();
  if (state.topic >= 0) kept.set("topic", state.topic);
  if (state.query) kept.set("q", state.query);
  history.replaceState(null, "", `#${kept}`);
}
