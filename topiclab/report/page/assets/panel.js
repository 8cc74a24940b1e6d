// The panel: the list of topics, one topic, one document, or what a search found.

const SORTS = {
  size: ["largest first", (one, other) => other.size - one.size],
  trend: ["rising first", (one, other) => (other.trend ?? -Infinity) - (one.trend ?? -Infinity)],
  tree: ["like beside like", (one, other) => one.leaf - other.leaf],
  name: ["by name", (one, other) => one.keyword.localeCompare(other.keyword)],
};
const TREND = { emerging: "↗", fading: "↘", steady: "→" };
const KINDS = { representatives: "nearest", diverse: "diverse" };
const PAGE = 100; // documents listed at a time

class Panel {
  // actions: {topic(number), document(row), back(), search(query)}
  constructor(map, actions) {
    Object.assign(this, { map, actions, box: document.getElementById("content") });
    Object.assign(this, { sort: "size", kind: "representatives" });
    this.largest = Math.max(...map.topics.map((topic) => topic.size), 1);
    this.trends = new Map((map.time?.trends ?? []).map((trend) => [trend.topic, trend.kind]));
  }

  show(...parts) {
    this.box.replaceChildren(...parts.filter(Boolean));
    this.box.scrollTop = 0;
  }

  overview() {
    const { topics, tree } = this.map;
    const hasTrends = topics.some((topic) => topic.trend !== null);
    const sorts = Object.keys(SORTS).filter((name) => (name !== "trend" || hasTrends) && (name !== "tree" || tree));
    const options = sorts.map((name) =>
      make("option", { value: name, selected: name === this.sort }, say(SORTS[name][0])));
    const choice = make("select", { "aria-label": say("Order of the topics") }, ...options);
    choice.addEventListener("change", () => {
      this.sort = choice.value;
      this.overview();
      this.box.querySelector("select").focus();
    });
    const sorted = [...topics].sort((one, other) => SORTS[this.sort][1](one, other) || one.topic - other.topic);
    this.show(
      make("div", { class: "bar" }, make("h2", {}, counted(topics.length, "topic")), choice),
      this.topicList(sorted));
  }

  topicList(topics, words = []) {
    return make("ul", {}, ...topics.map((topic) => make("li", {}, this.topicRow(topic, words))));
  }

  topicRow(topic, words) {
    const trend = this.trends.get(topic.topic);
    const sign = trend && trend !== "steady" ? `${TREND[trend]} ` : "";
    const wide = `${(100 * topic.size) / this.largest}%`;
    return button(
      { class: "row", title: topic.label, "data-topic": topic.topic, onclick: () => this.actions.topic(topic.topic) },
      dot(topic.colour),
      make("b", { dir: "auto" }, ...marked(topic.keyword, words)),
      make("span", { class: "number", title: trend ? say(trend) : null }, sign + thousands.format(topic.size)),
      make("span", { class: "small", dir: "auto" }, ...marked(otherTerms(topic).slice(0, 6).join(", "), words)),
      make("span", { class: "size", "aria-hidden": "true" },
        make("i", { style: { width: wide, background: topic.colour } })));
  }

  // One topic; row: a document of it that is chosen, or -1.  back: what the way back is called.
  topic(number, row, back) {
    const { map } = this, topic = map.topics[number];
    this.show(
      this.way(number, back),
      row >= 0 ? this.card(row) : null,
      make("section", { class: "topic" },
        ...this.head(topic),
        make("h3", {}, say("Terms")), this.terms(topic),
        make("h3", {}, say("Words of the model")), make("p", { class: "words", dir: "auto" }, topic.words.join(", ")),
        ...this.examples(topic),
        ...(map.time ? [make("h3", {}, say("Over time")), timeLine(map.time, number, topic.colour)] : []),
        ...(map.tree && map.topics.length > 1
          ? [make("h3", {}, say("Place among the topics")), topicTree(map, number, this.actions.topic)] : [])));
  }

  way(number, back) {
    const order = this.map.tree?.order ?? this.map.topics.map((topic) => topic.topic);
    const beside = (step) => order[(order.indexOf(number) + step + order.length) % order.length];
    const go = (step) => () => this.actions.topic(beside(step));
    return make("div", { class: "bar" },
      button({ class: "plain", id: "back", onclick: this.actions.back }, `← ${back}`),
      make("span", { class: "gap" }),
      button({ class: "plain", "aria-label": say("Previous topic"), title: say("Previous topic"), onclick: go(-1) }, "‹"),
      button({ class: "plain", "aria-label": say("Next topic"), title: say("Next topic"), onclick: go(1) }, "›"));
  }

