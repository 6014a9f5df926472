// Drawing with mouse or finger: strokes become an image (H, W) as the encoder knows it. MNIST's
// makers scaled each digit into a box of 20 × 20 pixels and put its centre of mass into the middle
// of 28 × 28 (LeCun et al. 1998); a drawing that is not treated alike is foreign to the encoder.

const BOX = 20 / 28; // of the shorter side
const PEN = 2.6 / 28; // width of a stroke, likewise: about that of MNIST's digits

/** Strokes, lists of points [x, y] in pixels, as grey values (H · W,) in [0, 1] with smooth edges. */
export function rasterize(strokes, [height, width], pen) {
  const image = new Float64Array(height * width);
  for (const stroke of strokes) {
    for (let k = 0; k < stroke.length; k++) {
      stamp(image, [height, width], stroke[Math.max(k - 1, 0)], stroke[k], pen / 2);
    }
  }
  return image;
}

/** Draw the segment from a to b: a pixel is covered by about ½ + radius − its distance. */
function stamp(image, [height, width], a, b, radius) {
  const reach = radius + 1;
  const range = (axis, size) => [
    Math.max(0, Math.floor(Math.min(a[axis], b[axis]) - reach)),
    Math.min(size, Math.ceil(Math.max(a[axis], b[axis]) + reach)),
  ];
  const [left, right] = range(0, width);
  const [top, bottom] = range(1, height);
  const [dx, dy] = [b[0] - a[0], b[1] - a[1]];
  const squared_length = dx * dx + dy * dy || 1;
  for (let row = top; row < bottom; row++) {
    for (let column = left; column < right; column++) {
      const [px, py] = [column + 0.5 - a[0], row + 0.5 - a[1]];
      const along = Math.min(1, Math.max(0, (px * dx + py * dy) / squared_length));
      const distance = Math.hypot(px - along * dx, py - along * dy);
      const covered = Math.min(1, Math.max(0, 0.5 + radius - distance));
      const place = row * width + column;
      image[place] = Math.max(image[place], covered);
    }
  }
}

/** Strokes drawn in a unit square as an image (H · W,): where they stand, as they are. */
export function asDrawn(strokes, [height, width]) {
  const side = Math.min(height, width);
  const left = (width - side) / 2;
  const top = (height - side) / 2;
  const placed = strokes.map((s) => s.map(([x, y]) => [left + x * side, top + y * side]));
  return rasterize(placed, [height, width], PEN * side);
}

/** Strokes of any place and size as an image (H · W,), scaled and centred as MNIST's digits are. */
export function centred(strokes, [height, width]) {
  const points = strokes.flat();
  const side = Math.min(height, width);
  const pen = PEN * side;
  const [low, high] = [Math.min, Math.max].map((extreme) =>
    [0, 1].map((axis) => extreme(...points.map((point) => point[axis]))),
  );
  const extent = Math.max(high[0] - low[0], high[1] - low[1]);
  const scale = extent > 0 ? (BOX * side - pen) / extent : 0;
  const place = (centre) =>
    strokes.map((stroke) =>
      stroke.map(([x, y]) => [
        width / 2 + (x - centre[0]) * scale,
        height / 2 + (y - centre[1]) * scale,
      ]),
    );
  const middle = [0, 1].map((axis) => (low[axis] + high[axis]) / 2);
  const image = rasterize(place(middle), [height, width], pen);
  if (scale === 0) return image;
  const mass = centreOfMass(image, [height, width]);
  const centre = [
    middle[0] + (mass[0] - width / 2) / scale,
    middle[1] + (mass[1] - height / 2) / scale,
  ];
  return rasterize(place(centre), [height, width], pen);
}

/** The mean place [x, y] of an image's ink, in pixels. */
export function centreOfMass(image, [, width]) {
  let [mass, x, y] = [0, 0, 0];
  image.forEach((value, place) => {
    mass += value;
    x += value * ((place % width) + 0.5);
    y += value * (Math.floor(place / width) + 0.5);
  });
  return [x / mass, y / mass];
}

/** A canvas to draw on: calls `changed(strokes)`, points in the unit square, as strokes grow. */
export class Pad {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.strokes = [];
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.strokes.push([]);
      this.extend(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!canvas.hasPointerCapture(event.pointerId)) return;
      for (const point of event.getCoalescedEvents?.() ?? []) this.add(point);
      this.extend(event);
    });
  }

  add(event) {
    const box = this.canvas.getBoundingClientRect();
    const point = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    this.strokes.at(-1).push(point);
  }

  extend(event) {
    this.add(event);
    this.draw();
    this.changed(this.strokes);
  }

  clear() {
    this.strokes = [];
    this.draw();
  }

  /** Show the strokes in the page's ink. */
  draw() {
    const { canvas } = this;
    const side = canvas.clientWidth * devicePixelRatio;
    canvas.width = canvas.height = side;
    const context = canvas.getContext("2d");
    context.strokeStyle = getComputedStyle(canvas).color;
    context.lineWidth = PEN * side * 1.1;
    context.lineCap = context.lineJoin = "round";
    for (const stroke of this.strokes) {
      context.beginPath();
      for (const [x, y] of [stroke[0], ...stroke]) context.lineTo(x * side, y * side);
      context.stroke();
    }
  }
}
