// The terms of the loss over the steps, one small chart each, with the right run as a grey ghost and
// marks where a knob was turned; and the KL of each latent dimension as bars.

import { element } from "./controls.js";
import { prepare, theme } from "./theme.js";

const MOST = 1200; // points of a curve; every second one is dropped when there are more
const SERIES = [
  {
    name: "reconstruction",
    words: "reconstruction, −log p(x|z)",
    digits: 1,
    of: ({ terms }) => terms.reconstruction,
  },
  { name: "kl", words: "KL of q(z|x) from the prior", digits: 2, of: ({ terms }) => terms.kl },
  {
    name: "elbo",
    words: "−ELBO, test data",
    digits: 1,
    of: ({ test }) => test && test.reconstruction + test.kl,
  },
];
const GHOSTS = {
  reconstruction: ({ ghost }) => ghost?.terms?.reconstruction,
  kl: ({ ghost }) => ghost?.terms?.kl,
};

export class Charts {
  constructor(box) {
    this.rows = SERIES.map((series) => {
      const canvas = element("canvas", { className: "chart" });
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", series.words);
      const value = element("b", { className: series.name });
      const words = element("span", { textContent: series.words });
      box.append(element("div", { className: "series" }, element("p", {}, value, words), canvas));
      return { ...series, canvas, value };
    });
    this.clear();
  }

  clear() {
    this.points = [];
    this.marks = [];
    this.skip = 0;
    this.every = 1;
  }

  /** Remember where a knob was turned, with a short word. */
  mark(word) {
    const steps = this.points.at(-1)?.steps ?? 0;
    const last = this.marks.at(-1);
    if (last && last.steps === steps) last.word = word;
    else this.marks.push({ steps, word });
  }

  /** Take a frame in. */
  add(frame) {
    if (!frame.terms) return;
    if (this.points.length && frame.steps <= this.points.at(-1).steps) {
      this.points = this.points.filter(({ steps }) => steps < frame.steps);
      this.marks = this.marks.filter(({ steps }) => steps < frame.steps);
    }
    const point = { steps: frame.steps, ghost: {} };
    for (const { name, of } of SERIES) point[name] = of(frame);
    for (const [name, of] of Object.entries(GHOSTS)) point.ghost[name] = of(frame);
    if (++this.skip >= this.every || this.points.length < 3) {
      this.points.push(point);
      this.skip = 0;
    }
    if (this.points.length > MOST) {
      this.points = this.points.filter((_, k) => k % 2 === 0);
      this.every *= 2;
    }
    this.latest = point;
  }

  draw(steps = Infinity) {
    const shown = this.points.filter((point) => point.steps <= steps);
    const now = steps === Infinity ? this.latest : shown.at(-1);
    for (const row of this.rows) {
      const value = now?.[row.name];
      row.value.textContent = typeof value === "number" ? nats(value, row.digits) : "–";
      row.canvas.setAttribute("aria-label", `${row.words}: ${row.value.textContent} nats now`);
      this.curve(row, shown);
    }
  }

  curve({ name, canvas }, points) {
    const context = prepare(canvas);
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    const colour = { reconstruction: theme.reconstruction, kl: theme.kl, elbo: theme.ink }[name];
    const usable = points.filter((point) => Number.isFinite(point[name]));
    context.font = `11px ${theme.font}`;
    if (usable.length < 2) return;
    const last = usable.at(-1).steps;
    const [low, high] = range(usable, name);
    const [left, bottom] = [34, height - 6];
    const across = (steps) => left + ((width - left - 6) * steps) / last;
    const up = (value) =>
      bottom - ((bottom - 6) * (Math.min(high, Math.max(low, value)) - low)) / (high - low);
    context.strokeStyle = theme.rule;
    context.lineWidth = 1;
    context.fillStyle = theme.muted;
    context.textAlign = "right";
    for (const value of ticks(low, high)) {
      const y = Math.round(up(value)) + 0.5;
      context.beginPath();
      context.moveTo(left, y);
      context.lineTo(width, y);
      context.stroke();
      context.fillText(plain(value), left - 5, y + 4);
    }
    for (const { steps } of this.marks) {
      context.strokeStyle = theme.muted;
      context.setLineDash([2, 3]);
      context.beginPath();
      context.moveTo(across(steps), 0);
      context.lineTo(across(steps), bottom);
      context.stroke();
      context.setLineDash([]);
    }
    if (name === "reconstruction" && this.marks.length) this.words(context, across, width);
    const ghosts = usable.filter((point) => Number.isFinite(point.ghost[name]));
    line(
      context,
      ghosts.map((p) => [across(p.steps), up(p.ghost[name])]),
      theme.muted,
      1.4,
      0.8,
    );
    line(
      context,
      usable.map((p) => [across(p.steps), up(p[name])]),
      colour,
      1.8,
      1,
    );
  }

