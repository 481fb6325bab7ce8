// SHA-256 (FIPS 180-4) of four messages at a time, one in each lane of a vector, as WebAssembly that is put together here. Node's
// own digest is quick, but a call of it costs five times as much as its work.

/** The messages begin with a text of so many bytes, eight words, and go on alike. */
export const saltBytes = 32;
/** Blocks of 64 bytes that a message may take. */
const maxBlocks = 4;
const blockBytes = 64;
/** The end of a message: a bit that is set, and its length. */
const endBytes = 9;
/** What may follow the salt. */
export const maxRestBytes = maxBlocks * blockBytes - endBytes - saltBytes;

export const lanes = 4;
const vectorBytes = 16;
const halfBlockBytes = 8 * vectorBytes;
/** Groups of four messages in one call. */
export const maxGroups = 256;

// The memory: the rest of the messages from the second half of their first block on, each word in all lanes; the first words of
// the digests; the salts of each group; what they alone make of the first eight rounds.
const restAt = 0;
const digestsAt = restAt + 2 * maxBlocks * halfBlockBytes;
const saltsAt = digestsAt + maxGroups * vectorBytes;
const startsAt = saltsAt + maxGroups * halfBlockBytes;
const memoryBytes = startsAt + maxGroups * halfBlockBytes;
const memoryPages = Math.ceil(memoryBytes / 65_536);

function primes(count: number): number[] {
  const found: number[] = [];
  for (let n = 2; found.length < count; n++) if (found.every((prime) => n % prime !== 0)) found.push(n);
  return found;
}

const fraction = (value: number) => Math.floor((value % 1) * 2 ** 32);
const roundConstants = primes(64).map((prime) => fraction(Math.cbrt(prime)));
const initialState = primes(8).map((prime) => fraction(Math.sqrt(prime)));

type Code = readonly number[];

function unsigned(value: number): Code {
  return value < 128 ? [value] : [(value % 128) + 128, ...unsigned(Math.floor(value / 128))];
}

function signed(value: number): Code {
  const [low, rest] = [value & 127, value >> 7];
  const isLast = (rest === 0 && low < 64) || (rest === -1 && low >= 64);
  return isLast ? [low] : [low + 128, ...signed(rest)];
}

const vector = (operation: number): Code => [0xfd, ...unsigned(operation)];
const get = (local: number): Code => [0x20, ...unsigned(local)];
const set = (local: number, value: Code): Code => [...value, 0x21, ...unsigned(local)];
const int = (value: number): Code => [0x41, ...signed(value)];
const increase = (local: number, by: number): Code => set(local, [...get(local), ...int(by), 0x6a]);
const otherwise = 0x05;
const end = 0x0b;
const ifElse = (condition: Code, yes: Code, no: Code): Code => [
  ...condition,
  0x04,
  0x40,
  ...yes,
  otherwise,
  ...no,
  end,
];
const repeatWhile = (local: number, body: Code): Code => [0x03, 0x40, ...body, ...get(local), 0x0d, 0, end];

const inAllLanes = (word: number): Code => {
  const bytes = [0, 8, 16, 24].map((shift) => (word >>> shift) & 255);
  return [...vector(0x0c), ...bytes, ...bytes, ...bytes, ...bytes];
};
const load = (base: number, offset: number): Code => [...get(base), ...vector(0x00), 4, ...unsigned(offset)];
const store = (base: number, value: Code, offset = 0): Code => [
  ...get(base),
  ...value,
  ...vector(0x0b),
  4,
  ...unsigned(offset),
];
const sum = (first: Code, ...others: Code[]): Code => [first, ...others.map((one) => [...one, ...vector(0xae)])].flat();
const xor = (a: Code, b: Code): Code => [...a, ...b, ...vector(0x51)];
const select = (ifSet: Code, ifClear: Code, mask: Code): Code => [...ifSet, ...ifClear, ...mask, ...vector(0x52)];
const shiftRight = (a: Code, bits: number): Code => [...a, ...int(bits), ...vector(0xad)];
const rotateRight = (a: Code, bits: number): Code => [
  ...shiftRight(a, bits),
  ...[...a, ...int(32 - bits), ...vector(0xab)],
  ...vector(0x50),
];
const rotations = (a: Code, [x, y, z]: readonly [number, number, number]): Code =>
  xor(xor(rotateRight(a, x), rotateRight(a, y)), rotateRight(a, z));
const shifts = (a: Code, [x, y, z]: readonly [number, number, number]): Code =>
  xor(xor(rotateRight(a, x), rotateRight(a, y)), shiftRight(a, z));

// The two parameters, and the locals: five integers, and vectors.
const [groupsLeft, blocks, salts, digests, firstHalf, secondHalf, blocksLeft] = [0, 1, 2, 3, 4, 5, 6];
const isFirst: Code = [...get(blocksLeft), ...get(blocks), 0x46];
const integers = 5;
const firstVector = 2 + integers;
const state = (i: number) => firstVector + (i & 7);
const word = (i: number) => firstVector + 8 + (i & 15);
const working = (i: number) => firstVector + 24 + (i & 7);
const temporary = firstVector + 32;
const vectors = 33;
const eight = [0, 1, 2, 3, 4, 5, 6, 7];

function nextWord(round: number): Code {
  const [w, later] = [get(word(round)), get(word(round + 9))];
  const [early, late] = [get(word(round + 1)), get(word(round + 14))];
  return set(word(round), sum(w, shifts(early, [7, 18, 3]), later, shifts(late, [17, 19, 10])));
}

