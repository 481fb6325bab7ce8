/** Splits typed text at commas and white space. */
export const wordsIn = (text: string): string[] => text.split(/[\s,]+/).filter(Boolean);