  /** What was turned at the last mark. */
  words(context, across, width) {
    const { steps, word } = this.marks.at(-1);
    const x = across(steps);
    const right = x > 0.6 * width;
    context.textAlign = right ? "right" : "left";
    context.lineWidth = 3;
    context.strokeStyle = theme.paper;
    context.strokeText(word, x + (right ? -4 : 4), 12);
    context.fillStyle = theme.muted;
    context.fillText(word, x + (right ? -4 : 4), 12);
  }
}

/** Bars of the KL of each latent dimension. */
export function drawUse(box, { use, dims }) {
  if (box.children.length !== use.length) {
    box.replaceChildren(
      ...Array.from(use, (_, j) => {
        const bar = element("i");
        return element(
          "div",
          {},
          element("span", { textContent: `z${j + 1}` }),
          element("u", {}, bar),
          element("b"),
        );
      }),
    );
  }
  const most = Math.max(...use, 1);
  box.classList.toggle("many", use.length > 5);
  [...box.children].forEach((row, j) => {
    row.className = dims.includes(j) ? "shown" : "";
    row.children[1].firstChild.style.width = `${Math.max(0, Math.min(100, (100 * use[j]) / most))}%`;
    row.children[2].textContent = nats(use[j], 2);
  });
}

/** Nats in so many decimals. */
export function nats(value, digits) {
  if (!Number.isFinite(value)) return "∞";
  const text = Math.abs(value) >= 1e5 ? value.toExponential(1) : value.toFixed(digits);
  return text.replace("-", "−");
}

/** Low and high of a curve: all of its later part, not the fall of its first steps. */
function range(points, name) {
  const values = points.map((point) => point[name]);
  const settled = values.slice(Math.min(values.length - 2, Math.floor(0.2 * values.length)));
  const ghosts = points.map(({ ghost }) => ghost[name]).filter(Number.isFinite);
  let [low, high] = [
    Math.min(...settled, ...ghosts.slice(Math.floor(0.3 * ghosts.length))),
    Math.max(...settled, ...ghosts.slice(Math.floor(0.3 * ghosts.length))),
  ];
  if (name === "kl") low = Math.min(0, low);
  const least = name === "kl" ? 1 : 4;
  if (high - low < least) high = low + least;
  const spare = 0.08 * (high - low);
  return [name === "kl" && low === 0 ? 0 : low - spare, high + spare];
}

function ticks(low, high) {
  const power = 10 ** Math.floor(Math.log10((high - low) / 2));
  const step = power * [1, 2, 5, 10].find((s) => (high - low) / (s * power) < 4);
  const values = [];
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) values.push(value);
  return values;
}

function plain(value) {
  const text =
    Math.abs(value) >= 1e4 ? value.toExponential(0) : String(Number(value.toPrecision(4)));
  return text.replace("-", "−");
}

function line(context, points, colour, width, alpha) {
  context.beginPath();
  for (const point of points) context.lineTo(...point);
  context.globalAlpha = alpha;
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.lineJoin = "round";
  context.stroke();
  context.globalAlpha = 1;
}
