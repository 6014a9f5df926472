// Weights as an .npz file, which `tinyvae.load` reads: a zip, not compressed, of arrays in NumPy's format.

/** arrays: list of [name, shape, values]; values a Float32Array, a number, or text. */
export function npz(arrays) {
  const files = arrays.map(([name, shape, values]) => [`${name}.npy`, npy(shape, values)]);
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const [name, content] of files) {
    const encoded = new TextEncoder().encode(name);
    const about = header(encoded, content);
    parts.push(bytes([0x04034b50, 4], ...about), encoded, content);
    directory.push([encoded, about, offset]);
    offset += 30 + encoded.length + content.length;
  }
  const start = offset;
  for (const [encoded, about, at] of directory) {
    parts.push(
      bytes([0x02014b50, 4], [20, 2], ...about, [0, 2], [0, 2], [0, 2], [0, 4], [at, 4]),
      encoded,
    );
    offset += 46 + encoded.length;
  }
  const n = files.length;
  parts.push(
    bytes([0x06054b50, 4], [0, 2], [0, 2], [n, 2], [n, 2], [offset - start, 4], [start, 4], [0, 2]),
  );
  return new Blob(parts, { type: "application/zip" });
}

/** What local header and directory have in common: version, flags, method, time, date, checksum, sizes. */
function header(name, content) {
  const size = content.length;
  return [
    [20, 2],
    [0, 2],
    [0, 2],
    [0, 2],
    [33, 2],
    [crc32(content), 4],
    [size, 4],
    [size, 4],
    [name.length, 2],
    [0, 2],
  ];
}

/** An array in NumPy's format 1.0. */
function npy(shape, values) {
  let [kind, data] = ["<f4", new Uint8Array(Float32Array.from(values).buffer)];
  if (typeof values === "number")
    [kind, data] = ["<f8", new Uint8Array(Float64Array.of(values).buffer)];
  if (typeof values === "string") {
    const points = Array.from(values, (letter) => letter.codePointAt(0));
    [kind, data] = [`<U${points.length}`, new Uint8Array(Uint32Array.from(points).buffer)];
  }
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  let head = `{'descr': '${kind}', 'fortran_order': False, 'shape': ${tuple}, }`;
  head = head.padEnd(64 * Math.ceil((head.length + 11) / 64) - 11) + "\n";
  const start = new TextEncoder().encode(`\u0001NUMPY\u0001\u0000`);
  start[0] = 0x93;
  const text = new TextEncoder().encode(head);
  const file = new Uint8Array(10 + text.length + data.length);
  file.set([...start, text.length & 255, text.length >> 8]);
  file.set(text, 10);
  file.set(data, 10 + text.length);
  return file;
}

/** Numbers [value, how many bytes], little-endian. */
function bytes(...numbers) {
  return Uint8Array.from(
    numbers.flatMap(([value, n]) =>
      Array.from({ length: n }, (_, k) => (value / 2 ** (8 * k)) & 255),
    ),
  );
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n >>> 0;
});

function crc32(content) {
  let crc = 0xffffffff;
  for (const byte of content) crc = (crc >>> 8) ^ TABLE[(crc ^ byte) & 255];
  return (crc ^ 0xffffffff) >>> 0;
}
