// Elements and the words in them: text goes in as text nodes alone, so no markup of a document is read as such.

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

const button = (attributes, ...children) => make("button", { type: "button", ...attributes }, ...children);

const dot = (colour) => make("span", { class: "dot", style: { background: colour } });

function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const thousands = new Intl.NumberFormat("en");
const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
// noun: document or topic
const counted = (number, noun) => say(`{num} ${noun}${number === 1 ? "" : "s"}`, { num: thousands.format(number) });
const dateOf = (days) => (days === UNDATED ? "" : new Date(days * 86400000).toISOString().slice(0, 10));
const joined = (...facts) => facts.filter(Boolean).join(" · ");

const otherTerms = (topic) => topic.terms.map(([term]) => term).filter((term) => term !== topic.keyword);

// Text shortened to at most `most` letters.
const clipped = (text, most) => (text.length > most ? `${text.slice(0, most - 1).trimEnd()}…` : text);

// Lower case without accents, for comparing titles with what is typed.
function folded(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}
