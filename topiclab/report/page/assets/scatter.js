// The scatter: one WebGL2 point a document; a grid finds the one under the pointer.

const VERTEX = `#version 300 es
in vec2 place;
in uint kind;
in uint state; // 0 in the background, 1 as all, 2 in front
uniform vec4 view; // x, y of the middle; clip units per map unit
uniform float size;
uniform uint pass; // 0 what lies in the background, 1 the rest
uniform vec3 dim;
uniform float alpha;
uniform highp sampler2D palette;
out vec4 colour;
void main() {
  bool isDim = state == 0u;
  vec3 own = texelFetch(palette, ivec2(int(kind) & 255, int(kind) >> 8), 0).rgb;
  colour = isDim ? vec4(mix(own, dim, 0.7), 0.4) : vec4(own, state == 2u ? 0.95 : alpha);
  gl_Position = isDim == (pass == 0u) ? vec4((place - view.xy) * view.zw, 0.0, 1.0) : vec4(2.0, 2.0, 2.0, 1.0);
  gl_PointSize = state == 2u ? size * 1.35 + 0.5 : size;
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec4 colour;
uniform float size;
out vec4 pixel;
void main() {
  float edge = length(gl_PointCoord - 0.5) * 2.0;
  float soft = 2.0 / max(size, 2.0);
  float cover = colour.a * (1.0 - smoothstep(1.0 - soft, 1.0, edge));
  pixel = vec4(colour.rgb * cover, cover);
}`;

class Scatter {
  constructor(canvas, map) {
    Object.assign(this, { canvas, map, states: new Uint8Array(map.num_shown).fill(1), hasDim: false });
    this.cells = new Cells(map.places, map.num_shown);
    this.gl = canvas.getContext("webgl2", { antialias: false, premultipliedAlpha: true });
    if (this.gl) this.build();
  }

  build() {
    const gl = this.gl, program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    ["place", "kind", "state"].forEach((name, at) => gl.bindAttribLocation(program, at, name));
    gl.linkProgram(program);
    gl.useProgram(program);
    this.at = Object.fromEntries(
      ["view", "size", "pass", "dim", "alpha"].map((name) => [name, gl.getUniformLocation(program, name)]));
    this.buffers = [this.map.places, this.map.topic, this.states].map((values) => {
      const buffer = gl.createBuffer();
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
      return buffer;
    });
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[0]);
    gl.vertexAttribPointer(0, 2, gl.UNSIGNED_SHORT, true, 0, 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[2]);
    gl.vertexAttribIPointer(2, 1, gl.UNSIGNED_BYTE, 0, 0);
    [0, 1, 2].forEach((place) => gl.enableVertexAttribArray(place));
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  }

  // kinds: one of the arrays of the map.  colours: "#rrggbb" of each kind; others are grey.
  paint(kinds, colours) {
    if (!this.gl) return;
    const gl = this.gl, texels = new Uint8Array(256 * 256 * 4);
    new Uint32Array(texels.buffer).fill(new Uint32Array(new Uint8Array([...rgb(REST), 255]).buffer)[0]);
    colours.forEach((colour, kind) => texels.set(rgb(colour), 4 * kind));
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 256, 0, gl.RGBA, gl.UNSIGNED_BYTE, texels);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[1]);
    gl.bufferData(gl.ARRAY_BUFFER, kinds, gl.DYNAMIC_DRAW);
    gl.vertexAttribIPointer(1, 1, gl.UNSIGNED_SHORT, 0, 0);
  }

  // Documents that stand out; null: all alike.
  emphasise(isChosen) {
    this.hasDim = isChosen !== null;
    for (let row = 0; row < this.states.length; row += 1) {
      this.states[row] = isChosen === null ? 1 : isChosen(row) ? 2 : 0;
    }
    if (!this.gl) return;
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.buffers[2]);
    this.gl.bufferSubData(this.gl.ARRAY_BUFFER, 0, this.states);
  }

  size(view) {
    const whole = Math.min(7.5, Math.max(2.7, 360 / Math.sqrt(this.map.num_shown + 1)));
    return Math.min(whole * Math.max(view.zoom, 0.6) ** 0.42, 15);
  }

  draw(view, ratio, dim) {
    if (!this.gl) return;
    const gl = this.gl;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform4f(this.at.view, view.x, view.y, 2 * view.scale / view.width, 2 * view.scale / view.height);
    gl.uniform1f(this.at.size, this.size(view) * ratio);
    gl.uniform3fv(this.at.dim, rgb(dim).map((part) => part / 255));
    const alpha = (this.map.num_shown > 20000 ? 0.75 : 0.82) + 0.08 * Math.log2(Math.max(view.zoom, 1));
    gl.uniform1f(this.at.alpha, Math.min(0.95, alpha));
    for (const pass of this.hasDim ? [0, 1] : [1]) {
      gl.uniform1ui(this.at.pass, pass);
      gl.drawArrays(gl.POINTS, 0, this.map.num_shown);
    }
  }

  // The document nearest to a place on the stage, -1 where none is near; one that stands out goes first.
  pick(view, left, top) {
    const [x, y] = view.toMap(left, top);
    const reach = (this.size(view) / 2 + 5) / view.scale;
    const chosen = this.hasDim ? this.cells.nearest(x, y, reach, (row) => this.states[row] === 2) : -1;
    return chosen >= 0 ? chosen : this.cells.nearest(x, y, reach, () => true);
  }
}

// Rows in a square grid of cells, sorted by cell.
class Cells {
  constructor(places, size, across = 256) {
    Object.assign(this, { places, across });
    this.starts = new Uint32Array(across * across + 1);
    this.rows = new Uint32Array(size);
    const cellOf = (row) => this.cell(places[2 * row] / SPAN) + across * this.cell(places[2 * row + 1] / SPAN);
    for (let row = 0; row < size; row += 1) this.starts[cellOf(row) + 1] += 1;
    for (let cell = 0; cell < across * across; cell += 1) this.starts[cell + 1] += this.starts[cell];
    const next = this.starts.slice();
    for (let row = 0; row < size; row += 1) this.rows[next[cellOf(row)]++] = row;
  }

  cell(along) {
    return Math.min(Math.max(Math.floor(along * this.across), 0), this.across - 1);
  }

  nearest(x, y, reach, isAsked) {
    let found = -1, least = reach * reach;
    for (let down = this.cell(y - reach); down <= this.cell(y + reach); down += 1) {
      const from = this.starts[down * this.across + this.cell(x - reach)];
      const to = this.starts[down * this.across + this.cell(x + reach) + 1];
      for (let at = from; at < to; at += 1) {
        const row = this.rows[at];
        const distance = (this.places[2 * row] / SPAN - x) ** 2 + (this.places[2 * row + 1] / SPAN - y) ** 2;
        if (distance < least && isAsked(row)) [found, least] = [row, distance];
      }
    }
    return found;
  }
}

function rgb(hex) {
  const value = parseInt(hex.trim().slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}
