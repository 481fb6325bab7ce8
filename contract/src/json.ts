/** Objects of JSON: neither null nor a list. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Text that PostgreSQL stores as it is: no NUL, which jsonb refuses, and no lone surrogate, which becomes U+FFFD. */
export function isStorableText(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0');
}
