// What is shown beside the plane: the decoded point and its numbers, the picked example with the
// samples of its posterior, and the walk.

import { element, signed, small } from "./controls.js";
import { kl, log_normal, reparameterize, scaled, standardNormal } from "./latent.js";

const $ = (id) => document.getElementById(id);
const N_SAMPLES = 8;
const N_GALLERY = 12;
const N_CODES = 5; // latent dimensions in the table
const N_STEPS = 9;
const NEAR = 3; // standard deviations: a z nearer to q(z|x) may be a draw of it
const sum = (values) => values.reduce((total, value) => total + value, 0);
const mean = (values) => sum(values) / values.length;
const flat = (vectors) => Float64Array.from(vectors.flatMap((vector) => Array.from(vector)));

/** Nats, in one decimal; a KL without end is ∞. */
export function nats(value) {
  return Number.isFinite(value) ? value.toFixed(1).replace("-", "−") : value < 0 ? "−∞" : "∞";
}

/** A canvas of its own in which pictures are shown. */
function picture() {
  return element("canvas", { className: "picture" });
}

/** A button that holds a picture. */
function pictureButton(name, onclick) {
  const canvas = picture();
  const button = element("button", { type: "button", onclick }, canvas);
  button.setAttribute("aria-label", name);
  return { button, canvas };
}

/** KL(q ‖ prior) of the picked example, with sigma scaled, in nats. */
function klOf({ mu, logvar }, scale) {
  return sum(kl(mu, scaled(logvar, scale)));
}

/** How far z is from N(mu, (scale σ)²), in standard deviations: the root of the mean over dimensions. */
function fromPosterior(z, { mu, logvar }, scale) {
  const squared = Array.from(z, (value, j) =>
    value === mu[j] ? 0 : ((value - mu[j]) / (scale * Math.exp(0.5 * logvar[j]))) ** 2,
  );
  return Math.sqrt(mean(squared));
}

/** The image at z, and what it is at z that the picked example costs. */
export function decoded({ model, pictures, vae, means }, store) {
  store.watch(["z", "hover", "label", "picked", "theme", "size"], (state) => {
    const z = state.hover ?? state.z;
    const x_hat = model.decode(z, state.label);
    pictures.show($("decoded"), x_hat, { beside: state.picked.x, large: true });
    const words = pictures.words(x_hat);
    if (words) $("decoded").setAttribute("aria-label", `The decoded row: ${words}`);
    $("point").textContent = `(${Array.from(z, signed).join(", ")})`;
  });
  store.watch(["z", "hover", "label", "picked", "scale"], (state) => {
    const { picked, scale, label } = state;
    const reconstruction = model.nll(state.hover ?? state.z, picked.x, label);
    $("reconstruction").textContent = nats(reconstruction);
    if (!vae) return;
    const KL = klOf(picked, scale);
    $("kl").textContent = nats(KL);
    const z = state.hover ?? state.z;
    const distance = fromPosterior(z, picked, scale);
    const near = distance <= NEAR;
    $("elbo-name").textContent = near ? "ELBO" : "log p(z)";
    $("elbo-words").textContent = near ? "−(sum of both)" : "of the prior";
    const zero = z.map(() => 0);
    $("elbo").textContent = nats(near ? -(reconstruction + KL) : log_normal(z, zero, zero));
    $("mean-elbo").textContent = near
      ? `test mean ${nats(-(means.reconstruction + means.kl))}`
      : `no ELBO: z is ${distance < 1000 ? distance.toPrecision(2) : "far more than 1000"} σ from q(z|x)`;
  });
}

/** What the numbers are about, and what they are on average over the test data. */
export function numbers({ pictures, means, vae }, store) {
  $("mean-reconstruction").textContent = `test mean ${nats(means.reconstruction)}`;
  if (vae) {
    $("mean-kl").textContent = `test mean ${nats(means.kl)}`;
  }
  store.watch(["picked", "theme", "size"], ({ picked }) => {
    pictures.show($("about"), picked.x);
    $("about-name").textContent = picked.name;
  });
}

/** Say where z is, for screen readers, once it rests. */
export function spoken({ dataset }, plane, store) {
  let timer = 0;
  store.watch(["z", "picked"], ({ z }) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const { example } = plane.nearest(plane.toPixels(plane.project(z)));
      const point = plane
        .project(z)
        .map((value) => value.toFixed(2))
        .join(", ");
      const label = dataset.label_names?.[example?.label];
      $("spoken").textContent = `z at ${point}.${label ? ` Nearest mark: label ${label}.` : ""}`;
    }, 500);
  });
}

/** Examples to pick from, those whose labels are shown. */
export function gallery({ examples, pictures }, store, pick) {
  let first = 0;
  const slots = Array.from({ length: Math.min(N_GALLERY, examples.length) }, () => {
    const slot = pictureButton("", () => pick(slot.example));
    return slot;
  });
  $("gallery").append(...slots.map(({ button }) => button));
  const fill = ({ hidden, picked }) => {
    const shown = examples.filter(({ label }) => !hidden.has(label));
    slots.forEach((slot, k) => {
      slot.example = shown[(first + k) % shown.length];
      slot.button.style.visibility = k < shown.length ? "visible" : "hidden";
      if (!slot.example) return;
      pictures.show(slot.canvas, slot.example.x);
      slot.button.setAttribute("aria-label", `Pick ${slot.example.name}`);
      slot.button.setAttribute("aria-pressed", slot.example === picked);
    });
  };
  $("others").onclick = () => {
    first += N_GALLERY;
    fill(store.state);
  };
  store.watch(["hidden", "picked", "theme", "size"], fill);
}

