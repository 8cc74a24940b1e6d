// The view: which part of the map, 0 to 1 each way with y upwards, the stage shows, and how it moves.

class View {
  constructor(box, changed) {
    Object.assign(this, { box, changed, width: 1, height: 1, x: 0.5, y: 0.5, scale: 1, flight: 0 });
    this.isCalm = matchMedia("(prefers-reduced-motion: reduce)");
  }

  resize(width, height) {
    const zoom = this.zoom;
    Object.assign(this, { width, height });
    if (this.isPlaced) this.scale = zoom * this.home.scale;
    else Object.assign(this, this.home, { isPlaced: true });
    this.changed();
  }

  get home() {
    return this.fit(this.box);
  }

  get least() {
    return 0.5 * this.home.scale;
  }

  get zoom() {
    return this.scale / this.home.scale;
  }

  fit([left, low, right, high], most = Infinity) {
    const wide = Math.max(this.width - 80, 60), tall = Math.max(this.height - 130, 60);
    const scale = Math.min(wide / Math.max(right - left, 1e-4), tall / Math.max(high - low, 1e-4), most);
    return { x: (left + right) / 2, y: (low + high) / 2 + 20 / scale, scale };
  }

  toScreen(x, y) {
    return [(x - this.x) * this.scale + this.width / 2, (this.y - y) * this.scale + this.height / 2];
  }

  toMap(left, top) {
    return [(left - this.width / 2) / this.scale + this.x, this.y - (top - this.height / 2) / this.scale];
  }

  move(right, down) {
    this.stop();
    this.x -= right / this.scale;
    this.y += down / this.scale;
    this.keep();
  }

  zoomBy(factor, left = this.width / 2, top = this.height / 2) {
    this.stop();
    const [x, y] = this.toMap(left, top);
    this.scale = Math.min(Math.max(this.scale * factor, this.least), 400 * this.least);
    const [toX, toY] = this.toMap(left, top);
    this.x += x - toX;
    this.y += y - toY;
    this.keep();
  }

  keep() {
    this.x = Math.min(Math.max(this.x, -0.1), 1.1);
    this.y = Math.min(Math.max(this.y, -0.1), 1.1);
    this.changed();
  }

  // Go to a place {x, y, scale}, in a moment or at once where less motion is asked for.
  fly(to, milliseconds = 420) {
    this.stop();
    const from = { x: this.x, y: this.y, scale: this.scale }, start = performance.now();
    const step = (now) => {
      const done = this.isCalm.matches ? 1 : Math.min(1, (now - start) / milliseconds);
      const eased = 1 - (1 - done) ** 3;
      this.scale = from.scale * (to.scale / from.scale) ** eased;
      this.x = from.x + (to.x - from.x) * eased;
      this.y = from.y + (to.y - from.y) * eased;
      this.changed();
      this.flight = done < 1 ? requestAnimationFrame(step) : 0;
    };
    this.flight = requestAnimationFrame(step);
  }

  flyBy(factor) {
    const scale = Math.min(Math.max(this.scale * factor, this.least), 400 * this.least);
    this.fly({ x: this.x, y: this.y, scale }, 200);
  }

  stop() {
    cancelAnimationFrame(this.flight);
    this.flight = 0;
  }
}
