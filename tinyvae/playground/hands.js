// Mouse, finger, keys and window: what they do to the app.

import { element } from "./controls.js";
import { asDrawn, centred, Pad } from "./drawing.js";
import { fromHash, segments, toHash } from "./knobs.js";
import * as screen from "./screen.js";
import { readTheme } from "./theme.js";
import { DEFAULTS } from "./training.js";
import { STORIES } from "./words.js";

const $ = (id) => document.getElementById(id);

export function connect(app) {
  const { world } = app;
  $("play").onclick = () => (app.running ? app.pause() : app.play());
  $("step").onclick = () => {
    if (app.running) app.pause();
    app.moment = null;
    app.send("step");
  };
  $("restart").onclick = () => app.restart();
  $("back").onclick = () => {
    $("stopped").hidden = true;
    const safe = {
      lr: Math.min(app.knobs.lr, DEFAULTS.lr),
      error: null,
      beta: Math.min(app.knobs.beta, 20),
    };
    app.secret = false;
    Object.assign(app.knobs, safe);
    app.send("back", { knobs: safe });
    app.charts.mark("back");
    app.play();
  };
  $("forces").onchange = () => app.send("look", { options: { forces: $("forces").checked } });
  $("map").onchange = () => app.redraw();
  $("time").oninput = () => {
    const at = Number($("time").value);
    app.moment = at >= Number($("time").max) ? null : at;
    app.redraw();
  };
  $("check").onclick = () => app.check();
  $("guess").onclick = () => app.riddle();
  $("copy").onclick = () => copy($("command").textContent, $("copy"));
  $("save").onclick = () => app.send("save");
  $("share").onclick = () => {
    const more = { story: null, data: app.index ? app.dataset.name : null };
    const hash = toHash(app.secret ? { ...app.knobs, error: null } : app.knobs, more);
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
    copy(location.href, $("share"));
  };
  segments(
    $("datasets"),
    "data",
    world.datasets.map(({ name }) => name),
    (name) => {
      app.choose(world.datasets.findIndex((dataset) => dataset.name === name));
    },
  );
  $("datasets").hidden = world.datasets.length < 2;
  for (const name of Object.keys(STORIES)) addStory(app, name);
  addEventListener("hashchange", () => {
    app.enter(fromHash(location.hash));
    if (!app.running) app.play();
  });
  connectPlane(app);
  connectPad(app);
  connectKeys(app);
  connectTabs(app);
  followWindow(app);
}

function addStory(app, name) {
  const { name: title, text } = STORIES[name];
  const button = () => {
    const node = element("button", {
      type: "button",
      textContent: title,
      onclick: () => {
        if (location.hash === `#story=${name}`) app.enter(fromHash(location.hash));
        else app.tellStory(name);
        if (!app.running) app.play();
      },
    });
    node.dataset.story = name;
    return node;
  };
  $("try").append(button());
  const story = element(
    "div",
    { className: "story" },
    button(),
    element("p", { textContent: text }),
  );
  story.dataset.name = name;
  $("stories").append(story);
}

function connectPlane(app) {
  const canvas = $("ground");
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  let id = 0;
  canvas.addEventListener("pointermove", (event) => {
    const frame = app.view;
    if (!frame || event.pointerType === "touch") return;
    app.waiting = { id: ++id, pixel: at(event) };
    app.send("decode", { z: app.field.point(at(event), frame.L), id });
  });
  canvas.addEventListener("pointerleave", () => {
    app.waiting = null;
    $("lens").hidden = true;
  });
  canvas.addEventListener("click", (event) => {
    const frame = app.view;
    if (!frame) return;
    const { index, distance } = app.field.nearest(at(event), frame);
    if (distance < 16) app.pick({ index, x: app.testRow(index) });
  });
}

function connectPad(app) {
  const pad = new Pad($("pad"), (strokes) => {
    const { dataset } = app;
    if (!strokes.length || !dataset.image_shape) return;
    const [height, width, colours = 1] = dataset.image_shape;
    const grey = (dataset.ink ? centred : asDrawn)(strokes, [height, width]);
    const x = new Float32Array(grey.length * colours);
    const {
      low,
      high,
      scaling: { kind, divisor, mean, std },
    } = dataset;
    x.forEach((_, d) => {
      const raw = low + grey[Math.floor(d / colours)] * (high - low);
      x[d] =
        kind === "divide" ? raw / divisor : kind === "standardize" ? (raw - mean[d]) / std[d] : raw;
    });
    app.pick({ index: null, x });
  });
  $("clear").onclick = () => pad.clear();
  app.pad = pad;
}

function connectKeys(app) {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { tagName, type } = event.target;
    if (tagName === "SELECT" || (tagName === "BUTTON" && event.key === " ")) return;
    if (tagName === "INPUT" && type !== "range" && event.key === " ") return;
    const actions = {
      " ": () => $("play").click(),
      s: () => $("step").click(),
      r: () => $("restart").click(),
      1: () => app.turn({ trains: "both" }, "both"),
      2: () => app.turn({ trains: "reconstruction" }, "reconstruction"),
      3: () => app.turn({ trains: "kl" }, "kl"),
    };
    const action = actions[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

/** On a small screen one panel is seen at a time. */
function connectTabs(app) {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const show = (tab) => {
    for (const other of tabs) {
      other.setAttribute("aria-selected", other === tab);
      other.tabIndex = other === tab ? 0 : -1;
      $(other.getAttribute("aria-controls")).classList.toggle("chosen", other === tab);
    }
    app.redraw();
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

function followWindow(app) {
  const root = document.documentElement;
  const repaint = () => {
    readTheme();
    screen.showSeen(app);
    screen.drawLegend(app);
    app.pad.draw();
    app.redraw();
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
    if (!app.running) return;
    app.send(document.hidden ? "pause" : "play");
  });
}

/** Put a text on the clipboard, and say so on the button. */
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
