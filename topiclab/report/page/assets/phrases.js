// What the page says, in its language: report/language.py has the phrases, English ones stand for themselves.

const PHRASES = {};

const known = (name) => PHRASES[name] ?? name;

// The phrase with its values: say("{num} topics", { num: 3 }).
function say(phrase, values = {}) {
  return known(phrase).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}
