// The latent plane: two of the latent dimensions, the examples' codes in them, and the point z,
// which follows the mouse, the finger and the arrow keys.

import { drawAxes, drawPrior, nameRings } from "./axes.js";
import { readable } from "./pictures.js";
import { steer } from "./steer.js";
import { channels, labelColour, prepare, theme, traceMark } from "./theme.js";

const MAP = 15; // decoded images along each side of the map
const FINE = 33; // places along each side at which the speed of change is measured
const STEP = 0.1; // standard deviations of the codes: a small step
const FAST = 4; // squared change in such a step that is coloured fully
const LENS = 76; // pixels, of the decoded image beside the pointer

export class Plane {
  /** world: model, examples, pictures (see app.js); pick(example) is called for a chosen one. */
  constructor(ground, marks, world, store, pick) {
    Object.assign(this, { ground, marks, world, store });
    const picture = [
      "dims",
      "hidden",
      "ellipses",
      "map",
      "rest",
      "label",
      "theme",
      "size",
      "speed",
    ];
    store.watch([...picture, "zoom", "centre"], () => this.drawGround());
    const moving = ["z", "hover", "dims", "picked", "samples", "from", "to", "label"];
    store.watch([...moving, "pointing", "theme", "size", "hidden", "zoom"], () => this.drawMarks());
    steer(this, marks, store, pick);
  }

  // ---- geometry: latent units to pixels and back --------------------------------------------

  get side() {
    return this.ground.clientWidth;
  }

  /** Centre and half width of what is seen, in latent units. */
  view() {
    const { zoom, centre } = this.store.state;
    const whole = this.whole();
    if (!centre) return whole;
    return { centre: this.project(centre), radius: whole.radius / zoom };
  }

  /** The same, of the whole plane. */
  whole() {
    const { examples, vae } = this.world;
    const ranges = this.store.state.dims.map((j) => {
      const values = j === null ? [-1, 1] : examples.map(({ mu }) => mu[j]);
      return [Math.min(...values), Math.max(...values)];
    });
    if (vae) {
      const reach = Math.max(...ranges.flat().map(Math.abs));
      return { centre: [0, 0], radius: Math.min(Math.max(3.4, 1.05 * reach), 6) };
    }
    const radius = 0.58 * Math.max(...ranges.map(([low, high]) => high - low), 1e-6);
    return { centre: ranges.map(([low, high]) => (low + high) / 2), radius };
  }

  toPixels([a, b]) {
    const { centre, radius } = this.seen;
    const unit = this.side / (2 * radius);
    return [this.side / 2 + (a - centre[0]) * unit, this.side / 2 - (b - centre[1]) * unit];
  }

  toLatent([x, y]) {
    const { centre, radius } = this.seen;
    const unit = (2 * radius) / this.side;
    return [centre[0] + (x - this.side / 2) * unit, centre[1] - (y - this.side / 2) * unit];
  }

  /** The two coordinates of a vector (L,) in the plane; with L = 1 the height means nothing. */
  project(vector, height = 0) {
    return this.store.state.dims.map((j) => (j === null ? height : vector[j]));
  }

  /** Where an example stands; with L = 1 at a height of its own, so that none hides another. */
  place(example) {
    return this.toPixels(this.project(example.mu, ((example.index * 0.618) % 1) * 1.6 - 0.8));
  }

  /** z moved to the point (a, b) of the plane. */
  moved([a, b]) {
    const z = Float64Array.from(this.store.state.z);
    this.store.state.dims.forEach((j, axis) => {
      if (j !== null) z[j] = [a, b][axis];
    });
    return z;
  }

  visible() {
    const { hidden } = this.store.state;
    return this.world.examples.filter(({ label }) => !hidden.has(label));
  }

  /** The visible example nearest to a pixel, and how far it is. */
  nearest([x, y]) {
    let best = { example: null, distance: Infinity };
    for (const example of this.visible()) {
      const [px, py] = this.place(example);
      const distance = Math.hypot(px - x, py - y);
      if (distance < best.distance) best = { example, distance };
    }
    return best;
  }

  // ---- what stands still -----------------------------------------------------------------------

  drawGround() {
    this.seen = this.view();
    const { state } = this.store;
    const context = prepare(this.ground);
    if (state.map && this.world.pictures.shape) this.drawMap(context);
    if (state.speed && state.dims[1] !== null) this.drawSpeed(context);
    this.caption();
    drawAxes(context, this);
    if (this.world.vae) drawPrior(context, this);
    this.drawExamples(context, state);
    if (this.world.vae) nameRings(context, this);
  }

