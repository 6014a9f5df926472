// The latent plane while it trains: the decoded map, the codes of the test rows, the prior's rings, the
// ellipse of the picked row, the forces, and the ghost of the right run.

import { drawAxes, drawPrior, nameRings } from "./axes.js";
import { channels, labelColour, prepare, theme, traceMark } from "./theme.js";
import { MAP } from "./training.js";

const LENS = 84;

export class Field {
  constructor(canvas, lens) {
    Object.assign(this, { canvas, lens });
    this.store = { state: { dims: [0, 1] } }; // as axes.js reads it
    this.seen = { centre: [0, 0], radius: 3.6 };
  }

  get side() {
    return this.canvas.clientWidth;
  }

  toPixels([a, b]) {
    const unit = this.side / (2 * this.seen.radius);
    return [this.side / 2 + a * unit, this.side / 2 - b * unit];
  }

  toLatent([x, y]) {
    const unit = (2 * this.seen.radius) / this.side;
    return [(x - this.side / 2) * unit, (this.side / 2 - y) * unit];
  }

  /** The point (L,) of the plane under a pixel; the dimensions that are not shown are 0. */
  point(pixel, L) {
    const z = new Float64Array(L);
    this.toLatent(pixel).forEach((value, axis) => {
      const j = this.store.state.dims[axis];
      if (j !== null) z[j] = value;
    });
    return z;
  }

  /** Where row i of codes (N, L) stands; with L = 1 at a height of its own. */
  place(codes, L, i) {
    const { dims } = this.store.state;
    const at = dims.map((j) => (j === null ? (((i * 0.618) % 1) - 0.5) * 0.9 : codes[i * L + j]));
    if (dims[1] === null) at[1] *= 2 * this.seen.radius;
    return this.toPixels(at);
  }

  nearest(pixel, { codes, L }) {
    let best = { index: null, distance: Infinity };
    for (let i = 0; i < codes.length / L; i++) {
      const [x, y] = this.place(codes, L, i);
      const distance = Math.hypot(x - pixel[0], y - pixel[1]);
      if (distance < best.distance) best = { index: i, distance };
    }
    return best;
  }

  draw(frame, { dataset, pictures, picked, showMap }) {
    this.store.state.dims = frame.dims;
    this.seen.radius = frame.radius;
    const context = prepare(this.canvas);
    context.fillStyle = theme.paper;
    context.fillRect(0, 0, this.side, this.side);
    if (frame.map && showMap) this.drawMap(context, frame.map, dataset, pictures);
    drawAxes(context, this);
    drawPrior(context, this);
    if (frame.ghost) this.drawGhost(context, frame);
    this.drawMarks(context, frame, dataset);
    nameRings(context, this);
    if (frame.forces) this.drawForces(context, frame);
    this.drawPicked(context, frame, picked);
    if (frame.forces) this.nameForces(context);
  }

  /** The decoded grid, pale. Grey values take the page's paper and ink by a table. */
  drawMap(context, map, dataset, pictures) {
    const [height, width] = dataset.image_shape;
    this.sheet ??= new OffscreenCanvas(1, 1);
    const [w, h] = [MAP * width, MAP * height];
    if (this.sheet.width !== w || this.sheet.height !== h)
      [this.sheet.width, this.sheet.height] = [w, h];
    const sheet = this.sheet.getContext("2d");
    if (map instanceof Uint8Array && dataset.image_shape.length === 2) {
      const image = sheet.createImageData(w, h);
      const pixels = new Uint32Array(image.data.buffer);
      const table = greys(dataset.ink);
      for (let k = 0; k < MAP * MAP; k++) {
        const corner = Math.floor(k / MAP) * height * w + (k % MAP) * width;
        for (let row = 0; row < height; row++) {
          const from = k * dataset.D + row * width;
          const to = corner + row * w;
          for (let column = 0; column < width; column++) {
            pixels[to + column] = table[map[from + column]];
          }
        }
      }
      sheet.putImageData(image, 0, 0);
    } else {
      const factor = map instanceof Uint8Array ? 1 / 255 : 1;
      for (let k = 0; k < MAP * MAP; k++) {
        const x = Float32Array.from(
          map.subarray(k * dataset.D, (k + 1) * dataset.D),
          (v) => v * factor,
        );
        sheet.putImageData(pictures.pixels(x), (k % MAP) * width, Math.floor(k / MAP) * height);
      }
    }
    context.globalAlpha = theme.dark ? 0.42 : 0.36;
    context.drawImage(this.sheet, 0, 0, this.side, this.side);
    context.globalAlpha = 1;
  }

  drawMarks(context, { codes, L }, { labels, n_train }) {
    const radius = this.side < 360 ? 2.8 : 3.6;
    context.lineWidth = 0.7;
    context.strokeStyle = theme.paper;
    for (let i = 0; i < codes.length / L; i++) {
      const [x, y] = this.place(codes, L, i);
      const label = labels ? labels[n_train + i] : null;
      traceMark(context, label, x, y, radius);
      context.fillStyle = labelColour(label);
      context.fill();
      context.stroke();
    }
  }

