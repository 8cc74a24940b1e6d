// The panel: the list of topics, one topic, one document, or what a search found.

const SORTS = {
  size: ["largest first", (one, other) => other.size - one.size],
  trend: ["rising first", (one, other) => (other.trend ?? -Infinity) - (one.trend ?? -Infinity)],
  tree: ["like beside like", (one, other) => one.leaf - other.leaf],
  name: ["by name", (one, other) => one.keyword.localeCompare(other.keyword)],
};
const PAGE = 100; // documents listed at a time

class Panel {
  // actions: {topic(number), document(row), back(), search(query)}
  constructor(map, actions) {
    Object.assign(this, { map, actions, box: document.getElementById("content"), sort: "size", kind: "representatives" });
    this.largest = Math.max(...map.topics.map((topic) => topic.size), 1);
  }

  show(...parts) {
    this.box.replaceChildren(...parts);
    this.box.scrollTop = 0;
  }

  overview() {
    const { topics, tree } = this.map;
    const isAsked = { size: true, name: true, tree: Boolean(tree), trend: topics.some((topic) => topic.trend !== null) };
    const sorts = Object.keys(SORTS).filter((name) => isAsked[name]).map((name) =>
      make("option", { value: name, selected: name === this.sort }, SORTS[name][0]));
    const choice = make("select", { "aria-label": "Order of the topics", onchange: () => { this.sort = choice.value; this.overview(); choice.isConnected || this.box.querySelector("select").focus(); } }, ...sorts);
    const sorted = [...topics].sort((one, other) => SORTS[this.sort][1](one, other) || one.topic - other.topic);
    this.show(make("div", { class: "bar" }, make("h2", {}, `${thousands.format(topics.length)} topics`), choice),
      this.topicList(sorted));
  }

  topicList(topics, words = []) {
    return make("ul", {}, ...topics.map((topic) => make("li", {},
      make("button", { type: "button", class: "row", title: topic.label, "data-topic": topic.topic, onclick: () => this.actions.topic(topic.topic) },
        dot(topic.colour), make("b", { dir: "auto" }, ...marked(topic.keyword, words)),
        make("span", { class: "number" }, `${trendSign(this.map, topic)}${thousands.format(topic.size)}`),
        make("span", { class: "small", dir: "auto" }, ...marked(topic.terms.slice(1, 7).map(([term]) => term).join(", "), words)),
        make("span", { class: "size", "aria-hidden": "true" },
          make("i", { style: { width: `${(100 * topic.size) / this.largest}%`, background: topic.colour } }))))));
  }

  topic(number, row) {
    const { map } = this, topic = map.topics[number], time = map.time;
    const order = map.tree ? map.tree.order : map.topics.map((one) => one.topic);
    const beside = (step) => order[(order.indexOf(number) + step + order.length) % order.length];
    const rest = topic.label.startsWith(`${topic.keyword} | `) ? topic.label.slice(topic.keyword.length + 3) : topic.label === topic.keyword ? "" : topic.label;
    const trend = time?.trends?.find((one) => one.topic === number);
    this.show(...[
      make("div", { class: "bar" },
        make("button", { type: "button", class: "plain", id: "back", onclick: this.actions.back }, "← All topics"), make("span", { style: { flex: 1 } }),
        make("button", { type: "button", class: "plain", "aria-label": "Previous topic", onclick: () => this.actions.topic(beside(-1)) }, "‹"),
        make("button", { type: "button", class: "plain", "aria-label": "Next topic", onclick: () => this.actions.topic(beside(1)) }, "›")),
      row >= 0 ? this.card(row) : null,
      make("section", { class: "topic" },
        make("h2", { dir: "auto" }, make("span", { class: "dot", style: { background: topic.colour, width: "13px", height: "13px" } }), make("span", {}, topic.keyword)),
        rest ? make("p", { class: "of", dir: "auto" }, rest) : null,
        make("div", { class: "badges" },
          make("span", { class: "badge" }, `Topic ${number}`),
          make("span", { class: "badge" }, `${thousands.format(topic.size)} document${topic.size === 1 ? "" : "s"}`),
          make("span", { class: "badge", title: "Mean share of this topic over all documents" }, `${percent(topic.share)} of all text`),
          trend ? make("span", { class: "badge" }, `${TREND[trend.kind]} ${trend.kind}`) : null),
        make("h3", {}, "Terms"), this.terms(topic),
        make("h3", {}, "Words of the model"), make("p", { class: "words", dir: "auto" }, topic.words.join(", ")),
        ...this.documents(topic),
        ...(time ? [make("h3", {}, "Over time"), timeLine(time, number, topic.colour)] : []),
        ...(map.tree && map.topics.length > 1 ? [make("h3", {}, "Place among the topics"), topicTree(map, number, this.actions.topic)] : [])),
    ].filter(Boolean));
  }

