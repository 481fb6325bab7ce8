import type { Reporter, TestModule } from 'vitest/node';

/** Ends the output with the reasons that skipped tests give, and with how many tests passed, failed and were skipped, in one line that scripts can read. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const reasons = new Set<string>();
    const count = { passed: 0, failed: errors.length, skipped: 0 };
    for (const module of modules) {
      // A file that cannot be loaded has no tests, and has failed all the same.
      count.failed += module.errors().length;
      for (const test of module.children.allTests()) {
        const result = test.result();
        if (result.state !== 'pending') count[result.state]++;
        if (result.state === 'skipped' && result.note) reasons.add(result.note);
      }
    }
    const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : '';
    for (const reason of reasons) process.stdout.write(`Skipped: ${reason}\n`);
    process.stdout.write(`${count.passed} passed, ${count.failed} failed${skipped}\n`);
  }
}
