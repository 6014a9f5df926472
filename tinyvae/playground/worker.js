// What runs in the Web Worker: a training in slices of some 30 ms; after each slice the page gets all
// that is drawn, once it has drawn the last. The page sends commands; the worker sends
// {type: "frame" | "decoded" | "checked" | "witnesses" | "stopped" | "weights"}.

import { klTest, samplerTest, sumTest } from "./errors.js";
import { checkGradient } from "./gradient.js";
import { Stream } from "./latent.js";
import { DEFAULTS, MAP, ranAway, STRIP, Training } from "./training.js";

const SLICE = 30; // ms of training between two frames, at least, and as long as 1.5 frames take
const FORCES = 80; // test rows whose forces are drawn
const TEST_EVERY = 600; // ms between two evaluations of all test rows
const KEEP_EVERY = 2000; // ms between two states that one can go back to
const TICK = 25; // ms between two weights of the gradient check
const NEAR = 3.6; // latent units from the origin that are always in view

class Trainer {
  constructor(post) {
    Object.assign(this, {
      post,
      running: false,
      drawn: true,
      ticking: false,
      options: { forces: false },
      ghost: null,
      checking: null,
      cost: 0,
    });
  }

  // ---- commands, by their names ---------------------------------------------------------------------

  /** data: lists of data sets as Training takes them; wasm: code, null for the plain kernels. */
  data({ datasets, wasm, run }) {
    Object.assign(this, { datasets, wasm, run });
  }

  /** Begin anew: dataset by its index, knobs, a seed. */
  start({ dataset, knobs, seed }) {
    const data = this.datasets[dataset];
    const { run } = this;
    const goesOn =
      run && dataset === 0 && ["latent", "hidden"].every((name) => knobs[name] === run.knobs[name]);
    this.training = new Training(
      data,
      this.wasm,
      { ...DEFAULTS, ...knobs },
      seed,
      goesOn ? run : null,
    );
    const L = this.training.model.latent_dim;
    const stream = new Stream(seed + 99);
    this.prior = stream.normal(2 * STRIP * L);
    Object.assign(this, {
      eps: stream.normal(L),
      dims: L > 1 ? [0, 1] : [0, null],
      radius: NEAR,
      last: null,
      kept: [this.training.state()],
      tested: -Infinity,
      keptAt: performance.now(),
      pace: [],
      test: null,
      planted: null,
    });
    const { error } = this.training.knobs;
    this.ghost = null;
    if (error) this.plant(error);
    this.pick({ index: this.picked?.index ?? 0 });
    this.frame();
  }

  set({ knobs }) {
    const { training } = this;
    const before = training.knobs.error;
    const { error, ...others } = knobs;
    training.set(others);
    this.ghost?.set(others);
    if (error !== undefined && error !== before) this.plant(error);
    this.keep();
    this.refresh();
  }

  /** Plant an error, or none; beneath runs the right training, from here on with the same draws. */
  plant(error) {
    if (!error) this.ghost = null;
    else this.ghost ??= this.training.fork({ error: null });
    this.planted = error ? this.training.steps : null;
    this.training.set({ error });
  }

  play() {
    this.running = true;
    this.pace = [];
    this.tick();
  }

  pause() {
    this.running = false;
  }

  step() {
    this.train(1);
    this.frame();
  }

  /** So many steps at once, for those who want to see no motion. */
  settle({ steps }) {
    this.train(steps);
    this.frame();
  }

  drew() {
    this.drawn = true;
  }

  /** An x of one's own, or the test row of that index. */
  pick({ x = null, index = null }) {
    const { data } = this.training;
    this.picked = { x, index };
    if (index !== null) {
      const row = data.n_train + Math.min(index, data.n_test - 1);
      this.picked.x = data.x.subarray(row * data.D, (row + 1) * data.D);
    }
    this.refresh();
  }

  roll() {
    this.eps = new Stream((Math.random() * 2 ** 31) | 0).normal(this.eps.length);
    this.refresh();
  }

  look({ options }) {
    Object.assign(this.options, options);
    this.refresh();
  }

  decode({ z, id }) {
    this.post({ type: "decoded", x_hat: this.training.model.decode(z), id });
  }