  terms(topic) {
    const most = Math.max(...topic.terms.map(([, score]) => score), 1e-12);
    return make("div", { class: "terms" }, ...topic.terms.map(([term, score]) =>
      make("button", { type: "button", dir: "auto", title: `Search for ${term}`, onclick: () => this.actions.search(term) }, term,
        make("i", { style: { width: `${Math.max(2, (100 * score) / most)}%`, background: topic.colour } }))));
  }

  documents(topic) {
    const kinds = { representatives: "nearest", diverse: "diverse" };
    const list = make("ul", { id: "examples" });
    const fill = () => list.replaceChildren(...topic[this.kind].map((one) => this.hit(one.row, one.title,
      [one.shown >= 0 ? dateOf(this.map.days[one.shown]) : "", `similarity ${one.similarity?.toFixed(2) ?? "-"}`], [], one.shown)));
    const tabs = Object.entries(kinds).map(([kind, name]) => make("button", { type: "button", "aria-pressed": String(kind === this.kind), onclick: (event) => {
      this.kind = kind;
      for (const tab of event.target.parentNode.children) tab.setAttribute("aria-pressed", String(tab === event.target));
      fill();
    } }, name));
    fill();
    return [make("h3", {}, "Documents", make("span", { class: "tabs", role: "group", "aria-label": "Which documents" }, ...tabs)), list];
  }

  // An entry of a list; row: -1 where the document is not among those drawn.
  hit(number, title, facts, words, row) {
    return make("li", {}, make("button", { type: "button", class: "document", "data-row": row, disabled: row < 0, onclick: () => this.actions.document(row) },
      make("span", { class: "title", dir: "auto" }, ...marked(title, words)),
      make("span", { class: "small" }, facts.filter(Boolean).join(" · "))));
  }

  card(row) {
    const { map } = this;
    const facts = [map.ids?.[row], dateOf(map.days[row]), map.label_names[map.label[row]], `${percent(map.strength[row] / 255)} of this topic`];
    return make("article", { class: "card", id: "document" }, make("h2", { dir: "auto" }, map.titles?.[row] || "Untitled"),
      make("p", { class: "small" }, facts.filter(Boolean).join(" · ")),
      map.snippets?.[row] ? make("p", { dir: "auto" }, map.snippets[row]) : null);
  }

  found({ words, topics, rows }) {
    const list = make("ul", { id: "hits" });
    const more = make("button", { type: "button", class: "plain", onclick: () => extend() }, "More");
    const extend = () => {
      const from = list.children.length;
      list.append(...rows.slice(from, from + PAGE).map((row) => this.hit(row, this.map.titles[row] || "Untitled",
        [this.map.topics[this.map.topic[row]].keyword, dateOf(this.map.days[row]), this.map.label_names[this.map.label[row]]], words, row)));
      more.hidden = list.children.length >= rows.length;
    };
    extend();
    const none = topics.length || rows.length ? null : make("p", { class: "small" }, "Nothing has all of these words. Try fewer of them.");
    this.show(...[none,
      topics.length ? make("div", { class: "bar" }, make("h2", {}, `${thousands.format(topics.length)} topic${topics.length === 1 ? "" : "s"}`)) : null,
      topics.length ? this.topicList(topics.map((topic) => this.map.topics[topic]), words) : null,
      rows.length ? make("h3", {}, `${thousands.format(rows.length)} document${rows.length === 1 ? "" : "s"}`) : null, list, more].filter(Boolean));
  }
}

const TREND = { emerging: "↗", fading: "↘", steady: "→" };

function trendSign(map, topic) {
  const kind = map.time?.trends?.find((one) => one.topic === topic.topic)?.kind;
  return kind && kind !== "steady" ? `${TREND[kind]} ` : "";
}
