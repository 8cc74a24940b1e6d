// Embedded data of the page, decoded: base64 of zlib streams, made by report/page/render.py.

const SPAN = 65535;
const NO_LABEL = 65535;
const UNDATED = -2147483648;
const REST = "#8b8f99"; // of documents without a colour of their own

async function unpacked(name) {
  const coded = atob(document.getElementById(`data-${name}`).textContent);
  const bytes = Uint8Array.from(coded, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

async function unpackedJson(name) {
  return JSON.parse(new TextDecoder().decode(await unpacked(name)));
}

// {facts..., topics, tree, time, colours, ...} and, for N documents, x, y (0 to 1), topic, label, strength, days.
async function loadMap() {
  const [map, points] = await Promise.all([unpackedJson("facts"), unpacked("points")]);
  const size = map.num_shown;
  Object.assign(PHRASES, map.phrases);
  map.days = new Int32Array(points, 0, size);
  map.places = new Uint16Array(points, 4 * size, 2 * size); // x, y of each document
  map.topic = new Uint16Array(points, 8 * size, size);
  map.label = new Uint16Array(points, 10 * size, size);
  map.strength = new Uint8Array(points, 12 * size, size);
  map.titles = map.ids = map.snippets = null; // come after the first picture
  map.labelCounts = new Uint32Array(map.label_names.length);
  for (const label of map.label) if (label !== NO_LABEL) map.labelCounts[label] += 1;
  return map;
}

async function loadTexts(map) {
  [map.titles, map.ids] = await Promise.all([unpackedJson("titles"), unpackedJson("ids")]);
  map.folded = map.titles.map(folded);
  map.snippets = await unpackedJson("snippets");
}
