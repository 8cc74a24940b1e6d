// Names of topics over the points, as many as fit without touching, large topics first; and rings.

const GAP = 4; // pixels from a name to the place that it names, which it must not hide

class Names {
  constructor(canvas, map) {
    Object.assign(this, { canvas, map, pen: canvas.getContext("2d"), boxes: [], taken: [] });
    this.order = map.topics.map((topic) => topic.topic).filter((topic) => map.topics[topic].shown > 0);
    this.order.sort((one, other) => map.topics[other].size - map.topics[one].size || one - other);
    this.widths = new Map();
  }

  // Names stay clear of what lies over the stage.
  keepClear(stage) {
    const { left, top } = stage.getBoundingClientRect();
    this.taken = [...stage.querySelectorAll("#heading, #tools, #legend")].map((part) => part.getBoundingClientRect())
      .map((part) => ({
        topic: -1,
        left: part.left - left,
        right: part.right - left,
        top: part.top - top,
        low: part.bottom - top,
      }));
  }

  // chosen: topic that is named whatever else is near, -1 for none.  rings: documents to circle.
  draw(view, ratio, style, chosen, rings, radius) {
    const pen = this.pen;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, view.width, view.height);
    for (const row of rings) this.ring(view, row, style, radius);
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    this.boxes = [...this.taken];
    const order = chosen < 0 ? this.order : [chosen, ...this.order.filter((topic) => topic !== chosen)];
    for (const topic of order) this.name(view, topic, style, chosen);
  }

  name(view, number, style, chosen) {
    const pen = this.pen, topic = this.map.topics[number], isChosen = number === chosen;
    const [left, at] = view.toScreen(...topic.anchor);
    const lines = [clipped(topic.keyword, 30)];
    if (view.zoom > 2.2) lines.push(clipped(otherTerms(topic).slice(0, 3).join(", "), 44));
    const sizes = [isChosen ? 15 : 13.5, 11.5];
    const width = Math.max(...lines.map((line, row) => this.width(line, sizes[row], row === 0)));
    const height = lines.length > 1 ? 36 : 20;
    const half = width / 2 + 5;
    const box = this.free(view, { topic: number, left: left - half, right: left + half }, at, height);
    if (!box) return;
    this.boxes.push(box);
    const top = (box.top + box.low) / 2;
    pen.globalAlpha = chosen < 0 || isChosen ? 1 : 0.45;
    lines.forEach((line, row) => {
      const y = top + (lines.length > 1 ? (row === 0 ? -8 : 9) : 0);
      pen.font = this.font(sizes[row], row === 0);
      pen.lineWidth = 4;
      pen.strokeStyle = style.paper;
      pen.strokeText(line, left, y);
      pen.fillStyle = row === 0 ? style.ink : style.soft;
      pen.fillText(line, left, y);
    });
    pen.globalAlpha = 1;
  }

  // The box above a place, or below it, where it touches no other; null where both do or none is in view.
  free(view, sides, at, height) {
    const boxes = [at - GAP - height, at + GAP].map((top) => ({ ...sides, top, low: top + height }));
    const stage = { left: 0, right: view.width, top: 0, low: view.height };
    return boxes.find((box) => touches(box, stage) && !this.boxes.some((other) => touches(box, other))) ?? null;
  }

  font(size, isBold) {
    this.family ??= getComputedStyle(document.body).fontFamily;
    return `${isBold ? 650 : 450} ${size}px ${this.family}`;
  }

  width(line, size, isBold) {
    const key = `${size}${isBold}${line}`;
    if (!this.widths.has(key)) {
      this.pen.font = this.font(size, isBold);
      this.widths.set(key, this.pen.measureText(line).width);
    }
    return this.widths.get(key);
  }

  ring(view, row, style, radius) {
    const [left, top] = view.toScreen(this.map.places[2 * row] / SPAN, this.map.places[2 * row + 1] / SPAN);
    for (const [width, colour] of [[4.5, style.paper], [2, style.ink]]) {
      this.pen.beginPath();
      this.pen.arc(left, top, radius + 4, 0, 2 * Math.PI);
      this.pen.lineWidth = width;
      this.pen.strokeStyle = colour;
      this.pen.stroke();
    }
  }

  // The topic whose name is at a place of the stage, -1 for none.
  at(left, top) {
    const box = this.boxes.find((one) => one.topic >= 0 && touches(one, { left, right: left, top, low: top }));
    return box ? box.topic : -1;
  }
}

function touches(one, other) {
  return one.left < other.right && other.left < one.right && one.top < other.low && other.top < one.low;
}
