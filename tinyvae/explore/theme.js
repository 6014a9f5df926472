// The page's colours, read from page.css so that canvases follow light and dark, and how labels
// look: a colour and a shape each, so that no label is told by its colour alone.

/** Colours by name, "#rrggbb", and `labels`, a list of them; filled by `readTheme`. */
export const theme = { labels: [] };

const N_COLOURS = 10;
const SHAPES = ["circle", "square", "triangle", "diamond", "wedge"];

/** Read the colours anew: call it when light changes to dark or back. */
export function readTheme() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  for (const name of ["paper", "ink", "muted", "rule", "accent", "reconstruction", "kl"]) {
    theme[name] = read(name);
  }
  theme.labels = Array.from({ length: N_COLOURS }, (_, k) => read(`label-${k}`));
  theme.dark = document.documentElement.dataset.theme === "dark";
  theme.font = getComputedStyle(document.body).fontFamily;
}

/** "#rrggbb" as [red, green, blue]. */
export function channels(colour) {
  return [1, 3, 5].map((place) => parseInt(colour.slice(place, place + 2), 16));
}

/** The colour of a label (null where there are none). */
export function labelColour(label) {
  return label === null ? theme.accent : theme.labels[label % N_COLOURS];
}

/** Trace the mark of a label around (x, y); the caller fills or strokes it. */
export function traceMark(context, label, x, y, radius) {
  const shape = label === null ? 0 : (label + Math.floor(label / N_COLOURS)) % SHAPES.length;
  const r = radius;
  const corners = {
    square: [[-0.85, -0.85], [0.85, -0.85], [0.85, 0.85], [-0.85, 0.85]],
    triangle: [[0, -1.15], [1.05, 0.8], [-1.05, 0.8]],
    diamond: [[0, -1.25], [1.1, 0], [0, 1.25], [-1.1, 0]],
    wedge: [[0, 1.15], [1.05, -0.8], [-1.05, -0.8]],
  }[SHAPES[shape]];
  context.beginPath();
  if (!corners) context.arc(x, y, r, 0, 2 * Math.PI);
  else corners.forEach(([dx, dy]) => context.lineTo(x + dx * r, y + dy * r));
  context.closePath();
}

/** Give a canvas the pixels of the screen, clear it, and return its context in CSS pixels. */
export function prepare(canvas) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const ratio = devicePixelRatio;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}
