// The data sets and the run that the page carries in itself, as page.py wrote them.

import { readArray, readJSON } from "./payload.js";

/** Everything that does not change. Numbers are inflated by the browser itself. */
export async function readWorld() {
  const description = readJSON("description");
  const datasets = await Promise.all(description.datasets.map(readDataset));
  const { run: about } = description;
  const run = about && { ...about, theta: new Float32Array(await inflate("theta")) };
  return { ...description, datasets, run, wasm: readArray("kernels", "uint8") };
}

/** One data set: x (N, D), training rows first, and the rows that are shown. */
async function readDataset(about, k) {
  const raw = await inflate(`data-${k}`);
  const { n_train, n_test, D, levels } = about;
  const x = levels
    ? Float32Array.from(new Uint8Array(raw), (level) => level / levels)
    : new Float32Array(raw);
  const labels = about.labels && Uint16Array.from(about.labels);
  const test = { x: x.subarray(n_train * D), labels: labels?.subarray(n_train) };
  const shown = severalLabels(test, n_test);
  const walks = [
    [0, 1],
    [3, 7],
  ].map((ends) => ends.map((k) => shown[Math.min(k, shown.length - 1)]));
  return { ...about, x, labels, n_train, n_test, D, shown, walks };
}

/** Eight test rows, of as many labels as there are. */
function severalLabels({ labels }, n_test) {
  const rows = Array.from({ length: n_test }, (_, i) => i);
  const seen = new Set();
  const isNew = (i) => !seen.has(labels[i]) && seen.add(labels[i]);
  const first = labels ? rows.filter(isNew).sort((i, j) => labels[i] - labels[j]) : [];
  const others = rows.filter((i) => !first.includes(i));
  return [...first, ...others].slice(0, 8);
}

/** The bytes of an element that holds them deflated, as base64 text. */
async function inflate(id) {
  const stream = new Blob([readArray(id, "uint8")]).stream();
  return new Response(stream.pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
}
