// Where the page starts: it reads the data, starts the worker, sends what is turned and draws what comes.
// In the worker the same script runs, and serves.

import { Charts } from "./charts.js";
import { element } from "./controls.js";
import { readWorld } from "./data.js";
import { ERRORS } from "./errors.js";
import { Field } from "./field.js";
import { connect } from "./hands.js";
import { fromHash, Knobs, valid } from "./knobs.js";
import { Machine } from "./machine.js";
import { Pictures } from "./pictures.js";
import * as screen from "./screen.js";
import { saveWeights } from "./takealong.js";
import { readTheme, theme } from "./theme.js";
import { DEFAULTS } from "./training.js";
import { cause, conclusion, FINDERS, rms, STORIES } from "./words.js";
import { serve } from "./worker.js";

const $ = (id) => document.getElementById(id);
const SEED = 1;
const MOMENTS = 160; // frames that the time slider goes back to
const SETTLED = 500; // steps, where nothing is to move
const SMALL = "(max-width: 56rem)";

class App {
  constructor(world, worker) {
    const first = fromHash(location.hash);
    Object.assign(this, {
      world,
      worker,
      running: false,
      frame: null,
      past: [],
      every: 1,
      skipped: 0,
      moment: null,
      secret: false,
      story: null,
      picked: { index: 0, x: null },
      waiting: null,
      warm: null,
    });
    this.charts = new Charts($("charts"));
    this.machine = new Machine($("flow"), $("code"), () => this.send("roll"));
    this.field = new Field($("ground"), $("lens"));
    this.knobs = {
      ...DEFAULTS,
      ...world.defaults,
      ...(matchMedia(SMALL).matches ? { hidden: 64 } : {}),
    };
    if (world.run) Object.assign(this.knobs, world.run.knobs);
    this.initial = { ...this.knobs };
    this.panel = new Knobs((knobs, word) => this.turn(knobs, word));
    worker.onmessage = ({ data }) => this[`on_${data.type}`](data);
    this.send("data", {
      datasets: world.datasets.map(
        ({ x, n_train, n_test, D, unit, image_shape, walks, shown }) => ({
          x,
          n_train,
          n_test,
          D,
          unit,
          shape: image_shape,
          walks,
          shown,
        }),
      ),
      wasm: world.wasm,
      run: world.run,
    });
    connect(this);
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
    const index = Math.max(
      0,
      this.world.datasets.findIndex(({ name }) => name === data),
    );
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
    const test = Array.from({ length: Math.min(100, dataset.n_test) }, (_, i) => this.testRow(i));
    this.pictures = new Pictures(dataset, test);
    this.picked = { index: dataset.shown[0], x: this.testRow(dataset.shown[0]) };
    for (const input of $("datasets").querySelectorAll("input"))
      input.checked = input.value === dataset.name;
    document.body.classList.toggle("images", Boolean(dataset.image_shape));
    screen.fillStrips(this);
    screen.drawLegend(this);
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
    this.send(
      "pick",
      this.picked.index === null ? { x: this.picked.x } : { index: this.picked.index },
    );
    if (this.running) this.send("play");
    this.warmUp();
    screen.update(this);
  }

  play() {
    this.running = true;
    this.moment = null;
    this.send("play");
    this.warmUp();
    screen.update(this);
  }

  pause() {
    this.running = false;
    this.send("pause");
    screen.update(this);
  }

  restart() {
    this.begin();
  }

  /** Turn knobs, from the page or from a script. */
  turn(given, word = null) {
    const knobs = valid(given);
    const rebuilt = ["latent", "hidden"].some(
      (name) => name in knobs && knobs[name] !== this.knobs[name],
    );
    if ("error" in knobs) this.guess(knobs);
    if ("beta" in knobs && this.warm) [this.warm, this.story] = [null, null];
    Object.assign(this.knobs, knobs);
    if (rebuilt) this.begin();
    else {
      this.send("set", { knobs });
      if (word) this.charts.mark(word);
    }
    screen.update(this);
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
    Object.assign(this.knobs, this.initial, {
      latent: this.knobs.latent,
      hidden: this.knobs.hidden,
      error,
    });
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
    screen.markPicked(this);
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
    screen.update(this);
  }

  on_failed({ reason }) {
    console.error(reason);
    $("why").textContent = `Stopped: ${reason.split("\n")[0]}`;
    $("stopped").hidden = false;
  }

  on_checked({ name, analytic, numeric, passed }) {
    const tick = element("span", {
      textContent: passed ? "✓" : "✗",
      className: passed ? "right" : "wrong",
    });
    tick.title = `${name}: backward ${analytic.toPrecision(6)}, differences ${numeric.toPrecision(6)}`;
    $("ticks").append(tick);
    this.gradientPassed &&= passed;
    $("checked").textContent = `${$("ticks").children.length} weights`;
  }

  on_witnesses({ results }) {
    const all = { gradient: { passed: this.gradientPassed }, ...results };
    const failed = Object.keys(all).filter((name) => !all[name].passed);
    $("witnesses").replaceChildren(
      ...Object.entries(all).map(([name, { passed, cases }]) => {
        const [title, words] = FINDERS[name];
        const numbers = cases
          ?.map(
            ({ expected, found }) => `${found.toPrecision(3)}, expected ${expected.toPrecision(3)}`,
          )
          .join("; ");
        return element(
          "li",
          { className: passed ? "right" : "wrong" },
          element("b", { textContent: `${passed ? "✓" : "✗"} ${title}` }),
          ` ${words}`,
          element("small", { textContent: (numbers ?? "").replaceAll("-", "−") }),
        );
      }),
    );
    $("checked").textContent = this.secret
      ? `Failed: ${failed.map((name) => FINDERS[name][0].toLowerCase()).join(", ") || "none"}. So which error is it?`
      : conclusion(this.knobs.error, failed);
    $("check").disabled = false;
  }

  on_weights(weights) {
    saveWeights(this, weights);
  }

  // ---- what is drawn ---------------------------------------------------------------------------------

  redraw() {
    this.due ||= requestAnimationFrame((now) => {
      this.due = 0;
      this.followWarmUp(now);
      screen.draw(this);
      this.send("drew");
    });
  }

  /** The frame that is looked at: the latest, or an earlier one. */
  get view() {
    return this.moment === null ? this.frame : this.past[this.moment];
  }

  tell() {
    document
      .querySelectorAll(".story")
      .forEach((node) => node.classList.toggle("told", node.dataset.name === this.story));
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
    get running() {
      return app.running;
    },
    get steps() {
      return app.frame?.steps ?? 0;
    },
    get epoch() {
      return app.frame?.epoch ?? 0;
    },
    get stepsPerSecond() {
      return app.frame?.stepsPerSecond ?? 0;
    },
    get terms() {
      return { ...app.frame?.terms };
    },
    get codes() {
      return app.frame?.codes;
    },
    get knobs() {
      return { ...app.knobs };
    },
    set: (knobs) => app.turn(knobs),
    play: () => app.play(),
    pause: () => app.pause(),
    restart: () => app.restart(),
    rms,
    theme,
    app,
  };
}

if (typeof document === "undefined") serve(self);
else start();
