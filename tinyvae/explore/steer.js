// Mouse, finger and keys on the latent plane: what they do to z.

import { zoom } from "./controls.js";

const CLICK = 5; // pixels: a press that moves less is a click
const NEAR = { mouse: 8, touch: 16, pen: 8 }; // pixels: a click this near to a mark picks it
const GRIP = 36; // pixels: a finger that begins this near to z drags it, else it scrolls the page
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };

/** Let people move z on `canvas`: a mouse over it looks, a press stays, a click on a mark picks. */
export function steer(plane, canvas, store, pick) {
  let start = null; // of the press that lasts
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    const inside = (p) => Math.min(plane.side, Math.max(0, p));
    return [inside(event.clientX - box.left), inside(event.clientY - box.top)];
  };
  const stay = (point) =>
    store.set({ z: plane.moved(plane.toLatent(point)), hover: null, pointing: true });
  const leave = () => store.set({ hover: null, pointing: false });

  const gripped = (point) => {
    const [x, y] = plane.toPixels(plane.project(store.state.z));
    return Math.hypot(x - point[0], y - point[1]) < GRIP;
  };
  let drags = false;
  canvas.addEventListener(
    "touchstart",
    (event) => {
      if (gripped(at(event.touches[0]))) event.preventDefault(); // no scrolling
    },
    { passive: false },
  );
  canvas.addEventListener("pointerdown", (event) => {
    start = at(event);
    drags = event.pointerType !== "touch" || gripped(start);
    if (!drags) return;
    canvas.setPointerCapture(event.pointerId);
    stay(start);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (start && drags) stay(at(event));
    else if (event.pointerType === "mouse") {
      store.set({ hover: plane.moved(plane.toLatent(at(event))), pointing: true });
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    const end = at(event);
    const still = start && Math.hypot(end[0] - start[0], end[1] - start[1]) < CLICK;
    if (still && !drags) stay(end);
    start = null;
    const { example, distance } = plane.nearest(end);
    if (still && distance < NEAR[event.pointerType]) pick(example);
    if (event.pointerType !== "mouse") leave();
  });
  canvas.addEventListener("pointercancel", () => {
    start = null;
    leave();
  });
  canvas.addEventListener("pointerleave", leave);
  canvas.addEventListener("blur", leave);
  canvas.addEventListener("keydown", (event) => {
    const z = store.state.z;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in KEYS) {
      const step = (event.shiftKey ? 0.1 : 0.02) * plane.seen.radius;
      const [right, up] = KEYS[event.key];
      const [a, b] = plane.project(z);
      const moved = plane.moved([a + right * step, b + up * step]);
      store.set({ z: moved, hover: null, pointing: true });
    } else if (event.key === "+" || event.key === "-") {
      zoom(store, event.key === "+" ? 2 : 0.5);
    } else if (event.key === "0" || event.key === "Home") {
      store.set({ z: new Float64Array(z.length), hover: null });
    } else if (event.key === "Enter" || event.key === " ") {
      const { example } = plane.nearest(plane.toPixels(plane.project(z)));
      if (example) pick(example);
    } else return;
    event.preventDefault();
  });
}
