// The gradient check: central differences in float64 beside the backward pass, weight by weight.

import { ReLU } from "./layers.js";

const ROWS = 6;
const STEP = 1e-5;
const TOLERANCE = 1e-5;
const EACH = 10; // weights of the encoder, and of the decoder
const SPARE = 10; // more to draw from, where a weight's step crosses the kink of a ReLU

/** Check 20 weights of a training, one at a time: yields {name, analytic, numeric, passed}. */
export function* checkGradient(training, stream) {
  const model = training.inFloat64(Math.min(ROWS, training.data.n_train));
  const B = model.rows;
  const eps = training.noise(B, stream);
  const { theta, grad, views } = model.parameters;
  model.forward(B, eps);
  model.backward();
  const g = grad.slice();
  for (const candidates of chosen(views, g, stream)) {
    let left = EACH;
    for (const [name, index] of candidates) {
      if (!left) break;
      const kept = theta[index];
      const step = STEP * Math.max(1, Math.abs(kept));
      const [up, down] = [1, -1].map((sign) => {
        theta[index] = kept + sign * step;
        return { loss: model.forward(B, eps).loss, kinks: kinks(model, B) };
      });
      theta[index] = kept;
      if (up.kinks !== down.kinks) continue; // there is no derivative to compare with
      const numeric = (up.loss - down.loss) / (2 * step);
      const analytic = g[index];
      const passed = Math.abs(analytic - numeric) < TOLERANCE * Math.max(Math.abs(numeric), 0.01);
      left--;
      yield { name, analytic, numeric, passed };
    }
  }
}

/** Which hidden units are on, for which row. */
function kinks({ encoder, decoder }, B) {
  return [...encoder.layers, ...decoder.layers]
    .filter((layer) => layer instanceof ReLU)
    .map(({ y, n_out }) =>
      y
        .subarray(0, B * n_out)
        .map((value) => (value > 0 ? 1 : 0))
        .join(""),
    )
    .join();
}

/** Names and places of some weights whose gradient is not 0, for the encoder and for the decoder. */
function chosen(views, g, stream) {
  const places = { encoder: [], decoder: [] };
  let start = 0;
  for (const [name, view] of Object.entries(views)) {
    for (let i = 0; i < view.length; i++) {
      if (Math.abs(g[start + i]) > 1e-4)
        places[name.split(".")[0]].push([`${name}[${i}]`, start + i]);
    }
    start += view.length;
  }
  return Object.values(places).map((some) =>
    Array.from(
      { length: Math.min(EACH + SPARE, some.length) },
      () => some[Math.floor(stream.next() * some.length)],
    ),
  );
}