  /** The gradient check, weight by weight, then the tests of the sampler, the KL and the sum. */
  check() {
    const { training } = this;
    this.checking = checkGradient(training, new Stream(31));
    const next = () => {
      const { value, done } = this.checking.next();
      if (!done) {
        this.post({ type: "checked", ...value });
        setTimeout(next, TICK);
        return;
      }
      const { latent } = training.model;
      const own = training.inFloat64(1);
      own.reconstruction_weight ||= 1; // under "KL alone" it is 0 on purpose
      const results = {
        sampler: samplerTest(latent, new Stream(32)),
        kl: klTest(latent, new Stream(33)),
        sum: sumTest(own),
      };
      this.post({ type: "witnesses", results });
    };
    next();
  }

  /** All weights, for a file. */
  save() {
    const { model, description, knobs, epoch } = this.training;
    const theta = model.parameters.theta.slice();
    this.post({ type: "weights", theta, parameters: description.parameters, knobs, epoch });
  }

  /** Back to the last state that was well, with these knobs. */
  back({ knobs }) {
    const [kept] = this.kept;
    this.ghost = null;
    this.planted = null;
    this.training.set(knobs);
    this.training.restore(kept);
    this.last = null;
    this.frame();
  }

  // ---- the loop ---------------------------------------------------------------------------------------

  tick() {
    if (this.ticking) return;
    this.ticking = true;
    const turn = () => {
      if (!this.running) return void (this.ticking = false);
      const start = performance.now();
      const alive = this.train(Infinity, start + Math.max(SLICE, 1.5 * this.cost));
      if (this.drawn && alive) {
        const trained = performance.now();
        this.frame();
        this.cost = Math.min(200, performance.now() - trained);
      }
      setTimeout(turn, 0);
    };
    setTimeout(turn, 0);
  }

  /** Train for so many steps, or until a moment; false where it had to stop. */
  train(steps, until = Infinity) {
    const { training, ghost } = this;
    const sums = { loss: 0, reconstruction: 0, kl: 0 };
    const ghosts = { loss: 0, reconstruction: 0, kl: 0 };
    let n = 0;
    let trouble;
    do {
      const terms = training.step();
      trouble = training.trouble(terms);
      if (trouble) break;
      for (const name in sums) sums[name] += terms[name];
      if (ghost) {
        const right = ghost.step();
        for (const name in ghosts) ghosts[name] += right[name];
      }
      n++;
    } while (n < steps && performance.now() < until);
    if (n) {
      for (const name in sums) [sums[name], ghosts[name]] = [sums[name] / n, ghosts[name] / n];
      this.last = { terms: sums, ghost: ghost ? ghosts : null };
    }
    const now = performance.now();
    this.pace = [...this.pace.filter(([at]) => at > now - 1500), [now, training.steps]];
    if (trouble) this.stop(trouble);
    else if (now - this.keptAt > KEEP_EVERY) this.keep();
    return !trouble;
  }

  stop(reason) {
    this.running = false;
    const { steps, knobs } = this.training;
    this.post({ type: "stopped", reason, steps, knobs });
  }

  /** Keep a state to go back to; the last two, as the newer may already be on its way out. */
  keep() {
    this.keptAt = performance.now();
    this.kept = [...this.kept.slice(-1), this.training.state()];
  }

  // ---- what is drawn ----------------------------------------------------------------------------------

  /** A frame without a step, where something else has changed while it stands still. */
  refresh() {
    if (!this.running) this.frame();
  }

