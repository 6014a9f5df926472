// What the page says: the stories, one sentence on what happens now, and the verdicts on planted errors.
// Numbers in sentences are those of the moment.

import { ERRORS } from "./errors.js";
import { nats } from "./charts.js";

/** Each sets its knobs; the others go back to their defaults. `warm`: β rises from 0 in so many s. */
export const STORIES = {
  autoencoder: {
    name: "From autoencoder to VAE",
    knobs: { noise: false, trains: "reconstruction" },
    text:
      "No noise, no KL: this is a plain autoencoder. Its codes lie wherever they like, with holes" +
      " between them. Now switch the noise ε on: an image is no longer a point but a cloud, so neighbours" +
      " must be alike; yet without the KL the codes simply move apart until the noise no longer matters." +
      " Then press “both terms”: the KL keeps the noise alive and gathers the codes around the prior." +
      " That is a VAE.",
  },
  collapse: {
    name: "β = 20: collapse",
    knobs: { beta: 20 },
    text:
      "The KL weighs twenty times as much as it should. Whatever an image's code could say costs more" +
      " than it saves: within a second all codes fall onto the origin, all ellipses become the unit" +
      " circle, and every reconstruction is the same average image. Turn β back to 1 and watch the" +
      " plane unfold again.",
  },
  sharp: {
    name: "σ = 0.1: overfitting",
    knobs: { sigma: 0.1 },
    text:
      "A decoder that claims to be right to 0.1 a pixel weighs the reconstruction fifty times as much." +
      " The codes spread far beyond the prior, the ellipses shrink to dots. Wait half a minute: the" +
      " reconstruction of the training images goes on falling while −ELBO on the test data stays" +
      " behind, tens of nats higher: it learns the training images, not the digits.",
  },
  kl: {
    name: "KL alone",
    knobs: { trains: "kl" },
    text:
      "Nothing asks for a reconstruction. The KL has its way: mean 0, variance 1, for every image. The" +
      " code says nothing, and the decoder never learns.",
  },
  ten: {
    name: "10 latents: which are used?",
    knobs: { latent: 10, beta: 3 },
    text:
      "Ten latent dimensions at β = 3. A dimension has to earn its KL: after some epochs several do," +
      " and the others all but switch off, near mean 0 and σ = 1 for every image. The bars under the loss are" +
      " the KL of each. Turn β down to 1, and most of them come to life.",
  },
  warmup: {
    name: "Warm-up of the KL",
    knobs: { beta: 0.01 },
    warm: 12,
    text:
      "β rises from almost 0 to 1 within twelve seconds. First the codes spread like an" +
      " autoencoder's and learn to tell images apart; then the KL gathers them, without the early collapse" +
      " that a large β from the start may bring.",
  },
};

/** One sentence on what happens now. */
export function comment({ frame, running, secret, noun, labelled, dataset }) {
  if (!frame?.terms) return `Press Play: a VAE trains on ${dataset}, here in your browser.`;
  const { knobs, terms, steps, epoch, L } = frame;
  const far = rms(frame.codes);
  const gap = frame.test
    ? frame.test.reconstruction + frame.test.kl - terms.reconstruction - terms.kl
    : 0;
  const overfits = `On test data −ELBO is ${nats(gap, 0)} nats higher than in training: it overfits.`;
  if (knobs.error) return secret ? RIDDLE : verdict(frame);
  if (knobs.trains === "kl") {
    return far > 0.1
      ? "KL alone: nothing asks for a reconstruction any more; watch all codes fall onto the origin."
      : `KL alone: all codes lie at the origin, all ellipses are the unit circle; every ${noun} gets the same answer.`;
  }
  if (knobs.trains === "reconstruction") {
    const numbers = `they spread to ${far.toFixed(1)} (a prior's would be 1), at a KL of ${nats(terms.kl, 1)} nats`;
    return knobs.noise
      ? `No KL: nothing holds the codes together. ${capital(numbers)}, and the ellipses shrink until the noise no longer matters.`
      : `No KL, no noise: a plain autoencoder. Its codes lie where they like: ${numbers}. Switch the noise on, then both terms.`;
  }
  if (!knobs.noise) {
    return "No noise: z is mu itself. The KL still pulls at the codes, but nothing makes neighbours alike, and σ means nothing.";
  }
  if (terms.kl < 0.1 && steps > 60) {
    const advice =
      knobs.beta > 2
        ? `β = ${short(knobs.beta)} is too large; turn it down.`
        : epoch < 5
          ? "Wait a moment, or turn β down."
          : "What a code could tell costs more than it saves; turn β or σ down.";
    return `The KL fell to ${nats(terms.kl, 2)}: all ${noun}s get the same code. ${advice}`;
  }
  if (knobs.sigma < 0.25 && steps > 100) {
    const more = gap > 20 ? ` ${overfits}` : "";
    return `σ = ${short(knobs.sigma)} makes every pixel count ${short(1 / (2 * knobs.sigma ** 2))} times: codes spread to ${far.toFixed(1)}, ellipses shrink to dots.${more}`;
  }
  if (!running)
    return "Paused. Move over the plane: each point decodes to what it means. Or take one step at a time.";
  if (steps < 60)
    return `The first steps: the decoder learns what an average ${noun} looks like; all codes are still alike.`;
  if (epoch < 3) {
    return `It learns as you watch: ${labelled ? "marks of one label, which it never sees, find together" : "marks of similar rows find together"}. Now take a term of the loss away.`;
  }
  if (L > 2) {
    const used = [...frame.use].filter((value) => value > 0.05).length;
    return `${used} of ${L} latent dimensions are used, ${nats(terms.kl, 1)} nats in all; the plane shows the two busiest.`;
  }
  return `A balance: the reconstruction drives codes apart, the KL (${nats(terms.kl, 1)} nats) holds them to the prior's rings. ${gap > 5 ? overfits : "Take one of the two away."}`;
}

