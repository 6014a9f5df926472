// Behind the latent plane's marks: its axes, and the prior N(0, I).

import { theme } from "./theme.js";

/** Lines and numbers of the two dimensions, and their names. */
export function drawAxes(context, plane) {
  const { dims } = plane.store.state;
  const { centre, radius } = plane.seen;
  const power = 10 ** Math.floor(Math.log10(radius));
  const step = power * [0.2, 0.5, 1, 2, 5].find((s) => radius / (s * power) < 4.5);
  context.font = `11px ${theme.font}`;
  const names = dims.map((j) => (j === null ? "" : `z${j + 1}`));
  for (const axis of [0, 1]) {
    if (dims[axis] === null) continue;
    const first = Math.ceil((centre[axis] - radius) / step);
    for (let k = first; k * step < centre[axis] + radius; k++) {
      const pixel = plane.toPixels([k * step, k * step])[axis];
      context.strokeStyle = theme.rule;
      context.lineWidth = k === 0 ? 1.6 : 0.8;
      context.beginPath();
      for (const end of [0, plane.side]) context.lineTo(...(axis ? [end, pixel] : [pixel, end]));
      context.stroke();
      if (pixel < 24 || pixel > plane.side - 24) continue;
      const text = Number((k * step).toPrecision(4)).toString().replace("-", "−");
      context.textAlign = axis ? "left" : "center";
      write(context, text, ...(axis ? [5, pixel - 4] : [pixel, plane.side - 6]));
    }
  }
  context.font = `italic 13px ${theme.font}`;
  context.textAlign = "right";
  write(context, names[0], plane.side - 7, plane.side - 7);
  context.textAlign = "left";
  write(context, names[1], 7, 16);
}

/** Rings at 1, 2 and 3 standard deviations of N(0, I); lines, where there is one dimension. */
export function drawPrior(context, plane) {
  const { dims } = plane.store.state;
  context.strokeStyle = theme.muted;
  context.lineWidth = 1;
  context.setLineDash([3, 4]);
  const [x0, y0] = plane.toPixels([0, 0]);
  for (const k of [1, 2, 3]) {
    const reach = plane.toPixels([k, 0])[0] - x0;
    context.beginPath();
    if (dims[1] !== null) context.arc(x0, y0, reach, 0, 2 * Math.PI);
    else {
      for (const x of [x0 - reach, x0 + reach]) {
        context.moveTo(x, 0);
        context.lineTo(x, plane.side);
      }
    }
    context.stroke();
  }
  context.setLineDash([]);
}

/** The names of the prior's rings, above the examples. */
export function nameRings(context, plane) {
  const flat = plane.store.state.dims[1] === null;
  context.font = `11px ${theme.font}`;
  context.textAlign = "center";
  for (const k of [1, 2, 3]) {
    const [x, y] = plane.toPixels(flat ? [k, 0] : [0.707 * k, 0.707 * k]);
    write(context, `${k}σ`, x, flat ? 16 : y + 4);
  }
}

/** Write a quiet word, on a rim of paper that keeps it readable. */
function write(context, text, x, y) {
  context.lineWidth = 4;
  context.lineJoin = "round";
  context.strokeStyle = theme.paper;
  context.strokeText(text, x, y);
  context.fillStyle = theme.muted;
  context.fillText(text, x, y);
}
