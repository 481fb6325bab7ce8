/** What was typed with commas or blanks between. */
export const wordsIn = (text: string): string[] => text.split(/[\s,]+/).filter(Boolean);