/** The picked example, its reconstruction and its code. */
export function coding({ model, pictures, order, vae }, store) {
  const rows = order.slice(0, N_CODES).map((j) => {
    const cells = Array.from({ length: vae ? 3 : 1 }, () => element("td"));
    $("code").append(element("tr", {}, element("th", { textContent: `z${j + 1}` }), ...cells));
    return { j, cells };
  });
  const more = order.length - rows.length;
  if (more > 0) {
    const words = `and ${more} more`;
    $("code").append(element("tr", {}, element("th", { textContent: words, colSpan: 4 })));
  }
  store.watch(["picked", "scale", "label", "theme", "size"], ({ picked, scale, label }) => {
    const { x, mu, logvar } = picked;
    pictures.show($("seen"), x);
    pictures.show($("reconstructed"), model.decode(mu, label), { beside: x });
    const KL = vae ? kl(mu, scaled(logvar, scale)) : [];
    for (const { j, cells } of rows) {
      const values = [mu[j]];
      if (vae) values.push(scale * Math.exp(0.5 * logvar[j]), KL[j]);
      values.forEach((value, k) => {
        cells[k].textContent = Number.isFinite(value) ? small(value) : "∞";
      });
    }
  });
}

/** Draws eps for the samples: one set serves all scales, so that the slider moves, not shuffles. */
export function noise(L) {
  return Array.from({ length: N_SAMPLES }, () => standardNormal(L));
}

/** Samples z = mu + scale · sigma · eps of the picked example's posterior. */
export function posterior({ mu, logvar }, scale, eps) {
  if (!logvar) return [];
  return eps.map((eps_k) => reparameterize(mu, scaled(logvar, scale), eps_k));
}

/** The decoded samples of the posterior, and what they cost on average. */
export function samples({ model, pictures, vae }, store) {
  if (!vae) return;
  const L = model.latent_dim;
  const follow = (values) => {
    const { picked, scale, eps } = { ...store.state, ...values };
    store.set({ ...values, samples: posterior(picked, scale, eps) });
  };
  $("scale").oninput = () => follow({ scale: Number($("scale").value) });
  $("redraw").onclick = () => follow({ eps: noise(L) });
  const slots = store.state.samples.map((_, k) =>
    pictureButton(`Sample ${k + 1}`, () => store.set({ z: store.state.samples[k], hover: null })),
  );
  $("samples").append(...slots.map(({ button }) => button));
  store.watch(["samples", "label", "theme", "size"], (state) => {
    const { picked, label, scale } = state;
    $("scale-value").textContent = scale.toFixed(2);
    const D = model.n_features;
    const x_hat = model.decode(flat(state.samples), label); // (8, D)
    slots.forEach(({ canvas }, k) => pictures.show(canvas, x_hat.subarray(k * D, (k + 1) * D)));
    const costs = model.nll(flat(state.samples), flat(state.samples.map(() => picked.x)), label);
    const KL = klOf(picked, scale);
    $("mean-of-samples").textContent = nats(mean(costs));
    $("kl-of-samples").textContent = nats(KL);
    $("elbo-of-samples").textContent = nats(-(mean(costs) + KL));
  });
}

/** From one code to another along a straight line. */
export function walk({ model, pictures }, store) {
  const at = (t) => {
    const { from, to } = store.state;
    return from.mu.map((value, j) => (1 - t) * value + t * to.mu[j]);
  };
  const go = (t) => {
    $("step").value = t;
    store.set({ z: at(t), hover: null, step: t });
  };
  $("step").oninput = () => go(Number($("step").value));
  const slots = Array.from({ length: N_STEPS }, (_, k) => {
    const t = k / (N_STEPS - 1);
    return { t, ...pictureButton(`Step ${k + 1} of ${N_STEPS}`, () => go(t)) };
  });
  $("strip").append(...slots.map(({ button }) => button));
  for (const end of ["from", "to"]) {
    $(`set-${end}`).onclick = () => store.set({ [end]: store.state.picked });
    store.watch([end, "theme", "size"], (state) => {
      pictures.show($(end), state[end].x);
      $(end).setAttribute("aria-label", `The walk goes ${end} ${state[end].name}`);
    });
  }
  store.watch(["from", "to", "label", "theme", "size"], ({ label }) => {
    const D = model.n_features;
    const x_hat = model.decode(flat(slots.map(({ t }) => at(t))), label); // (9, D)
    slots.forEach(({ canvas }, k) => pictures.show(canvas, x_hat.subarray(k * D, (k + 1) * D)));
  });
  store.watch(["step", "z"], ({ step, z }) => {
    const onTheWay = step !== null && at(step).every((value, j) => value === z[j]);
    for (const { t, button } of slots) {
      const near = onTheWay && Math.abs(t - step) <= 0.5 / (N_STEPS - 1);
      button.setAttribute("aria-pressed", near);
    }
  });
}