  drawExamples(context, state) {
    const visible = this.visible();
    if (state.ellipses && this.world.vae) {
      for (const example of visible) {
        context.strokeStyle = labelColour(example.label);
        context.globalAlpha = 0.35;
        context.lineWidth = 1;
        this.traceEllipse(context, this.place(example), example.logvar, 1);
        context.stroke();
      }
    }
    const slice = this.showsSlice();
    for (const example of visible) {
      const [x, y] = this.place(example);
      traceMark(context, example.label, x, y, 4);
      context.globalAlpha = slice ? this.nearness(example) : 0.9;
      context.fillStyle = labelColour(example.label);
      context.fill();
      if (!slice) context.globalAlpha = 1;
      context.strokeStyle = theme.paper;
      context.lineWidth = 0.8;
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  /** Whether what is decoded is a slice through z, while marks are seen from all of the space. */
  showsSlice() {
    const { map, speed } = this.store.state;
    return (
      this.world.model.latent_dim > 2 && (speed || (map && Boolean(this.world.pictures.shape)))
    );
  }

  /** From 0.12, for an example far from that slice, to 0.9: by its distance in the codes' spreads. */
  nearness({ mu }) {
    const { dims, z } = this.store.state;
    let squared = 0;
    mu.forEach((value, j) => {
      if (!dims.includes(j)) squared += ((value - z[j]) / (this.world.spread[j] || 1)) ** 2;
    });
    return 0.12 + 0.78 * Math.exp((-0.5 * squared) / (mu.length - 2));
  }

  /** What one should know of the layers. */
  caption() {
    const caption = document.getElementById("caption");
    caption.hidden = !this.showsSlice();
    const others = this.world.model.latent_dim - 2;
    caption.textContent =
      `Decoded: a slice through z, its ${others} other dimension${others > 1 ? "s" : ""} as the` +
      " point has them. Pale marks lie far from this slice.";
  }

  /** The decoder's images on a grid of the plane, pale behind everything else. */
  drawMap(context) {
    context.globalAlpha = 0.4;
    context.drawImage(this.sheet(), 0, 0, this.side, this.side);
    context.globalAlpha = 1;
  }

  /** The images of the map, side by side; decoded again only where another z, label or view asks. */
  sheet() {
    const { model, pictures } = this.world;
    const key = this.viewKey() + theme.dark;
    if (this.sheetKey === key) return this.sheetOf;
    const [height, width] = pictures.shape;
    const decoded = model.decode(this.grid(MAP), this.store.state.label);
    this.sheetOf ??= new OffscreenCanvas(MAP * width, MAP * height);
    const context = this.sheetOf.getContext("2d");
    for (let k = 0; k < MAP * MAP; k++) {
      const x_hat = decoded.subarray(k * model.n_features, (k + 1) * model.n_features);
      const [column, row] = [k % MAP, Math.floor(k / MAP)];
      context.putImageData(pictures.pixels(x_hat), column * width, row * height);
    }
    this.sheetKey = key;
    return this.sheetOf;
  }

  /** How much the decoded x changes in a small step, at a fine grid: darker where it is fast. */
  drawSpeed(context) {
    const { values, largest } = this.speeds();
    this.speedSheet ??= new OffscreenCanvas(FINE, FINE);
    const image = new ImageData(FINE, FINE);
    values.forEach((value, k) => {
      image.data.set(channels(theme.accent), 4 * k);
      image.data[4 * k + 3] = 190 * Math.min(1, value / FAST) ** 0.6;
    });
    this.speedSheet.getContext("2d").putImageData(image, 0, 0);
    context.drawImage(this.speedSheet, 0, 0, this.side, this.side);
    document.getElementById("fastest").textContent =
      `: up to ${readable(largest)} in what is seen now`;
  }

  /** The mean squared change over steps to the right and up, (FINE²,), and the largest. */
  speeds() {
    const { model, spread } = this.world;
    const { dims, label } = this.store.state;
    const key = this.viewKey();
    if (this.speedKey === key) return this.speedOf;
    const [D, n] = [model.n_features, FINE * FINE];
    const values = new Float64Array(n);
    const points = (right, up) =>
      this.grid(FINE, [right * STEP * spread[dims[0]], up * STEP * spread[dims[1]]]);
    const here = model.decode(points(0, 0), label);
    for (const [right, up] of [
      [1, 0],
      [0, 1],
    ]) {
      const there = model.decode(points(right, up), label);
      for (let i = 0; i < n * D; i++) values[Math.floor(i / D)] += (there[i] - here[i]) ** 2 / 2;
    }
    this.speedKey = key;
    this.speedOf = { values, largest: values.reduce((a, b) => Math.max(a, b)) };
    return this.speedOf;
  }

  /** Points (n², L) of a grid over what is seen, row by row from the top, moved by an offset. */
  grid(n, [right, up] = [0, 0]) {
    const { centre, radius } = this.seen;
    const points = new Float64Array(n * n * this.world.model.latent_dim);
    for (let k = 0; k < n * n; k++) {
      const [a, b] = [k % n, Math.floor(k / n)].map((at) => ((2 * (at + 0.5)) / n - 1) * radius);
      points.set(
        this.moved([centre[0] + a + right, centre[1] - b + up]),
        (k * points.length) / (n * n),
      );
    }
    return points;
  }

  /** What the decoded layers depend on. */
  viewKey() {
    const { dims, z, label } = this.store.state;
    const rest = Array.from(z, (value, j) => (dims.includes(j) ? 0 : value));
    return JSON.stringify([dims, rest, label, this.seen]);
  }

  /** Trace the ellipse `times` standard deviations of q(z|x) around a point of the plane. */
  traceEllipse(context, [x, y], logvar, times) {
    const unit = this.side / (2 * this.seen.radius);
    const [a, b] = this.store.state.dims.map((j) =>
      j === null ? 4 : times * Math.exp(0.5 * logvar[j]) * unit,
    );
    context.beginPath();
    context.ellipse(x, y, a, b, 0, 0, 2 * Math.PI);
  }

  // ---- what moves --------------------------------------------------------------------------------

  drawMarks() {
    const { state } = this.store;
    const context = prepare(this.marks);
    this.drawWay(context, state);
    this.drawPicked(context, state);
    const z = state.hover ?? state.z;
    const point = this.toPixels(this.project(z));
    this.drawPoint(context, point);
    if (state.pointing && this.world.pictures.shape) this.drawLens(context, point, z);
  }

  /** The straight line between the two codes of the walk. */
  drawWay(context, { from, to }) {
    context.strokeStyle = theme.ink;
    context.globalAlpha = 0.45;
    context.lineWidth = 1.2;
    context.setLineDash([1, 4]);
    context.lineCap = "round";
    context.beginPath();
    for (const { mu } of [from, to]) context.lineTo(...this.toPixels(this.project(mu)));
    context.stroke();
    context.setLineDash([]);
    context.globalAlpha = 1;
  }

  /** The posterior of the picked example, at the chosen scale of sigma, and its samples. */
  drawPicked(context, { picked, scale, samples }) {
    const centre = this.toPixels(this.project(picked.mu));
    context.strokeStyle = theme.accent;
    context.fillStyle = theme.accent;
    context.lineWidth = 1.6;
    if (!this.world.vae) {
      context.beginPath();
      context.arc(...centre, 8, 0, 2 * Math.PI);
      context.stroke();
      return;
    }
    for (const [times, opacity] of [
      [2, 0.1],
      [1, 0.22],
    ]) {
      this.traceEllipse(context, centre, picked.logvar, times * scale);
      context.globalAlpha = opacity;
      context.fill();
    }
    context.globalAlpha = 1;
    this.traceEllipse(context, centre, picked.logvar, scale);
    context.stroke();
    for (const z of samples) {
      context.beginPath();
      context.arc(...this.toPixels(this.project(z)), 2, 0, 2 * Math.PI);
      context.fill();
    }
  }

  /** The mark of z, kept at the edge where z lies outside. */
  drawPoint(context, point) {
    const [x, y] = point.map((p) => Math.min(this.side - 4, Math.max(4, p)));
    for (const [radius, thickness, colour] of [
      [9, 4.5, theme.paper],
      [9, 2, theme.ink],
    ]) {
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.strokeStyle = colour;
      context.lineWidth = thickness;
      context.stroke();
    }
    context.beginPath();
    context.arc(x, y, 2.5, 0, 2 * Math.PI);
    context.fillStyle = theme.ink;
    context.fill();
  }

  /** The decoded image beside the pointer, on the side where there is room. */
  drawLens(context, [x, y], z) {
    const { model, pictures } = this.world;
    const [height, width] = pictures.shape;
    this.lens ??= new OffscreenCanvas(width, height);
    const x_hat = model.decode(z, this.store.state.label);
    this.lens.getContext("2d").putImageData(pictures.pixels(x_hat), 0, 0);
    const left = x + 18 + LENS < this.side ? x + 18 : x - 18 - LENS;
    const top = y - 18 - LENS > 0 ? y - 18 - LENS : y + 18;
    context.fillStyle = theme.paper;
    context.strokeStyle = theme.rule;
    context.lineWidth = 1;
    context.beginPath();
    context.roundRect(left - 4, top - 4, LENS + 8, LENS + 8, 6);
    context.fill();
    context.stroke();
    context.imageSmoothingEnabled = false;
    context.drawImage(this.lens, left, top, LENS, (LENS * height) / width);
  }
}