function round(i: number): Code {
  // Instead of moving eight values on, each round knows them by the names that they have moved to.
  const of = (name: number) => get(working(name - i + 64));
  const [a, b, c, d, e, f, g, h] = [of(0), of(1), of(2), of(3), of(4), of(5), of(6), of(7)];
  return [
    ...(i < 16 ? [] : nextWord(i)),
    ...set(
      temporary,
      sum(h, rotations(e, [6, 11, 25]), select(f, g, e), inAllLanes(roundConstants[i] ?? 0), get(word(i))),
    ),
    ...set(working(3 - i + 64), sum(d, get(temporary))),
    ...set(working(7 - i + 64), sum(get(temporary), rotations(a, [2, 13, 22]), select(c, b, xor(a, b)))),
  ];
}

const begin = (): Code => eight.flatMap((i) => set(state(i), inAllLanes(initialState[i] ?? 0)));
const loadFirstHalf = (): Code => eight.flatMap((i) => set(word(i), load(firstHalf, i * vectorBytes)));
/** After eight rounds, the values have the names again that they began with. */
const firstRounds = (): Code => [
  ...eight.flatMap((i) => set(working(i), get(state(i)))),
  ...eight.flatMap((i) => round(i)),
];
const laterRounds = (): Code => roundConstants.flatMap((_, i) => (i < 8 ? [] : round(i)));

function block(): Code {
  return [
    ...loadFirstHalf(),
    ...eight.flatMap((i) => set(word(8 + i), load(secondHalf, i * vectorBytes))),
    ...ifElse(
      isFirst,
      eight.flatMap((i) => set(working(i), load(salts, startsAt - saltsAt + i * vectorBytes))),
      firstRounds(),
    ),
    ...laterRounds(),
    ...eight.flatMap((i) => set(state(i), sum(get(state(i)), get(working(i))))),
    ...set(firstHalf, [...get(secondHalf), ...int(halfBlockBytes), 0x6a]),
    ...increase(secondHalf, 2 * halfBlockBytes),
    ...increase(blocksLeft, -1),
  ];
}

/** The first words of the digests of all groups. */
function digestBody(): Code {
  return [
    ...set(salts, int(saltsAt)),
    ...set(digests, int(digestsAt)),
    ...repeatWhile(groupsLeft, [
      ...begin(),
      ...set(firstHalf, get(salts)),
      ...set(secondHalf, int(restAt)),
      ...set(blocksLeft, get(blocks)),
      ...repeatWhile(blocksLeft, block()),
      ...store(digests, get(state(0))),
      ...increase(salts, halfBlockBytes),
      ...increase(digests, vectorBytes),
      ...increase(groupsLeft, -1),
    ]),
  ];
}

/** The first eight rounds of all groups. */
function prepareBody(): Code {
  return [
    ...set(firstHalf, int(saltsAt)),
    ...begin(),
    ...repeatWhile(groupsLeft, [
      ...loadFirstHalf(),
      ...firstRounds(),
      ...eight.flatMap((i) => store(firstHalf, get(working(i)), startsAt - saltsAt + i * vectorBytes)),
      ...increase(firstHalf, halfBlockBytes),
      ...increase(groupsLeft, -1),
    ]),
  ];
}

function assemble(): Uint8Array<ArrayBuffer> {
  const [i32, v128] = [0x7f, 0x7b];
  const sized = (content: Code): Code => [...unsigned(content.length), ...content];
  const section = (id: number, content: Code): Code => [id, ...sized(content)];
  const name = (text: string): Code => sized([...Buffer.from(text)]);
  const code = (body: Code): Code => sized([2, integers, i32, vectors, v128, ...body, end]);
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 2, i32, i32, 0]),
    ...section(3, [2, 0, 0]),
    ...section(5, [1, 0, memoryPages]),
    ...section(7, [3, ...name('memory'), 2, 0, ...name('digest'), 0, 0, ...name('prepare'), 0, 1]),
    ...section(10, [2, ...code(digestBody()), ...code(prepareBody())]),
  ]);
}

// TypeScript knows these of browsers alone, and our code is not to see what else browsers have.
declare const WebAssembly: {
  validate(binary: Uint8Array): boolean;
  Module: new (binary: Uint8Array) => object;
  Instance: new (module: object) => { readonly exports: Readonly<Record<string, unknown>> };
  Memory: new (limits: { initial: number }) => { readonly buffer: ArrayBuffer };
};

/** What the digests are computed in. */
export interface Lanes {
  /** Words of the rest of a message, each four times. */
  readonly rest: Int32Array;
  /** Eight words for each group of four salts, each word of all four side by side. */
  readonly salts: Int32Array;
  /** The first word of each digest. */
  readonly digests: Uint32Array;
  /** To be called when the salts have changed. */
  prepare(groups: number): void;
  run(groups: number, blocks: number): void;
}

/** Undefined where the processor or the runtime has no vectors. */
export function createLanes(): Lanes | undefined {
  const binary = assemble();
  if (!WebAssembly.validate(binary)) return undefined;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(binary));
  const { memory, digest, prepare } = exports;
  if (!(memory instanceof WebAssembly.Memory)) return undefined;
  if (typeof digest !== 'function' || typeof prepare !== 'function') return undefined;
  const { buffer } = memory;
  return {
    rest: new Int32Array(buffer, restAt, 2 * maxBlocks * lanes * 8),
    salts: new Int32Array(buffer, saltsAt, maxGroups * lanes * 8),
    digests: new Uint32Array(buffer, digestsAt, maxGroups * lanes),
    prepare: (groups) => void prepare(groups, 0),
    run: (groups, blocks) => void digest(groups, blocks),
  };
}
