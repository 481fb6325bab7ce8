/** How deep `$and $or $nor $not $elemMatch` may stand in each other; the outermost query stands at depth 0. */
export const maxDepth = 16;

/**
 * A node is every test of a field (each operator, each implicit equality, each entry of `$all`), every `$and $or $nor
 * $not $elemMatch`, and every `$inSegment` or `$notInSegment`. Values are not nodes.
 */
export const maxNodes = 1_000;

/** Of these, nodes inside `$elemMatch`: each is put to every element of an array. */
export const maxElementNodes = 100;

/** Values of one condition, at every level: entries of lists, of arrays in them, of documents. */
export const maxValues = 50_000;

/** Entries of a list: `$in`, `$nin`, `$all`, `$and`, `$or`, `$nor`. */
export const maxListEntries = 1_000;

/** Names in a dotted path, and levels of arrays and documents in a value: twice over, no attribute of use is deeper. */
export const maxLevels = 16;

/**
 * Characters, and compiled size, of all patterns of one condition together. A small pattern weighs as much as one of
 * minPatternSize, since each has to go through the text.
 */
export const maxPatternsCharacters = 10_000;
export const maxPatternsSize = 5_000;
export const minPatternSize = 20;

/** Characters of a version that attributes are compared with. */
export const maxVersionCharacters = 1_000;

/** Errors that one answer names. */
export const maxErrors = 100;
