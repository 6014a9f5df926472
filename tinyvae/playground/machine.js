// The picked x on its way through the machine: numbers forward in ink, gradients backward in red, and
// the line of code of what one points at.

import { element } from "./controls.js";
import { ERRORS } from "./errors.js";

const LINES = {
  x: ["the picked one, (D,)", ""],
  encoder: ["mu, logvar = encoder(x)", "model.py, VAE.encode"],
  mu: ["mu = h[:, :L]\ndmu = dz + beta * mu", "model.py, VAE"],
  sigma: [
    "sigma = exp(0.5 * logvar)\ndlogvar = dz * 0.5 * sigma * eps + beta * 0.5 * (sigma**2 - 1)",
    "latent.py",
  ],
  eps: ["eps = rng.standard_normal((B, L))", "model.py, VAE.forward"],
  z: ["z = mu + sigma * eps", "latent.py, reparameterize"],
  decoder: ["x_hat = decoder(z)", "model.py, decode"],
  x_hat: ["nll = (0.5 * (x - x_hat)**2 / sigma**2).sum(axis=1) + …", "likelihood.py, Gaussian"],
  kl: ["kl = 0.5 * (mu**2 + exp(logvar) - 1 - logvar)", "latent.py, kl"],
};

export class Machine {
  constructor(flow, code, roll) {
    this.code = code;
    const part = (name, ...children) => {
      const node = element("div", { className: `part ${name}`, tabIndex: 0 }, ...children);
      const show = () => this.explain(name);
      node.addEventListener("pointerenter", show);
      node.addEventListener("focus", show);
      node.addEventListener("pointerleave", () => this.explain(null));
      node.addEventListener("blur", () => this.explain(null));
      return node;
    };
    const value = (name, words) => {
      const forward = element("output");
      const backward = element("em");
      this.values[name] = { forward, backward };
      return part(name, element("span", { textContent: words }), forward, backward);
    };
    this.values = {};
    this.x = element("canvas", { className: "picture" });
    this.x_hat = element("canvas", { className: "picture" });
    for (const [canvas, words] of [
      [this.x, "x"],
      [this.x_hat, "its reconstruction"],
    ]) {
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", words);
    }
    const dice = element("button", {
      type: "button",
      textContent: "⚄",
      title: "Draw new noise",
      onclick: roll,
    });
    dice.setAttribute("aria-label", "Draw new noise");
    const eps = value("eps", "ε");
    eps.firstChild.append(" ", dice);
    const net = (name, words) =>
      part(name, element("b", { textContent: words }), (this[`${name}Widths`] = element("small")));
    flow.append(
      element("div", { className: "line" }, part("x", this.x), net("encoder", "encoder")),
      value("mu", "μ"),
      value("sigma", "σ"),
      eps,
      value("z", "z = μ + σ·ε"),
      element(
        "div",
        { className: "line out" },
        net("decoder", "decoder"),
        part("x_hat", this.x_hat),
      ),
      element(
        "div",
        { className: "sum" },
        part(
          "x_hat",
          (this.reconstruction = element("b", { className: "reconstruction" })),
          " reconstruction",
        ),
        part("kl", (this.kl = element("b", { className: "kl" })), " KL"),
      ),
    );
    this.error = null;
    this.explain(null);
  }

  /** Show the line of code of a part; of none, what is planted, or how z is drawn. */
  explain(name) {
    const planted = ERRORS[this.error];
    if (name === null && planted) {
      this.code.replaceChildren(
        line("wrong", planted.wrong),
        line("right", planted.right),
        small(planted.place),
      );
      return;
    }
    const [text, place] = LINES[name ?? "z"];
    this.code.replaceChildren(line("", text), small(place));
  }

  draw({ machine, dims, knobs, widths }, { pictures, x, secret }) {
    const { mu, logvar, eps, z, dz, dmu, dmu_kl, dlogvar, dlogvar_kl } = machine;
    const shown = dims.filter((j) => j !== null);
    const both = (f) => shown.map((j) => number(f(j))).join(" ");
    const put = (name, forward, backward) => {
      this.values[name].forward.textContent = both(forward);
      this.values[name].backward.textContent = backward ? both(backward) : "";
    };
    put(
      "mu",
      (j) => mu[j],
      (j) => dmu[j] + dmu_kl[j],
    );
    const sigma = (j) => Math.exp(0.5 * logvar[j]);
    put("sigma", sigma, (j) => (2 * (dlogvar[j] + dlogvar_kl[j])) / sigma(j)); // d log σ² = 2 dσ / σ
    put("eps", (j) => eps[j]);
    put(
      "z",
      (j) => z[j],
      (j) => dz[j],
    );
    pictures.show(this.x, x);
    pictures.show(this.x_hat, machine.x_hat);
    this.reconstruction.textContent = machine.reconstruction.toFixed(1).replace("-", "−");
    this.kl.textContent = machine.kl.toFixed(2).replace("-", "−");
    const [L, ...hidden] = widths.toReversed();
    this.encoderWidths.textContent = [...hidden.toReversed(), `2·${L}`].join(" → ");
    this.decoderWidths.textContent = [L, ...hidden].join(" → ");
    const error = secret ? null : knobs.error;
    if (error !== this.error) {
      this.error = error;
      this.explain(null);
    }
  }
}

function line(kind, textContent) {
  return element("code", { className: kind, textContent });
}

function small(textContent) {
  return element("small", { textContent });
}

/** A number in five characters, with its sign. */
function number(value) {
  if (!Number.isFinite(value)) return "  ∞  ";
  const size = Math.abs(value);
  const text = size >= 100 ? size.toFixed(0) : size >= 10 ? size.toFixed(1) : size.toFixed(2);
  return ((value < 0 ? "−" : "") + text).padStart(5, "\u2007");
}
