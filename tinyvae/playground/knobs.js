// The knobs: sliders, choices and switches, each of which sets one value; and the same as an address.

import { element } from "./controls.js";
import { ERRORS } from "./errors.js";
import { DEFAULTS } from "./training.js";
import { short } from "./words.js";

const $ = (id) => document.getElementById(id);
const SLIDERS = {
  // β: from 0 (the left end) over powers of ten; σ and the learning rate likewise.
  beta: { to: (s) => (s < -2 ? 0 : round(10 ** s)), from: (v) => (v > 0 ? Math.log10(v) : -2.05) },
  sigma: {
    to: (s) => (Math.abs(s + 0.15) < 0.02 ? Math.SQRT1_2 : round(10 ** s)),
    from: Math.log10,
  },
  lr: { to: (s) => round(10 ** s), from: Math.log10 },
};
const CHOICES = { latent: [1, 2, 5, 10], hidden: [32, 64, 128, 256] };
const REBUILT = ["latent", "hidden"];

/** Connect all knobs: `changed(knobs, word)` gets what was turned, and a word for it. */
export class Knobs {
  constructor(changed) {
    this.changed = changed;
    for (const [name, { to }] of Object.entries(SLIDERS)) {
      $(name).oninput = () => {
        const value = to(Number($(name).value));
        changed(
          { [name]: value },
          `${{ beta: "β", sigma: "σ", lr: "rate" }[name]} ${short(value)}`,
        );
      };
    }
    $("noise").onchange = () =>
      changed({ noise: $("noise").checked }, $("noise").checked ? "noise on" : "noise off");
    for (const input of document.querySelectorAll("[name=trains]")) {
      input.onchange = () => changed({ trains: input.value }, input.value);
    }
    for (const [name, values] of Object.entries(CHOICES)) {
      segments($(name), name, values, (value) => changed({ [name]: value }, null));
    }
    $("error").append(
      element("option", { value: "", textContent: "none: the right code" }),
      element("option", { value: "?", textContent: "one of these: which?", hidden: true }),
      ...Object.entries(ERRORS).map(([value, { name }]) =>
        element("option", { value, textContent: name }),
      ),
    );
    $("error").onchange = () => {
      const error = $("error").value || null;
      changed({ error }, error ? ERRORS[error].name : "mended");
    };
  }

  /** Show these values. */
  show(knobs, secret) {
    for (const [name, { from }] of Object.entries(SLIDERS)) {
      const slider = $(name);
      if (document.activeElement !== slider) slider.value = from(knobs[name]);
      $(`${name}-value`).textContent = short(knobs[name]);
      slider.setAttribute("aria-valuetext", short(knobs[name]));
    }
    $("noise").checked = knobs.noise;
    for (const input of document.querySelectorAll("[name=trains]")) {
      input.checked = input.value === knobs.trains;
    }
    for (const name of REBUILT) {
      for (const input of $(name).querySelectorAll("input")) {
        input.checked = Number(input.value) === knobs[name];
      }
    }
    $("error").value = secret ? "?" : (knobs.error ?? "");
  }
}

/** Radio buttons in a fieldset that look like one control. */
export function segments(box, name, values, chosen) {
  for (const value of values) {
    const input = element("input", { type: "radio", name, value });
    input.onchange = () => chosen(value);
    box.append(element("label", {}, input, element("span", { textContent: value })));
  }
}

/** Values that can be knobs, and no others: addresses and scripts bring anything. */
export function valid(knobs) {
  const good = {};
  const within = (value, low, high) => typeof value === "number" && value >= low && value <= high;
  for (const [name, value] of Object.entries(knobs)) {
    const fine = {
      beta: () => within(value, 0, 1e6),
      sigma: () => within(value, 1e-3, 1e3),
      lr: () => within(value, 0, 1e3),
      noise: () => typeof value === "boolean",
      trains: () => ["both", "reconstruction", "kl"].includes(value),
      error: () => value === null || Object.hasOwn(ERRORS, value),
      latent: () => Number.isInteger(value) && within(value, 1, 64),
      hidden: () => Number.isInteger(value) && within(value, 1, 1024),
    }[name];
    if (fine?.()) good[name] = value;
  }
  return good;
}

/** Knobs that differ from the defaults, as an address has them after its #. */
export function toHash(knobs, more) {
  const different = Object.entries(knobs).filter(
    ([name, value]) => value !== DEFAULTS[name] && name in DEFAULTS,
  );
  const pairs = [...different, ...Object.entries(more)].filter(([, value]) => value !== null);
  return pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
}

/** What an address says: {knobs, story, data}; whatever is no knob is left out. */
export function fromHash(hash) {
  const given = Object.fromEntries(new URLSearchParams(hash.replace(/^#/, "")));
  const knobs = {};
  for (const [name, text] of Object.entries(given)) {
    if (["beta", "sigma", "lr", "latent", "hidden"].includes(name)) knobs[name] = Number(text);
    else if (name === "noise") knobs.noise = text !== "false";
    else knobs[name] = text;
  }
  return { knobs: valid(knobs), story: given.story ?? null, data: given.data ?? null };
}

function round(value) {
  return Number(value.toPrecision(2));
}
