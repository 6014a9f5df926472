// Where the page starts: it reads the model and the examples, and joins plane, controls and panels
// through one store of state.

import { condition, dimensions, legend, sliders, switches } from "./controls.js";
import { asDrawn, centred, Pad } from "./drawing.js";
import { fastest } from "./kernels.js";
import { kl } from "./latent.js";
import { Autoencoder, numbersFor, VAE } from "./model.js";
import * as panels from "./panels.js";
import { readArray, readJSON } from "./payload.js";
import { Pictures } from "./pictures.js";
import { Plane } from "./plane.js";
import { Store } from "./store.js";
import { readTheme } from "./theme.js";

const $ = (id) => document.getElementById(id);
const ROWS = 225; // that pass through the model at once: a decoded map

/** Everything that does not change: the model, the examples and what is known of them. */
function readWorld() {
  const { model: description, dataset, examples: about, means } = readJSON("description");
  const vae = description.kind === "VAE";
  const Model = vae ? VAE : Autoencoder;
  const kernels = fastest(readArray("kernels", "uint8"), numbersFor(description, ROWS));
  const model = new Model(description, kernels, ROWS, readArray("theta", description.precision));
  const [D, L] = [model.n_features, model.latent_dim];
  const x = readArray("x", about.encoding);
  const codes = readArray("codes", "float32"); // (N, 2L) or (N, L): mu, logvar of each example
  const width = vae ? 2 * L : L;
  const examples = about.rows.map((row, index) => ({
    index,
    label: about.labels?.[index] ?? null,
    name: `test ${dataset.noun} ${row}`,
    x: Float64Array.from(x.subarray(index * D, (index + 1) * D), (v) => v / about.divisor),
    mu: codes.subarray(index * width, index * width + L),
    logvar: vae ? codes.subarray(index * width + L, (index + 1) * width) : null,
  }));
  const columns = Array.from({ length: L }, (_, j) => examples.map(({ mu }) => mu[j]));
  const spread = columns.map(standardDeviation);
  const use = vae ? meanKL(examples, L) : spread;
  const order = use.map((_, j) => j).sort((i, j) => use[j] - use[i]);
  const reach = columns.map((values) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return vae ? [Math.min(-3.5, low), Math.max(3.5, high)] : [low, high];
  });
  const pictures = new Pictures(
    dataset,
    examples.map((example) => example.x),
  );
  return { model, vae, dataset, examples, means, use, spread, order, reach, pictures };
}

/** The KL of each latent dimension, averaged over the examples. */
function meanKL(examples, L) {
  const total = new Array(L).fill(0);
  for (const { mu, logvar } of examples) kl(mu, logvar).forEach((value, j) => (total[j] += value));
  return total.map((value) => value / examples.length);
}

function standardDeviation(values) {
  const mean = values.reduce((a, b) => a + b) / values.length;
  return Math.sqrt(values.reduce((total, v) => total + (v - mean) ** 2, 0) / values.length);
}

/** Two examples to begin with: well reconstructed, of two labels, and far apart in the latent space. */
function twoExamples({ model, examples, spread }) {
  const label = (example) => (model.n_classes ? example.label : null);
  const judged = examples.slice(0, 60).map((example) => {
    return { example, nll: model.nll(example.mu, example.x, label(example)) };
  });
  judged.sort((a, b) => a.nll - b.nll);
  const good = judged
    .slice(0, Math.max(2, Math.ceil(judged.length / 2)))
    .map(({ example }) => example);
  // The best of all is often the dullest: MNIST's is a 1.
  const first = good.find((example) => example.label !== good[0].label) ?? good[0];
  const distance = ({ mu }) =>
    mu.reduce((total, m, j) => total + ((m - first.mu[j]) / (spread[j] || 1)) ** 2, 0);
  const others = good.filter((example) => first.label === null || example.label !== first.label);
  const other = (others.length ? others : good).reduce((a, b) =>
    distance(a) > distance(b) ? a : b,
  );
  return [first, other];
}