  /** The codes of the right run, as grey rings. */
  drawGhost(context, { ghost, L }) {
    context.strokeStyle = theme.muted;
    context.lineWidth = 1;
    context.globalAlpha = 0.55;
    for (let i = 0; i < ghost.codes.length / L; i++) {
      const [x, y] = this.place(ghost.codes, L, i);
      context.beginPath();
      context.arc(x, y, 2.6, 0, 2 * Math.PI);
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  /** −∂reconstruction/∂mu and −∂KL/∂mu of some marks, in latent units by a common factor. */
  drawForces(context, { forces: { push, pull }, codes, L }) {
    const { dims } = this.store.state;
    const n = push.length / L;
    const sizes = Array.from({ length: n }, (_, i) =>
      Math.max(...dims.map((j) => Math.abs(pull[i * L + (j ?? 0)]))),
    );
    const usual = sizes.sort((a, b) => a - b)[Math.floor(n / 2)] || 1;
    const unit = this.side / (2 * this.seen.radius);
    const factor = (0.38 / Math.max(usual, 0.2)) * unit;
    for (const [force, colour] of [
      [push, theme.reconstruction],
      [pull, theme.kl],
    ]) {
      context.strokeStyle = context.fillStyle = colour;
      context.lineWidth = 1.3;
      for (let i = 0; i < n; i++) {
        const [a, b] = dims.map((j) => (j === null ? 0 : force[i * L + j] * factor));
        arrow(context, this.place(codes, L, i), limited([a, -b], 1.1 * unit));
      }
    }
  }

  /** Which arrow is which. */
  nameForces(context) {
    context.font = `600 12px ${theme.font}`;
    context.textAlign = "left";
    context.lineWidth = 4;
    context.strokeStyle = theme.paper;
    for (const [words, colour, y] of [
      ["the reconstruction pushes", theme.reconstruction, 18],
      ["the KL pulls", theme.kl, 34],
    ]) {
      context.strokeText(words, 28, y);
      context.fillStyle = colour;
      context.fillText(words, 28, y);
    }
  }

  /** The ellipse of q(z|x) of the picked row, its z, and with forces what moves its σ. */
  drawPicked(context, { machine, dims, forces }, picked) {
    const unit = this.side / (2 * this.seen.radius);
    const coordinates = (vector) => dims.map((j) => (j === null ? 0 : vector[j]));
    const centre = this.toPixels(coordinates(machine.mu));
    const [a, b] = dims.map((j) => (j === null ? 6 : Math.exp(0.5 * machine.logvar[j]) * unit));
    context.strokeStyle = context.fillStyle = theme.ink;
    context.beginPath();
    context.ellipse(
      ...centre,
      Math.min(a, 4 * this.side),
      Math.min(b, 4 * this.side),
      0,
      0,
      2 * Math.PI,
    );
    context.globalAlpha = 0.14;
    context.fill();
    context.globalAlpha = 1;
    context.lineWidth = 2;
    context.stroke();
    ring(context, centre, picked.index === null ? 7 : 6);
    const z = this.toPixels(coordinates(machine.z));
    context.beginPath();
    context.setLineDash([2, 3]);
    context.moveTo(...centre);
    context.lineTo(...z);
    context.lineWidth = 1.2;
    context.stroke();
    context.setLineDash([]);
    context.beginPath();
    context.arc(...z, 3.4, 0, 2 * Math.PI);
    context.fillStyle = theme.ink;
    context.fill();
    if (!forces || dims[0] === null) return;
    const j = dims[0];
    const edge = [centre[0] + a, centre[1]];
    for (const [force, colour, down] of [
      [-machine.dlogvar[j], theme.reconstruction, -4],
      [-machine.dlogvar_kl[j], theme.kl, 4],
    ]) {
      context.strokeStyle = context.fillStyle = colour;
      context.lineWidth = 2;
      arrow(context, [edge[0], edge[1] + down], limited([80 * force, 0], 46));
    }
  }

  /** Show a decoded picture beside a pixel. */
  showLens(pixel, x_hat, pictures) {
    const { lens } = this;
    lens.hidden = false;
    pictures.show(lens.firstElementChild, x_hat);
    const [x, y] = pixel;
    const left = x + 16 + LENS < this.side ? x + 16 : x - 16 - LENS;
    const top = y - 16 - LENS > 0 ? y - 16 - LENS : y + 16;
    lens.style.transform = `translate(${left}px, ${top}px)`;
  }
}

/** The 256 grey values as pixels, from paper to ink or from black to white. */
function greys(ink) {
  const [dark, bright] = ink
    ? [channels(theme.paper), channels(theme.ink)]
    : [
        [0, 0, 0],
        [255, 255, 255],
      ];
  return Uint32Array.from({ length: 256 }, (_, grey) => {
    const [r, g, b] = dark.map((from, k) => Math.round(from + ((bright[k] - from) * grey) / 255));
    return (255 << 24) | (b << 16) | (g << 8) | r;
  });
}

function ring(context, [x, y], radius) {
  for (const [width, colour] of [
    [4, theme.paper],
    [2, theme.ink],
  ]) {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.stroke();
  }
}

function limited([a, b], most) {
  const length = Math.hypot(a, b);
  return length > most ? [(a * most) / length, (b * most) / length] : [a, b];
}

function arrow(context, [x, y], [a, b]) {
  const length = Math.hypot(a, b);
  if (!(length > 2)) return;
  const head = Math.min(5, 0.5 * length);
  const [u, v] = [a / length, b / length];
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x + a, y + b);
  context.stroke();
  context.beginPath();
  context.moveTo(x + a, y + b);
  context.lineTo(x + a - head * u + 0.5 * head * v, y + b - head * v - 0.5 * head * u);
  context.lineTo(x + a - head * u - 0.5 * head * v, y + b - head * v + 0.5 * head * u);
  context.fill();
}
