/**
 * Does the same piece of work again and again, and says how long it takes: a processor that shares its core with another machine's does
 * it in up to twice the time, though it is nowhere seen as busy or stolen. The work needs no memory, so neither the load nor the
 * server beside it make it slower. Started by the bench, once for each processor.
 */
const EVERY_MS = 50;
/** A run that was interrupted takes longer: the shortest of some counts. */
const RUNS = 5;
const STEPS = 10_000;
const WARM_UP_RUNS = 2_000;

/** Eight chains that do not wait for each other, so that all parts of the core have something to do. */
function work(seed: number): number {
  let a = seed | 0;
  let b = 2;
  let c = 3;
  let d = 4;
  let e = 5;
  let f = 6;
  let g = 7;
  let h = 8;
  for (let i = 0; i < STEPS; i++) {
    a = (Math.imul(a, 1_664_525) + i) | 0;
    b = ((b ^ (b << 5)) + i) | 0;
    c = (c + i) ^ (c >>> 3);
    d = (Math.imul(d, 22_695_477) + 1) | 0;
    e = ((e ^ i) + (e << 3)) | 0;
    f = (f + (i << 2)) ^ (f >>> 5);
    g = (g - i) ^ (g << 7);
    h = (h + i) ^ (h >>> 9);
  }
  return a ^ b ^ c ^ d ^ e ^ f ^ g ^ h;
}

let result = 1;

function microsOfWork(): number {
  const began = performance.now();
  result = work(result);
  return (performance.now() - began) * 1000;
}

for (let i = 0; i < WARM_UP_RUNS; i++) microsOfWork();
setInterval(() => {
  const shortest = Math.min(...Array.from({ length: RUNS }, microsOfWork));
  process.stdout.write(`${shortest.toFixed(2)}\n`);
}, EVERY_MS);
