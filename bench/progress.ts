import { clearLine, cursorTo } from 'node:readline';

/** Milliseconds between such lines where they cannot replace one another. */
const LOGGED_EVERY_MS = 10_000;

let passing = false;
let loggedAt = performance.now();

/** One line of progress. */
export function say(line: string): void {
  if (passing) clear();
  process.stdout.write(`${line}\n`);
}

/** A line that the next one replaces; where the output is no terminal, one now and then. */
export function sayAgain(line: string): void {
  if (!process.stdout.isTTY) {
    if (performance.now() - loggedAt < LOGGED_EVERY_MS) return;
    say(line);
    loggedAt = performance.now();
    return;
  }
  clear();
  process.stdout.write(line);
  passing = true;
}

function clear(): void {
  clearLine(process.stdout, 0);
  cursorTo(process.stdout, 0);
  passing = false;
}