const RIDDLE =
  "One of six errors is planted. Look at the plane, at the curves and their grey ghosts, run the tests below; then choose its name.";

/** What one would notice of the planted error, and what finds it. */
export function verdict(frame) {
  const {
    knobs: { error, beta },
    terms,
    ghost,
    planted,
    codes,
  } = frame;
  const { name } = ERRORS[error];
  const idle = withoutEffect(frame.knobs);
  if (idle) return `Planted: ${name}. ${idle}`;
  if ((planted < 120 && error !== "kl-sign") || !ghost?.terms)
    return `Planted: ${name}. Beneath it the right run goes on in grey, with the same batches and noise. Watch.`;
  const far = rms(codes);
  const right = ghost.terms;
  const both = `reconstruction ${nats(terms.reconstruction, 1)} (right run ${nats(right.reconstruction, 1)}), KL ${nats(terms.kl, 2)} (${nats(right.kl, 2)})`;
  return {
    sigma: `You would notice nothing: ${both}. The curves look healthy and the gradients are right; only a test of the sampler finds it.`,
    "fresh-noise": `${terms.reconstruction > right.reconstruction + 0.5 ? "Worse, and nothing says why" : "No loss complains"}: ${both}; codes spread to ${far.toFixed(2)} (${rms(ghost.codes).toFixed(2)}). A gradient check finds it, if it can hold the noise still.`,
    "pixel-mean":
      far < 0.1
        ? `Collapse: KL ${nats(terms.kl, 2)} (right run ${nats(right.kl, 2)}), all codes at the origin. Your code would print a loss of ${nats(terms.loss, 2)}: a reconstruction ${frame.D} times too small to argue with the KL.`
        : `The reconstruction counts 1/${frame.D} of what it should: the KL wins, and the codes fall onto the origin.`,
    "kl-sign": `The KL is ${nats(terms.kl, 1)}: negative, which no KL can be. The training is paid for running away from the prior, and soon ends.`,
    "kl-half": `Looks like a VAE, and is one with β = ${short(2 * beta)}: ${both}, a KL reported twice as large as it is. Gradients agree; only a second opinion on the KL finds it.`,
    "log-sigma": `Looks like a VAE: ${both}. The sampler and the KL disagree on what σ is; only a test of the KL against draws finds it.`,
  }[error];
}

/** Why an error does nothing while these knobs are as they are; null where it does. */
function withoutEffect({ error, trains, noise }) {
  const ofNoise = error === "sigma" || error === "fresh-noise";
  if (ofNoise && !noise) return "But the noise is off, and so it does nothing: switch it on.";
  if (trains === "kl" && (ofNoise || error === "pixel-mean"))
    return "But the reconstruction trains nothing now: press “both terms”.";
  if (trains === "reconstruction" && !ofNoise && error !== "pixel-mean")
    return "But the KL trains nothing now: press “both terms”.";
  return null;
}

/** The test that fails, in words. */
export const FINDERS = {
  gradient: ["Gradient check", "backward pass beside differences of the loss"],
  sampler: ["Sampler", "standard deviation of 20,000 draws beside exp(½ logvar)"],
  kl: ["KL", "the formula beside the mean of log q(z) − log p(z) over 40,000 draws"],
  sum: ["Sum", "does a change of one pixel count in full?"],
};

/** What the failed tests say of the planted error. */
export function conclusion(error, failed) {
  if (!error)
    return failed.length ? `Failed: ${failed.join(", ")}.` : "All pass: nothing is planted.";
  if (failed.length === 1 && failed[0] === "gradient") {
    return "The gradient check fails in the encoder: the backward pass belongs to another noise.";
  }
  const names = failed.map((name) => FINDERS[name][0].toLowerCase()).join(", ");
  return `The gradient check passes: forward and backward pass share the error, and agree. What finds it is the test of the ${names}.`;
}

/** The root of the mean square of codes: 1 for those of the prior. */
export function rms(codes) {
  let total = 0;
  for (const value of codes) total += value * value;
  return Math.sqrt(total / codes.length);
}

/** A number in two significant digits. */
export function short(value) {
  return String(Number(value.toPrecision(2)));
}

function capital(text) {
  return text[0].toUpperCase() + text.slice(1);
}

/** Set a text only where it changes, so that screen readers are told once. */
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** What probably made a training stop. */
export function cause({ lr, error, beta, sigma }) {
  if (error === "kl-sign")
    return "With the wrong sign the loss has no minimum: running away from the prior pays without end.";
  if (lr > 0.02)
    return `A learning rate of ${short(lr)} is too large: steps leap over what they aim at.`;
  if (beta > 50) return `β = ${short(beta)} makes steps too large.`;
  if (sigma < 0.02) return `σ = ${short(sigma)} makes gradients too large for this learning rate.`;
  return "The steps grew too large: take a lower learning rate.";
}
