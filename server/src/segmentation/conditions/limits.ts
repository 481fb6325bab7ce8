/** How deep `$and $or $nor $not $elemMatch` may stand in each other; the outermost query stands at depth 0. */
export const MAX_DEPTH = 16;

/**
 * A node is every test of a field (each operator, each implicit equality, each entry of `$all`), every `$and $or $nor
 * $not $elemMatch`, and every `$inSegment` or `$notInSegment`. Values are not nodes.
 */
export const MAX_NODES = 1_000;

/** Of these, nodes inside `$elemMatch`: each is put to every element of an array. */
export const MAX_ELEMENT_NODES = 100;

/** Values of one condition, at every level: entries of lists, of arrays in them, of documents. */
export const MAX_VALUES = 50_000;

/** Entries of a list: `$in`, `$nin`, `$all`, `$and`, `$or`, `$nor`. */
export const MAX_LIST = 1_000;

/** Names in a dotted path, and levels of arrays and documents in a value: twice over, no attribute of use is deeper. */
export const MAX_LEVELS = 16;

/**
 * Characters, and compiled size, of all patterns of one condition together. A small pattern weighs as much as one of
 * MIN_PATTERN_WEIGHT, since each has to go through the text.
 */
export const MAX_PATTERNS_LENGTH = 10_000;
export const MAX_PATTERNS_SIZE = 5_000;
export const MIN_PATTERN_WEIGHT = 20;

/** Characters of a version that attributes are compared with. */
export const MAX_VERSION_LENGTH = 1_000;

/** Errors that one answer names. */
export const MAX_ERRORS = 100;
