// What is seen of the app beside the plane: pictures, legend, and everything in words.

import { drawUse } from "./charts.js";
import { element } from "./controls.js";
import { ERRORS } from "./errors.js";
import { command } from "./takealong.js";
import { labelColour, prepare, traceMark } from "./theme.js";
import { STRIP } from "./training.js";
import { comment, put, rms, STORIES, verdict } from "./words.js";

const $ = (id) => document.getElementById(id);

export function draw(app) {
  const frame = app.view;
  if (!frame) return;
  const { dataset, pictures, picked } = app;
  const showMap = $("map").checked;
  app.field.draw(frame, { dataset, pictures, picked, showMap });
  app.charts.draw(app.moment === null ? Infinity : frame.steps);
  drawUse($("use"), frame);
  app.machine.draw(frame, { pictures, x: picked.x, secret: app.secret });
  drawStrips(app, frame);
  const slider = $("time");
  slider.max = Math.max(0, app.past.length - 1);
  if (app.moment === null) slider.value = slider.max;
  $("moment").textContent = app.moment === null ? "now" : `epoch ${frame.epoch.toFixed(1)}`;
  update(app);
}

export function fillStrips(app) {
  const { dataset } = app;
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
    const node = element(
      "button",
      { type: "button", onclick: () => app.pick({ index: i, x: app.testRow(i) }) },
      canvas,
    );
    const label = dataset.labels
      ? `, label ${dataset.label_names?.[dataset.labels[dataset.n_train + i]] ?? ""}`
      : "";
    node.setAttribute("aria-label", `Pick test ${dataset.noun} ${i}${label}`);
    return { node, canvas };
  };
  app.strips = {
    seen: canvases($("seen"), button),
    reconstructions: canvases($("reconstructions"), plain),
    prior: canvases($("prior"), plain, 2 * STRIP),
    walk: canvases($("walk"), plain, 2 * STRIP),
  };
  showSeen(app);
  markPicked(app);
}

export function showSeen(app) {
  app.strips.seen.forEach((canvas, k) => {
    const i = app.dataset.shown[k];
    if (i !== undefined) app.pictures.show(canvas, app.testRow(i));
  });
}

export function drawStrips(app, { strips }) {
  const { D } = app.dataset;
  for (const [name, rows] of Object.entries(strips)) {
    app.strips[name].forEach((canvas, k) => {
      if ((k + 1) * D <= rows.length) app.pictures.show(canvas, rows.subarray(k * D, (k + 1) * D));
    });
  }
}

export function markPicked(app) {
  [...$("seen").children].forEach((node, k) =>
    node.setAttribute("aria-pressed", app.dataset.shown[k] === app.picked.index),
  );
}

export function drawLegend(app) {
  const { label_names: names, labels } = app.dataset;
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
export function update(app) {
  const { running, frame, knobs, secret, dataset } = app;
  $("play").replaceChildren(
    element("span", { textContent: running ? "❚❚" : "▶" }),
    running ? " Pause" : " Play",
  );
  const seen = app.view;
  if (seen) {
    $("epoch").textContent = seen.epoch.toFixed(1);
    $("steps").textContent = seen.steps.toLocaleString("en");
    $("pace").textContent = Math.round(running ? frame.stepsPerSecond : 0);
  }
  app.panel.show(knobs, secret);
  $("sigma").disabled = app.index === 0 && app.world.run?.likelihood.kind === "Bernoulli";
  document.body.classList.toggle("planted", Boolean(knobs.error));
  const sentence = comment({
    frame: seen,
    running,
    secret,
    noun: dataset.noun,
    labelled: Boolean(dataset.labels),
    dataset: `${dataset.n_train.toLocaleString("en")} ${dataset.noun}s`,
  });
  const slow =
    frame && !frame.simd
      ? " (This browser has no WebAssembly SIMD: plain JavaScript trains, some ten times slower.)"
      : "";
  say(app, app.wrongGuess ? `No, that is not it. ${sentence}` : sentence + slow);
  if (seen) {
    const spread = rms(seen.codes).toFixed(1);
    put($("plane-words"), `${dataset.n_test} marks; the root of their mean square is ${spread}`);
  }
  $("tests-title").textContent =
    knobs.error && !secret ? `Planted: ${ERRORS[knobs.error].name}` : "Would a test find it?";
  put($("verdict"), testsText(app, seen));
  showLines(app);
  const story = STORIES[app.story];
  for (const button of document.querySelectorAll("[data-story]")) {
    button.setAttribute("aria-pressed", button.dataset.story === app.story && Boolean(story));
  }
  command(app);
}

/** Say what happens now: at once where the words change, once a while where only numbers do. */
function say(app, text) {
  const words = text.replace(/[\d.,−]+/g, "");
  const now = performance.now();
  if (words === app.said && now - app.saidAt < 1500) return;
  Object.assign(app, { said: words, saidAt: now });
  put($("comment"), text);
}

function testsText(app, frame) {
  if (app.secret)
    return "One of six errors is planted. Run the tests: each error fails exactly one of the four.";
  if (app.knobs.error && frame?.knobs.error) return verdict(frame);
  return "Nothing is planted now: all four tests pass. Plant an error above, and see which of them finds it. The gradient check, which everybody runs, finds one of six.";
}

function showLines(app) {
  const error = app.secret ? null : ERRORS[app.knobs.error];
  const key = error?.name ?? "";
  if ($("lines").dataset.key === key) return;
  $("lines").dataset.key = key;
  $("lines").replaceChildren(
    ...(error
      ? [
          element("code", { className: "wrong", textContent: error.wrong }),
          element("code", { className: "right", textContent: error.right }),
          element("small", { textContent: error.place }),
        ]
      : []),
  );
}
