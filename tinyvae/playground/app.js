// Where the page starts: it reads the data, starts the worker, sends what is turned and draws what comes.
// In the worker the same script runs, and serves.

import { Charts, drawUse } from "./charts.js";
import { element } from "./controls.js";
import { readWorld } from "./data.js";
import { asDrawn, centred, Pad } from "./drawing.js";
import { ERRORS } from "./errors.js";
import { Field } from "./field.js";
import { fromHash, Knobs, segments, toHash, valid } from "./knobs.js";
import { Machine } from "./machine.js";
import { npz } from "./npz.js";
import { Pictures } from "./pictures.js";
import { labelColour, prepare, readTheme, theme, traceMark } from "./theme.js";
import { DEFAULTS } from "./training.js";
import { comment, conclusion, FINDERS, rms, short, STORIES, verdict } from "./words.js";
import { serve } from "./worker.js";

const $ = (id) => document.getElementById(id);
const SEED = 1;
const STRIP = 8;
const MOMENTS = 160; // frames that the time slider goes back to
const SETTLED = 500; // steps, where nothing is to move
const SMALL = "(max-width: 56rem)";

class App {
  constructor(world, worker) {
    const first = fromHash(location.hash);
    Object.assign(this, {
      world, worker, running: false, frame: null, past: [], every: 1, skipped: 0, moment: null, secret: false,
      story: null, picked: { index: 0, x: null }, waiting: null, warm: null,
    });
    this.charts = new Charts($("charts"));
    this.machine = new Machine($("flow"), $("code"), () => this.send("roll"));
    this.field = new Field($("ground"), $("lens"));
    this.knobs = { ...DEFAULTS, ...world.defaults, ...(matchMedia(SMALL).matches ? { hidden: 64 } : {}) };
    if (world.run) Object.assign(this.knobs, world.run.knobs);
    this.initial = { ...this.knobs };
    this.panel = new Knobs((knobs, word) => this.turn(knobs, word));
    worker.onmessage = ({ data }) => this[`on_${data.type}`](data);
    this.send("data", {
      datasets: world.datasets.map(({ x, n_train, n_test, D, unit, image_shape, walks, shown }) =>
        ({ x, n_train, n_test, D, unit, shape: image_shape, walks, shown })),
      wasm: world.wasm, run: world.run,
    });
    this.connect();
    this.enter(first);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.send("settle", { steps: SETTLED });
    } else this.play();
  }

  send(type, more = {}) {
    this.worker.postMessage({ type, ...more });
  }

  // ---- what one can do -----------------------------------------------------------------------------

  /** Take the state that an address describes. */
  enter({ knobs, story, data }) {
    const index = Math.max(0, this.world.datasets.findIndex(({ name }) => name === data));
    this.story = Object.hasOwn(STORIES, story) ? story : null;
    Object.assign(this.knobs, this.initial, STORIES[this.story]?.knobs, knobs);
    this.choose(index);
    this.tell();
  }

  /** Begin anew on a data set. */
  choose(index) {
    this.index = index;
    this.dataset = this.world.datasets[index];
    const { dataset } = this;
    const D = dataset.D;
    const test = Array.from({ length: Math.min(100, dataset.n_test) }, (_, i) => this.testRow(i));
    this.pictures = new Pictures(dataset, test);
    this.picked = { index: dataset.shown[0], x: this.testRow(dataset.shown[0]) };
    for (const input of $("datasets").querySelectorAll("input")) input.checked = input.value === dataset.name;
    document.body.classList.toggle("images", Boolean(dataset.image_shape));
    document.body.classList.toggle("square", D > 0 && Boolean(dataset.image_shape));
    this.fillStrips();
    this.drawLegend();
    this.begin();
  }

  testRow(i) {
    const { x, n_train, D } = this.dataset;
    return x.subarray((n_train + i) * D, (n_train + i + 1) * D);
  }

  /** Start the training of these knobs on this data set. */
  begin() {
    this.charts.clear();
    Object.assign(this, { past: [], every: 1, skipped: 0, moment: null });
    $("stopped").hidden = true;
    this.send("start", { dataset: this.index, knobs: this.knobs, seed: SEED });
    this.send("pick", this.picked.index === null ? { x: this.picked.x } : { index: this.picked.index });
    if (this.running) this.send("play");
    this.warmUp();
    this.update();
  }

  play() {
    this.running = true;
    this.moment = null;
    this.send("play");
    this.warmUp();
    this.update();
  }

  pause() {
    this.running = false;
    this.send("pause");
    this.update();
  }

  restart() {
    this.begin();
  }

  /** Turn knobs, from the page or from a script. */
  turn(given, word = null) {
    const knobs = valid(given);
    const rebuilt = ["latent", "hidden"].some((name) => name in knobs && knobs[name] !== this.knobs[name]);
    if ("error" in knobs) this.guess(knobs);
    if ("beta" in knobs && this.warm) [this.warm, this.story] = [null, null];
    Object.assign(this.knobs, knobs);
    if (rebuilt) this.begin();
    else {
      this.send("set", { knobs });
      if (word) this.charts.mark(word);
    }
    this.update();
  }

  /** A name was chosen: while an error is secret, it is a guess. */
  guess(knobs) {
    if (!this.secret) return;
    const right = knobs.error === this.knobs.error;
    $("checked").textContent = "";
    if (right) this.secret = false;
    else {
      delete knobs.error;
      this.wrongGuess = true;
    }
  }

  riddle() {
    const names = Object.keys(ERRORS);
    const error = names[Math.floor(Math.random() * names.length)];
    this.clearTests();
    this.story = null;
    Object.assign(this.knobs, this.initial, { latent: this.knobs.latent, hidden: this.knobs.hidden, error });
    this.secret = true;
    this.begin();
    if (!this.running) this.play();
  }

  tellStory(name) {
    this.secret = false;
    location.hash = `story=${name}`;
  }

  /** β rises from what it is to 1, where the story says so. */
  warmUp() {
    const { warm } = STORIES[this.story] ?? {};
    this.warm = warm && this.knobs.beta < 1 ? { from: null, seconds: warm } : null;
  }

  followWarmUp(now) {
    const { warm } = this;
    if (!warm || !this.running) return;
    warm.from ??= now;
    const part = Math.min(1, (now - warm.from) / (1000 * warm.seconds));
    this.knobs.beta = Math.max(0.01, part);
    this.send("set", { knobs: { beta: this.knobs.beta } });
    if (part === 1) this.warm = null;
  }

  pick(picked) {
    this.picked = picked;
    this.send("pick", picked.index === null ? { x: picked.x } : { index: picked.index });
    this.markPicked();
  }

  // ---- what the worker says ------------------------------------------------------------------------

  on_frame(frame) {
    this.frame = frame;
    frame.D = this.dataset.D;
    if (frame.L !== this.knobs.latent) return this.send("drew");
    this.charts.add(frame);
    if (++this.skipped >= this.every) {
      this.past.push(frame);
      this.skipped = 0;
    }
    if (this.past.length > MOMENTS) {
      this.past = this.past.filter((_, k) => k % 2 === 0);
      if (this.moment !== null) this.moment = Math.floor(this.moment / 2);
      this.every *= 2;
    }
    this.redraw();
  }

  on_decoded({ x_hat, id }) {
    if (this.waiting?.id !== id) return;
    this.field.showLens(this.waiting.pixel, x_hat, this.pictures);
  }

  on_stopped({ reason, steps, knobs }) {
    this.running = false;
    this.stoppedBy = knobs;
    $("why").textContent = `Stopped after ${steps} steps: ${reason}. ${cause(knobs)}`;
    $("stopped").hidden = false;
    this.update();
  }

  on_failed({ reason }) {
    console.error(reason);
    $("why").textContent = `Stopped: ${reason.split("\n")[0]}`;
    $("stopped").hidden = false;
  }

  on_checked({ name, analytic, numeric, passed }) {
    const tick = element("span", { textContent: passed ? "✓" : "✗", className: passed ? "right" : "wrong" });
    tick.title = `${name}: backward ${analytic.toPrecision(6)}, differences ${numeric.toPrecision(6)}`;
    $("ticks").append(tick);
    this.gradientPassed &&= passed;
    $("checked").textContent = `${$("ticks").children.length} weights`;
  }

  on_witnesses({ results }) {
    const all = { gradient: { passed: this.gradientPassed }, ...results };
    const failed = Object.keys(all).filter((name) => !all[name].passed);
    $("witnesses").replaceChildren(...Object.entries(all).map(([name, { passed, cases }]) => {
      const [title, words] = FINDERS[name];
      const numbers = cases?.map(({ expected, found }) => `${found.toPrecision(3)}, expected ${expected.toPrecision(3)}`).join("; ");
      return element("li", { className: passed ? "right" : "wrong" },
        element("b", { textContent: `${passed ? "✓" : "✗"} ${title}` }), ` ${words}`,
        element("small", { textContent: (numbers ?? "").replaceAll("-", "−") }));
    }));
    $("checked").textContent = this.secret
      ? `Failed: ${failed.map((name) => FINDERS[name][0].toLowerCase()).join(", ") || "none"}. So which error is it?`
      : conclusion(this.knobs.error, failed);
    $("check").disabled = false;
  }

  on_weights({ theta, parameters, knobs }) {
    let start = 0;
    const arrays = parameters.map(([name, shape]) => {
      const size = shape.reduce((product, n) => product * n, 1);
      start += size;
      return [name, shape, theta.subarray(start - size, start)];
    });
    const weight = knobs.trains === "kl" ? 0 : 1;
    const config = {
      ...this.world.datasets[this.index].config, latent_dim: knobs.latent, hidden: [knobs.hidden], sigma: knobs.sigma,
      beta: knobs.trains === "reconstruction" ? 0 : knobs.beta, reconstruction_weight: weight,
    };
    if (this.world.run && this.index === 0) Object.assign(config, this.world.run.config, { beta: config.beta });
    if (config.sigma !== undefined && config.likelihood !== "bernoulli") arrays.push(["sigma", [], knobs.sigma]);
    arrays.push(["config", [], JSON.stringify(config)]);
    const link = element("a", { href: URL.createObjectURL(npz(arrays)), download: "playground.npz" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  // ---- what is drawn ---------------------------------------------------------------------------------

  redraw() {
    this.due ||= requestAnimationFrame((now) => {
      this.due = 0;
      this.followWarmUp(now);
      this.draw();
      this.send("drew");
    });
  }

  /** The frame that is looked at: the latest, or an earlier one. */
  get view() {
    return this.moment === null ? this.frame : this.past[this.moment];
  }

  draw() {
    const frame = this.view;
    if (!frame) return;
    const { dataset, pictures, picked } = this;
    const showMap = $("map").checked;
    this.field.draw(frame, { dataset, pictures, picked, showMap });
    this.charts.draw(this.moment === null ? Infinity : frame.steps);
    drawUse($("use"), frame);
    this.machine.draw(frame, { pictures, x: picked.x, dataset, secret: this.secret });
    this.drawStrips(frame);
    const slider = $("time");
    slider.max = Math.max(0, this.past.length - 1);
    if (this.moment === null) slider.value = slider.max;
    $("moment").textContent = this.moment === null ? "now" : `epoch ${frame.epoch.toFixed(1)}`;
    this.update();
  }

  fillStrips() {
    const { dataset } = this;
    const canvases = (box, make, n = STRIP) => {
      const all = Array.from({ length: n }, (_, k) => make(k));
      box.replaceChildren(...all.map(({ node }) => node));
      return all.map(({ canvas }) => canvas);
    };
    const plain = () => {
      const canvas = element("canvas", { className: "picture" });
      canvas.setAttribute("aria-hidden", "true");
      return { node: canvas, canvas };
    };
    const button = (k) => {
      const canvas = element("canvas", { className: "picture" });
      const i = dataset.shown[k];
      if (i === undefined) return plain();
      const node = element("button", { type: "button", onclick: () => this.pick({ index: i, x: this.testRow(i) }) }, canvas);
      const label = dataset.labels ? `, label ${dataset.label_names?.[dataset.labels[dataset.n_train + i]] ?? ""}` : "";
      node.setAttribute("aria-label", `Pick test ${dataset.noun} ${i}${label}`);
      return { node, canvas };
    };
    this.strips = {
      seen: canvases($("seen"), button),
      reconstructions: canvases($("reconstructions"), plain),
      prior: canvases($("prior"), plain, 2 * STRIP),
      walk: canvases($("walk"), plain, 2 * STRIP),
    };
    this.showSeen();
    this.markPicked();
  }

  showSeen() {
    this.strips.seen.forEach((canvas, k) => {
      const i = this.dataset.shown[k];
      if (i !== undefined) this.pictures.show(canvas, this.testRow(i));
    });
  }

  drawStrips({ strips }) {
    const { D } = this.dataset;
    for (const [name, rows] of Object.entries(strips)) {
      this.strips[name].forEach((canvas, k) => {
        if ((k + 1) * D <= rows.length) this.pictures.show(canvas, rows.subarray(k * D, (k + 1) * D));
      });
    }
  }

  markPicked() {
    [...$("seen").children].forEach((node, k) =>
      node.setAttribute("aria-pressed", this.dataset.shown[k] === this.picked.index));
  }

  drawLegend() {
    const { label_names: names, labels } = this.dataset;
    $("legend").replaceChildren();
    if (!labels || !names) return;
    names.slice(0, 12).forEach((name, label) => {
      const mark = element("canvas");
      $("legend").append(element("span", {}, mark, name));
      const context = prepare(mark);
      traceMark(context, label, 6, 6, 4);
      context.fillStyle = labelColour(label);
      context.fill();
    });
  }

  /** Everything in words. */
  update() {
    const { running, frame, knobs, secret, dataset } = this;
    $("play").replaceChildren(element("span", { textContent: running ? "❚❚" : "▶" }), running ? " Pause" : " Play");
    const seen = this.view;
    if (seen) {
      $("epoch").textContent = seen.epoch.toFixed(1);
      $("steps").textContent = seen.steps.toLocaleString("en");
      $("pace").textContent = Math.round(running ? frame.stepsPerSecond : 0);
    }
    this.panel.show(knobs, secret);
    document.body.classList.toggle("planted", Boolean(knobs.error));
    const sentence = comment({
      frame: seen, running, secret, noun: dataset.noun, labelled: Boolean(dataset.labels),
      dataset: `${dataset.n_train.toLocaleString("en")} ${dataset.noun}s`,
    });
    const slow = frame && !frame.simd ? " (This browser has no WebAssembly SIMD: plain JavaScript trains, some ten times slower.)" : "";
    put($("comment"), this.wrongGuess ? `No, that is not it. ${sentence}` : sentence + slow);
    $("tests-title").textContent = knobs.error && !secret ? `Planted: ${ERRORS[knobs.error].name}` : "Would a test find it?";
    put($("verdict"), this.testsText(seen));
    this.showLines();
    const story = STORIES[this.story];
    for (const button of document.querySelectorAll("[data-story]")) {
      button.setAttribute("aria-pressed", button.dataset.story === this.story && Boolean(story));
    }
    this.command();
  }

  testsText(frame) {
    if (this.secret) return "One of six errors is planted. Run the tests: each error fails exactly one of the four.";
    if (this.knobs.error && frame?.knobs.error) return verdict(frame);
    return "Nothing is planted now: all four tests pass. Plant an error above, and see which of them finds it. The gradient check, which everybody runs, finds one of six.";
  }

  showLines() {
    const error = this.secret ? null : ERRORS[this.knobs.error];
    const key = error?.name ?? "";
    if ($("lines").dataset.key === key) return;
    $("lines").dataset.key = key;
    $("lines").replaceChildren(...(error ? [
      element("code", { className: "wrong", textContent: error.wrong }),
      element("code", { className: "right", textContent: error.right }),
      element("small", { textContent: error.place }),
    ] : []));
  }

  /** The same training as a command. */
  command() {
    const { knobs, dataset, frame } = this;
    const parts = [`python -m tinyvae train --dataset ${dataset.name}`, `--hidden ${knobs.hidden}`, `--latent-dim ${knobs.latent}`];
    const beta = knobs.trains === "reconstruction" ? 0 : knobs.beta;
    if (beta !== 1) parts.push(`--beta ${short(beta)}`);
    if (knobs.trains === "kl") parts.push("--reconstruction-weight 0");
    parts.push(`--sigma ${knobs.sigma === Math.SQRT1_2 ? "0.7071" : short(knobs.sigma)}`, `--lr ${short(knobs.lr)}`, "--batch-size 64");
    parts.push(`--epochs ${Math.max(1, Math.ceil(frame?.epoch ?? 1))}`);
    put($("command"), parts.join(" "));
    put($("explore"), `python -m tinyvae explore playground.npz --dataset ${dataset.name} --open`);
  }

  tell() {
    document.querySelectorAll(".story").forEach((node) => node.classList.toggle("told", node.dataset.name === this.story));
  }

  clearTests() {
    $("ticks").replaceChildren();
    $("witnesses").replaceChildren();
    $("checked").textContent = "";
    this.wrongGuess = false;
  }

  check() {
    this.clearTests();
    this.gradientPassed = true;
    $("check").disabled = true;
    this.send("check");
  }

  // ---- mouse, keys, window --------------------------------------------------------------------------

  connect() {
    const { world } = this;
    $("play").onclick = () => (this.running ? this.pause() : this.play());
    $("step").onclick = () => {
      if (this.running) this.pause();
      this.moment = null;
      this.send("step");
    };
    $("restart").onclick = () => this.restart();
    $("back").onclick = () => {
      $("stopped").hidden = true;
      const safe = { lr: Math.min(this.knobs.lr, DEFAULTS.lr), error: null, beta: Math.min(this.knobs.beta, 20) };
      this.secret = false;
      Object.assign(this.knobs, safe);
      this.send("back", { knobs: safe });
      this.charts.mark("back");
      this.play();
    };
    $("forces").onchange = () => this.send("look", { options: { forces: $("forces").checked } });
    $("map").onchange = () => this.redraw();
    $("time").oninput = () => {
      const at = Number($("time").value);
      this.moment = at >= Number($("time").max) ? null : at;
      this.redraw();
    };
    $("check").onclick = () => this.check();
    $("guess").onclick = () => this.riddle();
    $("copy").onclick = () => copy($("command").textContent, $("copy"));
    $("save").onclick = () => this.send("save");
    $("share").onclick = () => {
      const more = { story: null, data: this.index ? this.dataset.name : null };
      const hash = toHash(this.secret ? { ...this.knobs, error: null } : this.knobs, more);
      history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
      copy(location.href, $("share"));
    };
    segments($("datasets"), "data", world.datasets.map(({ name }) => name), (name) => {
      this.choose(world.datasets.findIndex((dataset) => dataset.name === name));
    });
    $("datasets").hidden = world.datasets.length < 2;
    for (const name of Object.keys(STORIES)) this.addStory(name);
    addEventListener("hashchange", () => {
      this.enter(fromHash(location.hash));
      if (!this.running) this.play();
    });
    this.connectPlane();
    this.connectPad();
    this.connectKeys();
    this.connectTabs();
    this.followWindow();
  }

  addStory(name) {
    const { name: title, text } = STORIES[name];
    const button = () => {
      const node = element("button", { type: "button", textContent: title, onclick: () => {
        if (location.hash === `#story=${name}`) this.enter(fromHash(location.hash));
        else this.tellStory(name);
        if (!this.running) this.play();
      } });
      node.dataset.story = name;
      return node;
    };
    $("try").append(button());
    const story = element("div", { className: "story" }, button(), element("p", { textContent: text }));
    story.dataset.name = name;
    $("stories").append(story);
  }

  connectPlane() {
    const canvas = $("ground");
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    let id = 0;
    canvas.addEventListener("pointermove", (event) => {
      const frame = this.view;
      if (!frame || event.pointerType === "touch") return;
      this.waiting = { id: ++id, pixel: at(event) };
      this.send("decode", { z: this.field.point(at(event), frame.L), id });
    });
    canvas.addEventListener("pointerleave", () => {
      this.waiting = null;
      $("lens").hidden = true;
    });
    canvas.addEventListener("click", (event) => {
      const frame = this.view;
      if (!frame) return;
      const { index, distance } = this.field.nearest(at(event), frame);
      if (distance < 16) this.pick({ index, x: this.testRow(index) });
    });
  }

  connectPad() {
    const pad = new Pad($("pad"), (strokes) => {
      const { dataset } = this;
      if (!strokes.length || !dataset.image_shape) return;
      const [height, width, colours = 1] = dataset.image_shape;
      const grey = (dataset.ink ? centred : asDrawn)(strokes, [height, width]);
      const x = new Float32Array(grey.length * colours);
      const { low, high, scaling: { kind, divisor, mean, std } } = dataset;
      x.forEach((_, d) => {
        const raw = low + grey[Math.floor(d / colours)] * (high - low);
        x[d] = kind === "divide" ? raw / divisor : kind === "standardize" ? (raw - mean[d]) / std[d] : raw;
      });
      this.pick({ index: null, x });
    });
    $("clear").onclick = () => pad.clear();
    this.pad = pad;
  }

  connectKeys() {
    addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const { tagName, type } = event.target;
      if (tagName === "SELECT" || (tagName === "BUTTON" && event.key === " ")) return;
      if (tagName === "INPUT" && type !== "range" && event.key === " ") return;
      const actions = {
        " ": () => $("play").click(),
        s: () => $("step").click(),
        r: () => $("restart").click(),
        1: () => this.turn({ trains: "both" }, "both"),
        2: () => this.turn({ trains: "reconstruction" }, "reconstruction"),
        3: () => this.turn({ trains: "kl" }, "kl"),
      };
      const action = actions[event.key.toLowerCase()];
      if (!action) return;
      event.preventDefault();
      action();
    });
  }

  /** On a small screen one panel is seen at a time. */
  connectTabs() {
    const tabs = [...document.querySelectorAll("[role=tab]")];
    const show = (tab) => {
      for (const other of tabs) {
        other.setAttribute("aria-selected", other === tab);
        other.tabIndex = other === tab ? 0 : -1;
        $(other.getAttribute("aria-controls")).classList.toggle("chosen", other === tab);
      }
      this.redraw();
    };
    tabs.forEach((tab, k) => {
      tab.onclick = () => show(tab);
      tab.onkeydown = ({ key }) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
        if (!step) return;
        const next = tabs.at((k + step) % tabs.length);
        show(next);
        next.focus();
      };
    });
    show(tabs[0]);
  }

  followWindow() {
    const root = document.documentElement;
    const repaint = () => {
      readTheme();
      this.showSeen();
      this.drawLegend();
      this.pad.draw();
      this.redraw();
    };
    const paint = (dark) => {
      root.dataset.theme = dark ? "dark" : "light";
      repaint();
    };
    const system = matchMedia("(prefers-color-scheme: dark)");
    system.addEventListener("change", () => paint(system.matches));
    $("theme").onclick = () => paint(root.dataset.theme !== "dark");
    addEventListener("resize", repaint);
    // A page that is not seen rests: laptops sleep, and frames are drawn only where one looks.
    document.addEventListener("visibilitychange", () => {
      if (!this.running) return;
      this.send(document.hidden ? "pause" : "play");
    });
  }
}

