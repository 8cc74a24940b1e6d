// Search: every word typed must occur, in a document's title, or in a topic's label, terms or words.

class Search {
  constructor(map) {
    this.map = map;
    this.topics = map.topics.map((topic) =>
      folded([topic.label, ...topic.terms.map(([term]) => term), ...topic.words].join(" \u0001 ")));
    this.labels = map.label_names.map(folded);
  }

  // A document is found by its label or id too, typed in full.
  // {words, topics: their numbers, rows: of the documents}; rows are empty until titles are there.
  find(query) {
    const words = folded(query).split(/\s+/).filter(Boolean);
    const has = (text) => words.every((word) => text.includes(word));
    const topics = this.map.topics.map((topic) => topic.topic).filter((topic) => has(this.topics[topic]));
    topics.sort((one, other) => this.map.topics[other].size - this.map.topics[one].size);
    const rows = [], { folded: titles, ids, label } = this.map;
    const isLabel = this.labels.map((name) => words.length > 0 && words.join(" ") === name);
    for (let row = 0; titles && row < titles.length; row += 1) {
      if (has(titles[row]) || isLabel[label[row]] || query === ids[row]) rows.push(row);
    }
    return { words, topics, rows };
  }
}

// The text with each place of the words in a <mark>; as it is where folding changed its length.
function marked(text, words) {
  const low = folded(text);
  if (!words.length || low.length !== text.length) return [text];
  const isHit = new Uint8Array(text.length);
  for (const word of words) {
    for (let at = low.indexOf(word); at >= 0; at = low.indexOf(word, at + word.length)) {
      isHit.fill(1, at, at + word.length);
    }
  }
  const parts = [];
  for (let start = 0, end = 0; start < text.length; start = end) {
    while (end < text.length && isHit[end] === isHit[start]) end += 1;
    const part = text.slice(start, end);
    parts.push(isHit[start] ? make("mark", {}, part) : part);
  }
  return parts;
}