  head(topic) {
    const { label, keyword } = topic, start = `${keyword} | `;
    const rest = label.startsWith(start) ? label.slice(start.length) : label === keyword ? "" : label;
    const trend = this.trends.get(topic.topic);
    const badge = (text, title = null) => make("span", { class: "badge", title }, text);
    return [
      make("h2", { dir: "auto" }, dot(topic.colour), make("span", {}, topic.keyword)),
      rest ? make("p", { class: "of", dir: "auto" }, rest) : null,
      make("div", { class: "badges" },
        badge(say("Topic {num}", { num: topic.topic })),
        badge(counted(topic.size, "document"), say("Documents whose main topic it is")),
        badge(say("{share} of all text", { share: percent(topic.share) }), say("Mean share of this topic over all documents")),
        trend ? badge(`${TREND[trend]} ${say(trend)}`, say("Trend of its share over time")) : null),
    ];
  }

  terms(topic) {
    const most = Math.max(...topic.terms.map(([, score]) => score), 1e-12);
    return make("div", { class: "terms" }, ...topic.terms.map(([term, score]) =>
      button({ dir: "auto", title: say("Search for {term}", { term }), onclick: () => this.actions.search(term) },
        term,
        make("i", { style: { width: `${Math.max(2, (100 * score) / most)}%`, background: topic.colour } }))));
  }

  examples(topic) {
    const list = make("ul", { id: "examples" });
    const fill = () => list.replaceChildren(...topic[this.kind].map((example) => {
      const date = example.shown >= 0 ? dateOf(this.map.days[example.shown]) : "";
      const likeness = example.similarity === null ? "" : say("similarity {value}", { value: example.similarity.toFixed(2) });
      return this.hit(example.shown, example.title, joined(date, likeness));
    }));
    const tabs = Object.entries(KINDS).map(([kind, name]) =>
      button({ "data-kind": kind, "aria-pressed": String(kind === this.kind) }, say(name)));
    const group = make("span", { class: "tabs", role: "group", "aria-label": say("Which documents") }, ...tabs);
    group.addEventListener("click", (event) => {
      this.kind = event.target.dataset.kind ?? this.kind;
      for (const tab of tabs) tab.setAttribute("aria-pressed", String(tab.dataset.kind === this.kind));
      fill();
    });
    fill();
    return [make("h3", {}, say("Documents"), group), list];
  }

  // An entry of a list; row: -1 where the document is not among those drawn.
  hit(row, title, facts, words = []) {
    return make("li", {},
      button({ class: "document", "data-row": row, disabled: row < 0, onclick: () => this.actions.document(row) },
        make("span", { class: "title", dir: "auto" }, ...marked(title || say("Untitled"), words)),
        make("span", { class: "small" }, facts)));
  }

  card(row) {
    const { map } = this, share = say("{share} of this topic", { share: percent(map.strength[row] / 255) });
    const facts = joined(map.ids?.[row], dateOf(map.days[row]), map.label_names[map.label[row]], share);
    return make("article", { class: "card", id: "document" },
      make("h2", { dir: "auto" }, map.titles?.[row] || say("Untitled")),
      make("p", { class: "small" }, facts),
      map.snippets?.[row] ? make("p", { dir: "auto" }, map.snippets[row]) : null);
  }

  found({ words, topics, rows }) {
    const { map } = this, list = make("ul", { id: "hits" });
    const more = button({ class: "plain", onclick: () => extend() }, say("Show more"));
    const extend = () => {
      const from = list.children.length;
      list.append(...rows.slice(from, from + PAGE).map((row) => {
        const { keyword } = map.topics[map.topic[row]], label = map.label_names[map.label[row]];
        return this.hit(row, map.titles[row], joined(keyword, dateOf(map.days[row]), label), words);
      }));
      more.hidden = list.children.length >= rows.length;
    };
    extend();
    const isEmpty = !topics.length && !rows.length;
    this.show(
      isEmpty ? make("p", { class: "small" }, say("Nothing has all of these words. Try fewer of them.")) : null,
      topics.length ? make("h3", { class: "first" }, counted(topics.length, "topic")) : null,
      this.topicList(topics.map((topic) => map.topics[topic]), words),
      rows.length ? make("h3", {}, counted(rows.length, "document")) : null,
      list, more);
  }
}
