// What the page carries in itself: JSON and base64 texts in script elements, as page.py wrote them.

/** The text of the element with this id. */
function text(id) {
  return document.getElementById(id).textContent;
}

export function readJSON(id) {
  return JSON.parse(text(id));
}

/** The numbers of an element, as a typed array; kind is "uint8", "float16" or "float32". */
export function readArray(id, kind) {
  const binary = atob(text(id));
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  if (kind === "uint8") return bytes;
  if (kind === "float32") return new Float32Array(bytes.buffer);
  return Float32Array.from(new Uint16Array(bytes.buffer), halfToNumber);
}

/** The value of a float16: a sign bit, 5 bits of exponent, 10 bits of fraction (IEEE 754). */
function halfToNumber(half) {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