  frame() {
    const { training, options } = this;
    const codes = training.codes();
    const [mu] = codes;
    if (ranAway(mu)) {
      if (this.running) this.stop("the codes have run away from the prior");
      return; // what was seen last stays
    }
    const now = performance.now();
    const use = training.use(codes);
    if (now - this.tested > TEST_EVERY || !this.running) {
      this.test = training.test(codes);
      this.tested = now;
    }
    this.chooseDims(use);
    this.follow(mu);
    const [first, latest] = [this.pace[0], this.pace.at(-1)];
    const seconds = first ? (latest[0] - first[0]) / 1000 : 0;
    this.drawn = false;
    const { model, data } = training;
    this.post({
      type: "frame",
      steps: training.steps,
      epoch: training.epoch,
      stepsPerSecond: seconds > 0.2 ? (latest[1] - first[1]) / seconds : 0,
      simd: training.simd,
      terms: this.last?.terms ?? null,
      ghost: this.ghost && { terms: this.last?.ghost, codes: this.ghost.codes()[0] },
      planted: this.planted === null ? null : training.steps - this.planted,
      test: this.test,
      codes: mu,
      logvar: codes[1],
      use,
      dims: this.dims,
      radius: this.radius,
      map: data.shape ? this.map() : null,
      strips: this.strips(codes),
      machine: training.machine(this.picked.x, this.eps),
      forces: options.forces ? training.forces(Math.min(FORCES, data.n_test)) : null,
      knobs: { ...training.knobs },
      L: model.latent_dim,
      widths: training.widths,
      goesOn: training.run !== null,
    });
  }

  /** The two busiest dimensions; others take their place only where they are clearly busier. */
  chooseDims(use) {
    const L = use.length;
    if (L < 3) return;
    const order = Array.from(use.keys()).sort((i, j) => use[j] - use[i]);
    const [a, b] = this.dims;
    const least = Math.min(use[a], use[b]);
    const best = order.find((j) => j !== a && j !== b);
    if (use[best] > 1.5 * least + 0.05) this.dims = order.slice(0, 2).sort((i, j) => i - j);
  }

  /** Let the view follow the codes, smoothly: 98 in 100 of them are in it. */
  follow(mu) {
    const L = this.training.model.latent_dim;
    const far = [];
    for (let i = 0; i < mu.length; i += L) {
      far.push(Math.max(...this.dims.map((j) => (j === null ? 0 : Math.abs(mu[i + j])))));
    }
    far.sort((a, b) => a - b);
    const wanted = Math.max(NEAR, 1.15 * far[Math.floor(0.98 * (far.length - 1))]);
    this.radius += (wanted - this.radius) * (this.running ? 0.25 : 1);
    if (Math.abs(wanted - this.radius) < 0.05) this.radius = wanted;
  }

  /** The decoded grid of the plane, (225, D), the other dimensions at 0; bytes where they are greys. */
  map() {
    const { model, data } = this.training;
    const L = model.latent_dim;
    const z = new Float32Array(MAP * MAP * L);
    for (let k = 0; k < MAP * MAP; k++) {
      const at = [2 * (((k % MAP) + 0.5) / MAP) - 1, 1 - 2 * ((Math.floor(k / MAP) + 0.5) / MAP)];
      this.dims.forEach((j, axis) => {
        if (j !== null) z[k * L + j] = at[axis] * this.radius;
      });
    }
    const x_hat = model.decode(z);
    return data.unit ? Uint8Array.from(x_hat, (value) => 255 * value + 0.5) : x_hat;
  }

  /** Reconstructions of the rows that are shown, draws from the prior, and two walks, (n, D) each. */
  strips([mu]) {
    const {
      model,
      data: { walks, shown },
    } = this.training;
    const L = model.latent_dim;
    const code = (i) => mu.subarray(i * L, (i + 1) * L);
    const steps = walks.flatMap(([from, to]) =>
      Array.from({ length: STRIP }, (_, k) => {
        const t = k / (STRIP - 1);
        return code(from).map((value, j) => (1 - t) * value + t * code(to)[j]);
      }),
    );
    const decode = (codes) => model.decode(Float32Array.from(codes.flatMap((z) => [...z])));
    return {
      reconstructions: decode(shown.map(code)),
      prior: model.decode(this.prior),
      walk: decode(steps),
    };
  }
}

/** Serve commands {type, …} of a page. */
export function serve(scope) {
  const trainer = new Trainer((message) => {
    const arrays = Object.values(message).filter((value) => value?.buffer);
    scope.postMessage(
      message,
      arrays.map(({ buffer }) => buffer),
    );
  });
  scope.onmessage = ({ data: { type, ...command } }) => {
    try {
      trainer[type](command);
    } catch (error) {
      scope.postMessage({ type: "failed", reason: `${error.message}\n${error.stack}` });
    }
  };
}