/** Set a text only where it changes, so that screen readers are told once. */
function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** What probably made a training stop. */
function cause({ lr, error, beta, sigma }) {
  if (error === "kl-sign") return "With the wrong sign the loss has no minimum: running away from the prior pays without end.";
  if (lr > 0.02) return `A learning rate of ${short(lr)} is too large: steps leap over what they aim at.`;
  if (beta > 50) return `β = ${short(beta)} makes steps too large.`;
  if (sigma < 0.02) return `σ = ${short(sigma)} makes gradients too large for this learning rate.`;
  return "The steps grew too large: take a lower learning rate.";
}

async function copy(text, button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed here";
  }
  setTimeout(() => (button.textContent = before), 1500);
}

async function start() {
  readTheme();
  const source = document.currentScript?.textContent ?? "";
  let app;
  try {
    const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    app = new App(await readWorld(), worker);
  } catch (error) {
    $("comment").textContent = `This browser can't run the page: ${error.message}`;
    throw error;
  }
  window.tinyvae = {
    get running() { return app.running; },
    get steps() { return app.frame?.steps ?? 0; },
    get epoch() { return app.frame?.epoch ?? 0; },
    get stepsPerSecond() { return app.frame?.stepsPerSecond ?? 0; },
    get terms() { return { ...app.frame?.terms }; },
    get codes() { return app.frame?.codes; },
    get knobs() { return { ...app.knobs }; },
    set: (knobs) => app.turn(knobs),
    play: () => app.play(),
    pause: () => app.pause(),
    restart: () => app.restart(),
    rms, theme, app,
  };
}

if (typeof document === "undefined") serve(self);
else start();
