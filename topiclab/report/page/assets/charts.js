// Charts of one topic: its share over time with its band, and its place in the tree of topics.

const WIDE = 346, TALL = 112, FOOT = 18;

function timeLine(time, topic, colour) {
  const { periods, shares, low, high, counts, terms } = time;
  const most = Math.max(...high[topic].map((value, at) => value ?? shares[topic][at] ?? 0), 1e-9);
  const x = (at) => (periods.length > 1 ? (at / (periods.length - 1)) * WIDE : WIDE / 2);
  const y = (share) => TALL - ((share ?? 0) / most) * (TALL - 14);
  const line = (values, run) => run.map((at) => `${x(at).toFixed(1)} ${y(values[topic][at]).toFixed(1)}`);
  const runs = unbroken(shares[topic]);
  const band = runs.map((run) => `M${[...line(high, run), ...line(low, run).reverse()].join("L")}Z`).join("");
  const cursor = draw("g", { visibility: "hidden" },
    draw("line", { class: "cursor", y1: 4, y2: TALL }),
    draw("circle", { r: 3.5, fill: colour, stroke: "var(--card)", "stroke-width": 1.5 }));
  const picture = draw("svg", { viewBox: `-1 0 ${WIDE + 2} ${TALL + FOOT}`, tabindex: 0, role: "img",
    "aria-label": say("Share of documents by {unit}, {first} to {last}; arrow keys read it",
      { unit: known(time.unit), first: periods[0], last: periods.at(-1) }) });
  const rule = (share) => draw("line", { class: "rule", x1: 0, x2: WIDE, y1: y(share), y2: y(share) });
  picture.append(rule(0), rule(most / 2), rule(most));
  picture.append(draw("path", { d: band, fill: colour, opacity: 0.22 }));
  const path = runs.map((run) => `M${line(shares, run).join("L")}`).join("");
  picture.append(draw("path", { class: "share", d: path, stroke: colour }));
  for (const run of runs.filter((one) => one.length === 1)) {
    picture.append(draw("circle", { cx: x(run[0]), cy: y(shares[topic][run[0]]), r: 3, fill: colour }));
  }
  picture.append(draw("text", { x: WIDE, y: y(most) - 4, "text-anchor": "end" }, percent(most)));
  const ticks = [...new Set([0, Math.round((periods.length - 1) / 2), periods.length - 1])];
  ticks.forEach((at, turn) => {
    const anchor = ticks.length === 1 || turn === 1 && ticks.length === 3 ? "middle" : turn === 0 ? "start" : "end";
    picture.append(draw("text", { x: x(at), y: TALL + FOOT - 3, "text-anchor": anchor }, periods[at]));
  });
  picture.append(cursor);
  const told = make("p", { class: "small" });
  let now = -1;
  const read = (at) => {
    now = Math.min(Math.max(at, 0), periods.length - 1);
    cursor.setAttribute("visibility", "visible");
    cursor.setAttribute("transform", `translate(${x(now)} 0)`);
    cursor.lastChild.setAttribute("cy", y(shares[topic][now]));
    const count = counts[topic][now], words = terms?.[topic]?.[now] ?? [];
    const facts = `${periods[now]}: ${counted(count, "document")}, ${percent(shares[topic][now] ?? 0)}`;
    told.textContent = words.length ? `${facts}: ${words.join(", ")}` : facts;
  };
  const rest = () => {
    now = -1;
    cursor.setAttribute("visibility", "hidden");
    told.textContent = say("Share of the documents of each {unit}, with a bootstrap band of {level}.",
      { unit: known(time.unit), level: time.level ? `${Math.round(100 * time.level)} %` : "?" });
  };
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    read(Math.round(((event.clientX - box.left) / box.width) * (periods.length - 1)));
  });
  picture.addEventListener("pointerleave", rest);
  picture.addEventListener("blur", rest);
  picture.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    read(now < 0 ? (step > 0 ? 0 : periods.length - 1) : now + step);
  });
  rest();
  return make("div", { class: "time" }, picture, told);
}

// Runs of neighbouring periods that have a share: one without documents has none.
function unbroken(shares) {
  const runs = [[]];
  shares.forEach((share, at) => {
    if (share !== null) runs.at(-1).push(at);
    else if (runs.at(-1).length) runs.push([]);
  });
  return runs.filter((run) => run.length);
}

function topicTree(map, chosen, choose) {
  const step = 22, wide = 112, { merges, order } = map.tree;
  const size = map.topics.length, tallest = Math.max(...merges.map((merge) => merge[2]), 1e-9);
  const nodes = new Map(order.map((topic, at) => [topic, { x: wide, y: (at + 0.5) * step, isOn: topic === chosen }]));
  const faint = [], strong = [];
  merges.forEach(([one, other, height], at) => {
    const ends = [nodes.get(one), nodes.get(other)];
    const node = {
      x: wide * (1 - height / tallest),
      y: (ends[0].y + ends[1].y) / 2,
      isOn: ends.some((end) => end.isOn),
    };
    nodes.set(size + at, node);
    for (const end of ends) {
      const path = `M${node.x.toFixed(1)} ${node.y.toFixed(1)}V${end.y.toFixed(1)}H${end.x.toFixed(1)}`;
      (end.isOn ? strong : faint).push(path);
    }
  });
  const picture = draw("svg", { width: wide + 4, height: size * step, "aria-hidden": "true" },
    draw("path", { d: faint.join("") || "M0 0" }), draw("path", { class: "chosen", d: strong.join("") || "M0 0" }));
  const leaves = order.map((topic) => {
    const { label, keyword, colour } = map.topics[topic];
    const facts = { "aria-current": String(topic === chosen), title: label, onclick: () => choose(topic) };
    return make("li", {}, button(facts, dot(colour), make("span", { dir: "auto" }, keyword)));
  });
  const tree = make("div", { class: "tree" }, picture, make("ul", {}, ...leaves));
  requestAnimationFrame(() => { tree.scrollTop = nodes.get(chosen).y - tree.clientHeight / 2; });
  return tree;
}