function start() {
  readTheme();
  const world = readWorld();
  const { model, pictures, order } = world;
  const L = model.latent_dim;
  const [first, other] = twoExamples(world);
  const eps = panels.noise(L);
  const store = new Store({
    z: Float64Array.from(first.mu),
    hover: null, // z under the mouse
    pointing: false, // whether mouse, finger or keys are on the plane
    dims: L > 1 ? order.slice(0, 2).sort((i, j) => i - j) : [0, null],
    hidden: new Set(), // labels that are not shown
    map: Boolean(pictures.shape) && L === 2, // of decoded images
    ellipses: false,
    speed: false, // of change
    zoom: 1,
    centre: null, // z in the middle of what is seen, where zoomed
    rest: null, // changes when a dimension outside the plane has
    label: model.n_classes ? (first.label ?? 0) : null, // that a conditional model decodes
    picked: first,
    scale: 1, // of sigma
    eps,
    samples: panels.posterior(first, 1, eps),
    from: first,
    to: other,
    step: null, // of the walk
    theme: null, // changes with the colours
    size: null, // changes with the window
  });
  const pick = (example) => {
    const { scale, eps } = store.state;
    const values = { picked: example, z: Float64Array.from(example.mu), hover: null };
    if (model.n_classes && example.label !== null) values.label = example.label;
    store.set({ ...values, samples: panels.posterior(example, scale, eps) });
  };
  document.body.style.setProperty("--plot-height", `${pictures.height}px`);
  for (const id of ["about", "decoded", "seen", "reconstructed", "from", "to"]) {
    $(id).classList.add("picture");
  }
  legend(world, store);
  dimensions(world, store);
  sliders(world, store);
  switches(world, store);
  condition(world, store);
  const plane = new Plane($("ground"), $("marks"), world, store, pick);
  panels.decoded(world, store);
  panels.numbers(world, store);
  panels.spoken(world, plane, store);
  panels.gallery(world, store, pick);
  panels.coding(world, store);
  panels.samples(world, store);
  panels.walk(world, store);
  if (pictures.shape) drawing(world, store, pick);
  followMap(world, store);
  followAddress(world, store, pick);
  followWindow(store);
  window.tinyvae = { ...world, store, plane };
}

/** The pad: a drawing is picked like an example. */
function drawing({ model, pictures, vae, dataset }, store, pick) {
  const [height, width, colours = 1] = pictures.shape;
  const encode = (strokes) => {
    if (!strokes.length) return;
    const grey = ($("centre").checked ? centred : asDrawn)(strokes, [height, width]);
    const x = new Float64Array(grey.length * colours);
    x.forEach((_, d) => (x[d] = toModel(grey[Math.floor(d / colours)], d, dataset)));
    const { label } = store.state;
    const [mu, logvar] = vae ? model.encode(x, label) : [model.encode(x, label), null];
    pick({ index: null, label: null, name: "your drawing", x, mu, logvar });
  };
  const pad = new Pad($("pad"), (strokes) => {
    $("hint").hidden = true;
    encode(strokes);
  });
  $("clear").onclick = () => {
    pad.clear();
    $("hint").hidden = false;
  };
  $("centre").onchange = () => encode(pad.strokes);
  store.watch(["label"], () => {
    if (model.n_classes && store.state.picked.name === "your drawing") encode(pad.strokes);
  });
  store.watch(["theme", "size"], () => pad.draw());
}

/** A grey value in [0, 1] in the model's units. */
function toModel(grey, d, { low, high, scaling: { kind, divisor, mean, std } }) {
  const raw = low + grey * (high - low);
  if (kind === "divide") return raw / divisor;
  return kind === "standardize" ? (raw - mean[d]) / std[d] : raw;
}

/** Draw the decoded map anew, a moment after a dimension outside the plane has moved. */
function followMap({ model }, store) {
  let timer = 0;
  if (model.latent_dim < 3) return;
  store.watch(["z"], ({ map, speed }) => {
    clearTimeout(timer);
    if (map || speed) timer = setTimeout(() => store.set({ rest: null }), 100);
  });
}

/** Go where the address says, #z=0.5,−1&pick=7&dims=0,2, and let it follow what is looked at. */
function followAddress({ model, examples }, store, pick) {
  const L = model.latent_dim;
  const go = () => {
    const given = new URLSearchParams(location.hash.slice(1));
    const list = (name) => (given.get(name) ?? "").split(",").map(Number);
    const example = examples.find(({ index }) => String(index) === given.get("pick"));
    if (example) pick(example);
    const dims = list("dims");
    const fit = (j) => Number.isInteger(j) && j >= 0 && j < L;
    if (L > 2 && dims.length === 2 && dims.every(fit) && dims[0] !== dims[1]) store.set({ dims });
    const z = list("z");
    if (z.length === L && given.has("z") && z.every(Number.isFinite))
      store.set({ z: Float64Array.from(z), hover: null });
    const label = Number(given.get("label"));
    if (model.n_classes && given.has("label") && label >= 0 && label < model.n_classes)
      store.set({ label });
  };
  go();
  addEventListener("hashchange", go);
  let timer = 0;
  let moved = false;
  store.watch(["z", "picked", "dims", "label"], () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (!moved) return void (moved = true); // nobody has yet
      const { z, picked, dims, label } = store.state;
      const parts = [`z=${Array.from(z, (value) => Number(value.toFixed(4)))}`];
      if (picked.index !== null) parts.push(`pick=${picked.index}`);
      if (L > 2) parts.push(`dims=${dims}`);
      if (model.n_classes) parts.push(`label=${label}`);
      history.replaceState(null, "", `#${parts.join("&")}`);
    }, 400);
  });
}

/** Follow the window's size, and the colours: the system's, or the button's. */
function followWindow(store) {
  const root = document.documentElement;
  const paint = (dark) => {
    root.dataset.theme = dark ? "dark" : "light";
    readTheme();
    store.set({ theme: null });
  };
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", () => paint(system.matches));
  $("theme").onclick = () => paint(root.dataset.theme !== "dark");
  addEventListener("resize", () => store.set({ size: null }));
}

start();
