/** Comments, quoted texts, names, dollar-quoted bodies: a semicolon inside one of them ends nothing. */
const tokens = /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|"[^"]*"|\$(\w*)\$[\s\S]*?\$\1\$|;/g;

/**
 * The statements of a file, in order. Of texts with backslash escapes, nested comments and `BEGIN ATOMIC` it knows nothing: PostgreSQL
 * refuses the wrong pieces.
 */
export function statementsOf(file: string): string[] {
  const statements: string[] = [];
  let from = 0;
  for (const { 0: token, index } of file.matchAll(tokens)) {
    if (token !== ';') continue;
    statements.push(file.slice(from, index).trim());
    from = index + 1;
  }
  const rest = file.slice(from).trim();
  const isEmpty = rest.replace(tokens, '').trim() === '' && !/['"$]/.test(rest);
  return isEmpty ? statements : [...statements, rest];
}
