// Examples as pictures: an image where the data are images, else bars with the features' names, or
// a line where there are too many of them for bars.

import { channels, prepare, theme } from "./theme.js";

const ROW = 24; // pixels, of a bar with its name

export class Pictures {
  /** dataset: what page.py says of it; examples: list of x (D,), for the range of the axes. */
  constructor(dataset, examples) {
    this.dataset = dataset;
    this.shape = dataset.image_shape;
    this.names = dataset.feature_names ?? Array.from(examples[0], (_, d) => `feature ${d + 1}`);
    this.bars = dataset.plot === "bars";
    this.shown = dataset.shown_features; // the features that have a bar
    if (this.shape) return;
    this.shares = dataset.shares ?? []; // which features are probabilities
    const ranges = Array.from(examples[0], (_, d) => {
      const values = examples.map((x) => x[d]).filter((value) => !Number.isNaN(value));
      if (this.shares[d]) return [0, 1];
      return [Math.min(0, ...values), Math.max(0, ...values)];
    });
    // Bars have a scale for each feature, the points of a line share one.
    this.ranges = ranges.map(([low, high]) => (low === high ? [low, low + 1] : [low, high]));
    this.low = Math.min(...ranges.map(([low]) => low));
    this.high = Math.max(...ranges.map(([, high]) => high));
    if (this.low === this.high) this.high = 1;
  }

  /** What is shown, in a word. */
  get noun() {
    return this.shape ? "image" : "row";
  }

  /** The height in pixels that a large plot needs; null for images, which are scaled. */
  get height() {
    if (this.shape) return null;
    return this.bars ? this.shown.length * ROW + 8 : 240;
  }

  /** Value d of x in the units of the data. */
  undo(value, d) {
    const { kind, divisor, mean, std } = this.dataset.scaling;
    if (kind === "divide") return value * divisor;
    return kind === "standardize" ? value * std[d] + mean[d] : value;
  }

  /** Show x on a canvas; `beside` is another x, marked in plots; `large` plots have names. */
  show(canvas, x, { beside = null, large = false } = {}) {
    if (this.shape) this.image(canvas, x);
    else if (this.bars) this.barPlot(prepare(canvas), canvas, x, beside, large);
    else this.linePlot(prepare(canvas), canvas, x, beside, large);
  }

  /** Put x as an image into a canvas of its size in pixels; the style sheet scales it. */
  image(canvas, x) {
    const [height, width] = this.shape;
    if (canvas.width !== width || canvas.height !== height) {
      [canvas.width, canvas.height] = [width, height];
    }
    canvas.getContext("2d").putImageData(this.pixels(x), 0, 0);
  }

  /** x as ImageData. Drawings on empty ground take the page's paper and ink for 0 and 1. */
  pixels(x) {
    const { ink, low, high } = this.dataset;
    const [height, width, colours = 1] = this.shape;
    const pixels = new ImageData(width, height);
    const dark = ink ? channels(theme.paper) : [0, 0, 0];
    const bright = ink ? channels(theme.ink) : [255, 255, 255];
    for (let place = 0; place < height * width; place++) {
      for (let k = 0; k < 3; k++) {
        const d = place * colours + (colours === 3 ? k : 0);
        const grey = Math.min(1, Math.max(0, (this.undo(x[d], d) - low) / (high - low)));
        pixels.data[4 * place + k] = dark[k] + (bright[k] - dark[k]) * grey;
      }
      pixels.data[4 * place + 3] = 255;
    }
    return pixels;
  }

  barPlot(context, { clientWidth: width, clientHeight: height }, x, beside, large) {
    const [left, right] = large ? [Math.min(200, 0.34 * width), width - 76] : [3, width - 3];
    const row = large ? ROW : (height - 6) / this.shown.length;
    const across = (value, d) => {
      const [low, high] = this.ranges[d];
      const inside = Math.min(high, Math.max(low, value));
      return left + ((right - left) * (inside - low)) / (high - low);
    };
    context.font = `13px ${theme.font}`;
    context.textBaseline = "middle";
    this.shown.forEach((d, place) => {
      const value = x[d];
      const y = (large ? 4 : 3) + place * row;
      const zero = across(0, d);
      const bar = [Math.min(zero, across(value, d)), Math.abs(across(value, d) - zero)];
      context.fillStyle = theme.rule;
      context.fillRect(zero - 0.5, y, 1, row);
      context.fillStyle = large ? theme.accent : theme.ink;
      const missing = Number.isNaN(value); // no bar
      if (!missing) context.fillRect(bar[0], y + 0.22 * row, Math.max(bar[1], 1), 0.56 * row);
      if (!large) return;
      context.fillStyle = theme.ink;
      const marked = beside && !Number.isNaN(beside[d]) && !(this.shares[d] && beside[d] === 0);
      if (marked) context.fillRect(across(beside[d], d) - 1, y + 2, 2, row - 4);
      context.fillText(shortened(context, this.names[d], left - 10), 0, y + row / 2);
      context.textAlign = "right";
      context.fillText(this.told(value, d), width, y + row / 2);
      context.textAlign = "left";
    });
  }

  linePlot(context, { clientWidth: width, clientHeight: height }, x, beside, large) {
    const [left, bottom] = large ? [44, height - 22] : [3, height - 3];
    const across = (d) => left + ((width - 4 - left) * d) / (x.length - 1);
    const up = (value) => bottom - ((bottom - 6) * (value - this.low)) / (this.high - this.low);
    const line = (values, colour, thickness) => {
      context.beginPath();
      values.forEach((value, d) => context.lineTo(across(d), up(value)));
      context.strokeStyle = colour;
      context.lineWidth = thickness;
      context.stroke();
    };
    context.fillStyle = theme.rule;
    context.fillRect(left, up(0) - 0.5, width - left, 1);
    if (beside) line(beside, theme.muted, 1);
    line(x, large ? theme.accent : theme.ink, large ? 2 : 1);
    if (!large) return;
    context.font = `12px ${theme.font}`;
    context.fillStyle = theme.muted;
    context.fillText(readable(this.high), 0, 14);
    if (this.low < 0) context.fillText(readable(this.low), 0, bottom);
    context.fillText(shortened(context, this.names[0], width / 2 - 30), left, height - 4);
    context.textAlign = "right";
    const last = shortened(context, this.names[x.length - 1], width / 2 - 30);
    context.fillText(last, width - 4, height - 4);
    context.textAlign = "left";
  }

  /** x in words, for screen readers; null for images and for plots of many values. */
  words(x) {
    if (!this.bars) return null;
    return this.shown.map((d) => `${this.names[d]} ${this.told(x[d], d)}`).join(", ");
  }

  /** Value d of x in the units of the data, in few characters; a probability in per cent. */
  told(value, d) {
    if (Number.isNaN(value)) return "missing";
    return this.shares[d] ? `${Math.round(100 * value)} %` : readable(this.undo(value, d));
  }
}

/** A number in few characters. */
export function readable(value) {
  const size = Math.abs(value);
  const digits = size >= 100 || size === 0 ? 0 : size >= 10 ? 1 : 2;
  const text =
    size >= 1e6 || (size > 0 && size < 0.005) ? value.toPrecision(2) : value.toFixed(digits);
  return text.replace("-", "−");
}

/** A name without its middle, where it is wider. */
function shortened(context, name, width) {
  if (context.measureText(name).width <= width) return name;
  const cut = (n) => `${name.slice(0, Math.ceil(n / 2))}…${name.slice(name.length - Math.floor(n / 2))}`;
  let length = name.length - 1;
  while (length > 1 && context.measureText(cut(length)).width > width) length--;
  return cut(length);
}
