/** The pause between two polls. `wake` ends it, or skips the next one where a poll is under way. */
export class Pause {
  #isWoken = false;
  #end = () => {};

  wake(): void {
    this.#isWoken = true;
    this.#end();
  }

  /** Called as a poll begins: what wakes before this is covered by the poll. */
  begin(): void {
    this.#isWoken = false;
  }

  async take(ms: number): Promise<void> {
    if (this.#isWoken) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#end = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
