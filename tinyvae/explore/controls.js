// What chooses: the legend that filters, the plane's two dimensions, the sliders, the switches.

import { standardNormal } from "./latent.js";
import { readable } from "./pictures.js";
import { labelColour, prepare, traceMark } from "./theme.js";

const $ = (id) => document.getElementById(id);

/** A new element with these properties and children. */
export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** One button for each label, which shows or hides its examples; and one that shows all. */
export function legend({ dataset, examples }, store) {
  if (!dataset.label_names) return;
  const present = new Set(examples.map(({ label }) => label));
  const buttons = dataset.label_names.flatMap((name, label) => {
    if (!present.has(label)) return [];
    const mark = element("canvas");
    const button = element("button", { type: "button", title: name }, mark);
    button.append(element("span", { textContent: name }));
    button.onclick = () => {
      const hidden = new Set(store.state.hidden);
      if (!hidden.delete(label)) hidden.add(label);
      store.set({ hidden });
    };
    return [{ button, mark, label }];
  });
  const all = element("button", { type: "button", textContent: "all" });
  const none = element("button", { type: "button", textContent: "none" });
  all.onclick = () => store.set({ hidden: new Set() });
  none.onclick = () => store.set({ hidden: present });
  $("legend").append(...buttons.map(({ button }) => button), all, none);
  store.watch(["hidden", "theme"], ({ hidden }) => {
    for (const { button, mark, label } of buttons) {
      button.setAttribute("aria-pressed", !hidden.has(label));
      const context = prepare(mark);
      traceMark(context, label, 7, 7, 4.5);
      context.fillStyle = labelColour(label);
      context.fill();
    }
  });
}

/** The two lists that choose the plane's dimensions; choosing the other's one swaps them. */
export function dimensions({ order, model }, store) {
  if (model.latent_dim < 3) return;
  for (const [axis, id] of ["across", "up"].entries()) {
    $(id).append(...order.map((j) => element("option", { value: j, textContent: `z${j + 1}` })));
    $(id).onchange = () => {
      const dims = [...store.state.dims];
      const chosen = Number($(id).value);
      if (dims[1 - axis] === chosen) dims[1 - axis] = dims[axis];
      dims[axis] = chosen;
      store.set({ dims });
    };
    store.watch(["dims"], ({ dims }) => ($(id).value = dims[axis]));
  }
}

/** A slider for each latent dimension, those that say most of x first. */
export function sliders({ order, use, reach, vae }, store) {
  const rows = order.map((j) => {
    const [low, high] = reach[j];
    const name = `z${j + 1}`;
    const slider = element("input", { type: "range", min: low, max: high, step: "any" });
    const value = element("output");
    const bar = element("i");
    bar.style.width = `${(100 * use[j]) / use[order[0]]}%`;
    const words = vae ? `${use[j].toFixed(2)} nats` : `sd ${readable(use[j])}`;
    const row = element("label", { title: name }, name, slider, value);
    row.append(element("span", { className: "use" }, bar, words));
    if (vae && use[j] < 0.01) row.className = "unused";
    slider.oninput = () => {
      const z = Float64Array.from(store.state.z);
      z[j] = Number(slider.value);
      store.set({ z, hover: null });
    };
    return { j, row, slider, value };
  });
  $("sliders").append(...rows.map(({ row }) => row));
  store.watch(["z", "hover"], ({ z, hover }) => {
    for (const { j, slider, value } of rows) {
      slider.value = (hover ?? z)[j];
      value.textContent = signed((hover ?? z)[j]);
    }
  });
}

/** Buttons and switches of a line each. */
export function switches({ model }, store) {
  const L = model.latent_dim;
  $("prior").onclick = () => store.set({ z: standardNormal(L), hover: null });
  $("zoom-in").onclick = () => zoom(store, 2);
  $("zoom-out").onclick = () => zoom(store, 0.5);
  $("origin").onclick = () => store.set({ z: new Float64Array(L), hover: null });
  for (const id of ["map", "ellipses", "speed"]) {
    $(id).checked = store.state[id];
    $(id).onchange = () => store.set({ [id]: $(id).checked });
  }
}

/** The label that a conditional model decodes. */
export function condition({ model, dataset }, store) {
  if (!model.n_classes) return;
  for (let label = 0; label < model.n_classes; label++) {
    const textContent = dataset.label_names?.[label] ?? `label ${label}`;
    $("label").append(element("option", { value: label, textContent }));
  }
  $("label").onchange = () => store.set({ label: Number($("label").value) });
  store.watch(["label"], ({ label }) => ($("label").value = label));
}

/** See the plane so many times larger, around z; as a whole at the smallest. */
export function zoom(store, times) {
  const level = Math.min(64, Math.max(1, store.state.zoom * times));
  store.set({ zoom: level, centre: level > 1 ? Float64Array.from(store.state.z) : null });
}

/** A number with its sign, in two significant digits where two decimals would show none. */
export function small(value) {
  const size = Math.abs(value);
  if (size >= 0.0995 || size === 0) return signed(value);
  return (value < 0 ? "−" : " ") + size.toPrecision(2).replace("-", "−");
}

/** A coordinate with its sign, always of the same width. */
export function signed(value) {
  const text = Math.abs(value).toFixed(2);
  return (value < 0 && Number(text) !== 0 ? "−" : " ") + text;
}
