// What one takes along: the same training as a command, and the weights as a file.

import { element } from "./controls.js";
import { npz } from "./npz.js";
import { put, short } from "./words.js";

const $ = (id) => document.getElementById(id);

/** The same training as a command. */
export function command(app) {
  const { knobs, dataset, frame } = app;
  const parts = [
    `python -m tinyvae train --dataset ${dataset.typed}`,
    `--hidden ${knobs.hidden}`,
    `--latent-dim ${knobs.latent}`,
  ];
  const beta = knobs.trains === "reconstruction" ? 0 : knobs.beta;
  if (beta !== 1) parts.push(`--beta ${short(beta)}`);
  if (knobs.trains === "kl") parts.push("--reconstruction-weight 0");
  parts.push(
    `--sigma ${knobs.sigma === Math.SQRT1_2 ? "0.7071" : short(knobs.sigma)}`,
    `--lr ${short(knobs.lr)}`,
    "--batch-size 64",
  );
  parts.push(`--epochs ${Math.max(1, Math.ceil(frame?.epoch ?? 1))}`);
  put($("command"), parts.join(" "));
  put($("explore"), `python -m tinyvae explore playground.npz --dataset ${dataset.typed} --open`);
}

/** Give the weights, as the worker sent them, to the browser as a file. */
export function saveWeights(app, { theta, parameters, knobs }) {
  let start = 0;
  const arrays = parameters.map(([name, shape]) => {
    const size = shape.reduce((product, n) => product * n, 1);
    start += size;
    return [name, shape, theta.subarray(start - size, start)];
  });
  const weight = knobs.trains === "kl" ? 0 : 1;
  const config = {
    ...app.world.datasets[app.index].config,
    latent_dim: knobs.latent,
    hidden: [knobs.hidden],
    sigma: knobs.sigma,
    beta: knobs.trains === "reconstruction" ? 0 : knobs.beta,
    reconstruction_weight: weight,
  };
  if (app.frame?.goesOn) Object.assign(config, app.world.run.config, { beta: config.beta });
  if (config.sigma !== undefined && config.likelihood !== "bernoulli")
    arrays.push(["sigma", [], knobs.sigma]);
  arrays.push(["config", [], JSON.stringify(config)]);
  const link = element("a", { href: URL.createObjectURL(npz(arrays)), download: "playground.npz" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
